"""Exported voices match the original with every flow: with onnxruntime and with Piper."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest
import torch

import allophone
from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.inference.exporting import export_voice
from allophone.inference.folder import StoredVoice, write_voice
from allophone.registry import default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone_hifigan.config import HifiganConfig
from allophone_vits.config import TextEncoderConfig
from allophone_vits.inference import decode, infer_latents
from allophone_vits.synthesis import inference_model
from allophone_vits2.config import (
    FlowKind,
    Vits2Config,
    Vits2Controls,
    Vits2DurationConfig,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
)
from allophone_vits2.model import Vits2

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PARITY = 1e-4
NOISELESS = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
TEXTS = ("a cab, faced by a fab dad, faded by a bad cafe. a deed, decade by decade, faded", "be")


def random_voice(
    flow: FlowKind, duration: Literal["convolutional", "mixed"], speakers: int
) -> StoredVoice:
    """A voice with randomized weights; an untrained flow would be the identity."""
    config = Vits2Config(
        latent_channels=16,
        speaker_channels=8,
        text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=16, layers=1),
        flow=Vits2FlowConfig(
            kind=flow, hidden_channels=16, couplings=2, layers=1, feed_forward_channels=16
        ),
        duration=Vits2DurationConfig(
            kind=duration, channels=16, stochastic_channels=16, noise_channels=4, couplings=2
        ),
        decoder=HifiganConfig(
            residual_kernel_sizes=(3,),
            residual_dilations=((1,),),
            upsample_rates=(16, 16),
            upsample_kernel_sizes=(32, 32),
            channels=16,
        ),
    )
    table = SymbolTable.from_symbols("abcdefy ,.")
    torch.manual_seed(0)
    model = Vits2(config, vocabulary_size=table.size, speakers=speakers, audio=MelSpec())
    weights = {
        name: weight + 0.1 * torch.randn_like(weight) for name, weight in model.state_dict().items()
    }
    weights["decoder.output.weight"] *= 40  # Loud enough for differences to exceed the tolerance.
    return StoredVoice(
        description=VoiceDescription(
            about=About(name="letters", licence="CC0-1.0"),
            model=config,
            audio=MelSpec(),
            text=TextConfig(
                language="en", normalize=False, phonemizer=GraphemeConfig(), blank=False
            ),
        ),
        vocabulary=Vocabulary(
            symbols=table, speakers=("ann", "bob")[: speakers if speakers > 1 else 0]
        ),
        weights=weights,
    )


CASES = [
    (flow, "mixed" if flow == "pre_conv" else "convolutional", 1 + number % 2)
    for number, flow in enumerate(get_args(FlowKind))
]


@pytest.mark.parametrize(("flow", "duration", "speakers"), CASES)
def test_exports_match_the_voice_with_every_flow(
    flow: FlowKind,
    duration: Literal["convolutional", "mixed"],
    speakers: int,
    tmp_path: Path,
) -> None:
    write_voice(tmp_path / "letters", random_voice(flow, duration, speakers))
    export_voice(tmp_path / "letters", tmp_path / "letters.onnx", "onnx", default_registry())
    voice = allophone.load(str(tmp_path / "letters"))
    exported = allophone.load(str(tmp_path / "letters.onnx"))
    for text in TEXTS:
        for speaker in (None,) if speakers == 1 else ("ann", "bob"):
            expected = voice.say(text, speaker=speaker, **NOISELESS).samples
            actual = exported.say(text, speaker=speaker, **NOISELESS).samples
            np.testing.assert_allclose(actual, expected, rtol=0, atol=PARITY)
            assert np.abs(expected).max() > 0.1


def test_piper_plays_an_exported_voice(tmp_path: Path) -> None:
    piper = pytest.importorskip("piper")
    stored = random_voice("pre_conv2", "convolutional", 1)
    write_voice(tmp_path / "letters", stored)
    export_voice(tmp_path / "letters", tmp_path / "letters.onnx", "onnx", default_registry())
    ids = [3, 1, 4, 1, 5, 2]
    config = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    theirs = piper.PiperVoice.load(tmp_path / "letters.onnx")
    actual = theirs.phoneme_ids_to_audio(ids, config)

    model = inference_model(Vits2, stored.spec, stored.weights)
    latents = infer_latents(
        model,
        tokens=torch.tensor([ids]),
        token_lengths=torch.tensor([len(ids)]),
        speakers=torch.zeros(1, dtype=torch.long),
        seeds=[0],
        controls=Vits2Controls(noise_scale=0, noise_scale_duration=0),
    )
    expected = decode(model.decoder, latents)[0]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=PARITY)
