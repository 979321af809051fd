"""A light engine of its own: a JSON file with an alphabet, of which each symbol is a tone; and broken ones.

Imported by tests of the contract, and by processes that they start.
"""

from __future__ import annotations

import hashlib
import json
import logging
from itertools import count

import numpy as np
from attrs import evolve, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import LoadedVoice, SentenceAudio
from allophone.text.config import TextConfig
from allophone.text.symbols import SymbolTable

AUDIO = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
LETTERS = "abcdefghijklmnopqrstuvwxyz .,!?"


@frozen(kw_only=True)
class Controls:
    length_scale: float = field(default=1.0, validator=validators.gt(0))
    noise_scale: float = field(default=0.5, validator=validators.ge(0))


class Tones:
    controls = Controls

    def __init__(self, path):
        self.path = path

    @property
    def provenance(self):
        return {"file": hashlib.sha256(self.path.read_bytes()).hexdigest()}

    def synthesize(self, sentences, controls):
        return [self.speak(sentence, controls) for sentence in sentences]

    def stream(self, sentence, controls):
        yield from np.array_split(self.speak(sentence, controls).samples, 3)

    def speak(self, sentence, controls):
        durations = tuple(int(np.ceil((5 + id % 3) * controls.length_scale)) for id in sentence.ids)
        pitch = 0.05 * np.repeat(np.array(sentence.ids), durations) + 0.01 * sentence.speaker
        phase = np.repeat(pitch, AUDIO.hop_length).cumsum()
        noise = self.noise(sentence.seed, len(phase))
        samples = (0.5 * np.sin(phase) + 0.1 * controls.noise_scale * noise).astype(np.float32)
        return SentenceAudio(samples=samples, durations=durations)

    def noise(self, seed, count):
        return np.random.default_rng(seed).standard_normal(count)


def write(folder, speakers=("ann", "ben")):
    path = folder / "voice.tones"
    path.write_text(json.dumps({"letters": LETTERS, "speakers": speakers}))
    return path


def recognises(place):
    return place.suffix == ".tones" and place.is_file()


def load(place, options, engine=Tones):
    if options.device != "cpu":
        raise UserError(f"Tones are made on the CPU alone, not on '{options.device}'.")
    if options.vocoder is not None:
        logging.getLogger(__name__).warning("Tones need no vocoder: it is not used.")
    try:
        content = json.loads(place.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{place} is truncated or corrupt: {error}") from error
    return LoadedVoice(
        description=VoiceDescription(
            about=About(name="tones", licence="CC0-1.0"),
            audio=AUDIO,
            text=TextConfig(language="en", normalize=False),
        ),
        vocabulary=Vocabulary(
            symbols=SymbolTable.from_symbols(content["letters"], blank="_"),
            speakers=tuple(content["speakers"]),
            languages=("en", "de"),
        ),
        engine=engine(place),
    )


def recognises_all(place):
    return place.exists()


def recognises_none(place):
    return place.suffix == ".sounds"


def recognises_by_reading(place):
    return "letters" in place.read_text()


def recognises_truthily(place):
    return place.name if recognises(place) else ""


def load_with_torch(place, options):
    import torch

    torch.zeros(1)
    return load(place, options)


def load_engine_alone(place, options):
    return load(place, options).engine


def load_bluntly(place, options):
    json.loads(place.read_text())
    return load(place, options)


def load_vaguely(place, options):
    try:
        return load_bluntly(place, options)
    except ValueError as error:
        raise UserError("The voice is corrupt.") from error


def load_leniently(place, options):
    try:
        return load_bluntly(place, options)
    except ValueError:
        place.write_text(json.dumps({"letters": LETTERS, "speakers": []}))
        return load(place, options)


def load_on_any_device(place, options):
    return load(place, evolve(options, device="cpu"))


def load_without_a_word(place, options):
    return load(place, evolve(options, vocoder=None))


class Vocoded(Tones):
    def noise(self, seed, count):
        return np.zeros(count)


def load_vocoded(place, options):
    return load(place, options, Vocoded if options.vocoder else Tones)


class Dated(Tones):
    """It says something else each time that it is loaded."""

    loaded = count(1)

    def __init__(self, path):
        super().__init__(path)
        self.number = next(self.loaded)

    def noise(self, seed, count):
        return super().noise(self.number, count)


def load_dated(place, options):
    return load(place, options, Dated)


class Placed(Tones):
    @property
    def provenance(self):
        return {"file": str(self.path)}


def load_placed(place, options):
    return load(place, options, Placed)


class Padded(Tones):
    """All of a batch are as long as the longest."""

    def synthesize(self, sentences, controls):
        spoken = super().synthesize(sentences, controls)
        longest = max(len(one.samples) for one in spoken)
        pad = [np.pad(one.samples, (0, longest - len(one.samples))) for one in spoken]
        return [evolve(one, samples=samples) for one, samples in zip(spoken, pad, strict=True)]


class Interrupted(Tones):
    """It remembers a stream that nobody has read to its end."""

    playing = False

    def stream(self, sentence, controls):
        chunks = list(super().stream(sentence, controls))
        self.playing = True
        yield from chunks
        self.playing = False

    def noise(self, seed, count):
        return super().noise(seed + self.playing, count)


class Continuing(Tones):
    """Its noise goes on where that of the sentence before ended."""

    rng = np.random.default_rng(0)

    def noise(self, seed, count):
        return self.rng.standard_normal(count)


class Converting(Tones):
    draws = count()

    def convert(self, samples, source, target, *, seed):
        return samples + np.float32(1e-3 * next(self.draws))
