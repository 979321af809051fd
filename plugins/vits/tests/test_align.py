"""Forced alignment with a voice that includes the posterior encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import linear_spectrogram
from allophone.data.vocabulary import Vocabulary
from allophone.inference.protocol import TextBatch, VoiceSpec
from allophone.text.symbols import SymbolTable
from allophone_hifigan.config import HifiganConfig
from allophone_vits.config import (
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.inference import align_recordings
from allophone_vits.model import TRAINING_ONLY, Vits
from allophone_vits.synthesis import VitsSynthesizer, build_synthesizer

AUDIO = MelSpec(sample_rate=16000)
MODEL = VitsConfig(
    latent_channels=16,
    text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
    posterior_encoder=PosteriorEncoderConfig(hidden_channels=16, layers=2),
    flow=FlowConfig(hidden_channels=16, couplings=2, layers=1),
    decoder=HifiganConfig(channels=32),
)
CPU = torch.device("cpu")


def spec(speakers: int) -> VoiceSpec:
    names = tuple(f"s{n}" for n in range(speakers)) if speakers > 1 else ()
    table = SymbolTable.from_symbols("abcdefgh", blank="_")
    return VoiceSpec(model=MODEL, audio=AUDIO, vocabulary=Vocabulary(symbols=table, speakers=names))


def randomized_model(speakers: int) -> Vits:
    """A model in eval mode whose zero-initialized weights are randomized."""
    torch.manual_seed(0)
    size = spec(speakers).vocabulary.symbols.size
    model = Vits(MODEL, vocabulary_size=size, speakers=speakers, audio=AUDIO).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.05)
    return model


def texts_and_recordings() -> tuple[TextBatch, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([16000, 9999])
    waveform = 0.1 * torch.randn(2, 16000, generator=generator)
    waveform[1, 9999:] = 0
    ids = torch.randint(1, 9, (2, 12), generator=generator)
    ids[1, 7:] = 0
    text = TextBatch(
        ids=ids,
        lengths=torch.tensor([12, 7]),
        speakers=torch.tensor([0, 1]),
        languages=torch.zeros(2, dtype=torch.long),
        seeds=(0, 0),
    )
    return text, waveform, lengths


@pytest.mark.parametrize("speakers", [1, 2])
def test_a_voice_aligns_like_the_training_model(speakers: int) -> None:
    model = randomized_model(speakers)
    text, waveform, lengths = texts_and_recordings()
    voice = build_synthesizer(spec(speakers), model.state_dict(), CPU)
    assert hasattr(voice, "align")
    frames = torch.tensor([AUDIO.frames(length) for length in lengths.tolist()])
    with torch.inference_mode():
        expected = align_recordings(
            model,
            linear_spectrogram(waveform, AUDIO, lengths=lengths),
            tokens=text.ids,
            token_lengths=text.lengths,
            frame_lengths=frames,
            speakers=text.speakers,
        )
        durations = voice.align(text, waveform, lengths)
        again = voice.align(text, waveform, lengths)
    assert torch.equal(durations, expected)
    assert torch.equal(durations, again)
    assert torch.equal(durations.sum(1), frames)
    assert hasattr(voice, "convert") == (speakers > 1)


def test_a_voice_without_posterior_encoder_cannot_align() -> None:
    weights = randomized_model(1).state_dict()
    inference_weights = {
        name: weight for name, weight in weights.items() if not TRAINING_ONLY.match(name)
    }
    voice = build_synthesizer(spec(1), inference_weights, CPU)
    assert type(voice) is VitsSynthesizer
    assert not hasattr(voice, "align")


def test_synthesis_does_not_load_the_posterior_encoder() -> None:
    voice = build_synthesizer(spec(1), randomized_model(1).state_dict(), CPU)
    text, waveform, lengths = texts_and_recordings()
    with torch.inference_mode():
        before = voice.synthesize(text, voice.controls())
        assert not hasattr(voice._model, "posterior_encoder")
        assert hasattr(voice, "align")
        voice.align(text, waveform, lengths)
        after = voice.synthesize(text, voice.controls())
    assert torch.equal(before.waveform, after.waveform)
