"""The extractor `alignments`: durations from a trained voice. B batch, T text, F frames, N samples.

Models trained with an alignment search (VITS, or mel models with their own aligner) can align recordings with
their texts. The durations can be used to train other models.
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
from allophone.data.digests import file_state
from allophone.data.manifest import Dropped, Utterance
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.inference.folder import build_synthesizer
from allophone.inference.importing import find_or_import
from allophone.inference.protocol import TextBatch
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone.text.frontend import build_frontend
from allophone_labels.config import AlignmentsConfig

_BATCH_SECONDS = 60.0
"""The seconds of audio per batch, including padding; fits in the memory of a laptop."""

_TIMING = ("sample_rate", "hop_length", "n_fft", "center")
"""The fields of a MelSpec that determine the number and timing of frames."""


@frozen(kw_only=True, eq=False)
class _Item:
    """An utterance to align.

    index: its position among the utterances passed to `extract`.
    samples: [N].
    symbols: the number of symbols; ids: the encoded symbols.
    """

    index: int
    samples: NDArray[np.float32]
    symbols: int
    ids: tuple[int, ...]
    speaker: int
    language: int


@frozen(kw_only=True, eq=False)
class _Voice:
    """A voice with a synthesizer that has `align`."""

    text: TextConfig
    vocabulary: Vocabulary
    synthesizer: Any


class AlignmentsExtractor:
    """Extracts the duration of each symbol of the text in frames: int64 [T].

    The sum is the number of frames of `[audio]`. Symbols are those of the experiment's front end, without blanks
    and boundaries; durations of blanks and boundaries are added to the symbols they belong to.
    """

    reads = frozenset({"audio", "text", "speaker"})

    def __init__(self, config: AlignmentsConfig, context: ExtractionContext) -> None:
        """Locate the voice; UserError if there is none. It is loaded on first use."""
        self._context = context
        self._place = config.voice
        weights = str(find_or_import(config.voice, default_registry()).weights)
        state = file_state(weights)
        if state is None:
            raise UserError(f"The weights {weights} of the voice '{config.voice}' cannot be read.")
        self.key: Mapping[str, Any] = {
            "version": 1,
            "weights": state[2],
            "text": dict(context.text_key),
            "recording": dict(context.audio_key),
            "frames": {name: getattr(context.audio, name) for name in _TIMING},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.int64] | Dropped]:
        """Yield the durations of each utterance. UserError if the voice cannot align recordings."""
        results: dict[int, NDArray[np.int64] | Dropped] = {}
        items: list[_Item] = []
        for index, utterance in enumerate(utterances):
            item = self._item(index, utterance)
            if isinstance(item, Dropped):
                results[index] = item
            else:
                items.append(item)
        for batch in _batches(items, self._context.audio):
            durations = self._align(batch)
            for item, row in zip(batch, durations, strict=True):
                results[item.index] = self._fold(item, row)
        for index in range(len(utterances)):
            yield results[index]

    @cached_property
    def _voice(self) -> _Voice:
        """The voice, loaded and checked on first use."""
        registry = default_registry()
        stored = find_or_import(self._place, registry).read(registry)
        _check_timing(self._place, stored.description.audio, self._context.audio)
        synthesizer = build_synthesizer(stored, torch.device("cpu"), registry)
        if not hasattr(synthesizer, "align"):
            raise UserError(
                f"The voice '{self._place}' cannot align recordings with texts: its synthesizer, "
                f"{type(synthesizer).__name__}, has no `align`.",
                hint="Use a run of VITS or of a model with its own aligner. Exported or imported voices may "
                "lack the weights for it.",
            )
        return _Voice(
            text=stored.description.text, vocabulary=stored.vocabulary, synthesizer=synthesizer
        )

    def _item(self, index: int, utterance: Utterance) -> _Item | Dropped:
        voice = self._voice
        ours = self._context.frontend(utterance.language)
        try:
            symbols = ours.symbols(utterance.text)
            spoken = _speaker(voice, utterance), _language(voice, ours.language)
            theirs = build_frontend(voice.text, ours.language).symbols(utterance.text)
            ids = voice.vocabulary.symbols.encode(symbols)
        except UserError as error:
            return Dropped(reason="cannot be aligned", detail=error.message)
        if symbols != theirs:
            return Dropped(
                reason="cannot be aligned",
                detail=f"'{self._place}' reads {' '.join(theirs)!r}, [text] gives {' '.join(symbols)!r}",
            )
        samples = self._context.load_audio(utterance)
        frames = self._context.audio.frames(len(samples))
        if not symbols or len(ids) > frames:
            return Dropped(
                reason="cannot be aligned",
                detail=f"{len(ids)} symbols, including blanks, in {frames} frames",
            )
        return _Item(
            index=index,
            samples=samples,
            symbols=len(symbols),
            ids=tuple(ids),
            speaker=spoken[0],
            language=spoken[1],
        )

    def _align(self, items: Sequence[_Item]) -> list[list[int]]:
        """Align a batch; return the frames of each id of each utterance."""
        pad = torch.nn.utils.rnn.pad_sequence
        text = TextBatch(
            ids=pad([torch.tensor(item.ids) for item in items], batch_first=True),
            lengths=torch.tensor([len(item.ids) for item in items]),
            speakers=torch.tensor([item.speaker for item in items]),
            languages=torch.tensor([item.language for item in items]),
            seeds=(0,) * len(items),
        )
        waveform = pad([torch.from_numpy(item.samples) for item in items], batch_first=True)
        lengths = torch.tensor([len(item.samples) for item in items])
        with torch.inference_mode():
            durations: list[list[int]] = self._voice.synthesizer.align(
                text, waveform, lengths
            ).tolist()
        return durations

    def _fold(self, item: _Item, durations: Sequence[int]) -> NDArray[np.int64]:
        table = self._voice.vocabulary.symbols
        folded = np.array(
            table.fold_durations(durations[: len(item.ids)], item.symbols), dtype=np.int64
        )
        frames = self._context.audio.frames(len(item.samples))
        assert folded.sum() == frames, f"Aligned {folded.sum()} frames, expected {frames}"
        return folded


def _check_timing(place: str, theirs: MelSpec, ours: MelSpec) -> None:
    different = [
        f"{name} is {getattr(theirs, name)} in the voice and {getattr(ours, name)} in [audio]"
        for name in _TIMING
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if different:
        raise UserError(
            f"The frames of the voice '{place}' do not match those of the experiment: "
            f"{'; '.join(different)}.",
            hint="Durations are counted in frames, so these values must be equal.",
        )


def _speaker(voice: _Voice, utterance: Utterance) -> int:
    """The id of the utterance's speaker; 0 for a single-speaker voice."""
    vocabulary = voice.vocabulary
    return vocabulary.speaker_id(utterance.speaker) if len(vocabulary.speakers) > 1 else 0


def _language(voice: _Voice, language: str) -> int:
    """The id of the language; 0 for a voice with one language."""
    vocabulary = voice.vocabulary
    return vocabulary.language_id(language) if len(vocabulary.languages) > 1 else 0


def _batches(items: Sequence[_Item], audio: MelSpec) -> Iterator[list[_Item]]:
    """Group utterances of similar length into batches of at most `_BATCH_SECONDS`."""
    batch: list[_Item] = []
    for item in sorted(items, key=lambda item: len(item.samples)):
        if batch and (len(batch) + 1) * len(item.samples) > _BATCH_SECONDS * audio.sample_rate:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
