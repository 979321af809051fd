"""What the page says to values that no browser sends by itself, and which requests its server accepts."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
import uuid

import pytest

from allophone.errors import UserError
from allophone_demo.answers import answer
from allophone_demo.guard import MAX_UPLOAD, allowed_hosts
from allophone_demo.page import launch
from allophone_demo.voices import open_voices

CONTROLS = [1.5, 0.5]
"""Of the voice tim: length_scale and noise_scale."""


@pytest.fixture
def voices(registry):
    return open_voices((), registry=registry)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"text": None}, "There is no text that can be pronounced"),
        ({"text": 5}, "The text must be a string, not 5"),
        ({"text": ["Hello."]}, "The text must be a string"),
        ({"text": "Hello \ud800."}, "The text has an unpaired surrogate"),
        ({"text": "Hel\0lo."}, "The text has a NUL character"),
        ({"seed": "three"}, "seed must be a whole number from 0 to 9223372036854775807, not 'three'"),
        ({"seed": "3"}, "seed must be a whole number"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 10**40}, "seed must be a whole number"),
        ({"seed": 1e300}, "seed must be a whole number"),
        ({"seed": float("nan")}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": [1]}, "seed must be a whole number"),
        ({"pause": None}, "pause must be a finite number from 0 to 60, not None"),
        ({"pause": "x"}, "pause must be a finite number"),
        ({"pause": 1e9}, "pause must be a finite number"),
        ({"pause": float("inf")}, "pause must be a finite number"),
        ({"speaker": 7}, "The speaker must be a string, not 7"),
        ({"speaker": "\ud800"}, "The speaker has an unpaired surrogate"),
        ({"language": {}}, "The language must be a string"),
        ({"prompt_text": 1}, "The transcript must be a string"),
        ({"prompt_audio": "/etc/hostname"}, "The voice 'tim' takes no recording"),
    ],
)  # fmt: skip
def test_values_of_other_kinds_are_answered_with_a_message(voices, how, said):
    given = answer(voices, "tim", **{"text": "Hello.", "pause": 0.2, "controls": dict, **how})
    assert said in given.message.replace("&#x27;", "'")
    assert given.message.startswith('<div role="alert"')
    assert given.wav is None


@pytest.mark.parametrize("seed", [None, 0, 3, 3.0, 2**63 - 1])
def test_seeds(voices, seed):
    given = answer(voices, "tim", "Hello.", pause=0.2, seed=seed, controls=dict)
    assert given.message == ""


def test_names_and_addresses_under_which_the_page_is_requested():
    assert allowed_hosts("127.0.0.1") == {"localhost", "127.0.0.1"}
    assert allowed_hosts("Studio.local", ["a.example"]) == {
        "localhost",
        "studio.local",
        "a.example",
    }
    assert allowed_hosts("0.0.0.0") is None
    assert allowed_hosts("::") is None
    assert allowed_hosts("0.0.0.0", ["a.example"]) == {"localhost", "0.0.0.0", "a.example"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page that is served; it also answers to the name voices.example."""
    from demo_toys import installed_voices

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.metadata.entry_points", lambda group: [])
        voices = open_voices((), registry=installed_voices(tmp_path_factory.mktemp("voices")))
        served = launch(voices, port=None, share=False, allow_hosts=["voices.example"])
        served.voices = voices
        yield served
        served.close(verbose=False)


def request(page, path, *, host=None, body=None, kind="application/json"):
    """The status and the text that the server answers with."""
    headers = {"Content-Type": kind} | ({"Host": host} if host else {})
    asked = urllib.request.Request(page.local_url.rstrip("/") + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as given:
            return given.status, given.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:7860", "localhost.", "127.0.0.1:1", "[::1]:80", "192.168.1.5",
        "voices.example", "Voices.Example:443",
    ],
)  # fmt: skip
def test_own_names_and_addresses_are_allowed(page, host):
    assert request(page, "/config", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example",
        "evil.example:localhost", "localhost@evil.example", "[evil.example]", "voices.example.evil",
        "xn--lcalhost-5xa", " ",
    ],
)  # fmt: skip
def test_other_names_are_refused(page, host):
    """As a page of another site sends whose name resolves to this machine."""
    for path, body in (
        ("/", None),
        ("/config", None),
        ("/gradio_api/queue/join", b"{}"),
        ("/gradio_api/upload", b"x"),
    ):
        status, said = request(page, path, host=host, body=body)
        assert (status, "--allow-host" in said) == (403, True)


def upload(page, size):
    border = uuid.uuid4().hex
    head = (
        f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    )
    body = head.encode() + bytes(size) + f"\r\n--{border}--\r\n".encode()
    return request(
        page, "/gradio_api/upload", body=body, kind=f"multipart/form-data; boundary={border}"
    )


def test_recordings_are_taken_only_for_voices_that_need_one_and_up_to_a_size(page):
    page.voices._loaded.clear()
    assert upload(page, 1000) == (403, "No voice of this page takes recordings.")
    page.voices.panel("tim")
    assert upload(page, 1000)[0] == 403
    page.voices.panel("mimic")
    assert upload(page, 1000)[0] == 200
    assert upload(page, MAX_UPLOAD)[0] == 200
    assert upload(page, MAX_UPLOAD + 1)[0] == 413


@pytest.mark.parametrize(
    ("path", "size"), [("/gradio_api/upload", 10**12), ("/gradio_api/queue/join", 2_000_000)]
)
def test_what_says_that_it_is_too_large_is_refused_before_it_is_sent(page, path, size):
    page.voices.panel("mimic")
    connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=60)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_what_does_not_say_how_large_it_is_is_cut_off(page):
    """Nothing is kept of it; the server ends the connection, or says that the client has gone."""
    connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=60)
    pieces = iter([bytes(100_000)] * 30)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/gradio_api/queue/join", body=pieces, encode_chunked=True)
        assert connection.getresponse().status >= 400
    connection.close()
    assert request(page, "/config")[0] == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({0: None}, "There is no text that can be pronounced"),
        ({0: "Hello \ud800."}, "The text has an unpaired surrogate"),
        ({6: "three"}, "seed must be a whole number"),
        ({7: "x"}, "pause must be a finite number"),
        ({7: -1}, "pause must be a finite number from 0 to 60"),
        ({7: 1}, None),
        ({8: "fast"}, "length_scale must be a finite number, not &#x27;fast&#x27;"),
        ({8: None}, "length_scale must be a finite number, not None"),
        ({8: 1e999}, "length_scale must be a finite number"),
        ({8: -3}, "length_scale"),
    ],
)
def test_the_message_is_shown_on_the_page(page, change, said):
    """As Gradio's own JavaScript sends values, and receives what the page then shows."""
    data = ["Hello.", None, None, None, None, "", 0, 0.2, *CONTROLS]
    for index, value in change.items():
        data[index] = value
    outputs = spoken(page, data)
    if said is None:
        assert outputs[1] is not None
    else:
        assert said in outputs[0]
        assert outputs[1] is None


def spoken(page, data):
    """The outputs of the button of the voice tim: message, speech, figure, phonemes."""
    session = uuid.uuid4().hex
    config = json.loads(request(page, "/config")[1])
    render = next(one for one in config["dependencies"] if one.get("rendered_in") is None)
    rendered = call(page, render["id"], ["tim"], session)
    speak = rendered["render_config"]["dependencies"][-1]
    return call(page, speak["id"], data, session)["data"]


def call(page, function, data, session):
    """What a listener returns, through the queue."""
    body = json.dumps({"fn_index": function, "data": data, "session_hash": session}).encode()
    status, said = request(page, "/gradio_api/queue/join", body=body)
    assert status == 200, said
    asked = f"{page.local_url}gradio_api/queue/data?session_hash={session}"
    with urllib.request.urlopen(asked, timeout=60) as stream:
        for line in stream:
            if line.startswith(b"data:"):
                event = json.loads(line[5:])
                if event["msg"] == "process_completed":
                    assert event["success"], event
                    return event["output"]
    raise AssertionError("the stream ended")


def test_a_text_with_half_a_character_is_refused_by_voices(voices):
    voices.panel("tim")
    voice, _ = voices._loaded["tim"]
    for text in ("Hello \udcff.", "Hel\0lo."):
        with pytest.raises(UserError, match="The text has"):
            voice.say(text)
