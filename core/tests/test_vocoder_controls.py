"""Vocoders with something to choose: in Python, on the command line, and in what is made again."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
import soundfile
import torch
from attrs import field, frozen, validators
from click.testing import CliRunner

import allophone
from allophone.audio.mel_files import write_description, write_mel
from allophone.audio.melspec import MelSpec
from allophone.cli import allophone as program
from allophone.entries import VocoderEntry
from allophone.errors import ConfigError, UserError
from allophone.hookspecs import hookimpl
from allophone.inference.vocoders import controls_of, load_vocoder, override_controls
from allophone.registry import build_registry
from allophone_testing import VocoderContract

CPU = torch.device("cpu")
SPEC = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)


@frozen(kw_only=True)
class LoudConfig:
    """The vocoder `loud`."""


@frozen(kw_only=True)
class LoudControls:
    level: float = field(default=0.5, validator=validators.gt(0))


class LoudVocoder:
    def __init__(self, spec, weights, device, controls=None):
        self.rest = spec, weights, device
        self.audio = spec.audio
        self.controls = controls or LoudControls()

    def with_controls(self, controls):
        return LoudVocoder(*self.rest, controls)

    def vocode(self, mel, lengths):
        mask = torch.arange(mel.size(2)) < lengths[:, None]
        return (self.controls.level * mask).repeat_interleave(self.audio.hop_length, dim=1)


@pytest.fixture
def registry(toys):
    module = types.ModuleType("loud_plugin")
    module.CONTRACT = 1

    @hookimpl
    def allophone_vocoders():
        yield VocoderEntry(
            name="loud",
            summary="One level.",
            config=f"{__name__}:LoudConfig",
            vocoder=f"{__name__}:LoudVocoder",
            needs_weights=False,
        )

    module.allophone_vocoders = allophone_vocoders
    return build_registry({"toys": toys.toy_plugin(), "loud": module})


@pytest.fixture
def command(registry, make_default, tmp_path, monkeypatch):
    make_default(registry)
    monkeypatch.chdir(tmp_path)

    def ran(*arguments):
        result = CliRunner().invoke(program, list(map(str, arguments)))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def level_of(path):
    return float(np.abs(soundfile.read(path)[0]).max())


def test_controls_are_set_and_the_vocoder_stays_as_it_was(registry):
    vocoder = load_vocoder("loud", SPEC, device=CPU, registry=registry)
    assert hasattr(vocoder, "with_controls")
    louder = override_controls(vocoder, {"level": 0.75}, registry, name="loud")
    assert controls_of(louder, registry) == {"level": 0.75}
    assert controls_of(vocoder, registry) == {"level": 0.5}
    assert override_controls(vocoder, {}, registry, name="loud") is vocoder


class DeafVocoder(LoudVocoder):
    """It has a control, and does not ask for it."""

    def with_controls(self, controls):
        return DeafVocoder(*self.rest, controls)

    def vocode(self, mel, lengths):
        return 0.5 * torch.ones(len(mel), mel.size(2) * self.audio.hop_length)


def test_the_contract_notices_a_control_that_is_not_used():
    contract = VocoderContract()
    spec = types.SimpleNamespace(audio=contract.audio)
    contract.test_each_control_is_used(LoudVocoder(spec, {}, CPU))
    deaf = DeafVocoder(spec, {}, CPU)
    with pytest.raises(AssertionError, match="The control level is offered, and nothing of it"):
        contract.test_each_control_is_used(deaf)
    contract.inert_controls = ("level",)
    contract.test_each_control_is_used(deaf)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"levle": 1.0}, r"the vocoder loud[^$]*levle"),
        ({"level": "high"}, "level"),
        ({"level": -1.0}, "level"),
    ],
)
def test_what_cannot_be_set_is_said(registry, given, complaint):
    vocoder = load_vocoder("loud", SPEC, device=CPU, registry=registry)
    with pytest.raises(ConfigError, match=complaint):
        override_controls(vocoder, given, registry, name="loud")


def test_a_vocoder_without_controls_takes_none(registry):
    vocoder = load_vocoder("griffin-lim", SPEC, device=CPU, registry=registry)
    assert controls_of(vocoder, registry) == {}
    with pytest.raises(UserError, match="griffin-lim has no controls, but steps was given"):
        override_controls(vocoder, {"steps": 3}, registry, name="griffin-lim")


def test_a_voice_is_heard_through_a_vocoder_that_was_set(toys, registry, tmp_path):
    stored = toys.stored_voice(model=toys.ToyMelConfig())
    toys.write_voice(tmp_path / "voice", stored, registry=registry)
    place = tmp_path / "voice"
    voice = allophone.load(
        place, vocoder="loud", vocoder_controls={"level": 0.25}, registry=registry
    )
    assert np.abs(voice.say("a").samples).max() == 0.25
    with pytest.raises(UserError, match=r"Vocoder controls were given \(level\), but no vocoder"):
        allophone.load(place, vocoder_controls={"level": 0.25}, registry=registry)


def test_what_was_made_with_other_controls_is_made_again(command, tmp_path):
    write_mel(tmp_path / "mels" / "a.npy", np.zeros((8, 20), np.float32))
    write_description(tmp_path / "mels", SPEC, {})
    vocode = ("vocode", "--vocoder", "loud", "--features", "mels", "--out", "out")
    assert "Wrote 1 files, skipped 0" in command(*vocode).output
    assert level_of(tmp_path / "out" / "a.wav") == pytest.approx(0.5, abs=1e-3)
    assert "Wrote 0 files, skipped 1" in command(*vocode, "--control", "level=0.5").output
    assert "Wrote 1 files, skipped 0" in command(*vocode, "--control", "level=0.75").output
    assert level_of(tmp_path / "out" / "a.wav") == pytest.approx(0.75, abs=1e-3)
    row = json.loads((tmp_path / "out" / "made.jsonl").read_text())
    assert row["controls"] == {"level": 0.75}


def test_say_and_synthesize_set_them_too(command, toys, registry, tmp_path):
    stored = toys.stored_voice(model=toys.ToyMelConfig())
    toys.write_voice(tmp_path / "voice", stored, registry=registry)
    through = ("--voice", "voice", "--vocoder", "loud", "--vocoder-control", "level=0.25")
    assert command("say", "a", *through, "--out", "a.wav").exit_code == 0
    assert level_of(tmp_path / "a.wav") == pytest.approx(0.25, abs=1e-3)
    (tmp_path / "list.txt").write_text("a\n")
    many = ("synthesize", "--list", "list.txt", "--out", "out", *through)
    assert "Wrote 1 files, skipped 0" in command(*many).output
    assert "Wrote 0 files, skipped 1" in command(*many).output
    assert "Wrote 1 files, skipped 0" in command(*many[:-1], "level=0.5").output
    assert level_of(tmp_path / "out" / "00001.wav") == pytest.approx(0.5, abs=1e-3)
