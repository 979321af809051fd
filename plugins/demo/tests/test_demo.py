"""What the page of `allophone demo` offers, says and shows, without a browser and without Gradio."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pytest
import soundfile
from attrs import evolve, field, frozen, validators
from click.testing import CliRunner
from demo_toys import FALLBACK, toy_registry, write_vocoder, write_voice
from PIL import Image

from allophone.audio.melspec import MelSpec
from allophone.cli import allophone
from allophone.errors import ConfigError, UserError
from allophone.synthesis.loading import load
from allophone.synthesis.waveform import PhonemeTiming, Waveform
from allophone_demo.answers import answer
from allophone_demo.command import command as demo
from allophone_demo.figure import decibels, figure
from allophone_demo.knobs import Choice, Field, Slider, Switch, knobs, wanted
from allophone_demo.voices import open_voices, share_voices
from allophone_testing.light import heavy_imports


def positive(instance, attribute, value):
    if value <= 0:
        raise ConfigError(f"{attribute.name} must be positive")


@frozen(kw_only=True)
class Plain:
    """What all set.

    speed: how fast,
        in words a second.
    low, high: edges
    """

    speed: float = field(default=1.0, validator=positive)
    low: int = field(default=2, validator=validators.ge(1))
    high: float | tuple[float, ...] = 0.667


@frozen(kw_only=True)
class Rich(Plain):
    """More. low: is none of its own.

    share: of it all.
    """

    share: float = field(default=0.5, validator=validators.and_(validators.ge(0), validators.lt(1)))
    mode: Literal["soft", "loud"] = "soft"
    tone: str = field(default="a", validator=validators.in_(["a", "b"]))
    fast: bool = False
    shift: float = 0.0
    words: tuple[float, ...] = (1.0,)
    cutoff: float | None = None


def accepts(name, value):
    try:
        Rich(**{name: value})
    except (ValueError, UserError):
        return False
    return True


@pytest.fixture
def rich():
    return {knob.name: knob for knob in knobs(Rich(), accepts)}


def limits(knob):
    assert isinstance(knob, Slider)
    return knob.low, knob.high, knob.step


def test_ranges_come_from_validators_and_from_what_the_class_takes(rich):
    assert limits(rich["speed"]) == (0.05, 2, 0.05)
    assert limits(rich["low"]) == (1, 4, 1)
    assert limits(rich["share"]) == (0, 0.95, 0.05)
    assert limits(rich["shift"]) == (-1, 1, 0.05)
    low, high, step = limits(rich["high"])
    assert (low, high, step) == (-2, 2, 0.001)


def test_slider_limits_are_valid_values(rich):
    for knob in rich.values():
        if isinstance(knob, Slider):
            assert accepts(knob.name, knob.value(knob.low))
            assert accepts(knob.name, knob.value(knob.high))
            assert knob.low <= knob.default <= knob.high


def test_kinds_of_controls(rich):
    assert rich["mode"] == Choice(
        name="mode", explanation="", default="soft", options=("soft", "loud")
    )
    assert rich["tone"].options == ("a", "b")
    assert isinstance(rich["fast"], Switch)
    assert isinstance(rich["words"], Field)
    assert isinstance(rich["cutoff"], Field)


def test_explanations_include_those_of_base_classes(rich):
    assert rich["speed"].explanation == "How fast, in words a second."
    assert rich["low"].explanation == rich["high"].explanation == "Edges"
    assert rich["share"].explanation == "Of it all."
    assert rich["mode"].explanation == ""
    assert rich["share"].label == "Share"


def test_only_changed_controls_are_passed(rich):
    names = ("low", "speed", "mode", "words", "cutoff")
    offered = [rich[name] for name in names]
    assert wanted(offered, [2.0, 1, "soft", "", " "]) == {}
    changed = wanted(offered, [3.0, 1, "loud", "[1.0, 2.0]", "0.5"])
    assert changed == {"low": 3, "mode": "loud", "words": [1.0, 2.0], "cutoff": 0.5}
    assert type(changed["low"]) is int
    with pytest.raises(UserError, match="not valid TOML"):
        wanted(offered, [2, 1, "soft", "[1.0", ""])


@pytest.fixture
def opened(registry):
    """opened(places...) are voices for a page."""

    def opened(*places, vocoders=(), engine=None):
        return open_voices(places, vocoders=vocoders, engine=engine, limit=100, registry=registry)

    return opened


@pytest.fixture
def ask(opened):
    """ask(place, text, **how) is what the page answers."""

    def ask(place, text, **how):
        return answer(opened(), place, text, **{"pause": 0.2, "controls": dict, **how})

    return ask


def test_all_installed_voices_are_offered_unless_some_are_named(opened, tmp_path):
    assert opened().places == ("tim", "mel", "mimic", "lost")
    assert opened("mel", str(tmp_path / "tim"), "mel").places == ("mel", str(tmp_path / "tim"))


@pytest.mark.parametrize(
    ("place", "said"), [("tin", "Did you mean 'tim'"), ("lost", "The weights do not fit")]
)
def test_an_invalid_voice_is_an_error_at_start(opened, place, said):
    with pytest.raises(UserError, match=said):
        opened("tim", place)


def test_the_given_engine_is_used(opened):
    assert opened("tim", engine="toy").panel("tim").languages == ("en",)
    with pytest.raises(UserError, match="There is no engine 'tory'"):
        opened("tim", engine="tory")


def test_an_invalid_vocoder_is_an_error_at_start(opened):
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="There is no vocoder 'nowhere'"):
        opened("mel", vocoders=("nowhere",))


def test_without_any_voice_there_is_no_page(nothing_installed, monkeypatch):
    with pytest.raises(UserError, match="none is installed"):
        open_voices((), registry=toy_registry())
    monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "toys")
    with pytest.raises(UserError, match="disabled plugin: toys"):
        open_voices((), registry=toy_registry())


def test_the_panel_has_the_settings_of_its_voice(opened):
    voices = opened()
    tim, mel = voices.panel("tim"), voices.panel("mel")
    assert (tim.speakers, tim.languages, tim.vocoders) == ((), ("en",), ())
    assert (mel.speakers, mel.languages) == (("anna", "boris"), ("de", "en"))
    assert mel.vocoders == ("griffin-lim",)
    assert [(knob.name, knob.default) for knob in tim.knobs] == [
        ("length_scale", 1.5),
        ("noise_scale", 0.5),
    ]
    assert limits(tim.knobs[0]) == (0.05, 3, 0.05)
    assert limits(tim.knobs[1]) == (0, 1, 0.05)


def test_a_panel_is_made_once(opened, monkeypatch):
    voices = opened()
    first = voices.panel("tim")
    monkeypatch.setattr("allophone_demo.voices.load", None)
    assert voices.panel("tim") is first


def test_the_page_returns_the_audio_of_the_voice(ask, registry):
    given = ask("tim", "Hello there.", seed=3, controls=lambda: {"length_scale": 2.0})
    said = load("tim", registry=registry).say("Hello there.", seed=3, length_scale=2.0)
    samples, rate = soundfile.read(io.BytesIO(given.wav), dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(samples, said.samples, atol=2e-5)
    assert given.message == ""
    assert [row[0] for row in given.phonemes] == list("hello there.")
    assert sum(row[2] for row in given.phonemes) == pytest.approx(1000 * said.seconds)
    assert given.phonemes[1][1] == pytest.approx(said.phonemes[1].start, abs=1e-3)


def test_voices_that_are_used_elsewhere_speak_in_their_turn(registry):
    loaded = {name: load(name, registry=registry) for name in ("tim", "mel")}
    turns = []

    def perform(say):
        turns.append(say())
        return turns[-1]

    voices = share_voices(loaded, limit=100, registry=registry, perform=perform)
    assert voices.places == ("tim", "mel")
    # Another vocoder would be another for all.
    assert voices.panel("mel").vocoders == ()
    said = voices.say("tim", "Hello.", pause=0.2, controls={})
    assert turns == [said]
    assert np.array_equal(said.waveform.samples, loaded["tim"].say("Hello.").samples)


def test_the_selected_vocoder_is_used(opened, tmp_path):
    pytest.importorskip("torch")
    coder = write_vocoder(tmp_path / "coder", 0.5)
    voices = opened("mel", vocoders=(coder,))
    assert voices.panel("mel").vocoders == (coder, FALLBACK)
    common = {"pause": 0.2, "controls": {}, "speaker": "boris", "language": "en"}

    def samples(**how):
        return voices.say("mel", "Hello.", **common, **how).waveform.samples

    first = samples()
    assert set(first) == {np.float32(0.5)}
    hollow = samples(vocoder=FALLBACK)
    assert len(hollow) == len(first)
    assert not np.array_equal(hollow, first)
    assert np.array_equal(samples(), first)


def test_a_vocoder_of_other_mels_is_a_message(opened, tmp_path):
    pytest.importorskip("torch")
    voices = opened(vocoders=(write_vocoder(tmp_path / "coder"),))
    given = answer(voices, "mel", "Hello.", pause=0.2, controls=dict)
    assert "f_max: 3000.0 against None" in given.message


def test_the_page_takes_prompts(opened, tmp_path):
    recording = tmp_path / "anna.wav"
    soundfile.write(recording, np.full(8000, 0.25), 8000)
    voices = opened()
    assert voices.panel("mimic").takes_prompt
    assert not voices.panel("tim").takes_prompt
    how = {"pause": 0.0, "controls": {}}
    said = voices.say("mimic", "One.", prompt_audio=str(recording), prompt_text="Hi.", **how)
    assert np.allclose(said.waveform.samples[:100], 0.25)
    assert said.script[0].prompt.ids
    continued = voices.say("mimic", "One.", prompt_audio=str(recording), prompt_text=" ", **how)
    assert continued.script[0].prompt.continued
    with pytest.raises(UserError, match="no prompt was given"):
        voices.say("mimic", "One.", **how)


@pytest.mark.parametrize(
    ("place", "text", "how", "said"),
    [
        ("tim", "", {}, "There is no text that can be pronounced"),
        ("tim", " ... ", {}, "contains nothing that can be pronounced"),
        ("tim", "a" * 5000, {}, "5,000 characters; the limit is 100"),
        ("tim", "All is well. Жук.", {}, "U+0436 CYRILLIC SMALL LETTER ZHE"),
        ("tim", "Hello.", {"controls": lambda: {"length_scale": -1.0}}, "length_scale"),
        ("mel", "Hello.", {"speaker": "borys"}, "Did you mean &#x27;boris&#x27;?"),
        ("lost", "Hello.", {}, "The weights do not fit"),
        ("nobody", "Hello.", {}, "&#x27;nobody&#x27; is not available"),
    ],
)
def test_user_errors_become_messages(ask, place, text, how, said):
    given = ask(place, text, **how)
    assert said in given.message
    assert 'role="alert"' in given.message
    assert (given.wav, given.figure, given.phonemes) == (None, "", [])


def test_messages_escape_html(ask):
    message = ask("tim", "<img src=x onerror=alert()>").message
    assert "<img" not in message
    assert "&lt;img" in message


def test_samples_that_are_not_finite_are_a_message(opened, tmp_path):
    place = str(write_voice(tmp_path / "broken", gain=float("nan")))
    given = answer(opened(place), place, "Hello.", pause=0.2, controls=dict)
    assert "NaN or infinite" in given.message


def test_clipped_samples_are_counted(opened, tmp_path):
    place = str(write_voice(tmp_path / "loud", gain=9.0))
    given = answer(opened(place), place, "Hello.", pause=0.2, controls=dict)
    samples = soundfile.read(io.BytesIO(given.wav), dtype="int16")[0]
    clipped = int(((samples == 32767) | (samples == -32768)).sum())
    assert f"{clipped:,} of {len(samples):,} samples" in given.message
    assert 'role="status"' in given.message


def tone(seconds=1.0, phonemes=None):
    time = np.arange(int(22050 * seconds)) / 22050
    samples = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    return Waveform(samples=samples, sample_rate=22050, phonemes=phonemes)


@pytest.mark.parametrize(
    "spec",
    [
        MelSpec(),
        MelSpec(center=True, power=2, mel_scale="htk", mel_norm="none", f_max=8000.0),
        MelSpec(win_length=600, padding="zeros", normalize_window=True),
    ],
)
def test_the_figure_has_the_mels_of_training(spec):
    torch = pytest.importorskip("torch")
    from allophone.audio.spectrogram import mel_spectrogram

    noisy = np.random.default_rng(0).normal(0, 0.1, 9000).astype(np.float32)
    gain = 20 / spec.power
    reference = evolve(spec, log_base="10", log_gain=gain)
    mel = mel_spectrogram(torch.from_numpy(noisy)[None], reference)[0]
    drawn = decibels(Waveform(samples=noisy, sample_rate=22050), spec)
    np.testing.assert_allclose(drawn, mel - mel.max(), atol=1e-3)


def test_the_figure_shows_the_position_of_the_sound():
    spec = MelSpec()
    mel = decibels(tone(), spec)
    assert mel.shape == (80, spec.frames(22050))
    assert mel.max() == 0
    loudest = mel.mean(1).argmax()
    assert set(mel.argmax(0)[2:-2]) == {loudest}
    linear = evolve(spec, log_base="none", clip_high=0.1)
    np.testing.assert_array_equal(decibels(tone(), linear), mel)


def test_the_figure_has_one_pixel_per_value_and_the_highest_band_on_top():
    drawn = figure(tone(), MelSpec())
    png = base64.b64decode(re.search(r"base64,([^\"]+)", drawn)[1])
    pixels = np.asarray(Image.open(io.BytesIO(png))).sum(-1)
    mel = decibels(tone(), MelSpec())
    assert pixels.shape == mel.shape
    assert pixels[:, 40].argmax() == 79 - mel[:, 40].argmax()


def test_phonemes_are_drawn_at_their_times():
    timings = (
        PhonemeTiming(symbol="<", start=0.0, end=0.5),
        PhonemeTiming(symbol="ə", start=0.5, end=2.0),
    )
    drawn = figure(tone(2.0, timings), MelSpec())
    places = dict(re.findall(r'<text x="([\d.]+)" y="216">([^<]+)</text>', drawn))
    assert places == {"145.0": "&lt;", "725.0": "ə"}
    assert "<title>ə: 0.50 to 2.00 s</title>" in drawn
    assert "0.2 s</text>" in drawn


def test_very_short_audio_has_a_figure():
    assert "<svg" in figure(tone(0.005), MelSpec())


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "allophone_demo.page", raising=False)
    result = CliRunner().invoke(allophone, ["demo"])
    assert isinstance(result.exception, UserError)
    assert "gradio" in result.exception.message
    assert result.exception.hint == "pip install --force-reinstall allophone-demo"


class Launched:
    """A page that is there without being served."""

    local_url = "http://127.0.0.1:7860/"
    share_url = None

    def block_thread(self):
        pass


def test_the_command_opens_a_page_of_the_voices_it_is_given(registry, monkeypatch):
    page = ModuleType("allophone_demo.page")
    page.launched = []
    page.launch = lambda voices, **how: page.launched.append((voices, how)) or Launched()
    monkeypatch.setitem(sys.modules, "allophone_demo.page", page)
    monkeypatch.setattr("allophone.registry.default_registry", lambda: registry)
    result = CliRunner().invoke(
        demo,
        "--voice tim --voice mel --engine toy --port 8000 --limit 9 --allow-host voices.example",
        catch_exceptions=False,
    )
    assert "The page is at http://127.0.0.1:7860/" in result.output
    ((voices, how),) = page.launched
    assert voices.places == ("tim", "mel")
    assert (voices.engine, voices.device, voices.limit) == ("toy", "cpu", 9)
    assert how == {"port": 8000, "share": False, "allow_hosts": ("voices.example",)}


def test_help_imports_nothing_heavy():
    code = "from allophone.cli import allophone\nallophone(['demo', '--help'])"
    assert heavy_imports(code) == {}


WITHOUT_TORCH = """
import sys
from pathlib import Path


class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


sys.meta_path.insert(0, NoTorch())
import demo_toys
from allophone_demo.answers import answer
from allophone_demo.voices import open_voices

voices = open_voices(("tim",), registry=demo_toys.installed_voices(Path(sys.argv[1])))
given = answer(voices, "tim", "Hello.", pause=0.2, controls=dict)
assert given.wav and "<svg" in given.figure and not given.message, given

from allophone_demo.page import build

build(voices)
"""


def test_the_page_needs_no_torch_for_voices_that_need_none(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
