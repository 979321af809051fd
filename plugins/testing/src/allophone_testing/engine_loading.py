"""What is expected of how an engine loads voices: half of its contract.

N samples.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from allophone.entries import EngineEntry, Ref
from allophone.errors import PluginError, UserError
from allophone.registry import Registry
from allophone.synthesis.engine import (
    EngineOptions,
    LoadedVoice,
    Prompt,
    Samples,
    Sentence,
    SentenceAudio,
)
from allophone.synthesis.loading import load
from allophone.synthesis.voice import Voice
from allophone.synthesis.waveform import Waveform
from allophone_testing.contract import Contract, OwnCache
from allophone_testing.corpus import synthetic_speech
from allophone_testing.light import heavy_imports

_PYTORCH = ("torch", "torchaudio")


class EngineLoadingContract(OwnCache, Contract):
    """An engine knows its voices by their files, and refuses what it cannot load; see `EngineContract`.

    engine: its name.
    texts: a short, a longer and a long sentence, whose symbols the voice that is written knows.
    required: the files without which that voice cannot be loaded, relative to its folder.
    """

    engine: str
    texts: tuple[str, str, str] = (
        "Home.",
        "Boats came home.",
        "The sun rose over a quiet sea and boats came home.",
    )
    required: tuple[str, ...] = ()

    @classmethod
    def write_voice(cls, folder: Path) -> Path:
        """Write a small voice of the engine's format into an empty folder; returns its place, a file in it or
        the folder itself. With several speakers or languages more is tried."""
        raise NotImplementedError(f"{cls.__name__} must write a small voice: override write_voice.")

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Where a small voice lies."""
        folder = tmp_path_factory.mktemp("written")
        place = cls.write_voice(folder)
        assert place == folder or folder in place.parents, (
            f"write_voice has written {place}; it should write into {folder}."
        )
        return place

    @pytest.fixture
    def copied(self, place: Path, tmp_path: Path) -> Path:
        """Where a copy of the voice lies, for one test to damage."""
        shutil.copytree(folder_of(place), tmp_path / "copied")
        return tmp_path / "copied" / ("" if place.is_dir() else place.name)

    @pytest.fixture(scope="class")
    @classmethod
    def voice(cls, place: Path, registry: Registry, cache: None) -> Voice:
        """The voice, ready to speak."""
        return load(place, engine=cls.engine, registry=registry)

    def test_it_recognises_its_voice(self, place: Path, registry: Registry) -> None:
        recognised = recognises(self.engine, place, registry)
        assert recognised is True, (
            f"recognises({place.name}) of a voice that write_voice has written gives {recognised!r}; expected True."
        )

    def test_it_recognises_nothing_else(self, registry: Registry, tmp_path: Path) -> None:
        for name in ("empty", "with-notes"):
            (tmp_path / name).mkdir()
        for name in ("notes.txt", "with-notes/notes.txt"):
            (tmp_path / name).write_text("Nothing to speak with.\n", encoding="utf-8")
        soundfile.write(tmp_path / "recording.wav", np.zeros(800), 8000)
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\x01")
        others = ("empty", "with-notes", "notes.txt", "recording.wav", "bytes", "nowhere")
        for name in others:
            try:
                recognised = recognises(self.engine, tmp_path / name, registry)
            except Exception as error:
                pytest.fail(
                    f"recognises({name}) raises {type(error).__name__}: {error}. It is asked of everything that "
                    "anybody wants to load: give False for what is not yours."
                )
            assert recognised is False, (
                f"recognises({name}) gives {recognised!r}, so that other engines' voices would be taken for "
                "its own; expected False."
            )

    def test_a_light_engine_needs_no_pytorch(
        self, place: Path, voice: Voice, registry: Registry
    ) -> None:
        entry: EngineEntry = registry.find("engines", self.engine)
        if not entry.light:
            pytest.skip("Its EngineEntry has light=False.")
        code = _SPEAK.format(
            recognises=_parts(entry.recognises),
            engine=_parts(entry.engine),
            place=str(place),
            text=self.texts[0],
            prompted=voice.takes_prompts and bool(getattr(voice.engine, "needs_prompt", False)),
        )
        heavy = heavy_imports(code, heavy=_PYTORCH)
        assert not heavy, "\n".join(
            f"Speaking imports {package}, by way of {' > '.join(chain)}; an engine with light=True starts "
            "without it."
            for package, chain in heavy.items()
        )

    def test_it_returns_a_loaded_voice(self, place: Path, registry: Registry) -> None:
        loaded = self.load(place, registry)
        assert isinstance(loaded, LoadedVoice), (
            f"Loading gives a {type(loaded).__name__}; expected a LoadedVoice of description, vocabulary and "
            "engine."
        )

    def test_it_loads_the_same_twice(self, place: Path, voice: Voice, registry: Registry) -> None:
        again = load(place, engine=self.engine, registry=registry)
        assert again.description == voice.description, "Loaded again the description is another."
        assert again.vocabulary == voice.vocabulary, "Loaded again the vocabulary is another."
        before, after = (
            self.speak(one, self.sentences(one, self.texts[1]))[0] for one in (voice, again)
        )
        assert np.array_equal(before.samples, after.samples), (
            "Loaded again the voice speaks otherwise: does something beside its files decide what is said?"
        )

    def test_what_cannot_be_loaded_is_refused(self, copied: Path, registry: Registry) -> None:
        assert self.required, (
            "Name the files without which the voice that write_voice writes cannot be loaded in `required`."
        )
        folder = folder_of(copied)
        for name in self.required:
            whole = (folder / name).read_bytes()
            for what, content in (
                ("is missing", None),
                ("is empty", b""),
                ("ends in the middle", whole[: len(whole) // 2]),
            ):
                (folder / name).unlink()
                if content is not None:
                    (folder / name).write_bytes(content)
                if recognises(self.engine, copied, registry):
                    message = self.refusal(f"{name} {what}", copied, registry)
                    assert Path(name).name in message, (
                        f"{name} {what}, and the error does not name it: {message}"
                    )
                (folder / name).write_bytes(whole)

    def test_a_device_that_it_cannot_use_is_refused(self, place: Path, registry: Registry) -> None:
        message = self.refusal("The device is 'nonsense'", place, registry, device="nonsense")
        assert "nonsense" in message, f"The error does not name the device: {message}"

    def test_a_vocoder_without_use_is_reported(
        self, place: Path, voice: Voice, registry: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        if voice.needs_vocoder:
            pytest.skip("Its model makes mel spectrograms.")
        with caplog.at_level(logging.WARNING):
            other = load(place, engine=self.engine, vocoder="griffin-lim", registry=registry)
            sentences = self.sentences(other, self.texts[0])
            said, expected = (self.speak(one, sentences)[0] for one in (other, voice))
        assert np.array_equal(said.samples, expected.samples), (
            "With a vocoder it speaks otherwise, though it makes waveforms: ignore the option."
        )
        assert "vocoder" in caplog.text, (
            "A vocoder is ignored silently: log a warning that it is not used."
        )

    def test_its_provenance_is_plain_data(
        self, voice: Voice, copied: Path, registry: Registry
    ) -> None:
        again = load(copied, engine=self.engine, registry=registry)
        told, same = (getattr(one.engine, "provenance", None) for one in (voice, again))
        if told is None or same is None:
            pytest.skip("This engine tells no provenance.")
        assert json.dumps(dict(told)) == json.dumps(dict(same)), (
            f"The same files elsewhere have another provenance, {same} instead of {told}: tell what "
            "decides the audio, not where it lies."
        )

    def load(self, place: Path, registry: Registry, **options: Any) -> Any:
        """What the engine itself makes of a voice's files."""
        build = registry.load("engines", self.engine, "engine")
        return build(place, EngineOptions(registry=registry, **options))

    def refusal(self, what: str, place: Path, registry: Registry, **options: Any) -> str:
        """The message of the UserError that loading raises; the test fails where it raises another or none."""
        try:
            loaded = self.load(place, registry, **options)
        except PluginError as error:
            pytest.fail(f"{what}: raise a UserError that says so, not a PluginError: {error}")
        except UserError as error:
            return str(error)
        except Exception as error:
            pytest.fail(
                f"{what}: raise a UserError that says so. The engine raises {type(error).__name__}: {error}"
            )
        pytest.fail(f"{what}: raise a UserError that says so. The engine loads {loaded.engine!r}.")

    def sentences(self, voice: Voice, *texts: str, seed: int = 0) -> list[Sentence]:
        """The sentences of some texts, with a prompt where the voice cannot speak without one."""
        prompt = self.prompt(voice) if getattr(voice.engine, "needs_prompt", False) else None
        return [one for text in texts for one in voice.script(text, seed=seed, prompt=prompt)]

    def prompt(self, voice: Voice) -> Prompt:
        """A recording whose voice to speak in."""
        recording = Waveform(samples=self.recording(voice), sample_rate=voice.sample_rate)
        return voice.prompt(recording, text=self.texts[2])

    def recording(self, voice: Voice) -> Samples:
        """Synthetic speech at the voice's sample rate."""
        return synthetic_speech(self.texts[2], pitch=110.0, sample_rate=voice.sample_rate, seed=0)

    def speak(
        self, voice: Voice, sentences: Sequence[Sentence], **controls: Any
    ) -> list[SentenceAudio]:
        """What the engine makes of some sentences in one batch."""
        spoken = voice.engine.synthesize(sentences, voice.controls(controls))
        assert len(spoken) == len(sentences), (
            f"{len(sentences)} sentences give {len(spoken)} results; expected one each, in order."
        )
        wrong = [type(one).__name__ for one in spoken if not isinstance(one, SentenceAudio)]
        assert not wrong, f"synthesize() gives a {wrong[0]}; expected a SentenceAudio a sentence."
        return spoken


def recognises(engine: str, place: Path, registry: Registry) -> Any:
    """What an engine says of whether it can load what lies at a place."""
    return registry.load("engines", engine, "recognises")(place)


def folder_of(place: Path) -> Path:
    """The folder that a voice's files lie in: its own, or that of the file that it is."""
    return place if place.is_dir() else place.parent


def _parts(ref: Ref) -> tuple[str, str]:
    """The module and the attribute of a reference."""
    module, _, attribute = str(ref).partition(":")
    return module, attribute


_SPEAK = """
from functools import reduce
from importlib import import_module
from pathlib import Path
from allophone.registry import build_registry
from allophone.synthesis.engine import EngineOptions
from allophone.synthesis.voice import Voice


def imported(module, attribute):
    return reduce(getattr, attribute.split("."), import_module(module))


registry, place = build_registry(), Path({place!r})
assert imported(*{recognises!r})(place)
loaded = imported(*{engine!r})(place, EngineOptions(registry=registry))
voice = Voice(
    description=loaded.description,
    vocabulary=loaded.vocabulary,
    engine=loaded.engine,
    registry=registry,
)
if not {prompted!r}:
    voice.say({text!r})
"""
"""Without the name of the engine, which other processes know only where its plugin is installed."""
