"""Durations by a trained voice: the extractor `alignments`. B batch, T text, F frames, N samples.

A model that is trained with an alignment search (VITS, or a mel model with an aligner of its own) can
tell how long each symbol lasts in a recording, so one voice can teach another the times of phones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.data.digests import look_at
from allophone.data.manifest import Dropped, Utterance
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.frontend import build_frontend
from allophone.inference.folder import build_synthesizer
from allophone.inference.importing import find_or_import
from allophone.inference.protocol import TextBatch
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone_labels.config import AlignmentsConfig

_BATCH_SECONDS = 60.0
"""The audio of one batch, padding counted: what a laptop has the memory for."""

_TIMING = ("sample_rate", "hop_length", "n_fft", "center")
"""What of a MelSpec decides how many frames a recording has, and when they are."""


@frozen(kw_only=True, eq=False)
class _Question:
    """An utterance as the voice is asked about it: samples [N], and ids of its symbols."""

    index: int
    samples: NDArray[np.float32]
    symbols: int
    ids: tuple[int, ...]
    speaker: int
    language: int


@frozen(kw_only=True, eq=False)
class _Voice:
    """What is asked of a voice: how it reads, what it knows, and a synthesizer that has `align`."""

    text: TextConfig
    vocabulary: Vocabulary
    synthesizer: Any


class AlignmentsExtractor:
    """How many frames each symbol of the text lasts: int64 [T], whose sum is the frames of `[audio]`.

    Symbols are those of the text's own front end, without blanks and boundaries: what the voice says
    of these is counted to the symbols that they belong to.
    """

    reads = frozenset({"audio", "text", "speaker"})

    def __init__(self, config: AlignmentsConfig, context: ExtractionContext) -> None:
        """UserError where there is no such voice; it is not loaded yet."""
        self._context = context
        self._place = config.voice
        weights = str(find_or_import(config.voice, default_registry()).weights)
        seen = look_at(weights)
        if seen is None:
            raise UserError(f"The weights {weights} of the voice '{config.voice}' cannot be read.")
        self.key: Mapping[str, Any] = {
            "version": 1,
            "weights": seen[2],
            "text": dict(context.text_key),
            "recording": dict(context.audio_key),
            "frames": {name: getattr(context.audio, name) for name in _TIMING},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.int64] | Dropped]:
        """One sequence an utterance. UserError for a voice that cannot align these recordings at all."""
        results: dict[int, NDArray[np.int64] | Dropped] = {}
        questions: list[_Question] = []
        for index, utterance in enumerate(utterances):
            asked = self._asked(index, utterance)
            if isinstance(asked, Dropped):
                results[index] = asked
            else:
                questions.append(asked)
        for batch in _batches(questions, self._context.audio):
            durations = self._align(batch)
            for question, row in zip(batch, durations, strict=True):
                results[question.index] = self._folded(question, row)
        for index in range(len(utterances)):
            yield results[index]

    @cached_property
    def _voice(self) -> _Voice:
        """The voice, loaded when it is first asked, and found to fit."""
        registry = default_registry()
        stored = find_or_import(self._place, registry).read(registry)
        _refuse_other_timing(self._place, stored.description.audio, self._context.audio)
        synthesizer = build_synthesizer(stored, torch.device("cpu"), registry)
        if not hasattr(synthesizer, "align"):
            raise UserError(
                f"The voice '{self._place}' cannot align recordings with texts: its synthesizer, "
                f"{type(synthesizer).__name__}, has no `align`.",
                hint="A run can, of VITS or of a model with an aligner of its own. Voices that were "
                "made to speak alone may have lost what it takes.",
            )
        return _Voice(
            text=stored.description.text, vocabulary=stored.vocabulary, synthesizer=synthesizer
        )

    def _asked(self, index: int, utterance: Utterance) -> _Question | Dropped:
        voice = self._voice
        ours = self._context.frontend(utterance.language)
        try:
            symbols = ours.symbols(utterance.text)
            spoken = _speaker(voice, utterance), _language(voice, ours.language)
            theirs = build_frontend(voice.text, ours.language).symbols(utterance.text)
            ids = voice.vocabulary.symbols.encode(symbols)
        except UserError as error:
            return Dropped(reason="not to be aligned", detail=error.message)
        if symbols != theirs:
            return Dropped(
                reason="not to be aligned",
                detail=f"'{self._place}' reads {' '.join(theirs)!r}, [text] gives {' '.join(symbols)!r}",
            )
        samples = self._context.load_audio(utterance)
        frames = self._context.audio.frames(len(samples))
        if not symbols or len(ids) > frames:
            return Dropped(
                reason="not to be aligned",
                detail=f"{len(ids)} symbols, blanks counted, in {frames} frames",
            )
        return _Question(
            index=index,
            samples=samples,
            symbols=len(symbols),
            ids=tuple(ids),
            speaker=spoken[0],
            language=spoken[1],
        )

    def _align(self, questions: Sequence[_Question]) -> list[list[int]]:
        """The frames of each id of each utterance."""
        pad = torch.nn.utils.rnn.pad_sequence
        text = TextBatch(
            ids=pad([torch.tensor(question.ids) for question in questions], batch_first=True),
            lengths=torch.tensor([len(question.ids) for question in questions]),
            speakers=torch.tensor([question.speaker for question in questions]),
            languages=torch.tensor([question.language for question in questions]),
            seeds=(0,) * len(questions),
        )
        waveform = pad([torch.from_numpy(q.samples) for q in questions], batch_first=True)
        lengths = torch.tensor([len(question.samples) for question in questions])
        with torch.inference_mode():
            durations: list[list[int]] = self._voice.synthesizer.align(
                text, waveform, lengths
            ).tolist()
        return durations

    def _folded(self, question: _Question, durations: Sequence[int]) -> NDArray[np.int64]:
        table = self._voice.vocabulary.symbols
        folded = np.array(
            table.fold_durations(durations[: len(question.ids)], question.symbols), dtype=np.int64
        )
        frames = self._context.audio.frames(len(question.samples))
        assert folded.sum() == frames, f"{folded.sum()} frames were aligned, there are {frames}"
        return folded


def _refuse_other_timing(place: str, theirs: MelSpec, ours: MelSpec) -> None:
    different = [
        f"{name} is {getattr(theirs, name)} there and {getattr(ours, name)} in [audio]"
        for name in _TIMING
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if different:
        raise UserError(
            f"The frames of the voice '{place}' are not those of the experiment: "
            f"{'; '.join(different)}.",
            hint="Durations are counted in frames, so these must be the same.",
        )


def _speaker(voice: _Voice, utterance: Utterance) -> int:
    """The id of the speaker; a voice of one takes anybody for that one."""
    vocabulary = voice.vocabulary
    return vocabulary.speaker_id(utterance.speaker) if len(vocabulary.speakers) > 1 else 0


def _language(voice: _Voice, language: str) -> int:
    """The id of the language; a voice of one takes any for that one."""
    vocabulary = voice.vocabulary
    return vocabulary.language_id(language) if len(vocabulary.languages) > 1 else 0


def _batches(questions: Sequence[_Question], audio: MelSpec) -> Iterator[list[_Question]]:
    """Utterances of like length, as many as fit in a batch."""
    batch: list[_Question] = []
    for question in sorted(questions, key=lambda question: len(question.samples)):
        if batch and (len(batch) + 1) * len(question.samples) > _BATCH_SECONDS * audio.sample_rate:
            yield batch
            batch = []
        batch.append(question)
    if batch:
        yield batch
