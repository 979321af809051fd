"""What people expect of a voice that they install: the contract of its package.

from allophone_testing import VoiceContract

class TestVoice(VoiceContract):
    name = "anna"
    licence = "CC-BY-4.0"
"""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from allophone.entries import VoiceEntry
from allophone.registry import Registry
from allophone.synthesis.loading import load
from allophone.synthesis.voice import Voice
from allophone_testing.contract import Contract, OwnCache

ROUNDING = 1e-5
"""By how much a stream may differ from what is said at once, in samples between -1 and 1."""

_SPEAK_ELSEWHERE = """
import sys
import allophone
name, text = sys.argv[1:]
assert allophone.load(name).say(text).seconds > 0
print("torch" in sys.modules)
"""


class VoiceContract(OwnCache, Contract):
    """An installed voice is what its entry says, speaks and streams, and takes little room.

    name, licence: of the voice; the licence is that under which it may be used.
    texts: a short one and a longer one, in its language.
    seconds: the least and the most that these take.
    light: whether it speaks without PyTorch.
    bytes: the most that its files take. PyPI refuses packages of more than 100 MB.
    """

    name: str
    licence: str
    texts: tuple[str, str] = (
        "Good.",
        "Good morning to all of you, and thank you for waiting so long.",
    )
    seconds: tuple[float, float] = (0.1, 10.0)
    light: bool = True
    bytes: int = 100_000_000

    @pytest.fixture(scope="class")
    @classmethod
    def entry(cls, registry: Registry) -> VoiceEntry:
        """What the package says of the voice."""
        entries = registry.entries("voices")
        assert cls.name in entries, f"No voice '{cls.name}' is installed, but {', '.join(entries)}."
        found: VoiceEntry = entries[cls.name]
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def voice(cls, entry: VoiceEntry, registry: Registry) -> Voice:
        return load(cls.name, registry=registry)

    def test_it_is_what_its_entry_says(self, voice: Voice, entry: VoiceEntry) -> None:
        about = voice.description.about
        for what in ("name", "licence", "summary"):
            told, own = getattr(entry, what), getattr(about, what)
            assert told == own, (
                f"The entry has the {what} '{told}', the voice has '{own}': write the same in both."
            )
        assert about.licence == self.licence, f"Its licence is '{about.licence}'."

    def test_a_longer_text_takes_longer(self, voice: Voice) -> None:
        short, long = (voice.say(text, seed=0) for text in self.texts)
        least, most = self.seconds
        assert least < short.seconds < long.seconds < most, (
            f"The texts take {short.seconds:.2f} and {long.seconds:.2f} s."
        )
        peak = np.abs(long.samples).max()
        assert 0.05 < peak <= 1, f"The longer text has a peak of {peak:.2g}."

    def test_a_stream_joins_to_what_is_said(self, voice: Voice) -> None:
        text = self.texts[1]
        said, joined = (
            voice.say(text, seed=1).samples,
            np.concatenate(list(voice.stream(text, seed=1))),
        )
        assert len(joined) == len(said), f"The stream has {len(joined)} samples, not {len(said)}."
        difference = np.abs(joined - said).max()
        assert difference <= ROUNDING, f"The stream differs by {difference:.2g} from what is said."

    def test_it_speaks_without_pytorch(self) -> None:
        if not self.light:
            pytest.skip("It needs PyTorch.")
        done = subprocess.run(
            [sys.executable, "-c", _SPEAK_ELSEWHERE, self.name, self.texts[0]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "False", "It imports PyTorch: export it to a light format."

    def test_its_files_take_little_room(self, entry: VoiceEntry) -> None:
        package = Path(str(files(entry.locate.target.partition(".")[0])))
        size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
        assert size <= self.bytes, (
            f"The package takes {size / 1e6:.1f} MB, and {self.bytes / 1e6:.1f} are allowed."
        )
