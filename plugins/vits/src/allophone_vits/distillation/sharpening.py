"""Raises the contrast of a student's spectra between neighbouring frequencies, as a post-filter does, at no cost.

A student of distances makes spectra that are smoother than its teacher's: in voiced speech above 2 kHz, harmonics rise
less above what lies between them. A Vocos decoder's log magnitudes are linear in the weights of its last layer, so
their distances from the mean of their neighbours are enlarged there. How loud each frequency is on average is then set to
the teacher's, in what both say of a few texts.

Legend: B bins of the decoder's STFT, F frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from attrs import evolve
from torch import Tensor
from torch.nn import functional

from allophone.errors import UserError
from allophone.inference.folder import StoredVoice, build_synthesizer
from allophone.inference.protocol import TextBatch
from allophone.registry import Registry
from allophone.synthesis.requests import Request
from allophone_vits.distillation.teacher import text_batch
from allophone_vits.synthesis import VitsSynthesizer
from allophone_vocos.config import VocosConfig

TEXTS = 24
"""Texts that both say: a minute or two of speech."""

_WEIGHT, _BIAS = "decoder.output.weight", "decoder.output.bias"
_LOWEST, _FULL = 1300.0, 2600.0
"""The contrast rises between these frequencies, in Hz. More of it below did no good: see docs/results.md."""
_NEAR = 172.0
"""Frequencies at most so far apart, in Hz, are neighbours: one or two harmonics on each side."""
_SMOOTH = 9
"""Bins over which levels are averaged."""
_ROUNDS = 2
"""Each bin of the output is made of several of the decoder's, so the first round leaves some difference."""
_SILENCE = 1e-9


def sharpened(
    voice: StoredVoice,
    teacher: StoredVoice,
    requests: Sequence[Request],
    *,
    amount: float,
    registry: Registry,
) -> StoredVoice:
    """The voice with more contrast, and with the teacher's mean power at each frequency.

    amount: by which share distances from the mean of the neighbours grow. requests: what both say; the first `TEXTS`
    that they can read.
    Raises UserError unless the voice has a Vocos decoder.
    """
    decoder = check_decoder(voice.description.model.decoder)
    bins = decoder.n_fft // 2 + 1
    sharpening = contrast_matrix(
        bins, spacing=voice.description.audio.sample_rate / decoder.n_fft, amount=amount
    )
    weight, bias = voice.weights[_WEIGHT].double(), voice.weights[_BIAS].double()
    weight = torch.cat([sharpening @ weight[:bins], weight[bins:]])
    bias = torch.cat([sharpening @ bias[:bins], bias[bins:]])
    texts = _readable(voice, requests, registry)
    expected = _mean_power(teacher, texts, decoder.n_fft, registry)
    for _ in range(_ROUNDS):
        changed = _with_output(voice, weight, bias)
        found = _mean_power(changed, texts, decoder.n_fft, registry)
        difference = ((expected + _SILENCE) / (found + _SILENCE)).log() / 2
        bias = torch.cat([bias[:bins] + _smoothed(difference), bias[bins:]])
    return _with_output(voice, weight, bias)


def check_decoder(config: Any) -> VocosConfig:
    """The decoder's config; UserError if it is not a Vocos."""
    if not isinstance(config, VocosConfig):
        raise UserError(
            "This decoder has no layer that makes magnitudes, so it cannot be sharpened.",
            hint='Only decoders of the type "vocos" can: leave out --sharpen.',
        )
    return config


def contrast_matrix(bins: int, *, spacing: float, amount: float) -> Tensor:
    """[B, B]: log magnitudes to those with more contrast. spacing: of the bins, in Hz."""
    reach = round(_NEAR / spacing)
    window = torch.hann_window(2 * reach + 3, periodic=False, dtype=torch.float64)[1:-1]
    means = torch.zeros(bins, bins, dtype=torch.float64)
    rows = torch.arange(bins)
    for offset, share in zip(range(-reach, reach + 1), window / window.sum(), strict=True):
        means.index_put_((rows, (rows + offset).clamp(0, bins - 1)), share, accumulate=True)
    rise = ((rows * spacing - _LOWEST) / (_FULL - _LOWEST)).clamp(0, 1).double()
    identity = torch.eye(bins, dtype=torch.float64)
    return identity + amount * rise[:, None] * (identity - means)


def _with_output(voice: StoredVoice, weight: Tensor, bias: Tensor) -> StoredVoice:
    return evolve(voice, weights={**voice.weights, _WEIGHT: weight.float(), _BIAS: bias.float()})


def _readable(
    voice: StoredVoice, requests: Sequence[Request], registry: Registry
) -> list[TextBatch]:
    """The first of the texts that the voice can read."""
    texts: list[TextBatch] = []
    for seed, request in enumerate(requests):
        with contextlib.suppress(UserError):  # The distillation has named those that it cannot.
            texts.append(text_batch(voice, request, seed, registry))
        if len(texts) == TEXTS:
            break
    return texts


def _mean_power(
    voice: StoredVoice, texts: Sequence[TextBatch], n_fft: int, registry: Registry
) -> Tensor:
    """[B], of all frames of what a voice says."""
    synthesizer = build_synthesizer(voice, torch.device("cpu"), registry)
    assert isinstance(synthesizer, VitsSynthesizer)
    controls = synthesizer.controls(**voice.description.controls)
    window = torch.hann_window(n_fft)
    spectra = []
    for text in texts:
        with torch.inference_mode():
            waveform = synthesizer.synthesize_in_parts(text, controls).waveform
        spectra.append(torch.stft(waveform, n_fft, window=window, return_complex=True).abs())
    return torch.cat(spectra, dim=1).double().square().mean(dim=1)


def _smoothed(values: Tensor) -> Tensor:
    """[B] -> [B]: the mean around each bin."""
    around = functional.pad(values[None], (_SMOOTH // 2, _SMOOTH // 2), mode="replicate")
    return around.unfold(1, _SMOOTH, 1).mean(dim=2)[0]
