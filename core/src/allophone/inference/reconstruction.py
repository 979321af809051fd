"""What a voice makes of the recordings that it was trained on: mels for a vocoder to be tuned on.

A vocoder that has learned from true mels meets a model's smoother ones when a voice speaks. So it is
tuned on mels that the model predicts with the recordings' own durations and prosody: there, each frame
of a mel still belongs to a frame of its recording (Kong et al. 2020, section 3.3).

B batch, M mels, F frames.
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
    check_mel,
    refuse_other_mels,
    write_description,
    write_mel,
)
from allophone.audio.melspec import MelSpec
from allophone.config import load_experiment
from allophone.data.batch import Batch
from allophone.data.digests import digest_of
from allophone.data.manifest import Dropped, Split, write_dropped
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.feature_index import StoredUtterance, prepared_utterances
from allophone.inference.devices import to_numpy
from allophone.inference.folder import build_synthesizer
from allophone.inference.locate import find_voice
from allophone.loading import Corpus, open_corpus
from allophone.progress import Track, untracked
from allophone.registry import Registry
from allophone.run_folder import CONFIG
from allophone.synthesis.ledger import Failure, Ledger, Made, Report, digest, reason

DROPPED = "dropped.jsonl"
"""In the folder of the mels: the utterances that there are none of, and why."""


@frozen(kw_only=True)
class ReconstructionReport(Report):
    """left_out: utterances of the splits that training leaves out too, by id, and why."""

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
    """Write the mels of a run's own utterances, as its voice predicts them, into the folder `out`.

    place: a run or one of its checkpoints; its data directory is read, and no recordings.
    A mel is skipped when `made.jsonl` has it of the same weights and features. UserError for a voice
    without a run, a model without `reconstruct`, and splits without utterances.
    """
    found = find_voice(place, registry)
    if found.checkpoint is None:
        raise UserError(
            f"{place} is a voice without the data that it was trained on.",
            hint="Give the run that trained it, or one of its checkpoints.",
        )
    voice = found.read(registry)
    synthesizer = build_synthesizer(voice, device, registry)
    features: tuple[str, ...] = getattr(synthesizer, "features", ())
    if not hasattr(synthesizer, "reconstruct"):
        raise UserError(
            f"The model of {place} cannot say recordings again frame by frame.",
            hint="Models can that make mel spectrograms and take durations as given; one that makes "
            "waveforms needs no vocoder.",
        )
    audio = voice.description.audio
    refuse_other_mels(out, audio, wanted_by=f"the voice {place}")
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
    ledger = Ledger(out, inputs)
    write_description(out, audio, provenance)
    todo = evolve(corpus, stored=tuple(wanted[id] for id in ledger.todo))

    def results() -> Iterator[Made | Failure]:
        for batch in _batches(todo, splits, features, voice.vocabulary):
            for id, mel in _predict(synthesizer, batch, device):
                if not isinstance(mel, Exception):
                    mel = _refused(mel, wanted[id], audio) or mel
                if isinstance(mel, Exception):
                    yield Failure(id=id, reason=reason(mel))
                    continue
                write_mel(out / f"{id}{SUFFIX}", mel)
                yield Made(id=id, file=f"{id}{SUFFIX}", facts={"frames": mel.shape[1]})

    report = ledger.record(track(results(), total=len(ledger.todo), description="Predicting"))
    write_dropped(out / DROPPED, left_out)
    return ReconstructionReport(**asdict(report, recurse=False), left_out=left_out)


def _left_out(
    corpus: Corpus, splits: Sequence[Split], features: Sequence[str], vocabulary: Vocabulary
) -> dict[str, Dropped]:
    """What extraction had no use for, and what the vocabulary does not cover."""
    usable = {item.utterance.id for item in corpus.stored}
    left_out = {
        utterance.id: Dropped(
            reason="left out by extraction", detail=f"see {DROPPED} in the data directory"
        )
        for utterance in prepared_utterances(corpus.experiment)
        if utterance.split in splits and utterance.id not in usable
    }
    for split in splits:
        left_out |= corpus.loader(split, features=features, vocabulary=vocabulary).dropped
    return left_out


def _fingerprint(item: StoredUtterance, features: Sequence[str]) -> str:
    """What tells the stored features of an utterance from others: packs are called after their content."""
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
    """The mel [M, F] of each utterance, or what was raised: a batch that fails is tried one by one."""
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


def _refused(mel: NDArray[np.float32], item: StoredUtterance, audio: MelSpec) -> UserError | None:
    """What is wrong with a predicted mel."""
    try:
        check_mel(mel, audio)
    except UserError as error:
        return error
    frames = audio.frames(round(item.seconds * audio.sample_rate))
    if mel.shape[1] != frames:
        return UserError(f"The mel has {mel.shape[1]} frames, the recording {frames}.")
    return None
