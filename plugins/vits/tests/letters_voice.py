"""A small VITS voice with random weights, which reads the letters a to f, and texts for it."""

from __future__ import annotations

import torch
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.inference.folder import StoredVoice
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_vits.config import (
    SIZES,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.model import Vits

CONFIG = VitsConfig(
    latent_channels=16,
    speaker_channels=8,
    text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
    posterior_encoder=PosteriorEncoderConfig(hidden_channels=16, layers=2),
    flow=FlowConfig(hidden_channels=16, couplings=2, layers=1),
    duration=DurationConfig(kind="deterministic", channels=16),
    decoder=evolve(SIZES["medium"].decoder, channels=32),
)
LINES = [f"a faded cafe, a deed, a {word} cab, a bad decade." for word in "abcdef"]


def voice(speakers: tuple[str, ...] = (), language: str = "en") -> StoredVoice:
    """A voice with random weights."""
    table = SymbolTable.from_symbols("abcdef ,.", blank="_")
    vocabulary = Vocabulary(symbols=table, speakers=speakers)
    torch.manual_seed(0)
    model = Vits(CONFIG, vocabulary_size=table.size, speakers=len(speakers), audio=MelSpec())
    return StoredVoice(
        description=VoiceDescription(
            about=About(name="letters", licence="CC0-1.0"),
            model=CONFIG,
            audio=MelSpec(),
            text=TextConfig(language=language, normalize=False, phonemizer=GraphemeConfig()),
            controls={"noise_scale": 0.5},
        ),
        vocabulary=vocabulary,
        weights={
            name: weight + 0.1 * torch.randn_like(weight)
            for name, weight in model.state_dict().items()
        },
    )
