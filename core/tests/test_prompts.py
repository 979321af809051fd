"""Voices that speak in the voice of a recording, and those that are learned in several runs."""

from __future__ import annotations

import json

import numpy as np
import prompted_toys
import pytest
import soundfile
import torch
from attrs import evolve
from click.testing import CliRunner

from allophone.cli import allophone
from allophone.config import write_toml
from allophone.data.vocabulary import write_vocabulary
from allophone.errors import UserError
from allophone.files.run_folder import checkpoint_path
from allophone.inference.engine import open_voice
from allophone.inference.folder import write_voice
from allophone.inference.importing import import_checkpoint, import_stages
from allophone.synthesis.batch import synthesize
from allophone.synthesis.loading import load
from allophone.synthesis.requests import Request, read_requests
from allophone.synthesis.waveform import Waveform
from allophone.training.finetune import read_source
from allophone.weights.files import write_weights

CPU = torch.device("cpu")


@pytest.fixture
def registry(toys):
    return prompted_toys.registry(toys.toy_plugin())


@pytest.fixture
def stored(toys):
    return toys.stored_voice(
        model=prompted_toys.MimicConfig(),
        weights={"coarse.gain": torch.ones(1), "fine.gain": torch.ones(1)},
    )


@pytest.fixture
def voice(stored, registry):
    return open_voice(stored, registry=registry)


@pytest.fixture
def recording(tmp_path):
    """write(name, ...) writes a recording of so many seconds at so many samples a second."""

    def write(name="anna.wav", *, seconds=1.0, level=0.25, sample_rate=8000):
        path = tmp_path / name
        soundfile.write(path, np.full(round(seconds * sample_rate), level), sample_rate)
        return path

    return write


def test_each_sentence_is_said_in_the_voice_of_the_prompt_after_its_words(voice, recording):
    prompt = voice.prompt(recording(), text="Hi.")
    said = voice.say("One. Two.", prompt=prompt, pause=0.0).samples
    table = voice.vocabulary.symbols
    expected = [
        np.concatenate([np.full(100, 0.25), np.array(table.encode(f"Hi. {words}".lower())) / 1000])
        for words in ("One.", "Two.")
    ]
    assert np.allclose(said, np.concatenate(expected))


def test_between_two_words_stands_what_the_voice_has_there(stored, registry, recording):
    text = evolve(stored.description.text, phones={"a": "a", " ": ", .", "b": "b"})
    spelled = evolve(stored, description=evolve(stored.description, text=text))
    voice = open_voice(spelled, registry=registry)
    ids = voice.prompt(recording(), text="a").ids
    assert [*ids] == voice.vocabulary.symbols.encode_within(["a", ",", "."])


def test_without_its_words_the_speech_begins_with_the_prompt_and_is_one_sentence(voice, recording):
    prompt = voice.prompt(recording())
    said = voice.say("One. Two.", prompt=prompt).samples
    ids = np.array(voice.vocabulary.symbols.encode("one. two."))
    assert np.allclose(said, np.concatenate([np.full(8000, 0.25), ids / 1000]))


def test_what_is_streamed_and_said_in_a_batch_has_its_prompt_too(voice, recording):
    prompt = voice.prompt(recording(), text="Hi.")
    said = voice.say("One. Two.", prompt=prompt).samples
    assert np.array_equal(np.concatenate(list(voice.stream("One. Two.", prompt=prompt))), said)
    assert np.array_equal(voice.say_batch(["One. Two."], prompt=prompt)[0].samples, said)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"seconds": 0.2}, "0.20 s long; a prompt must be 0.5 to 4 s long"),
        ({"seconds": 9.0}, "9.00 s long; a prompt must be 0.5 to 4 s long"),
        ({"level": 0.0}, "silent"),
    ],
)
def test_a_recording_that_is_no_prompt_is_refused_by_name(voice, recording, how, said):
    path = recording(**how)
    with pytest.raises(UserError, match=said) as raised:
        voice.prompt(path, text="Hi.")
    assert str(path) in raised.value.message


def test_a_prompt_of_another_rate_is_resampled_and_that_is_said(voice, recording, caplog):
    prompt = voice.prompt(recording(sample_rate=16000), text="Hi.")
    assert len(prompt.samples) == 8000
    assert "resampled from 16000 to 8000 Hz" in caplog.text


def test_a_voice_that_needs_a_prompt_says_so(voice):
    with pytest.raises(UserError, match="no prompt was given") as raised:
        voice.say("One.")
    assert "--prompt-audio" in raised.value.hint


def test_a_voice_that_takes_none_says_so(toys, registry, recording):
    tim = open_voice(toys.stored_voice(), registry=registry)
    with pytest.raises(UserError, match="does not take prompts"):
        tim.prompt(recording(), text="Hi.")


def test_with_and_without_prompt_are_not_said_in_one_batch(stored, registry, recording):
    free = evolve(
        stored,
        description=evolve(stored.description, model=prompted_toys.MimicConfig(needs=False)),
    )
    voice = open_voice(free, registry=registry)
    prompt = voice.prompt(recording(), text="Hi.")
    scripts = [voice.script("One."), voice.script("Two.", prompt=prompt)]
    said = voice.synthesize(scripts, pause=0.0, batch_size=8, controls=voice.controls({}))
    assert np.array_equal(said[0].samples, voice.say("One.").samples)
    assert np.array_equal(said[1].samples, voice.say("Two.", prompt=prompt).samples)


def test_what_does_not_come_to_its_end_is_named(voice, recording, caplog):
    prompt = voice.prompt(recording(), text="Hi.")
    spoken = voice.say("One. And so on and on.", prompt=prompt)
    assert dict(spoken.cut_off) == {"And so on and on.": "it is too long"}
    assert "'And so on and on.' was cut off before its end: it is too long" in caplog.text


# Many texts.


def test_a_list_has_the_words_of_each_prompt_before_its_recording(recording, tmp_path):
    audio = recording("anna.wav")
    (tmp_path / "list.txt").write_text("One.|Hi.|anna.wav\nTwo.||anna.wav\n")
    one, two = read_requests(tmp_path / "list.txt", prompted=True)
    assert one == Request(id="00001", text="One.", prompt_text="Hi.", prompt_audio=str(audio))
    assert two.prompt_text is None


def test_a_list_in_another_order_is_refused_with_the_right_one(recording, tmp_path):
    recording("anna.wav")
    (tmp_path / "list.txt").write_text("Hi.|anna.wav|One.\n")
    with pytest.raises(UserError, match=r"list.txt:1: there is no recording .*One") as raised:
        read_requests(tmp_path / "list.txt", prompted=True)
    assert (
        "'anna.wav' is one; the order of the columns is text|prompt_text|prompt_audio"
        in raised.value.hint
    )


def test_jsonl_names_its_prompts(recording, tmp_path):
    audio = recording("anna.wav")
    row = {"id": "x", "text": "One.", "prompt_text": "Hi.", "prompt_audio": str(audio)}
    (tmp_path / "list.jsonl").write_text(json.dumps(row))
    assert read_requests(tmp_path / "list.jsonl", prompted=True) == (Request(**row),)


def test_a_recording_that_has_changed_is_spoken_like_again(voice, recording, tmp_path):
    audio = recording()
    bad = recording("silent.wav", level=0.0)
    requests = [
        Request(id="good", text="One.", prompt_text="Hi.", prompt_audio=str(audio)),
        Request(id="bad", text="One.", prompt_text="Hi.", prompt_audio=str(bad)),
    ]

    def made():
        return synthesize(voice, requests, tmp_path / "out", provenance={})

    first = made()
    assert (first.made, [failure.id for failure in first.failures]) == (1, ["bad"])
    assert "silent" in first.failures[0].reason
    assert made().skipped == 1
    recording(level=0.5)
    assert (made().made, made().skipped) == (1, 1)
    samples, _ = soundfile.read(tmp_path / "out" / "good.wav")
    assert np.allclose(samples[:100], 0.5, atol=1e-4)


@pytest.fixture
def run(stored, registry, make_default, tmp_path, monkeypatch):
    write_voice(tmp_path / "mimic", stored, registry=registry)
    make_default(registry)
    monkeypatch.chdir(tmp_path)

    def ran(*arguments):
        result = CliRunner().invoke(allophone, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def test_the_commands_take_prompts(run, recording, tmp_path):
    recording()
    prompt = ["--prompt-audio", "anna.wav", "--prompt-text", "Hi."]
    run("say", "One.", "--voice", "mimic", *prompt)
    said, _ = soundfile.read("speech.wav")
    assert np.allclose(said[:100], 0.25, atol=1e-4)
    (tmp_path / "list.txt").write_text("One.\n")
    run("synthesize", "--list", "list.txt", "--voice", "mimic", "--out", "out", *prompt)
    assert np.array_equal(soundfile.read("out/00001.wav")[0], said)
    with pytest.raises(UserError, match="--prompt-text requires"):
        run("say", "One.", "--voice", "mimic", "--prompt-text", "Hi.")


# Voices of several runs.


@pytest.fixture
def stage(stored, tmp_path, registry):
    """write(stage, ...) writes the run of a stage."""

    def write(stage, *, gain=1.0, hidden=(), vocabulary=stored.vocabulary, name=None):
        run = tmp_path / (name or stage)
        checkpoint = checkpoint_path(run, 7)
        checkpoint.mkdir(parents=True)
        plain = {
            "model": {"type": "mimic", **dict(hidden)},
            "trainer": {"type": f"mimic.{stage}"},
            "audio": {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "win_length": 64}
            | {"n_mels": 8},
            "text": {"language": "en", "normalize": False, "phonemizer": {"type": "graphemes"}},
        }
        for folder in (run, checkpoint):
            write_toml(folder / "config.toml", plain)
            write_vocabulary(folder / "vocabulary.json", vocabulary)
        origins = {
            table: {"type": plain[table]["type"], "distribution": "mimics", "version": "1"}
            for table in ("model", "trainer")
        }
        (checkpoint / "provenance.json").write_text(json.dumps(origins))
        write_weights(checkpoint / "model.safetensors", {f"{stage}.gain": torch.full((1,), gain)})
        return run

    return write


def test_the_runs_of_all_stages_make_a_voice(stage, registry, tmp_path, recording):
    runs = [stage("coarse", gain=2.0), stage("fine", gain=3.0)]
    import_stages(runs, tmp_path / "voices" / "mine", registry)
    voice = load(tmp_path / "voices" / "mine", registry=registry)
    assert voice.name == "mine"
    assert voice.engine.synthesizer.folder == tmp_path / "voices" / "mine"
    voice.say("One.", prompt=voice.prompt(recording(), text="Hi."))


def test_fine_tuning_knows_the_stages_of_a_voice(stage, registry, tmp_path):
    import_stages([stage("coarse", gain=2.0), stage("fine")], tmp_path / "mine", registry)
    source = read_source(tmp_path / "mine", inference_module="coarse")
    assert source.weights["coarse.gain"].item() == 2.0


def test_one_stage_alone_makes_no_voice(stage, registry, tmp_path):
    with pytest.raises(UserError, match="also has the stage fine"):
        import_checkpoint(stage("coarse"), tmp_path / "mine", None, registry)
    assert not (tmp_path / "mine").exists()


def test_runs_that_do_not_go_together_are_refused(stage, toys, registry, tmp_path, stored):
    coarse = stage("coarse")
    other = stage("fine", hidden={"needs": False})
    with pytest.raises(UserError, match="model.needs: true against false"):
        import_stages([coarse, other], tmp_path / "mine", registry)
    vocabulary = evolve(stored.vocabulary, speakers=("anna",))
    strange = stage("fine", vocabulary=vocabulary, name="strange")
    with pytest.raises(UserError, match="symbols, speakers or languages"):
        import_stages([coarse, strange], tmp_path / "mine", registry)
    with pytest.raises(UserError, match="both trained 'coarse'"):
        import_stages([coarse, stage("coarse", name="again")], tmp_path / "mine", registry)
    with pytest.raises(UserError, match="not an Allophone run"):
        import_stages([coarse, tmp_path], tmp_path / "mine", registry)


def test_import_takes_several_runs(run, stage):
    done = run("import", stage("coarse"), stage("fine"), "mine")
    assert "Wrote mine from 2 runs" in done.output
    with pytest.raises(UserError, match="--as"):
        run("import", "coarse", "fine", "again", "--as", "x.y")


def test_a_waveform_is_a_prompt_too(voice):
    samples = np.full(8000, 0.25, np.float32)
    prompt = voice.prompt(Waveform(samples=samples, sample_rate=8000), text="Hi.")
    assert np.array_equal(prompt.samples, samples)
