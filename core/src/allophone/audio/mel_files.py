"""A folder of mel spectrograms, to fine-tune a vocoder on or to vocode.

    mels/
        mels.toml            [audio]: the MelSpec of the mels; [provenance]: what predicted them
        LJ001-0001.npy       float32 [M, F], one file per utterance

Other vocoder projects use the same layout for fine-tuning on predicted mels. Their files can be read here
too: without `mels.toml`, as [F, M], or as [1, M, F].

M mels, F frames, B batch.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from attrs import asdict
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError, near_miss
from allophone.files.atomic import atomic_write
from allophone.files.parsing import parse_toml

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION = "mels.toml"
SUFFIX = ".npy"


def write_description(folder: Path, audio: MelSpec, provenance: Mapping[str, str]) -> None:
    """Write the `mels.toml` of a folder, atomically.

    provenance: what the mels were made with; for people, never read back.
    """
    import toml

    table = asdict(audio, filter=lambda _, value: value is not None)
    plain = {"audio": table, "provenance": dict(provenance)}
    text = toml.dumps(plain)
    assert tomllib.loads(text) == plain, f"{plain} cannot be represented in TOML"
    with atomic_write(folder / DESCRIPTION) as file:
        file.write(text.encode())


def read_description(folder: Path) -> MelSpec | None:
    """Read the MelSpec of a folder of mels; None if it has no `mels.toml`.

    Raises UserError if the file cannot be read or is invalid.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    table = parse_toml(text, str(path)).get("audio")
    if not isinstance(table, dict):
        raise UserError(f"{path} has no table [audio] with the parameters of the mels.")
    return _mel_spec(table, path)


def check_description(folder: Path, audio: MelSpec, *, wanted_by: str) -> None:
    """Raise UserError, listing each field that differs, unless the MelSpec in `mels.toml` matches `audio`.

    wanted_by: what `audio` belongs to, for the message.

    A folder without `mels.toml` is accepted.
    """
    described = read_description(folder)
    if described and (differences := described.differences(audio)):
        raise UserError(
            f"The mel spectrograms in {folder} do not match {wanted_by}:\n"
            + "\n".join(f"  {line}" for line in differences),
            hint=f"The first value is from {folder / DESCRIPTION}. Mismatched mels sound wrong without any "
            "error; compute them again with the same parameters.",
        )


def write_mel(path: Path, mel: NDArray[np.float32]) -> None:
    """Write a mel [M, F] atomically."""
    with atomic_write(path) as file:
        np.save(file, mel.astype(np.float32, copy=False))


def read_mel(path: str | Path, spec: MelSpec) -> NDArray[np.float32]:
    """Read a mel as float32 [M, F] from a file with [M, F], [F, M] or [1, M, F].

    The dimension of size `spec.n_mels` holds the bands; if both have that size, the first does. Raises
    UserError for a file that is not `.npy`, does not contain real numbers, or is not a mel of `spec`.
    """
    try:
        mel = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(f"The mel {path} cannot be read: {error}") from error
    except (ValueError, EOFError) as error:
        # NumPy's own message often suggests `allow_pickle=True`, which is unsafe.
        raise UserError(
            f"The mel {path} cannot be read: it is not a numeric NumPy file, or it is truncated.",
            hint="Expected a NumPy file (.npy) with float32 [bands, frames].",
        ) from error
    if not isinstance(mel, np.ndarray) or mel.dtype.kind not in "fiu":
        kind = mel.dtype if isinstance(mel, np.ndarray) else "an archive"
        raise UserError(f"The mel {path} contains {kind}, not real numbers.")
    if mel.ndim == 3 and len(mel) == 1:
        mel = mel[0]
    if mel.ndim != 2:
        raise _misshapen(f"The mel {path}", mel.shape)
    if mel.shape[1] == spec.n_mels != mel.shape[0]:
        mel = mel.T
    mel = np.ascontiguousarray(mel, dtype=np.float32)
    check_mel(mel, spec, where=f"The mel {path}")
    return mel


def check_mel(mel: NDArray[Any] | Tensor, spec: MelSpec, *, where: str = "The mel") -> None:
    """Raise UserError unless this can be a mel of `spec`: [M, F], or [B, M, F] for a batch.

    where: the name of the mel in the message.

    Rejects other shapes, other numbers of bands, empty mels, NaN and infinity.
    """
    shape = tuple(mel.shape)
    order = {2: "[bands, frames]", 3: "[batch, bands, frames]"}.get(len(shape))
    if order is None:
        raise _misshapen(where, shape)
    bands, frames = shape[-2:]
    if bands != spec.n_mels:
        transposed = frames == spec.n_mels
        raise UserError(
            f"{where} has the shape {list(shape)}: {bands} bands, expected {spec.n_mels}.",
            hint=f"It is transposed: expected {order}."
            if transposed
            else f"It was computed with other parameters; n_mels is {spec.n_mels} here.",
        )
    if 0 in shape:
        raise UserError(f"{where} has the shape {list(shape)}: it is empty.")
    # Both min and max are NaN if any value is.
    if not (math.isfinite(float(mel.min())) and math.isfinite(float(mel.max()))):
        raise UserError(f"{where} contains NaN or infinity.")


def _misshapen(where: str, shape: tuple[int, ...]) -> UserError:
    return UserError(f"{where} has the shape {list(shape)}, expected [bands, frames].")


def _mel_spec(table: Mapping[str, Any], path: Path) -> MelSpec:
    kinds = get_type_hints(MelSpec)
    for name, value in table.items():
        if name not in kinds:
            raise UserError(f"{path}: unknown key audio.{name}.", hint=near_miss(name, kinds))
        if not _is(value, kinds[name]):
            raise UserError(f"{path}: invalid value {value!r} for audio.{name}.")
    return MelSpec(**table)


def _is(value: Any, kind: Any) -> bool:
    """Whether a TOML value has the type of a `MelSpec` field; an integer is accepted for a float."""
    if get_origin(kind) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(kind))
    if isinstance(kind, UnionType):
        return any(_is(value, one) for one in get_args(kind) if one is not NoneType)
    return type(value) in ((int, float) if kind is float else (kind,))
