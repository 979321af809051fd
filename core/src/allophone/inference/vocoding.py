"""Resumable vocoding of many mels to WAV files, for `allophone vocode`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, frozen
from torch import Tensor

from allophone.audio.mel_files import DESCRIPTION, check_description, read_description
from allophone.audio.melspec import MelSpec
from allophone.config import read_toml, resolve, structure
from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.files.run_folder import CONFIG
from allophone.inference.devices import to_numpy
from allophone.inference.folder import VOCODER
from allophone.inference.locate import find_voice, untrained_vocoders
from allophone.inference.mel_sources import MelSource
from allophone.inference.protocol import Mels, Vocoder
from allophone.inference.vocoders import apply_vocoder, load_vocoder, override_controls
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone.synthesis.description import VOICE
from allophone.synthesis.ledger import (
    Failure,
    Report,
    Success,
    in_batches,
    open_ledger,
    reason,
    save_waveform,
)
from allophone.synthesis.waveform import Waveform

_WINDOW = 32
"""The number of batches whose mels are held in memory to be sorted by length."""

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class VocodingReport(Report):
    """The result of `vocode_all`.

    notes: the conversions applied while reading, with the number of recordings.
    """

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
    """Convert mels to WAV files in `out`, in batches of similar length.

    provenance: plain data that identifies the vocoder, such as a digest of its weights.

    Files that `made.jsonl` lists with the same inputs are skipped. Sources that fail are reported and do not
    stop the others. Raises UserError if an output file would overwrite its source.
    """
    audio = vocoder.audio
    _check_no_overwriting(sources, out)
    common = {**provenance, "mel_spec": digest_of(asdict(audio), size=8)}
    inputs = {source.id: {**source.inputs(), **common} for source in sources}
    with open_ledger(out, inputs) as ledger:
        by_id = {source.id: source for source in sources}
        todo = [by_id[id] for id in ledger.todo]
        notes: Counter[str] = Counter()

        def vocode(mels: Sequence[tuple[str, Tensor]]) -> list[Waveform]:
            return _vocode(vocoder, [mel for _, mel in mels], device)

        def results() -> Iterator[Success | Failure]:
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
                for (id, _), waveform in in_batches(mels, batch_size, vocode):
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
    """Load the vocoder for a folder of mels, or for recordings if `features` is None.

    A trained vocoder has its own MelSpec. A vocoder that needs no training uses that of `like` (see `audio_of`),
    or of the folder's `mels.toml`, or else the default, with a warning.

    controls: controls of the vocoder by name.

    Raises UserError if the folder's `mels.toml` does not match, listing each field.
    """
    described = read_description(features) if features else None
    wanted = None
    if place in untrained_vocoders(registry):
        wanted = audio_of(like, registry) if like else described
        if wanted is None:
            _log.warning(
                "No MelSpec was given; using the default [audio] (%d Hz, %d mel bands). Choose another with "
                "--like.",
                MelSpec().sample_rate,
                MelSpec().n_mels,
            )
    elif like:
        raise UserError(
            f"--like cannot be used with the trained vocoder {place}, which has its own MelSpec.",
            hint="Omit --like.",
        )
    elif features and described is None:
        _log.warning(
            "%s has no %s; assuming that its mels match the vocoder.", features, DESCRIPTION
        )
    vocoder = load_vocoder(place, wanted, device=device, registry=registry)
    if features:
        check_description(features, vocoder.audio, wanted_by=like or f"the vocoder {place}")
    return override_controls(vocoder, controls or {}, registry, name=place)


def audio_of(place: str, registry: Registry) -> MelSpec:
    """Read the MelSpec of a voice, a vocoder, a run, a checkpoint, a recipe or an experiment's TOML file."""
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
            message=f"'{place}' has no MelSpec. Expected a voice, a vocoder, a run, a recipe or an experiment's "
            "TOML file.",
        )
    return resolve(place, registry=registry).experiment.audio


@torch.inference_mode()
def _vocode(vocoder: Vocoder, mels: Sequence[Tensor], device: torch.device) -> list[Waveform]:
    lengths = torch.tensor([mel.size(1) for mel in mels])
    batch = torch.zeros(len(mels), len(mels[0]), int(lengths.max()))
    for row, mel in zip(batch, mels, strict=True):
        row[:, : mel.size(1)] = mel
    speech = apply_vocoder(vocoder, Mels(mel=batch.to(device), lengths=lengths.to(device)))
    return [
        Waveform(samples=samples[:length].copy(), sample_rate=vocoder.audio.sample_rate)
        for samples, length in zip(to_numpy(speech.waveform), speech.lengths.tolist(), strict=True)
    ]


def _check_no_overwriting(sources: Sequence[MelSource], out: Path) -> None:
    for source in sources:
        if source.path.resolve() == (out / f"{source.id}.wav").resolve():
            raise UserError(
                f"The output would overwrite the source {source.path}.",
                hint="Choose another folder with --out.",
            )
