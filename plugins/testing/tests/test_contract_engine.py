"""The contract of engines passes for what is right, and names each mistake."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tones
from attrs import evolve, field, frozen

from allophone.entries import EngineEntry
from allophone.hookspecs import hookimpl
from allophone.inference.folder import write_voice
from allophone.registry import build_registry
from allophone.synthesis.loading import load
from allophone_testing import EngineContract, toys


def registry_with(engine="load", recognises="recognises", light=True):
    module = ModuleType("inline")
    module.CONTRACT = 1
    entry = EngineEntry(
        name="tones",
        summary="Tones.",
        engine=f"tones:{engine}",
        recognises=f"tones:{recognises}",
        light=light,
    )
    module.allophone_engines = hookimpl(lambda: [entry])
    return build_registry({"inline": module})


class TonesContract(EngineContract):
    engine = "tones"
    required = ("voice.tones",)

    @classmethod
    def write_voice(cls, folder):
        return tones.write(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(tones.__file__).parent))
            yield registry_with()


class TestTones(TonesContract):
    """A light engine that is as it should be keeps it."""


class TestTorch(EngineContract):
    """So does the core's own, with a model that makes waveforms."""

    engine = "torch"
    required = ("voice.toml", "vocabulary.json", "model.safetensors")

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return toys.toy_registry()

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, registry, tmp_path_factory):
        place = tmp_path_factory.mktemp("written") / "voice"
        write_voice(place, cls.stored(), registry=registry)
        return place

    @classmethod
    def stored(cls):
        return toys.stored_voice(speakers=("ann", "ben"), languages=("en", "de"))


class TestTorchWithMels(TestTorch):
    """And with one that makes mels, which go through Griffin-Lim."""

    inert_controls = ("noise_scale",)  # The toy's mels are all one value.

    @classmethod
    def stored(cls):
        return toys.stored_voice(model=toys.ToyMelConfig())


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(tones.__file__).parent))
    (tmp_path / "written").mkdir()
    return tones.write(tmp_path / "written")


@pytest.fixture
def voice(place):
    return load(place, engine="tones", registry=registry_with())


def fails(said):
    return pytest.raises((AssertionError, pytest.fail.Exception), match=said)


class TestLoadingViolations:
    """The engine's functions are those of `tones`, by name."""

    @pytest.mark.parametrize(
        ("recognises", "said"),
        [
            ("recognises_none", "gives False; expected True"),
            ("recognises_truthily", "'voice.tones'"),
        ],
    )
    def test_a_voice_of_its_own_that_it_does_not_recognise(self, place, recognises, said):
        with fails(said):
            TonesContract().test_it_recognises_its_voice(place, registry_with("load", recognises))

    @pytest.mark.parametrize(
        ("recognises", "said"),
        [
            ("recognises_all", r"recognises\(empty\) gives True"),
            ("recognises_by_reading", r"recognises\(empty\) raises IsADirectoryError"),
        ],
    )
    def test_what_is_not_its_own(self, tmp_path, recognises, said):
        with fails(said):
            TonesContract().test_it_recognises_nothing_else(
                registry_with("load", recognises), tmp_path
            )

    def test_a_light_engine_with_torch(self, place, voice):
        with fails("Speaking imports torch, by way of tones"):
            TonesContract().test_a_light_engine_needs_no_pytorch(
                place, voice, registry_with("load_with_torch")
            )

    @pytest.mark.parametrize(
        ("engine", "test", "said"),
        [
            (
                "load_engine_alone",
                "test_it_returns_a_loaded_voice",
                "Loading gives a Tones; expected",
            ),
            (
                "load_on_any_device",
                "test_a_device_that_it_cannot_use_is_refused",
                "The engine loads <",
            ),
        ],
    )
    def test_loading(self, place, engine, test, said):
        with fails(said):
            getattr(TonesContract(), test)(place, registry_with(engine))

    @pytest.mark.parametrize(
        ("engine", "said"),
        [
            ("load_bluntly", "voice.tones is empty: raise a UserError.*raises JSONDecodeError"),
            ("load_vaguely", "voice.tones is empty, and the error does not name it"),
            ("load_leniently", "voice.tones is empty: raise a UserError.*The engine loads <"),
        ],
    )
    def test_damaged_files(self, place, engine, said):
        with fails(said):
            TonesContract().test_what_cannot_be_loaded_is_refused(place, registry_with(engine))

    def test_a_voice_that_is_another_each_time(self, place, voice):
        with fails("Loaded again the voice speaks otherwise"):
            TonesContract().test_it_loads_the_same_twice(place, voice, registry_with("load_dated"))

    @pytest.mark.parametrize(
        ("engine", "said"),
        [
            ("load_without_a_word", "A vocoder is ignored silently"),
            ("load_vocoded", "With a vocoder it speaks otherwise"),
        ],
    )
    def test_a_vocoder_without_use(self, place, voice, engine, said, caplog):
        with fails(said):
            TonesContract().test_a_vocoder_without_use_is_reported(
                place, voice, registry_with(engine), caplog
            )

    def test_provenance_that_is_a_path(self, place, tmp_path):
        registry = registry_with("load_placed")
        voice = load(place, engine="tones", registry=registry)
        (tmp_path / "copied").mkdir()
        with fails("The same files elsewhere have another provenance"):
            TonesContract().test_its_provenance_is_plain_data(
                voice, tones.write(tmp_path / "copied"), registry
            )


def speaking(change):
    """An engine whose audio of each sentence is `change(audio, sentence)`."""

    class Changed(tones.Tones):
        def speak(self, sentence, controls):
            return change(super().speak(sentence, controls), sentence)

    return Changed


def with_samples(change):
    """An engine whose samples go through `change`."""
    return speaking(lambda audio, _: evolve(audio, samples=change(audio.samples)))


class Fixed(tones.Tones):
    def speak(self, sentence, controls):
        return super().speak(evolve(sentence, ids=(1, 2, 3)), controls)


class OneTooFew(tones.Tones):
    def synthesize(self, sentences, controls):
        return super().synthesize(sentences, controls)[1:]


class Bare(tones.Tones):
    def synthesize(self, sentences, controls):
        return [one.samples for one in super().synthesize(sentences, controls)]


class SmallAlphabet(tones.Tones):
    def speak(self, sentence, controls):
        tones.LETTERS[max(sentence.ids)]
        return super().speak(sentence, controls)


class FirstSpeaker(tones.Tones):
    """Everybody in a batch speaks as the first does."""

    def synthesize(self, sentences, controls):
        first = sentences[0].speaker
        return super().synthesize([evolve(one, speaker=first) for one in sentences], controls)


class Unseeded(tones.Tones):
    def noise(self, seed, count):
        return np.random.standard_normal(count)


class OneVoice(tones.Tones):
    def speak(self, sentence, controls):
        return super().speak(evolve(sentence, speaker=0), controls)


class SilentBen(tones.Tones):
    def speak(self, sentence, controls):
        audio = super().speak(sentence, controls)
        return evolve(audio, samples=audio.samples * (sentence.speaker == 0))


class NoGerman(tones.Tones):
    def speak(self, sentence, controls):
        audio = super().speak(sentence, controls)
        return evolve(audio, samples=audio.samples[: 0 if sentence.language else None])


class Streaming(tones.Tones):
    """Its chunks go through `change`."""

    change = staticmethod(lambda chunk: chunk)

    def stream(self, sentence, controls):
        yield from map(self.change, super().stream(sentence, controls))


def streaming(change):
    return type("Changed", (Streaming,), {"change": staticmethod(change)})


@frozen(kw_only=True)
class Unchecked:
    length_scale: float = 1.0
    noise_scale: float = field(default=0.5)


class WithoutValidators(tones.Tones):
    controls = Unchecked


class Deaf(tones.Tones):
    def synthesize(self, sentences, controls):
        return super().synthesize(sentences, tones.Controls(noise_scale=controls.noise_scale))


DOUBLE = speaking(lambda audio, _: evolve(audio, durations=tuple(2 * d for d in audio.durations)))
FEWER = speaking(lambda audio, _: evolve(audio, durations=audio.durations[1:]))


SAMPLES = "test_it_speaks_in_samples"
BATCH = "test_a_batch_says_what_its_rows_say"
SEED = "test_a_seed_says_the_same_again"
STREAM = "test_a_stream_joins_to_what_is_said"


@pytest.mark.parametrize(
    ("engine", "test", "said"),
    [
        (WithoutValidators, "test_controls_have_defaults_and_are_checked", "is accepted: give the"),
        (Deaf, "test_each_control_is_used", "The control length_scale is offered, and nothing"),
        (
            Deaf,
            "test_a_greater_length_scale_is_slower",
            "length_scale=3 gives 8832 samples, and 1 gives 8832",
        ),
        (OneTooFew, SAMPLES, "3 sentences give 2 results"),
        (Bare, SAMPLES, "gives a ndarray; expected a SentenceAudio"),
        (with_samples(list), SAMPLES, "is a list; expected a NumPy array"),
        (with_samples(lambda x: x[None]), SAMPLES, r"expected samples \[N\]"),
        (with_samples(np.float64), SAMPLES, "float64 samples; expected float32"),
        (with_samples(lambda x: x[:0]), SAMPLES, "has no samples"),
        (with_samples(lambda x: x * np.nan), SAMPLES, "holds NaN or infinity"),
        (with_samples(lambda x: x * 32767), SAMPLES, "full scale is at -1 and 1"),
        (with_samples(lambda x: 0 * x), SAMPLES, "is silent"),
        (Fixed, SAMPLES, "and 3 durations; expected one an id"),
        (FEWER, SAMPLES, "durations; expected one an id"),
        (DOUBLE, SAMPLES, "phonemes would be timed wrongly"),
        (tones.Padded, BATCH, "samples alone and 8832"),
        (FirstSpeaker, BATCH, "between alone and in a batch"),
        (Unseeded, SEED, "The same seed gives other samples"),
        (tones.Continuing, SEED, "The same seed gives other samples"),
        (streaming(lambda x: x[1:]), STREAM, "samples, not"),
        (streaming(lambda x: x * 0.99), STREAM, "stream.*differs by"),
        (streaming(list), STREAM, "A chunk of 'Home.' is a list"),
        (tones.Interrupted, STREAM, "was not read to its end it speaks"),
        (OneVoice, "test_each_speaker_has_a_voice", "The speakers ann and ben sound alike"),
        (SilentBen, "test_each_speaker_has_a_voice", "The speaker 'ben' is silent"),
        (NoGerman, "test_each_language_speaks", "The language 'de' has no samples"),
        (
            tones.Converting,
            "test_conversion_says_the_same_again",
            "The same seed converts otherwise",
        ),
    ],
)
def test_an_engine_that_breaks_it_is_noticed(voice, engine, test, said):
    broken = evolve(voice, engine=engine(voice.engine.path))
    with fails(said):
        getattr(TonesContract(), test)(broken)


def test_an_engine_that_says_the_same_of_all_sentences_is_noticed(voice):
    class Same(Fixed):
        def speak(self, sentence, controls):
            return evolve(super().speak(sentence, controls), durations=None)

    with fails("gives the same samples for different sentences"):
        TonesContract().test_it_speaks_in_samples(evolve(voice, engine=Same(voice.engine.path)))


def test_an_engine_without_a_tone_for_each_symbol_is_noticed(voice):
    with pytest.raises(IndexError):
        TonesContract().test_it_speaks_every_symbol(
            evolve(voice, engine=SmallAlphabet(voice.engine.path))
        )


def test_a_contract_without_required_files_is_noticed(place):
    contract = TonesContract()
    contract.required = ()
    with fails("Name the files without which"):
        contract.test_what_cannot_be_loaded_is_refused(place, registry_with())


def test_a_vocabulary_that_takes_any_name_is_noticed(voice):
    class Tolerant(type(voice.vocabulary)):
        def speaker_id(self, name):
            return 0

    vocabulary = voice.vocabulary
    tolerant = Tolerant(
        symbols=vocabulary.symbols, speakers=vocabulary.speakers, languages=vocabulary.languages
    )
    with fails("DID NOT RAISE"):
        TonesContract().test_unknown_speakers_and_languages_are_refused(
            evolve(voice, vocabulary=tolerant)
        )
