"""Voices: where they lie, what they say, alone, in batches and streamed."""

from __future__ import annotations

import itertools
import json
import logging
import threading

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone.errors import PluginError, UserError
from allophone.inference.engine import open_voice
from allophone.inference.folder import write_voice
from allophone.synthesis.loading import load


@pytest.fixture
def registry(toys):
    return toys.toy_registry()


@pytest.fixture
def make(toys, registry):
    """make(**changes) is a voice ready to speak."""

    def made(vocoder=None, **changes):
        stored = toys.stored_voice(**changes)
        return open_voice(stored, vocoder=vocoder, registry=registry)

    return made


TEXT = "One two three. Four! And then a longer sentence, is it not?"


def test_a_text_is_its_sentences_with_pauses_between_them(make):
    voice = make()
    whole = voice.say("One two. Three!", seed=5, pause=0.1)
    parts = [voice.say("One two.", seed=5), voice.say("Three!", seed=6)]
    silence = np.zeros(800, np.float32)
    expected = np.concatenate([parts[0].samples, silence, parts[1].samples])
    assert np.array_equal(whole.samples, expected)
    assert whole.samples.dtype == np.float32
    assert whole.sample_rate == 8000
    assert whole.seconds == len(expected) / 8000


@pytest.mark.parametrize("seed", [0, 7])
def test_a_stream_joins_to_what_say_gives(make, seed):
    voice = make()
    chunks = list(voice.stream(TEXT, seed=seed, length_scale=1.5))
    assert len(chunks) > 10
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 for chunk in chunks)
    said = voice.say(TEXT, seed=seed, length_scale=1.5)
    assert np.array_equal(np.concatenate(chunks), said.samples)


def test_a_model_that_cannot_stream_streams_sentences(make, toys):
    voice = make(model=toys.ToyMelConfig(), vocoder="griffin-lim")
    chunks = list(voice.stream("One. Two. Three.", pause=0))
    assert [len(chunk) > 0 for chunk in chunks] == [True] * 3
    assert np.array_equal(np.concatenate(chunks), voice.say("One. Two. Three.", pause=0).samples)


class StreamingCoder:
    """Says the mean of each frame, in chunks of three frames; notes when each chunk was asked for."""

    def __init__(self, audio):
        self.audio = audio
        self.frames = []

    def vocode(self, mel, lengths):
        waveform = mel.mean(1).repeat_interleave(self.audio.hop_length, dim=1)
        samples = torch.arange(waveform.size(1)) < lengths[:, None] * self.audio.hop_length
        return waveform * samples

    def stream(self, mel):
        for part in mel.split(3, dim=2):
            self.frames.append(part.size(2))
            yield self.vocode(part, torch.tensor([part.size(2)]))[0]


def test_a_vocoder_that_can_stream_is_heard_before_it_has_gone_through_a_sentence(make, toys):
    voice = make(model=toys.ToyMelConfig())
    voice.engine.vocoder = StreamingCoder(toys.AUDIO)
    stream = voice.stream(TEXT, pause=0.05)
    assert len(next(stream)) == 3 * toys.AUDIO.hop_length
    assert voice.engine.vocoder.frames == [3]
    assert not torch.is_inference_mode_enabled()
    for _ in stream:
        pass
    frames = sum(voice.engine.vocoder.frames)
    chunks = list(voice.stream(TEXT, pause=0.05))
    assert sum(voice.engine.vocoder.frames) == 2 * frames
    assert np.array_equal(np.concatenate(chunks), voice.say(TEXT, pause=0.05).samples)


@pytest.mark.parametrize("streams", [True, False])
def test_mels_that_are_none_are_refused_when_a_voice_says_them(make, toys, streams):
    voice = make(model=toys.ToyMelConfig())
    voice.engine.vocoder = StreamingCoder(evolve(toys.AUDIO, n_mels=9))
    with pytest.raises(UserError, match="8 bands, expected 9"):
        list(voice.stream("Hello.")) if streams else voice.say("Hello.")


def test_a_stream_leaves_inference_mode_between_chunks(make):
    for _ in make().stream("One two three."):
        assert not torch.is_inference_mode_enabled()


def test_a_stream_complains_before_it_is_read(make):
    with pytest.raises(UserError, match="pronounced"):
        make().stream(" ... ")


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_batch_says_what_each_text_says_alone(make, batch_size):
    voice = make()
    texts = [TEXT, "Short.", "Of middling length, this one is."]
    batch = voice.say_batch(texts, seed=3, batch_size=batch_size, noise_scale=1.0)
    for text, waveform in zip(texts, batch, strict=True):
        alone = voice.say(text, seed=3, noise_scale=1.0)
        np.testing.assert_allclose(waveform.samples, alone.samples, atol=1e-6)


def test_seeds_decide_and_repeat(make):
    voice = make()
    assert np.array_equal(voice.say("Hello.", seed=1).samples, voice.say("Hello.", seed=1).samples)
    assert not np.array_equal(
        voice.say("Hello.", seed=1).samples, voice.say("Hello.", seed=2).samples
    )


def test_controls_come_from_the_call_then_the_voice_then_the_family(make):
    family = make().say("Hello.")
    slow = make(controls={"length_scale": 3.0})
    assert slow.say("Hello.").seconds == 3 * family.seconds
    assert slow.say("Hello.", length_scale=1).seconds == family.seconds


def test_an_unknown_control_is_named_with_what_was_meant(make):
    with pytest.raises(UserError, match="lenght_scale.*'length_scale'"):
        make().say("Hello.", lenght_scale=2.0)


def test_a_control_of_the_wrong_kind_or_size_is_refused(make):
    with pytest.raises(UserError, match="length_scale"):
        make().say("Hello.", length_scale="2")
    with pytest.raises(UserError, match="length_scale"):
        make().say("Hello.", length_scale=-1.0)


def test_a_voice_with_a_bad_control_does_not_load(make):
    with pytest.raises(UserError, match="noise_scal"):
        make(controls={"noise_scal": 1.0})


@pytest.mark.parametrize("text", ["", "  \n ", "...", "?!"])
def test_a_text_without_words_is_refused(make, text):
    with pytest.raises(UserError, match="can be pronounced"):
        make().say(text)


def test_marks_between_sentences_are_no_sentences(make):
    voice = make()
    assert np.array_equal(voice.say("One. ... Two.").samples, voice.say("One. Two.").samples)


def test_symbols_that_the_voice_lacks_are_named_with_their_sentence(make):
    with pytest.raises(UserError, match="Naïve.*'ï'"):
        make().say("All is well. Naïve.")


def test_timings_cover_the_speech_and_fold_blanks(make):
    voice = make()
    spoken = voice.say("Ab. Cd!", pause=0.5)
    assert [one.symbol for one in spoken.phonemes] == list("ab.cd!")
    first, last = spoken.phonemes[2].end, spoken.phonemes[3].start
    assert last - first == pytest.approx(0.5)
    assert spoken.phonemes[0].start == 0
    assert spoken.phonemes[-1].end == pytest.approx(spoken.seconds)
    inner = spoken.phonemes[:3]
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(inner))


def test_a_speaker_is_chosen_by_name(make):
    voice = make(speakers=("anna", "boris"))
    assert np.array_equal(voice.say("Hello.").samples, voice.say("Hello.", speaker="anna").samples)
    assert not np.array_equal(
        voice.say("Hello.").samples, voice.say("Hello.", speaker="boris").samples
    )
    with pytest.raises(UserError, match="'boriss'.*\n.*'boris'"):
        voice.say("Hello.", speaker="boriss")


def test_a_language_must_be_one_of_the_voice(make):
    assert make().languages == ("en",)
    assert np.array_equal(make().say("Hello.", language="en").samples, make().say("Hello.").samples)
    with pytest.raises(UserError, match=r"does not speak the language 'fr'\.\nAvailable: en\."):
        make().say("Hello.", language="fr")
    both = make(languages=("de", "en"))
    assert both.script("Hello.", language="en")[0].language == 1
    with pytest.raises(UserError, match="'fr'"):
        both.say("Hello.", language="fr")


def test_mels_are_heard_through_griffin_lim_unless_a_vocoder_is_given(make, toys, caplog):
    voice = make(model=toys.ToyMelConfig())
    with caplog.at_level(logging.WARNING):
        waveform = voice.say("Hello.")
        voice.say("Hello again.")
    assert len([one for one in caplog.records if "griffin-lim" in one.getMessage()]) == 1
    assert len(waveform.samples) % 16 == 0
    assert waveform.samples.any()


def test_a_vocoder_is_taken_from_its_folder(make, toys, registry, tmp_path):
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(), registry=registry)
    voice = make(model=toys.ToyMelConfig(), vocoder=tmp_path / "coder")
    assert set(voice.say("Hello.").samples) == {np.float32(0.5)}


@pytest.mark.parametrize(
    "say", [lambda voice: voice.say, lambda voice: lambda text: [*voice.stream(text)]]
)
def test_a_vocoder_that_is_not_used_is_mentioned_once(make, say, caplog):
    voice = make(vocoder="griffin-lim")
    with caplog.at_level(logging.WARNING):
        say(voice)("Hello.")
        say(voice)("Hello again.")
    assert [one.getMessage() for one in caplog.records] == [
        "'tim' generates waveforms: the vocoder is ignored."
    ]


def test_a_vocoder_of_other_mels_is_refused_field_by_field(make, toys, registry, tmp_path):
    other = evolve(toys.AUDIO, f_max=3000.0, log_base="10")
    toys.write_vocoder(tmp_path / "coder", toys.stored_vocoder(audio=other), registry=registry)
    with pytest.raises(UserError, match=r"f_max: 3000.0 against None\n.*log_base: 10 against e"):
        make(model=toys.ToyMelConfig(), vocoder=tmp_path / "coder")


def test_a_vocoder_that_is_not_there_is_an_error(make, toys):
    with pytest.raises(UserError, match="griffin-lim"):
        make(model=toys.ToyMelConfig(), vocoder="grifin-lim")
    with pytest.raises(UserError, match="'toycoder' is a family of vocoders"):
        make(model=toys.ToyMelConfig(), vocoder="toycoder")


def test_conversion_goes_from_speaker_to_speaker(make, toys, tmp_path):
    voice = make(speakers=("anna", "boris"))
    recording = voice.say("Hello.")
    recording.save(tmp_path / "hello.wav")
    converted = voice.convert(recording, source="boris", target="anna")
    assert np.array_equal(converted.samples, recording.samples)
    from_file = voice.convert(tmp_path / "hello.wav", source="anna", target="boris")
    np.testing.assert_allclose(from_file.samples, recording.samples / 3, atol=1e-4)
    with pytest.raises(UserError, match="'carl'"):
        voice.convert(recording, source="anna", target="carl")
    with pytest.raises(UserError, match="16000 Hz"):
        voice.convert(evolve(recording, sample_rate=16000), source="anna", target="boris")
    with pytest.raises(UserError, match="does not support voice conversion"):
        make(model=toys.ToyMelConfig()).convert(recording, source="a", target="b")


def test_threads_say_what_one_thread_says(make):
    voice = make()
    texts = [f"Number {word}, and more." for word in ("one", "two", "three", "four")]
    expected = [voice.say(text).samples for text in texts]
    said = [None] * len(texts)

    def say(index):
        said[index] = voice.say(texts[index]).samples

    threads = [threading.Thread(target=say, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(np.array_equal, said, expected))


# Where voices lie.


def test_a_voice_folder_loads(toys, registry, tmp_path):
    toys.write_voice(tmp_path / "tim", toys.stored_voice(), registry=registry)
    voice = load(tmp_path / "tim", registry=registry)
    assert voice.name == "tim"
    assert voice.say("Hello.").seconds > 0


def test_an_installed_voice_is_found_by_name(toys, tmp_path):
    registry = toys.toy_registry(voices=[("tim", "en", tmp_path / "somewhere")])
    toys.write_voice(tmp_path / "somewhere", toys.stored_voice(name="x"), registry=registry)
    voice = load("tim", registry=registry)
    assert voice.name == "tim", "an installed voice has the name and licence of its entry"
    assert voice.description.about.licence == "CC0-1.0"
    with pytest.raises(UserError, match="no voice 'tym'.*\n.*'tim'"):
        load("tym", registry=registry)


def test_what_is_no_voice_is_told_apart(registry, tmp_path):
    with pytest.raises(UserError, match="No installed engine recognises .*\n.*torch"):
        load(tmp_path, registry=registry)


def write_run(toys, registry, run, *, step, average=False):
    from allophone.config import write_toml
    from allophone.data.vocabulary import write_vocabulary
    from allophone.files.run_folder import checkpoint_path
    from allophone.weights.files import write_weights

    stored = toys.stored_voice()
    checkpoint = checkpoint_path(run, step)
    checkpoint.mkdir(parents=True)
    plain = {
        "model": {"type": "toy", "pitch": 0.1},
        "trainer": {"type": "toy"},
        "data": {"corpora": [{"type": "a-corpus-that-is-not-installed"}]},
        "audio": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "win_length": 64},
        "text": {"language": "en", "normalize": False, "phonemizer": {"type": "graphemes"}},
    }
    for folder in (run, checkpoint):
        write_toml(folder / "config.toml", plain)
        write_vocabulary(folder / "vocabulary.json", stored.vocabulary)
    origin = {"type": "toy", "distribution": "toys-from-afar", "version": "1"}
    provenance = json.dumps({"model": origin, "trainer": origin})
    (checkpoint / "provenance.json").write_text(provenance)
    gain = torch.tensor([step / 1000])
    weights = {"generator.gain": gain, "discriminator.gain": gain}
    write_weights(checkpoint / "model.safetensors", weights)
    if average:
        averaged = {"generator.gain": gain / 2}
        write_weights(checkpoint / "average.safetensors", averaged)
    return checkpoint


def loudness(voice):
    return float(np.abs(voice.say("Hello there.", noise_scale=0.0).samples).max())


def test_a_run_speaks_by_its_latest_checkpoint_and_a_checkpoint_by_itself(toys, registry, tmp_path):
    run = tmp_path / "runs" / "lj"
    first = write_run(toys, registry, run, step=200)
    write_run(toys, registry, run, step=400)
    assert load(run, registry=registry).name == "lj"
    assert loudness(load(run, registry=registry)) == pytest.approx(0.4, rel=0.02)
    assert load(first, registry=registry).name == "lj"
    assert loudness(load(first, registry=registry)) == pytest.approx(0.2, rel=0.02)


def test_averaged_weights_speak_where_they_are_kept(toys, registry, tmp_path):
    write_run(toys, registry, tmp_path / "lj", step=400, average=True)
    assert loudness(load(tmp_path / "lj", registry=registry)) == pytest.approx(0.2, rel=0.02)


def test_a_run_of_a_plugin_that_is_not_installed_says_what_to_install(toys, registry, tmp_path):
    from allophone.registry import build_registry

    write_run(toys, registry, tmp_path / "lj", step=100)
    with pytest.raises(PluginError, match="pip install toys-from-afar"):
        load(tmp_path / "lj", registry=build_registry())


def test_an_engine_that_fails_to_say_what_it_recognises_silences_no_other(
    toys, registry, tmp_path, monkeypatch, caplog
):
    def broken(place):
        raise KeyError("suffix")

    write_voice(tmp_path / "tim", toys.stored_voice(), registry=registry)
    monkeypatch.setattr(toys, "ends_in_tones", broken)
    assert load(tmp_path / "tim", registry=registry).say("Hello.").seconds > 0
    expected = (
        "The engine 'tones' of toys is passed over: its `recognises` raises KeyError: 'suffix'"
    )
    assert expected in caplog.text
