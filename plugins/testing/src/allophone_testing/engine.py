"""What `allophone.load` and voices expect of an inference engine: its contract.

from allophone_testing import EngineContract

class TestEngine(EngineContract):
    engine = "mine"
    required = ("voice.json",)

    @classmethod
    def write_voice(cls, folder):
        ...

N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.synthesis.engine import Samples, Sentence, SentenceAudio
from allophone.synthesis.voice import Voice
from allophone_testing.controls import check_controls, check_controls_are_used
from allophone_testing.engine_loading import EngineLoadingContract

ROUNDING = 1e-4
"""By how much a batch may differ from its rows, in samples between -1 and 1."""

LOUDEST = 100.0
"""A peak beyond this is no loud voice, but samples of another scale, such as that of int16."""


class EngineContract(EngineLoadingContract):
    """An engine loads its own voices and no others, and speaks repeatably: text to samples, in batches, in chunks.

    inert_controls: controls that this voice has no use for; say why beside them.
    stream_within: by how much a stream may differ from what is said at once; say why beside it.
    """

    inert_controls: tuple[str, ...] = ()
    stream_within: float = 0.0

    def test_controls_have_defaults_and_are_checked(self, voice: Voice) -> None:
        check_controls(voice)

    def test_each_control_is_used(self, voice: Voice) -> None:
        check_controls_are_used(voice, self.sentences(voice, self.texts[2]), self.inert_controls)

    def test_it_speaks_in_samples(self, voice: Voice) -> None:
        sentences = self.sentences(voice, *self.texts)
        for sentence, spoken in zip(sentences, self.speak(voice, sentences), strict=True):
            check_samples(f"'{sentence.text}'", spoken.samples)
            check_durations(sentence, spoken, voice.description.audio)
        first, last = (self.speak(voice, [one])[0].samples for one in (sentences[0], sentences[-1]))
        assert not np.array_equal(first, last), "It gives the same samples for different sentences."

    def test_a_greater_length_scale_is_slower(self, voice: Voice) -> None:
        if not hasattr(voice.controls({}), "length_scale"):
            pytest.skip("It has no length_scale.")
        sentences = self.sentences(voice, self.texts[2])
        usual, slow = (
            len(self.speak(voice, sentences, length_scale=scale)[0].samples) for scale in (1.0, 3.0)
        )
        assert slow > usual, f"length_scale=3 gives {slow} samples, and 1 gives {usual}."

    def test_it_speaks_every_symbol(self, voice: Voice) -> None:
        table = voice.vocabulary.symbols
        around = {table.blank, table.bos, table.eos}
        symbols = tuple(symbol for symbol in table.ids if symbol not in around)
        (like,) = self.sentences(voice, self.texts[0])
        for chosen in (symbols, symbols[:1]):
            ids = tuple(table.encode(chosen))
            (spoken,) = self.speak(voice, [evolve(like, symbols=chosen, ids=ids)])
            alone = len(chosen) == 1  # It may be a pause.
            check_samples(f"A sentence of {len(chosen)} symbols", spoken.samples, silent=alone)

    def test_a_batch_says_what_its_rows_say(self, voice: Voice) -> None:
        speakers = (0, len(voice.speakers) - 1) if voice.speakers else (0,)
        sentences = [
            evolve(sentence, seed=index, speaker=speakers[index % len(speakers)])
            for index, sentence in enumerate(self.sentences(voice, *self.texts))
        ]
        together = self.speak(voice, sentences)
        for sentence, spoken in zip(sentences, together, strict=True):
            (alone,) = self.speak(voice, [sentence])
            assert len(alone.samples) == len(spoken.samples), (
                f"'{sentence.text}' has {len(alone.samples)} samples alone and {len(spoken.samples)} in a "
                "batch: give each sentence its own length, speaker and seed."
            )
            apart = float(np.abs(alone.samples - spoken.samples).max())
            assert apart < ROUNDING, (
                f"'{sentence.text}' differs by {apart:.2g} between alone and in a batch: what a sentence sounds "
                "like depends on itself, its speaker and its seed alone."
            )

    def test_a_seed_says_the_same_again(self, voice: Voice) -> None:
        (sentence,) = self.sentences(voice, self.texts[1], seed=7)
        (first,) = self.speak(voice, [sentence])
        np.random.seed(99)
        self.speak(voice, [evolve(sentence, seed=8)])
        (again,) = self.speak(voice, [sentence])
        assert np.array_equal(first.samples, again.samples), (
            "The same seed gives other samples: draw what is random from a generator that is seeded with "
            "`Sentence.seed`."
        )

    def test_a_stream_joins_to_what_is_said(self, voice: Voice) -> None:
        stream = getattr(voice.engine, "stream", None)
        if stream is None:
            pytest.skip("This engine does not stream.")
        controls = voice.controls({})
        for sentence in self.sentences(voice, *self.texts, seed=3):
            (said,) = self.speak(voice, [sentence])
            chunks = list(stream(sentence, controls))
            for chunk in chunks:
                check_samples(f"A chunk of '{sentence.text}'", chunk, silent=True)
            joined = np.concatenate(chunks)
            assert len(joined) == len(said.samples), (
                f"The stream of '{sentence.text}' has {len(joined)} samples, not {len(said.samples)}."
            )
            difference = np.abs(joined - said.samples).max()
            assert difference <= self.stream_within, (
                f"The stream of '{sentence.text}' differs by {difference:.2g} from what is said at once: "
                "go through the same chunks both times, or decode each with as much around it as the decoder sees, "
                "and set `stream_within`."
            )
        # Whoever listens may stop at any moment.
        next(iter(stream(sentence, controls)))
        (after,) = self.speak(voice, [sentence])
        assert np.array_equal(after.samples, said.samples), (
            "After a stream that was not read to its end it speaks otherwise: keep no state in the engine."
        )

    def test_each_language_speaks(self, voice: Voice) -> None:
        (sentence,) = self.sentences(voice, self.texts[1])
        for id, name in ends_of(voice.vocabulary.languages):
            (spoken,) = self.speak(voice, [evolve(sentence, language=id)])
            check_samples(f"The language '{name}'", spoken.samples)

    def test_each_speaker_has_a_voice(self, voice: Voice) -> None:
        (sentence,) = self.sentences(voice, self.texts[1])
        said: dict[str, Samples] = {}
        for id, name in ends_of(voice.speakers):
            (spoken,) = self.speak(voice, [evolve(sentence, speaker=id)])
            check_samples(f"The speaker '{name}'", spoken.samples)
            said[name] = spoken.samples
        # A voice that clones takes its sound from the prompt.
        if len(said) == 2 and not voice.takes_prompts:
            one, other = said.values()
            assert not np.array_equal(one, other), (
                f"The speakers {' and '.join(said)} sound alike to the last bit: is `Sentence.speaker` "
                "passed on?"
            )

    def test_unknown_speakers_and_languages_are_refused(self, voice: Voice) -> None:
        for asked in ("speaker", "language"):
            names: dict[str, Any] = {asked: "no-such-name"}
            with pytest.raises(UserError, match="no-such-name"):
                voice.script(self.texts[0], **names)

    def test_conversion_says_the_same_again(self, voice: Voice) -> None:
        convert = getattr(voice.engine, "convert", None)
        if convert is None:
            pytest.skip("This engine converts no recordings.")
        recording = self.recording(voice)
        target = max(len(voice.speakers) - 1, 0)
        first, again = (convert(recording, 0, target, seed=1) for _ in range(2))
        check_samples("A converted recording", first)
        assert np.array_equal(first, again), "The same seed converts otherwise."


def ends_of(names: Sequence[str]) -> list[tuple[int, str]]:
    """The first and the last of some names, each with its id."""
    return [(id, names[id]) for id in sorted({0, len(names) - 1})] if names else []


def check_samples(what: str, samples: Any, *, silent: bool = False) -> None:
    """The test fails where something is not samples [N] as engines give them; `silent` allows silence."""
    assert isinstance(samples, np.ndarray), (
        f"{what} is a {type(samples).__name__}; expected a NumPy array."
    )
    assert samples.ndim == 1, f"{what} has the shape {list(samples.shape)}; expected samples [N]."
    assert samples.dtype == np.float32, f"{what} has {samples.dtype} samples; expected float32."
    assert len(samples), f"{what} has no samples."
    assert np.isfinite(samples).all(), f"{what} holds NaN or infinity."
    peak = float(np.abs(samples).max())
    assert peak < LOUDEST, f"{what} has a peak of {peak:g}; full scale is at -1 and 1."
    assert silent or peak, f"{what} is silent."


def check_durations(sentence: Sentence, spoken: SentenceAudio, audio: MelSpec) -> None:
    """The test fails where durations are told that do not make the samples."""
    if spoken.durations is None:
        return
    told = list(spoken.durations)
    assert len(told) == len(sentence.ids), (
        f"'{sentence.text}' has {len(sentence.ids)} ids and {len(told)} durations; expected one an id."
    )
    samples = sum(told) * audio.hop_length
    assert samples == len(spoken.samples), (
        f"Durations of {sum(told)} frames in all, {audio.hop_length} samples each, do not make the "
        f"{len(spoken.samples)} samples of '{sentence.text}': phonemes would be timed wrongly."
    )
