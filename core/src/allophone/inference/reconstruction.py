"""Predicts mels of a voice's training data with teacher forcing, to fine-tune a vocoder on.

Predicted mels are smoother than the ground-truth mels that vocoders are trained on. To close the gap, a vocoder
is fine-tuned on mels that the model predicts from ground-truth durations and prosody, so that their frames stay
aligned with the recordings (Kong et al. 2020, section 3.3).

B batch, M mel bands, F frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import asdict, evolve, frozen
from numpy.typing import NDArray

from allophone.audio.mel_files import (
    SUFFIX,
    check_description,
    check_mel,
    write_description,
    write_mel,
)
from allophone.audio.melspec import MelSpec
from allophone.config import load_experiment
from allophone.data.batch import Batch
from allophone.data.digests import digest_of
from allophone.data.manifest import Dropped, Split, write_dropped
from allophone.data.vocabulary import Vocabulary
from allophone.datasets.feature_index import StoredUtterance, prepared_utterances
from allophone.datasets.loading import Corpus, open_corpus
from allophone.errors import UserError
from allophone.files.run_folder import CONFIG
from allophone.inference.devices import to_numpy
from allophone.inference.folder import build_synthesizer
from allophone.inference.locate import find_voice
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone.synthesis.ledger import Failure, Report, Success, digest, open_ledger, reason

DROPPED = "dropped.jsonl"
"""The file in the output folder that lists the utterances without mels, and why."""


@frozen(kw_only=True)
class ReconstructionReport(Report):
    """The result of `reconstruct`.

    left_out: the utterances of the splits that training leaves out too, by id, and why.
    """

    left_out: Mapping[str, Dropped]


def reconstruct(
    place: str | Path,
    splits: Sequence[Split],
    out: Path,
    *,
    device: torch.device,
    registry: Registry,
    track: Track = untracked,
) -> ReconstructionReport:
    """Predict the mels of a run's own utterances with teacher forcing, and write them to `out`.

    place: a run or one of its checkpoints. Only its data directory is read, not the recordings.

    Mels that `made.jsonl` lists with the same weights and features are skipped. Raises UserError if `place` is
    not a run, if the model has no `reconstruct`, and for splits without utterances.
    """
    found = find_voice(place, registry)
    if found.checkpoint is None:
        raise UserError(
            f"{place} is a voice folder, without the data it was trained on.",
            hint="Give the run that trained it, or one of its checkpoints.",
        )
    voice = found.read(registry)
    synthesizer = build_synthesizer(voice, device, registry)
    features: tuple[str, ...] = getattr(synthesizer, "features", ())
    if not hasattr(synthesizer, "reconstruct"):
        raise UserError(
            f"The model of {place} does not support teacher forcing.",
            hint="Use a model that predicts mel spectrograms from given durations. Models that generate "
            "waveforms do not use a vocoder.",
        )
    audio = voice.description.audio
    check_description(out, audio, wanted_by=f"the voice {place}")
    corpus = open_corpus(
        load_experiment(found.checkpoint.path / CONFIG, registry=registry), registry
    )
    provenance = {"voice": str(place), "weights": digest(found.weights)}

    left_out = _left_out(corpus, splits, features, voice.vocabulary)
    wanted = {
        item.utterance.id: item
        for item in corpus.stored
        if item.utterance.split in splits and item.utterance.id not in left_out
    }
    inputs = {
        id: {**provenance, "features": _fingerprint(item, features)} for id, item in wanted.items()
    }
    with open_ledger(out, inputs) as ledger:
        write_description(out, audio, provenance)
        left = set(ledger.todo)
        todo = evolve(
            corpus,
            stored=corpus.stored.where(
                np.array([utterance.id in left for utterance in corpus.stored.utterances], bool)
            ),
        )

        def results() -> Iterator[Success | Failure]:
            for batch in _batches(todo, splits, features, voice.vocabulary):
                for id, mel in _predict(synthesizer, batch, device):
                    if not isinstance(mel, Exception):
                        mel = _error(mel, wanted[id], audio) or mel
                    if isinstance(mel, Exception):
                        yield Failure(id=id, reason=reason(mel))
                        continue
                    write_mel(out / f"{id}{SUFFIX}", mel)
                    yield Success(id=id, file=f"{id}{SUFFIX}", facts={"frames": mel.shape[1]})

        report = ledger.record(track(results(), total=len(ledger.todo), description="Predicting"))
        write_dropped(out / DROPPED, left_out)
        return ReconstructionReport(**asdict(report, recurse=False), left_out=left_out)


def _left_out(
    corpus: Corpus, splits: Sequence[Split], features: Sequence[str], vocabulary: Vocabulary
) -> dict[str, Dropped]:
    """Find the utterances dropped by extraction, and those that the vocabulary does not cover."""
    usable = {item.utterance.id for item in corpus.stored}
    left_out = {
        utterance.id: Dropped(
            reason="dropped by extraction", detail=f"see {DROPPED} in the data directory"
        )
        for utterance in prepared_utterances(corpus.experiment)
        if utterance.split in splits and utterance.id not in usable
    }
    for split in splits:
        left_out |= corpus.loader(split, features=features, vocabulary=vocabulary).dropped
    return left_out


def _fingerprint(item: StoredUtterance, features: Sequence[str]) -> str:
    """A digest that identifies the stored features of an utterance; packs are named by their content."""
    arrays = {name: item.features[name] for name in features}
    places = {name: [array.pack.stem, array.offset] for name, array in arrays.items()}
    return digest_of(places, size=8)


def _batches(
    todo: Corpus, splits: Sequence[Split], features: Sequence[str], vocabulary: Vocabulary
) -> Iterator[Batch]:
    for split in splits:
        if todo.split(split):
            yield from todo.loader(split, features=features, vocabulary=vocabulary)


def _predict(
    synthesizer: Any, batch: Batch, device: torch.device
) -> Iterator[tuple[str, NDArray[np.float32] | Exception]]:
    """Yield the mel [M, F] of each utterance, or the exception raised.

    If a batch fails, its utterances are retried one by one.
    """
    try:
        with torch.inference_mode():
            mels = synthesizer.reconstruct(batch.to(device))
    except Exception as error:
        if len(batch) == 1:
            yield batch.ids[0], error
            return
        for row in range(len(batch)):
            yield from _predict(synthesizer, batch.rows(slice(row, row + 1)), device)
        return
    for id, mel, frames in zip(batch.ids, mels.mel, mels.lengths.tolist(), strict=True):
        yield id, to_numpy(mel[:, :frames])


def _error(mel: NDArray[np.float32], item: StoredUtterance, audio: MelSpec) -> UserError | None:
    """Return what is wrong with a predicted mel, or None."""
    try:
        check_mel(mel, audio)
    except UserError as error:
        return error
    frames = audio.frames(round(item.seconds * audio.sample_rate))
    if mel.shape[1] != frames:
        return UserError(f"The mel has {mel.shape[1]} frames, but the recording has {frames}.")
    return None
