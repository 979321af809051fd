"""FastSpeech 2 and HiFi-GAN of other packages, at our sizes: `speechbrain` and `coqui-tts`.

Their modules are called as in their own recipes, except for parts that would only make them slower: speechbrain's
loss with structural similarity and a loop over utterances is replaced by a plain one, and mels are computed in
advance. coqui's FastSpeech 2 has no PostNet and different convolutions, so it is not included.

B batch, T text, F frames, M mel bands, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import frozen
from speechbrain.lobes.models.FastSpeech2 import FastSpeech2
from speechbrain.lobes.models.HifiGAN import HifiganDiscriminator as SpeechbrainDiscriminator
from speechbrain.lobes.models.HifiGAN import HifiganGenerator as SpeechbrainGenerator
from torch import Tensor, nn
from torch.nn import functional
from TTS.vocoder.models.hifigan_discriminator import HifiganDiscriminator as CoquiDiscriminator
from TTS.vocoder.models.hifigan_generator import HifiganGenerator as CoquiGenerator

SPEECHBRAIN = "speechbrain"
COQUI = "coqui-tts"
GENERATORS = {SPEECHBRAIN: SpeechbrainGenerator, COQUI: CoquiGenerator}
DISCRIMINATORS = {SPEECHBRAIN: SpeechbrainDiscriminator, COQUI: CoquiDiscriminator}

Step = Callable[[], object]


@frozen(kw_only=True)
class Text:
    """The inputs of a training step of the acoustic model, without padding.

    tokens, durations: [B, T]; mel: [B, F, M]; f0, energy: [B, F].
    """

    tokens: Tensor
    durations: Tensor
    mel: Tensor
    f0: Tensor
    energy: Tensor


def fastspeech2(vocabulary_size: int) -> FastSpeech2:
    """speechbrain's FastSpeech 2, at the sizes of github.com/ming024/FastSpeech2."""
    stack = {
        "num_head": 2,
        "d_model": 256,
        "ffn_dim": 1024,
        "k_dim": 256,
        "v_dim": 256,
        "dropout": 0.2,
    }
    return FastSpeech2(
        enc_num_layers=4,
        dec_num_layers=6,
        **{f"enc_{name}": value for name, value in stack.items()},
        **{f"dec_{name}": value for name, value in stack.items()},
        normalize_before=False,
        ffn_type="1dcnn",
        ffn_cnn_kernel_size_list=[9, 1],
        n_char=vocabulary_size,
        n_mels=80,
        postnet_embedding_dim=512,
        postnet_kernel_size=5,
        postnet_n_convolutions=5,
        postnet_dropout=0.5,
        padding_idx=0,
        dur_pred_kernel_size=3,
        pitch_pred_kernel_size=3,
        energy_pred_kernel_size=3,
        variance_predictor_dropout=0.5,
    )


def acoustic_model(vocabulary_size: int, log_duration: float) -> Callable[[Tensor], Tensor]:
    """Tokens [1, T] to a mel [1, M, F]; each token lasts as long as `log_duration` says."""
    model = fastspeech2(vocabulary_size).eval()
    nn.init.zeros_(model.durPred.linear.w.weight)
    nn.init.constant_(model.durPred.linear.w.bias, log_duration)

    def speak(tokens: Tensor) -> Tensor:
        with torch.inference_mode():
            _, mel, *_ = model(tokens)
        return mel.transpose(1, 2)

    return speak


def vocoder(peer: str) -> Callable[[Tensor], Tensor]:
    """A mel [1, M, F] to a waveform [1, 1, N], weight norm folded."""
    generator = _generator(peer).eval()
    generator.remove_weight_norm()

    def vocode(mel: Tensor) -> Tensor:
        with torch.inference_mode():
            return generator(mel)

    return vocode


def acoustic_step(vocabulary_size: int, text: Text) -> Step:
    """A training step of the acoustic model: the same losses, optimizer and clipping as ours."""
    model = fastspeech2(vocabulary_size).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9)

    def step() -> Tensor:
        coarse, mel, log_durations, pitch, mean_pitch, energy, mean_energy, _ = model(
            text.tokens, text.durations, text.f0, text.energy
        )
        loss = (
            functional.l1_loss(coarse, text.mel)
            + functional.l1_loss(mel, text.mel)
            + functional.mse_loss(log_durations, text.durations.float().log1p())
            + functional.mse_loss(pitch, mean_pitch)
            + functional.mse_loss(energy, mean_energy)
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def vocoder_step(
    peer: str, mel: Tensor, waveform: Tensor, mel_of: Callable[[Tensor], Tensor]
) -> Step:
    """A training step of HiFi-GAN on mel [B, M, F] and waveform [B, 1, N], as its paper has it.

    mel_of: the mel that the loss compares, of waveforms [B, N].
    """
    generator, discriminator = _generator(peer).train(), DISCRIMINATORS[peer]().train()
    optimizers = [
        torch.optim.AdamW(module.parameters(), lr=2e-4, betas=(0.8, 0.99))
        for module in (generator, discriminator)
    ]
    target = mel_of(waveform[:, 0])

    def step() -> Tensor:
        generated = generator(mel)
        of_generated, _ = discriminator(generated.detach())
        of_recorded, _ = discriminator(waveform)
        judged = _distance(of_recorded, 1.0) + _distance(of_generated, 0.0)
        optimizers[1].zero_grad()
        torch.autograd.backward(judged)
        optimizers[1].step()

        of_generated, generated_features = discriminator(generated)
        with torch.no_grad():
            _, recorded_features = discriminator(waveform)
        loss = (
            _distance(of_generated, 1.0)
            + 2 * _feature_distance(recorded_features, generated_features)
            + 45 * functional.l1_loss(mel_of(generated[:, 0]), target)
        )
        optimizers[0].zero_grad()
        torch.autograd.backward(loss)
        optimizers[0].step()
        return loss.detach()

    return step


def _generator(peer: str) -> Any:
    return GENERATORS[peer](
        in_channels=80,
        out_channels=1,
        resblock_type="1",
        resblock_dilation_sizes=[[1, 3, 5], [1, 3, 5], [1, 3, 5]],
        resblock_kernel_sizes=[3, 7, 11],
        upsample_kernel_sizes=[16, 16, 4, 4],
        upsample_initial_channel=512,
        upsample_factors=[8, 8, 2, 2],
        inference_padding=0,
    )


def _distance(scores: Sequence[Tensor], target: float) -> Tensor:
    return torch.stack([(score - target).square().mean() for score in scores]).sum()


def _feature_distance(
    recorded: Sequence[Sequence[Tensor]], generated: Sequence[Sequence[Tensor]]
) -> Tensor:
    pairs = zip(recorded, generated, strict=True)
    return torch.stack(
        [
            functional.l1_loss(theirs, ours)
            for one, other in pairs
            for theirs, ours in zip(one, other, strict=True)
        ]
    ).sum()
