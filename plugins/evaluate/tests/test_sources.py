"""How a voice is asked to speak, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest

from allophone.errors import UserError
from allophone.synthesis.requests import Request
from allophone.synthesis.waveform import Waveform
from allophone_evaluate.sources import VoiceSource


class RecordedVoice:
    """Writes down how it is called; a stream ends with an error if more than its first chunk is asked for."""

    speakers = ("anna", "boris")

    def __init__(self, languages=("de",)):
        self.languages = languages
        self.calls = []

    def say(self, text, **how):
        self.calls.append(("say", text, how))
        return Waveform(samples=np.zeros(10, np.float32), sample_rate=100)

    def stream(self, text, **how):
        self.calls.append(("stream", text, how))
        yield np.zeros(5, np.float32)
        raise AssertionError("only the first chunk is needed")

    def prompt(self, recording, *, text, language):
        return (recording, text, language)


def kinds(voice):
    return [kind for kind, *_ in voice.calls]


def test_times_are_measured_after_a_first_utterance():
    voice = RecordedVoice()
    source = VoiceSource(name="v", voice=voice, seed=3)
    for text in ("one", "two"):
        speech = source.speak(Request(id="a", text=text, speaker="boris"))
        assert 0 <= speech.synthesis_seconds < 1
        assert 0 <= speech.first_audio_seconds < 1
    assert kinds(voice) == ["say", "say", "stream", "say", "stream"]
    assert {how["seed"] for *_, how in voice.calls} == {3}
    assert {how["speaker"] for *_, how in voice.calls} == {"boris"}


def test_without_a_metric_of_times_each_text_is_said_once():
    voice = RecordedVoice()
    source = VoiceSource(name="v", voice=voice, measures_time=False)
    speech = source.speak(Request(id="a", text="one"))
    assert kinds(voice) == ["say"]
    assert speech.synthesis_seconds is None
    assert speech.first_audio_seconds is None


@pytest.mark.parametrize(
    ("languages", "given", "asked", "told"),
    [
        (("de",), None, None, "de"),
        (("de",), "de-at", None, "de-at"),
        (("de", "en"), "en", "en", "en"),
    ],
)
def test_metrics_are_told_the_language(languages, given, asked, told):
    voice = RecordedVoice(languages)
    source = VoiceSource(name="v", voice=voice, measures_time=False)
    assert source.speak(Request(id="a", text="one", language=given)).language == told
    assert voice.calls[0][2]["language"] == asked


def test_a_prompt_is_passed_on():
    voice = RecordedVoice()
    source = VoiceSource(name="v", voice=voice, measures_time=False)
    source.speak(Request(id="a", text="one", prompt_audio="p.wav", prompt_text="hi"))
    assert voice.calls[0][2]["prompt"] == ("p.wav", "hi", None)


def test_controls_are_passed_on():
    voice = RecordedVoice()
    VoiceSource(name="v", voice=voice, controls={"length_scale": 1.5}).speak(
        Request(id="a", text="one")
    )
    assert kinds(voice) == ["say", "say", "stream"]
    assert {how["length_scale"] for *_, how in voice.calls} == {1.5}


def test_a_text_without_characters_is_refused():
    with pytest.raises(UserError, match="'a' has no text to speak"):
        VoiceSource(name="v", voice=RecordedVoice()).speak(Request(id="a", text=" "))
