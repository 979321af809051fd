"""A toy engine in NumPy and its voices, and a server of them.

As a program, `python serve_toys.py FOLDER [DELAY]`, it serves the voice `tim` until a signal, and prints its address.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from attrs import field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.entries import EngineEntry
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import LoadedVoice, SentenceAudio
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_serve.app import build_app
from allophone_serve.options import Options
from allophone_serve.page import mount_page
from allophone_serve.server import listen, make_server, serve
from allophone_serve.service import Service
from allophone_serve.voices import open_voices

AUDIO = MelSpec(sample_rate=22050, n_fft=64, hop_length=16, win_length=64, n_mels=8)
LETTERS = "abcdefghijklmnopqrstuvwxyz .,!?'-"


@frozen(kw_only=True)
class Controls:
    """length_scale: factor on durations."""

    length_scale: float = field(default=1.0, validator=validators.gt(0))


class Tones:
    """Speaks 20 ms of a tone for each id, in chunks of at most ten ids.

    Fails at 'qqq', and gives NaN for 'zzz'. A chunk takes `delay` seconds.
    """

    controls = Controls

    def __init__(self, delay):
        self.delay = delay

    def synthesize(self, sentences, controls):
        return [
            SentenceAudio(
                samples=np.concatenate(list(self.stream(sentence, controls))),
                durations=tuple(len(_ids(controls)) for _ in sentence.ids),
            )
            for sentence in sentences
        ]

    def stream(self, sentence, controls):
        per_id = len(_ids(controls))
        ids = np.array(sentence.ids).repeat(per_id * AUDIO.hop_length)
        symbols = "".join(sentence.symbols)
        samples = (0.3 * np.sin(2 * np.pi * (200 + 10 * ids).cumsum() / 22050)).astype("f4")
        size = 10 * per_id * AUDIO.hop_length
        for index in range(0, len(samples), size):
            time.sleep(self.delay)
            if "qqq" in symbols:
                raise ValueError("nobody can say qqq")
            yield samples[index : index + size] * (np.nan if "zzz" in symbols else 1)


class WholeTones:
    """Without streaming and without controls."""

    @frozen(kw_only=True)
    class controls:  # noqa: N801
        pass

    def synthesize(self, sentences, controls):
        return [SentenceAudio(samples=np.full(8000, 0.1, "f4")) for _ in sentences]


def _ids(controls):
    return range(max(1, round(28 * controls.length_scale)))


def recognises(place):
    return (place / "toy").is_file()


def load_toy(place, options):
    del options
    kind = (place / "toy").read_text()
    return LoadedVoice(
        description=VoiceDescription(
            about=About(name=place.name, licence="CC0-1.0", summary="A toy."),
            audio=AUDIO,
            text=TextConfig(language="en-us", normalize=False, phonemizer=GraphemeConfig()),
        ),
        vocabulary=Vocabulary(
            symbols=SymbolTable.from_symbols(LETTERS, blank="_"),
            speakers=("anna", "boris") if kind == "two" else (),
            languages=(),
        ),
        engine=WholeTones() if kind == "whole" else Tones(float(kind) if kind[0] == "0" else 0.0),
    )


def toy_registry():
    module = types.ModuleType("toys")
    module.CONTRACT = 1

    @hookimpl
    def allophone_engines():
        yield EngineEntry(
            name="toy",
            summary="Tones.",
            engine=f"{__name__}:load_toy",
            recognises=f"{__name__}:recognises",
            light=True,
        )

    module.allophone_engines = allophone_engines
    return build_registry({"toys": module})


def toy_voices(folder, *, delay=0.0, **aliases):
    """tim, who may be slow; duo, who are two; and whole, who cannot stream."""
    places = []
    for name, kind in {"tim": f"0{delay}", "duo": "two", "whole": "whole"}.items():
        place = folder / name
        place.mkdir(exist_ok=True)
        (place / "toy").write_text(kind)
        places.append(str(place))
    return open_voices(places, aliases=aliases, registry=toy_registry())


@contextmanager
def running(voices, *, beside=None, page=False, **options):
    """A server in a thread: its URL and its service."""
    service = Service(voices, Options(**options))
    listening = listen("127.0.0.1", 0)
    more = {"beside": (lambda: beside(service))} if beside else {}
    app = build_app(service, **more)
    if page:
        mount_page(app, service, toy_registry(), host="127.0.0.1")
    server = make_server(app, service.options)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", service
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"


if __name__ == "__main__":
    delay = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    listening = listen("127.0.0.1", 0)
    service = Service(toy_voices(Path(sys.argv[1]), delay=delay), Options())
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    serve(build_app(service), listening, service.options)
