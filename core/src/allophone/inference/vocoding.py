"""Many mels to WAV files, resumable: what `allophone vocode` does.

B batch, M mels, F frames.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, frozen
from torch import Tensor

from allophone.audio.mel_files import DESCRIPTION, read_description, refuse_other_mels
from allophone.audio.melspec import MelSpec
from allophone.config import read_toml, resolve, structure
from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.inference.devices import to_numpy
from allophone.inference.folder import VOCODER
from allophone.inference.locate import find_voice, untrained_vocoders
from allophone.inference.mel_sources import MelSource
from allophone.inference.protocol import Mels, Vocoder
from allophone.inference.vocoders import adjust, apply_vocoder, load_vocoder
from allophone.progress import Track, untracked
from allophone.registry import Registry
from allophone.run_folder import CONFIG
from allophone.synthesis.description import VOICE
from allophone.synthesis.ledger import (
    Failure,
    Ledger,
    Made,
    Report,
    in_batches,
    reason,
    save_waveform,
)
from allophone.synthesis.waveform import Waveform

_WINDOW = 32
"""Batches whose mels are in memory at once, to be sorted by their lengths."""

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class VocodingReport(Report):
    """notes: what was done to how many recordings in reading them."""

    notes: Mapping[str, int]


def vocode_all(
    vocoder: Vocoder,
    sources: Sequence[MelSource],
    out: Path,
    *,
    provenance: Mapping[str, Any],
    device: torch.device,
    batch_size: int = 8,
    track: Track = untracked,
) -> VocodingReport:
    """Make mels heard, as WAV files below `out`; those of a batch are of like length.

    provenance: what tells the vocoder from others, such as a digest of its weights.
    A file is skipped when `made.jsonl` has it with the same inputs. What cannot be read or heard is
    reported and does not stop the others. UserError where a file would take the place of its source.
    """
    audio = vocoder.audio
    _refuse_overwriting(sources, out)
    common = {**provenance, "mel_spec": digest_of(asdict(audio), size=8)}
    ledger = Ledger(out, {source.id: {**source.inputs(), **common} for source in sources})
    by_id = {source.id: source for source in sources}
    todo = [by_id[id] for id in ledger.todo]
    notes: Counter[str] = Counter()

    def hear(mels: Sequence[tuple[str, Tensor]]) -> list[Waveform]:
        return _apply_vocoder(vocoder, [mel for _, mel in mels], device)

    def results() -> Iterator[Made | Failure]:
        for start in range(0, len(todo), _WINDOW * batch_size):
            mels: list[tuple[str, Tensor]] = []
            for source in todo[start : start + _WINDOW * batch_size]:
                try:
                    read = source.read(audio)
                except UserError as error:
                    yield Failure(id=source.id, reason=reason(error))
                    continue
                mels.append((source.id, read.mel))
                notes.update(read.notes)
            mels.sort(key=lambda pair: pair[1].size(1))
            for (id, _), waveform in in_batches(mels, batch_size, hear):
                if isinstance(waveform, Exception):
                    yield Failure(id=id, reason=reason(waveform))
                    continue
                yield save_waveform(out, id, waveform, source=str(by_id[id].path))

    report = ledger.record(track(results(), total=len(todo), description="Vocoding"))
    return VocodingReport(**asdict(report, recurse=False), notes=dict(notes))


def open_vocoder(
    place: str,
    *,
    device: torch.device,
    registry: Registry,
    features: Path | None = None,
    like: str | None = None,
    controls: Mapping[str, Any] | None = None,
) -> Vocoder:
    """The vocoder for a folder of mels, or for recordings where `features` is None.

    A trained vocoder knows its own mels. One that needs no training takes those of `like` (see
    `audio_of`), or those that the folder's `mels.toml` describes, or else the default ones, and a
    warning says so. `controls` are those of the vocoder that are to be other than its defaults.
    UserError, field by field, where the folder describes others.
    """
    described = read_description(features) if features else None
    wanted = None
    if place in untrained_vocoders(registry):
        wanted = audio_of(like, registry) if like else described
        if wanted is None:
            _log.warning(
                "No MelSpec is named: that of the default [audio] is taken (%d Hz, %d mels). "
                "Name another with --like.",
                MelSpec().sample_rate,
                MelSpec().n_mels,
            )
    elif like:
        raise UserError(
            f"The vocoder {place} was trained, and knows which mels it takes.",
            hint="Leave out --like.",
        )
    elif features and described is None:
        _log.warning(
            "%s has no %s: its mels are taken for those of the vocoder.", features, DESCRIPTION
        )
    vocoder = load_vocoder(place, wanted, device=device, registry=registry)
    if features:
        refuse_other_mels(features, vocoder.audio, wanted_by=like or f"the vocoder {place}")
    return adjust(vocoder, controls or {}, registry, called=place)


def audio_of(place: str, registry: Registry) -> MelSpec:
    """The MelSpec of a voice, a vocoder, a run, a checkpoint, a recipe or an experiment's TOML file."""
    path = Path(place).expanduser()
    if place in registry.entries("voices"):
        path = find_voice(place, registry).folder
    for name in (VOICE, VOCODER, CONFIG):
        if (path / name).is_file():
            table = read_toml(path / name).get("audio", {})
            return structure(MelSpec, table, where=str(path / name), registry=registry)
    recipes = registry.entries("recipes")
    if place not in recipes and not path.is_file():
        raise registry.missing(
            "recipes",
            place,
            message=f"'{place}' does not tell a MelSpec: it is neither a voice, a vocoder or a run, nor a "
            "recipe or an experiment's TOML file.",
        )
    return resolve(place, registry=registry).experiment.audio


@torch.inference_mode()
def _apply_vocoder(
    vocoder: Vocoder, mels: Sequence[Tensor], device: torch.device
) -> list[Waveform]:
    lengths = torch.tensor([mel.size(1) for mel in mels])
    batch = torch.zeros(len(mels), len(mels[0]), int(lengths.max()))
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.size(1)] = mel
    speech = apply_vocoder(vocoder, Mels(mel=batch.to(device), lengths=lengths.to(device)))
    return [
        Waveform(samples=samples[:length].copy(), sample_rate=vocoder.audio.sample_rate)
        for samples, length in zip(to_numpy(speech.waveform), speech.lengths.tolist(), strict=True)
    ]


def _refuse_overwriting(sources: Sequence[MelSource], out: Path) -> None:
    for source in sources:
        if source.path.resolve() == (out / f"{source.id}.wav").resolve():
            raise UserError(
                f"{source.path} would be overwritten with what is made of it.",
                hint="Give another folder with --out.",
            )
