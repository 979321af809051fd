"""OpenAI's speech API, by its own client."""

from __future__ import annotations

import base64
import io
import json
import struct

import av
import httpx
import numpy as np
import openai
import pytest
import soxr

from allophone_serve.encoding import FORMATS, PCM_RATE

TEXT = "Hello there. How are you today, my friend? I am well."
RATE = 22050


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def decoded(content):
    """Samples [N] and the rate of an audio file, whatever its format."""
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(audio=0))
    resampler = av.AudioResampler(format="s16", layout="mono")
    parts = [one.to_ndarray()[0] for frame in frames for one in resampler.resample(frame)]
    return np.concatenate(parts) / 32768, frames[0].sample_rate


def said(toys, text=TEXT, name="tim", **how):
    return toys[1].voices.find(name).voice.say(text, **how).samples


def likeness(samples, rate, expected):
    """The correlation of two recordings, the first of which may begin up to 0.1 s late."""
    samples = soxr.resample(samples, rate, RATE)
    found = [
        np.corrcoef(samples[lag : lag + len(expected)], expected[: len(samples) - lag])[0, 1]
        for lag in range(RATE // 10)
    ]
    return max(found)


def speak(client, **how):
    given = {"model": "tts-1", "voice": "tim", "input": TEXT, **how}
    return client.audio.speech.create(**given)


def test_without_a_format_it_is_mp3(client):
    response = speak(client)
    assert response.response.headers["content-type"] == "audio/mpeg"
    assert response.content[0] == 0xFF
    assert response.content[1] & 0xE0 == 0xE0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("whole", [False, True])
def test_all_formats_decode_to_the_same_speech(client, toys, form, whole):
    expected = said(toys)
    response = speak(client, response_format=form, extra_body={"stream": not whole})
    assert response.response.headers["content-type"] == FORMATS[form].media_type
    assert ("content-length" in response.response.headers) == whole
    if form == "pcm":
        samples, rate = np.frombuffer(response.content, "<i2") / 32768, PCM_RATE
    else:
        samples, rate = decoded(response.content)
        assert rate == (48000 if form == "opus" else RATE)
    assert len(samples) / rate == pytest.approx(len(expected) / RATE, abs=0.12)
    if form in ("wav", "flac"):
        np.testing.assert_allclose(samples, expected, atol=1 / 32768)
    assert likeness(samples, rate, expected) > 0.98


def test_a_streamed_wav_has_no_length_and_a_whole_one_the_true_one(client, toys):
    expected = len(said(toys))
    streamed = speak(client, response_format="wav").content
    assert streamed[4:8] == streamed[40:44] == b"\xff\xff\xff\xff"
    assert len(streamed) == 44 + 2 * expected
    assert streamed.count(b"RIFF") == 1
    whole = speak(client, response_format="wav", extra_body={"stream": False}).content
    assert struct.unpack("<I", whole[4:8])[0] == len(whole) - 8
    assert struct.unpack("<I", whole[40:44])[0] == 2 * expected
    assert whole[44:] == streamed[44:]


def test_pcm_is_24_khz_as_if_resampled_at_once(client, toys):
    samples = np.frombuffer(speak(client, response_format="pcm").content, "<i2") / 32768
    expected = soxr.resample(said(toys), RATE, PCM_RATE)
    assert abs(len(samples) - len(expected)) <= 2
    size = min(len(samples), len(expected))
    np.testing.assert_allclose(samples[:size], expected[:size], atol=2e-3)


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4])
def test_speed(client, toys, speed):
    usual = len(speak(client, response_format="wav").content)
    faster = len(speak(client, response_format="wav", speed=speed).content)
    expected = said(toys, length_scale=1 / speed)
    assert faster == 44 + 2 * len(expected)
    pauses = 2 * 2 * round(0.2 * RATE)
    assert (faster - pauses) / (usual - pauses) == pytest.approx(1 / speed, rel=0.05)


def test_names_built_into_clients_speak_with_the_default_voice_or_an_alias(client, toys):
    for asked, meant in {"alloy": "tim", "nova": "duo", "me": "duo", "duo:boris": "duo"}.items():
        spoken = speak(client, voice=asked, response_format="wav").content
        assert len(spoken) == 44 + 2 * len(said(toys, name=meant))
    spoken = speak(client, voice={"id": "whole"}, response_format="wav").content
    assert len(spoken) == 44 + 2 * len(said(toys, name="whole"))


def test_an_unknown_voice_is_refused_with_the_names_of_all(client):
    with pytest.raises(openai.BadRequestError) as caught:
        speak(client, voice="anna")
    error = caught.value.body
    assert error["param"] == "voice"
    assert error["code"] == "voice_not_found"
    assert "tim, duo, duo:anna, duo:boris, whole, me" in error["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input": ""}, "no text"),
        ({"input": " \n"}, "no text"),
        ({"input": "..."}, "pronounced"),
        ({"input": "Жук"}, "CYRILLIC"),
        ({"input": 7}, "a string"),
        ({"input": "a\0b"}, "NUL"),
        ({"input": "a" * 5001}, "5,001 characters"),
        ({"input": "<speak><b>x</b></speak>"}, "<b>"),
        ({"speed": 5}, "from 0.25 to 4"),
        ({"speed": "fast"}, "from 0.25 to 4"),
        ({"speed": True}, "from 0.25 to 4"),
        ({"response_format": "ogg"}, "expected one of mp3"),
        ({"stream_format": "websocket"}, "expected one of audio, sse"),
        ({"language": "de"}, "speaks en-us"),
        ({"voice": ["tim"]}, "name of a voice"),
        ({"voice": "whole", "speed": 2}, "cannot change its speed"),
    ],
)
def test_what_is_wrong_is_said(url, change, words):
    body = {"model": "tts-1", "voice": "tim", "input": "Hello.", **change}
    response = httpx.post(f"{url}/v1/audio/speech", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]


def test_an_unknown_model_is_refused(client):
    assert [model.id for model in client.models.list()][:2] == ["tts-1", "tts-1-hd"]
    assert client.models.retrieve("tts-1").id == "tts-1"
    for call in (
        lambda: speak(client, model="whisper-1"),
        lambda: client.models.retrieve("whisper-1"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.code == "model_not_found"


def test_voices_are_listed(url):
    listed = httpx.get(f"{url}/v1/voices").json()
    assert listed["voices"] == ["tim", "duo", "duo:anna", "duo:boris", "whole", "me"]
    assert listed["data"][0]["languages"] == ["en-us"]


def test_streaming_gives_the_same_bytes(client):
    expected = speak(client, response_format="pcm").content
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="tim", input=TEXT, response_format="pcm"
    ) as response:
        chunks = list(response.iter_bytes())
    assert b"".join(chunks) == expected
    assert len(chunks) > 1


def test_server_sent_events(url, client):
    body = {"model": "tts-1", "input": TEXT, "response_format": "wav", "stream_format": "sse"}
    response = httpx.post(f"{url}/v1/audio/speech", json=body)
    assert response.headers["content-type"] == "text/event-stream"
    events = [json.loads(line[6:]) for line in response.text.split("\n\n") if line]
    audio = b"".join(
        base64.b64decode(one["audio"]) for one in events if one["type"] == "speech.audio.delta"
    )
    assert audio == speak(client, response_format="wav").content
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["input_tokens"] == len(TEXT)


def test_instructions_are_ignored_and_this_is_said(client):
    response = speak(client, instructions="Whisper.", extra_body={"pitch": 2})
    assert response.response.headers["x-allophone-ignored"] == "instructions, pitch"


def test_a_failing_engine_is_an_error_of_the_server(client):
    for text in ("Qqq.", "Zzz."):
        with pytest.raises(openai.InternalServerError, match="log says why"):
            speak(client, input=text)


def test_audio_that_breaks_off_is_no_complete_response(url):
    body = {"model": "tts-1", "input": "Hello. Qqq.", "response_format": "wav"}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{url}/v1/audio/speech", json=body)
    response = httpx.post(f"{url}/v1/audio/speech", json={**body, "stream_format": "sse"})
    assert json.loads(response.text.split("\n\n")[-2][6:])["type"] == "error"
