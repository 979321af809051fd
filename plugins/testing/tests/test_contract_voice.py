"""The contract of installed voices passes for a packaged one, and names each mistake."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from attrs import evolve, frozen

from allophone.registry import build_registry
from allophone.synthesis.engine import Samples
from allophone.synthesis.voice import Voice
from allophone_testing import VoiceContract, toys
from allophone_testing.packaging import PackageMetadata, package_voice


@frozen
class Streams:
    """A voice with another stream."""

    voice: Voice
    chunk: Samples

    def say(self, text, **options):
        return self.voice.say(text, **options)

    def stream(self, text, **options):
        return iter([self.chunk])


class TestPackaged(VoiceContract):
    """What `allophone package` writes keeps it."""

    name = "tim"
    licence = "CC0-1.0"
    light = False
    seconds = (0.01, 10.0)

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("packaged")
        toys.write_voice(folder / "tim", toys.stored_voice(), registry=toys.toy_registry())
        place = str(folder / "tim")
        made = package_voice(place, folder, PackageMetadata(), toys.toy_registry())
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(made))
            hooks = importlib.import_module("allophone_voice_tim.hooks")
            yield build_registry({"toys": toys.toy_plugin(), "packaged": hooks})
        for name in [name for name in sys.modules if name.startswith("allophone_voice_tim")]:
            del sys.modules[name]

    def test_mistakes_are_named(self, voice, entry):
        contract = VoiceContract()
        contract.name, contract.licence, contract.bytes = "tim", "MIT", 100
        with pytest.raises(AssertionError, match=r"entry has the summary 'Other\.', the voice has"):
            contract.test_it_is_what_its_entry_says(voice, evolve(entry, summary="Other."))
        with pytest.raises(AssertionError, match=r"Its licence is 'CC0-1\.0'"):
            contract.test_it_is_what_its_entry_says(voice, entry)
        with pytest.raises(AssertionError, match=r"and 0\.0 are allowed"):
            contract.test_its_files_take_little_room(entry)
        contract.texts = (self.texts[1], self.texts[0])
        with pytest.raises(AssertionError, match="The texts take"):
            contract.test_a_longer_text_takes_longer(voice)
        contract.texts = self.texts
        said = voice.say(self.texts[1], seed=1).samples
        for stream, mistake in (
            (np.zeros(5, dtype=np.float32), "The stream has 5 samples"),
            (said + 0.01, r"The stream differs by 0\.01"),
        ):
            with pytest.raises(AssertionError, match=mistake):
                contract.test_a_stream_joins_to_what_is_said(Streams(voice, stream))
