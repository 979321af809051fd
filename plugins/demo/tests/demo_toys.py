"""A toy engine in NumPy and its voices: tim, who speaks; mel, who needs a vocoder; mimic, who clones the
voice of a recording; lost, who cannot be loaded.

N samples.
"""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np
from attrs import field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.entries import EngineEntry, VoiceEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import LoadedVoice, SentenceAudio
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable

AUDIO = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
LETTERS = "abcdefghijklmnopqrstuvwxyz .,!?"
VOICE = "toy.json"
FALLBACK = "griffin-lim"


@frozen(kw_only=True)
class Controls:
    """What can be set.

    length_scale: factor on durations.
    noise_scale: how much the sound varies.
    """

    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.5, validator=validators.ge(0))


class Tones:
    """Speaks a tone an id, with noise by the sentence's seed."""

    controls = Controls

    def __init__(self, *, gain):
        self.gain = gain

    def synthesize(self, sentences, controls):
        return [self.spoken(sentence, controls) for sentence in sentences]

    def spoken(self, sentence, controls):
        ids = np.array(sentence.ids)
        durations = np.ceil((1 + ids % 3) * controls.length_scale).astype(int)
        per_sample = ids.repeat(durations * AUDIO.hop_length) + sentence.speaker
        noise = np.random.default_rng(sentence.seed).random(len(per_sample)) - 0.5
        tones = self.gain * np.sin(0.1 * per_sample.cumsum()) + 0.1 * controls.noise_scale * noise
        return SentenceAudio(samples=tones.astype(np.float32), durations=tuple(durations.tolist()))


class TonesThroughVocoder(Tones):
    """Every sample has the level of the vocoder; without one they are hollow."""

    needs_vocoder = True
    vocoder = FALLBACK

    def use_vocoder(self, place, controls):
        level = Path(place, "vocoder.toml")
        if level.exists() and not level.read_text():
            raise UserError("The vocoder takes other mels.", hint="f_max: 3000.0 against None")
        self.vocoder = place

    def spoken(self, sentence, controls):
        spoken = super().spoken(sentence, controls)
        if self.vocoder == FALLBACK:
            return spoken
        level = float(Path(self.vocoder, "vocoder.toml").read_text())
        samples = np.full_like(spoken.samples, level)
        return SentenceAudio(samples=samples, durations=spoken.durations)


class Mimic(Tones):
    """Says the recording that it is given again, then the sentence."""

    prompt_seconds = (0.5, 4.0)
    needs_prompt = True

    def spoken(self, sentence, controls):
        spoken = super().spoken(sentence, controls)
        return SentenceAudio(samples=np.concatenate([sentence.prompt.samples, spoken.samples]))


KINDS = {"tones": Tones, "mels": TonesThroughVocoder, "mimic": Mimic}


def write_voice(folder, **facts):
    """A voice at `folder`; facts: see `load`."""
    folder.mkdir()
    (folder / VOICE).write_text(json.dumps(facts))
    return folder


def write_vocoder(folder, level=""):
    """A vocoder at `folder`; without a level it takes other mels than the voices make."""
    folder.mkdir()
    (folder / "vocoder.toml").write_text(str(level))
    return str(folder)


def recognises(place):
    return (place / VOICE).is_file()


def load(place, options):
    del options
    facts = json.loads((place / VOICE).read_text())
    if facts.get("damaged"):
        raise UserError("The weights do not fit.")
    return LoadedVoice(
        description=VoiceDescription(
            about=About(name=place.name, licence="CC0-1.0"),
            audio=AUDIO,
            text=TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig()),
            controls=facts.get("controls", {}),
        ),
        vocabulary=Vocabulary(
            symbols=SymbolTable.from_symbols(LETTERS, blank="_"),
            speakers=tuple(facts.get("speakers", ())),
            languages=tuple(facts.get("languages", ())),
        ),
        engine=KINDS[facts.get("kind", "tones")](gain=facts.get("gain", 0.25)),
    )


def locating(folder):
    """A module-level name for a function that locates a folder, as entries refer to them."""
    name = f"locate_{folder.name}"
    globals()[name] = lambda: folder
    return f"{__name__}:{name}"


def toy_registry(folders=()):
    """Where the toy engine and the voices in some folders are known."""
    module = types.ModuleType("toys")
    module.CONTRACT = 1

    @hookimpl
    def allophone_engines():
        yield EngineEntry(
            name="toy",
            summary="Tones.",
            engine=f"{__name__}:load",
            recognises=f"{__name__}:recognises",
            light=True,
        )

    @hookimpl
    def allophone_voices():
        for folder in folders:
            yield VoiceEntry(
                name=folder.name,
                summary="A toy.",
                language="en",
                licence="CC0-1.0",
                locate=locating(folder),
            )

    module.allophone_engines = allophone_engines
    module.allophone_voices = allophone_voices
    return build_registry({"toys": module})


def installed_voices(folder):
    """The registry that has the four voices, which lie below `folder`."""
    return toy_registry(
        [
            write_voice(folder / "tim", controls={"length_scale": 1.5}),
            write_voice(
                folder / "mel",
                kind="mels",
                speakers=["anna", "boris"],
                languages=["de", "en"],
            ),
            write_voice(folder / "mimic", kind="mimic"),
            write_voice(folder / "lost", damaged=True),
        ]
    )
