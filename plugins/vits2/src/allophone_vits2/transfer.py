"""Beginning with a VITS model: most of its weights fit by name and shape, and this is what does not.

Couplings of the flow have the same names whatever stands between them, so they are matched by their place.

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
SMALLEST_VARIANCE = 1e-8
"""Of a band, so that one in which there is never anything does no harm."""

_NEW_SPEAKER_LAYER = re.compile(r"text_encoder\.speaker\.")
_LAST_OF_TRANSFORMER = re.compile(
    r"flow\.couplings\.\d+\.transformer\.(blocks\.1\.)?feed_forward_norm\."
)
"""What a transformer before a WaveNet says last."""


def adapted_from_vits(
    source: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    audio: MelSpec,
    waveforms: Iterable[Padded],
) -> dict[str, Adapted]:
    """What a VITS2 model can make of the weights of a VITS model.

    source: by "module.parameter", as a checkpoint has them; model: the state of `Vits2`.
    waveforms: recordings, looked at only where they are needed.
    """
    given = {
        name.removeprefix(GENERATOR): tensor
        for name, tensor in source.items()
        if name.startswith(GENERATOR)
    }
    made = {
        **_spectrogram_layer(given, model, audio, waveforms),
        **_silent_parts(given, model),
        **_parts_of_mixed_durations(given, model),
    }
    return {
        GENERATOR + name: Adapted(
            tensor=of.tensor,
            source=None if of.source is None else GENERATOR + of.source,
            how=of.how,
        )
        for name, of in made.items()
    }


def _spectrogram_layer(
    given: Mapping[str, Tensor],
    model: Mapping[str, Tensor],
    audio: MelSpec,
    waveforms: Iterable[Padded],
) -> dict[str, Adapted]:
    """The layer that comes closest, from mel bands, to what the source's makes of frequency bins."""
    weight, bias = f"{INPUT}.weight", f"{INPUT}.bias"
    there, here = given.get(weight), model[weight]
    if there is None or there.shape == here.shape:
        return {}
    if there.shape[:2] != (here.shape[0], audio.n_bins) or here.shape[1] != audio.n_mels:
        return {}
    bins = bins_from_bands(waveforms, audio)
    matrix = there.squeeze(2).double()
    how = "from frequency bins to mel bands, by the filter bank's pseudo-inverse"
    fitted = {weight: (matrix @ bins.slope).unsqueeze(2), bias: given[bias] + matrix @ bins.offset}
    return {
        name: Adapted(tensor=tensor.to(there.dtype), source=name, how=how)
        for name, tensor in fitted.items()
    }


@frozen(kw_only=True)
class BinsFromBands:
    """Frequency bins as a linear function of mel bands: slope [K, M], offset [K], in float64."""

    slope: Tensor
    offset: Tensor


def bins_from_bands(waveforms: Iterable[Padded], audio: MelSpec) -> BinsFromBands:
    """The pseudo-inverse of the filter bank, on bands whose logarithm is made good for.

    Bands are logarithms, and bins are not: so each is fitted by a line over the first `FRAMES` frames
    or so, and that is what the filter bank is inverted on.
    """
    filters = mel_filters(audio).double()
    seen, sums = 0, torch.zeros(4, audio.n_mels, dtype=torch.float64)
    for waveform in waveforms:
        linear = linear_spectrogram(waveform.values, audio, lengths=waveform.lengths)
        inside = sequence_mask(frame_lengths(waveform.lengths, audio), linear.size(2)).squeeze(1)
        bins = linear.transpose(1, 2)[inside].double()
        band = mel_from_linear(linear, audio).transpose(1, 2)[inside].double()  # [F, M]
        energy = bins @ filters.T
        sums += torch.stack([band, energy, band * energy, band.square()]).sum(dim=1)
        seen += len(bins)
        if seen >= FRAMES:
            break
    band, energy, product, square = sums / seen
    slope = (product - band * energy) / (square - band.square()).clamp_min(SMALLEST_VARIANCE)
    bins_of_energies = torch.linalg.pinv(filters)
    return BinsFromBands(
        slope=bins_of_energies * slope, offset=bins_of_energies @ (energy - slope * band)
    )


def _silent_parts(given: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> dict[str, Adapted]:
    """What VITS has not says nothing at first, so that its flow and text encoder are what they were."""
    # A transformer with an output layer of its own begins with zeros there.
    outspoken = "flow.couplings.0.transformer_output.weight" not in model
    how = "without effect at first, so that what VITS has learned goes on"
    return {
        name: Adapted(tensor=torch.zeros_like(tensor), how=how)
        for name, tensor in model.items()
        if name not in given
        and (_NEW_SPEAKER_LAYER.match(name) or (outspoken and _LAST_OF_TRANSFORMER.match(name)))
    }


def _parts_of_mixed_durations(
    given: Mapping[str, Tensor], model: Mapping[str, Tensor]
) -> dict[str, Adapted]:
    """One predictor becomes the one of its kind where there are both."""
    kind = "stochastic" if "duration_predictor.text_input.weight" in given else "regression"
    made = {}
    for name, tensor in given.items():
        prefix, _, rest = name.partition("duration_predictor.")
        ours = f"duration_predictor.{kind}.{rest}"
        if not prefix and ours in model and model[ours].shape == tensor.shape:
            made[ours] = Adapted(tensor=tensor, source=name, how=f"as the {kind} predictor of two")
    return made
