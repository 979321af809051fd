"""The SSML that texts may be written in, and what it does to speech."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import frozen

from allophone.errors import UserError
from allophone.inference.engine import open_voice
from allophone.text.config import TextConfig
from allophone.text.frontend import TextFrontend, build_frontend
from allophone.text.ssml import Passage, passages


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Tom &amp; Jerry &lt;3", [Passage(text="Tom & Jerry <3")]),
        (
            'One.<break time="400ms"/>Two.',
            [Passage(text="One."), Passage(text="Two.", pause=0.4)],
        ),
        (
            'One<break time=".5s"/><break strength="weak"/>two',
            [Passage(text="One"), Passage(text="two", pause=0.7)],
        ),
        ("One<break/>two", [Passage(text="One"), Passage(text="two", pause=0.4)]),
        ('<break time="1s"/>One<break/>', [Passage(text="One", pause=1.0)]),
        (
            "<p><s>One</s><s>Two</s></p>Three",
            [Passage(text=text) for text in ("One", "Two", "Three")],
        ),
        ('A <phoneme ph="təˈmeɪtoʊ">tomato</phoneme>.', [Passage(text="A [[təˈmeɪtoʊ]].")]),
        ('A <phoneme alphabet="ipa" ph="a"/>.', [Passage(text="A [[a]].")]),
        ('The <sub alias="World Wide Web">WWW</sub>.', [Passage(text="The World Wide Web.")]),
        ('<say-as interpret-as="characters">a1 b</say-as>', [Passage(text="A 1 B")]),
        ('<say-as interpret-as="digits">42</say-as>', [Passage(text="4 2")]),
        ('<say-as interpret-as="date" format="mdy">1/2/2020</say-as>', [Passage(text="1/2/2020")]),
        ('Say <lang xml:lang="fr">bonjour</lang>!', [Passage(text="Say [[lang:fr|bonjour]]!")]),
        (
            'A<prosody rate="80%">b<prosody rate="fast">c</prosody></prosody>d',
            [
                Passage(text="A"),
                Passage(text="b", rate=0.8),
                Passage(text="c", rate=1.0),
                Passage(text="d"),
            ],
        ),
        ('<prosody rate="+50%">a</prosody>', [Passage(text="a", rate=1.5)]),
        ("<!-- nothing -->One", [Passage(text="One")]),
        ("", []),
    ],
)
def test_what_is_supported(content, expected):
    assert passages(f"<speak>{content}</speak>") == expected
    document = f'\n<speak version="1.1" xml:lang="en" xmlns="http://www.w3.org/2001/10/synthesis">{content}</speak>'
    assert passages(document) == expected


@pytest.mark.parametrize("text", ["Hello.", "3 < 5 & 7 > 2", "a <b> c", "<speech>"])
def test_a_text_without_speak_is_no_ssml(text):
    if not text.startswith("<speak"):
        assert passages(text) == [Passage(text=text)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('<voice name="x">Hi</voice>', "<voice> is not supported"),
        ('<audio src="x.wav"/>', "<audio> is not supported"),
        ("<emphasis>Hi</emphasis>", "<emphasis> is not supported"),
        ('<mark name="a"/>', "<mark> is not supported"),
        ('<prosody pitch="high">Hi</prosody>', "'pitch' of <prosody> is not supported"),
        ('<prosody rate="quick">Hi</prosody>', "rate 'quick' is not valid"),
        ('<prosody rate="1000%">Hi</prosody>', "rate 1000% is not supported"),
        ('<prosody rate="-100%">Hi</prosody>', "rate 0% is not supported"),
        ("<prosody>Hi</prosody>", "<prosody> needs the attribute 'rate'"),
        ('<break time="5"/>', "time '5' of a break is not valid"),
        ('<break time="1h"/>', "time '1h'"),
        ('<break time="61s"/>', "time '61s'"),
        ('<break time="-1s"/>', "time '-1s'"),
        ('<break strength="huge"/>', "strength 'huge'"),
        ("<phoneme>Hi</phoneme>", "<phoneme> needs the attribute 'ph'"),
        ('<phoneme alphabet="x-sampa" ph="h">Hi</phoneme>', "alphabet 'x-sampa'"),
        ('<phoneme ph="a]] b">Hi</phoneme>', "double brackets"),
        ("<sub>Hi</sub>", "<sub> needs the attribute 'alias'"),
        ('<say-as interpret-as="ordinals">3</say-as>', "cannot interpret as 'ordinals'"),
        ("Tom & Jerry", "not well-formed"),
        ("<p>Hi", "not well-formed"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(content, said):
    with pytest.raises(UserError, match=said):
        passages(f"<speak>{content}</speak>")


def test_entities_are_refused():
    bomb = '<!DOCTYPE speak [<!ENTITY a "aaaa">]>'
    with pytest.raises(UserError, match="entities is not supported"):
        passages(f"<speak>{bomb}&a;</speak>")


@pytest.fixture
def voice(toys):
    return open_voice(toys.stored_voice(), registry=toys.toy_registry())


def test_breaks_are_silences_in_place_of_the_pause(voice):
    text = '<speak><break time="50ms"/>One. Two!<break time="250ms"/>Three?</speak>'
    said = voice.say(text, pause=0.1, seed=3)
    parts = [
        voice.say(part, seed=3 + i).samples for i, part in enumerate(("One.", "Two!", "Three?"))
    ]
    gaps = [np.zeros(round(8000 * seconds), np.float32) for seconds in (0.05, 0.1, 0.25)]
    expected = np.concatenate([piece for pair in zip(gaps, parts, strict=True) for piece in pair])
    assert np.array_equal(said.samples, expected)
    assert np.array_equal(np.concatenate(list(voice.stream(text, pause=0.1, seed=3))), expected)


def test_a_rate_scales_what_is_in_it(voice):
    text = '<speak>One. <prosody rate="50%">Two!</prosody> Three?</speak>'
    said = voice.say(text, pause=0, length_scale=1.5)
    parts = [("One.", 1.5), ("Two!", 3.0), ("Three?", 1.5)]
    expected = [
        voice.say(part, seed=i, length_scale=scale).samples for i, (part, scale) in enumerate(parts)
    ]
    assert np.array_equal(said.samples, np.concatenate(expected))
    assert np.array_equal(
        np.concatenate(list(voice.stream(text, pause=0, length_scale=1.5))), said.samples
    )
    (batched,) = voice.say_batch([text], pause=0, length_scale=1.5)
    np.testing.assert_allclose(batched.samples, said.samples, atol=1e-6)


def test_a_voice_that_cannot_change_its_rate_says_so(voice, monkeypatch):
    @frozen(kw_only=True)
    class NoControls:
        pass

    monkeypatch.setattr(type(voice.engine), "controls", NoControls)
    with pytest.raises(UserError, match="cannot change its rate"):
        voice.script('<speak><prosody rate="slow">Hi</prosody></speak>')


class Marking:
    """Writes the language before each text."""

    def phonemize(self, texts, language):
        return [
            list(f"{language[0].upper()}{text.strip()}") if text.strip() else [] for text in texts
        ]


def test_words_of_another_language_go_through_its_front_end():
    def frontend(language: str) -> TextFrontend:
        return TextFrontend(
            normalizer=str, phonemizer=Marking(), language=language, foreign=frontend
        )

    symbols = frontend("en").symbols("He said [[lang: fr | bonjour]], [[x y]] and [[lang:de|tag]]!")
    assert "".join(symbols) == "EHe said Fbonjour, x y Eand Dtag!"


def test_a_front_end_of_one_language_refuses_others():
    frontend = TextFrontend(normalizer=str, phonemizer=Marking(), language="en")
    with pytest.raises(UserError, match="'en' alone, not 'fr'"):
        frontend.symbols("[[lang:fr|bonjour]]")


def test_graphemes_are_those_of_any_language():
    frontend = build_frontend(TextConfig(language="en-us"))
    assert "".join(frontend.symbols("Say [[lang:fr|Ça va]].")) == "say ça va."
