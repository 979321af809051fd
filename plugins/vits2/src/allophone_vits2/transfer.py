"""Fine-tuning VITS2 from a VITS model: conversion of the weights that do not fit by name and shape.

The coupling layers of all flows have the same names, so they are matched by position.

Legend: H hidden channels, K frequency bins, M mel bands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from attrs import frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import (
    frame_lengths,
    linear_spectrogram,
    mel_filters,
    mel_from_linear,
)
from allophone.data.batch import Padded
from allophone.training.objective import Adapted
from allophone_vits.layers import sequence_mask

GENERATOR = "generator."
INPUT = "posterior_encoder.input"

FRAMES = 20_000
"""Number of frames to fit on."""
MIN_VARIANCE = 1e-8
"""Lower bound of a band's variance; bands that are always silent have none."""

_NEW_SPEAKER_LAYER = re.compile(r"text_encoder\.speaker\.")
_LAST_NORM_OF_TRANSFORMER = re.compile(
    r"flow\.couplings\.\d+\.transformer\.(blocks\.1\.)?feed_forward_norm\."
)
"""The last layer of a transformer in front of a WaveNet."""


def adapt_vits_weights(
    weights: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    audio: MelSpec,
    waveforms: Iterable[Padded],
) -> dict[str, Adapted]:
    """Convert weights of a VITS model for a VITS2 model.

    weights: of the VITS model, by "module.parameter" as in a checkpoint; model: the state of `Vits2`.
    waveforms: recordings, read only if the input layer of the posterior encoder has to be converted.
    """
    source = {
        name.removeprefix(GENERATOR): tensor
        for name, tensor in weights.items()
        if name.startswith(GENERATOR)
    }
    adapted = {
        **_convert_input_layer(source, model, audio, waveforms),
        **_zero_new_parts(source, model),
        **_rename_duration_predictor(source, model),
    }
    return {
        GENERATOR + name: Adapted(
            tensor=weight.tensor,
            source=None if weight.source is None else GENERATOR + weight.source,
            how=weight.how,
        )
        for name, weight in adapted.items()
    }


def _convert_input_layer(
    source: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    audio: MelSpec,
    waveforms: Iterable[Padded],
) -> dict[str, Adapted]:
    """Approximate the posterior encoder's input layer over frequency bins by one over mel bands."""
    weight, bias = f"{INPUT}.weight", f"{INPUT}.bias"
    old, new = source.get(weight), model[weight]
    if old is None or old.shape == new.shape:
        return {}
    if old.shape[:2] != (new.shape[0], audio.n_bins) or new.shape[1] != audio.n_mels:
        return {}
    bins = bins_from_bands(waveforms, audio)
    matrix = old.squeeze(2).double()
    how = "from frequency bins to mel bands, by the filter bank's pseudo-inverse"
    fitted = {weight: (matrix @ bins.slope).unsqueeze(2), bias: source[bias] + matrix @ bins.offset}
    return {
        name: Adapted(tensor=tensor.to(old.dtype), source=name, how=how)
        for name, tensor in fitted.items()
    }


@frozen(kw_only=True)
class BinsFromBands:
    """Frequency bins as an affine function of mel bands: slope [K, M], offset [K], in float64."""

    slope: Tensor
    offset: Tensor


def bins_from_bands(waveforms: Iterable[Padded], audio: MelSpec) -> BinsFromBands:
    """Fit an affine map from log mel bands to linear frequency bins.

    First fits the energy of each band as an affine function of its logarithm, by least squares over
    about `FRAMES` frames, then applies the pseudo-inverse of the mel filter bank to the energies.
    """
    filters = mel_filters(audio).double()
    frames, sums = 0, torch.zeros(4, audio.n_mels, dtype=torch.float64)
    for waveform in waveforms:
        linear = linear_spectrogram(waveform.values, audio, lengths=waveform.lengths)
        inside = sequence_mask(frame_lengths(waveform.lengths, audio), linear.size(2)).squeeze(1)
        bins = linear.transpose(1, 2)[inside].double()
        band = mel_from_linear(linear, audio).transpose(1, 2)[inside].double()  # [F, M]
        energy = bins @ filters.T
        sums += torch.stack([band, energy, band * energy, band.square()]).sum(dim=1)
        frames += len(bins)
        if frames >= FRAMES:
            break
    band, energy, product, square = sums / frames
    slope = (product - band * energy) / (square - band.square()).clamp_min(MIN_VARIANCE)
    bins_of_energies = torch.linalg.pinv(filters)
    return BinsFromBands(
        slope=bins_of_energies * slope, offset=bins_of_energies @ (energy - slope * band)
    )


def _zero_new_parts(
    source: Mapping[str, Tensor], model: Mapping[str, Tensor]
) -> dict[str, Adapted]:
    """Zero the layers that VITS lacks, so that the flow and the text encoder compute what they did."""
    # Transformers with an output layer are initialized with a zero output.
    zero_last_norm = "flow.couplings.0.transformer_output.weight" not in model
    how = "zero, so that the model starts as the VITS model"
    return {
        name: Adapted(tensor=torch.zeros_like(tensor), how=how)
        for name, tensor in model.items()
        if name not in source
        and (
            _NEW_SPEAKER_LAYER.match(name)
            or (zero_last_norm and _LAST_NORM_OF_TRANSFORMER.match(name))
        )
    }


def _rename_duration_predictor(
    source: Mapping[str, Tensor], model: Mapping[str, Tensor]
) -> dict[str, Adapted]:
    """Use the predictor of a VITS model as the one of its kind in a "mixed" predictor."""
    kind = "stochastic" if "duration_predictor.text_input.weight" in source else "regression"
    adapted = {}
    for name, tensor in source.items():
        prefix, _, rest = name.partition("duration_predictor.")
        ours = f"duration_predictor.{kind}.{rest}"
        if not prefix and ours in model and model[ours].shape == tensor.shape:
            adapted[ours] = Adapted(
                tensor=tensor, source=name, how=f"as the {kind} part of the mixed predictor"
            )
    return adapted
