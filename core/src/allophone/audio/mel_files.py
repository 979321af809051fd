"""A folder of mel spectrograms: what a model says of recordings, for a vocoder to be tuned on or heard.

    mels/
        mels.toml            [audio]: the MelSpec that the numbers follow; [provenance]: who made them
        LJ001-0001.npy       float32 [M, F], one file an utterance

That is how vocoders have long been fine-tuned on predicted mels, so other tools read these files, and
theirs are read here: with or without `mels.toml`, frames first or bands first, or as [1, M, F].

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

from allophone.atomic import written_whole
from allophone.audio.melspec import MelSpec
from allophone.errors import UserError, near_miss

if TYPE_CHECKING:
    from torch import Tensor

DESCRIPTION = "mels.toml"
SUFFIX = ".npy"


def write_description(folder: Path, audio: MelSpec, provenance: Mapping[str, str]) -> None:
    """Write the `mels.toml` of a folder, whole or not at all.

    provenance: by what the mels were made, for whoever wonders.
    """
    import toml

    table = asdict(audio, filter=lambda _, value: value is not None)
    plain = {"audio": table, "provenance": dict(provenance)}
    text = toml.dumps(plain)
    assert tomllib.loads(text) == plain, f"{plain} does not survive being written as TOML"
    with written_whole(folder / DESCRIPTION) as file:
        file.write(text.encode())


def read_description(folder: Path) -> MelSpec | None:
    """The parameters of the mels of a folder; None where it has no `mels.toml`.

    UserError for a file that does not say something valid.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("audio")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise UserError(f"{path} has no table [audio], which says what the mels' numbers mean.")
    return _mel_spec(table, path)


def refuse_other_mels(folder: Path, audio: MelSpec, *, wanted_by: str) -> None:
    """UserError, field by field, where `mels.toml` describes other mels than `audio`.

    wanted_by: whose `audio` it is, in words. A folder that describes nothing is taken at its word.
    """
    described = read_description(folder)
    if described and (differences := described.differences(audio)):
        raise UserError(
            f"The mel spectrograms in {folder} are others than those of {wanted_by}:\n"
            + "\n".join(f"  {line}" for line in differences),
            hint=f"The first value is that of {folder / DESCRIPTION}. Mels that differ sound wrong "
            "without any error, so make them again with the same parameters.",
        )


def write_mel(path: Path, mel: NDArray[np.float32]) -> None:
    """Write a mel [M, F], whole or not at all."""
    with written_whole(path) as file:
        np.save(file, mel.astype(np.float32, copy=False))


def read_mel(path: str | Path, spec: MelSpec) -> NDArray[np.float32]:
    """Read a mel as float32 [M, F], whichever of its dimensions comes first in the file.

    The dimension of `spec.n_mels` is that of the bands; where both are, the first. UserError for what is
    no `.npy` file, holds no real numbers, or is no mel of `spec`.
    """
    try:
        mel = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(f"The mel {path} cannot be read: {error}") from error
    except (ValueError, EOFError) as error:
        # What NumPy says of most such files is how to load them in an unsafe way.
        raise UserError(
            f"The mel {path} cannot be read: it is not a NumPy file of numbers, or it is truncated.",
            hint="It should be a NumPy file (.npy) of float32 numbers [bands, frames].",
        ) from error
    if not isinstance(mel, np.ndarray) or mel.dtype.kind not in "fiu":
        kind = mel.dtype if isinstance(mel, np.ndarray) else "an archive"
        raise UserError(f"The mel {path} holds {kind}, no real numbers.")
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
    """UserError where this can be no mel of `spec`: [M, F], or [B, M, F] for several.

    where: what it is called in the error. Refused are another shape, bands that are not `spec.n_mels`,
    no frames at all, NaN and infinity.
    """
    shape = tuple(mel.shape)
    order = {2: "[bands, frames]", 3: "[batch, bands, frames]"}.get(len(shape))
    if order is None:
        raise _misshapen(where, shape)
    bands, frames = shape[-2:]
    if bands != spec.n_mels:
        turned = frames == spec.n_mels
        raise UserError(
            f"{where} has the shape {list(shape)}: {bands} bands, and {spec.n_mels} are wanted.",
            hint=f"It is transposed: turn it to {order}."
            if turned
            else f"It was made with other parameters; n_mels is {spec.n_mels} here.",
        )
    if 0 in shape:
        raise UserError(f"{where} has the shape {list(shape)}: there is nothing in it.")
    # The least and the greatest are NaN where any number is.
    if not (math.isfinite(float(mel.min())) and math.isfinite(float(mel.max()))):
        raise UserError(f"{where} holds NaN or infinity.")


def _misshapen(where: str, shape: tuple[int, ...]) -> UserError:
    return UserError(
        f"{where} has the shape {list(shape)}, and a mel spectrogram has [bands, frames]."
    )


def _mel_spec(table: Mapping[str, Any], path: Path) -> MelSpec:
    kinds = get_type_hints(MelSpec)
    for name, value in table.items():
        if name not in kinds:
            raise UserError(f"{path}: there is no audio.{name}.", hint=near_miss(name, kinds))
        if not _is(value, kinds[name]):
            raise UserError(f"{path}: audio.{name} cannot be {value!r}.")
    return MelSpec(**table)


def _is(value: Any, kind: Any) -> bool:
    """Whether a TOML value is of a kind that `MelSpec` has; a whole number will do for a float."""
    if get_origin(kind) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(kind))
    if isinstance(kind, UnionType):
        return any(_is(value, one) for one in get_args(kind) if one is not NoneType)
    return type(value) in ((int, float) if kind is float else (kind,))
