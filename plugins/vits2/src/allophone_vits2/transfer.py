"""Beginning with a VITS model: most of its weights fit by name and shape, and this is what does not.

Couplings of the flow have the same names whatever stands between them, so they are matched by their place.

Legend: H hidden channels, K frequency bins, M mel bands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_filters
from allophone.training.objective import Adapted

GENERATOR = "generator."
INPUT = "posterior_encoder.input.weight"

_NEW_SPEAKER_LAYER = re.compile(r"text_encoder\.speaker\.")
_LAST_OF_TRANSFORMER = re.compile(
    r"flow\.couplings\.\d+\.transformer\.(blocks\.1\.)?feed_forward_norm\."
)
"""What a transformer before a WaveNet says last."""


def adapted_from_vits(
    source: Mapping[str, Tensor], model: Mapping[str, Tensor], audio: MelSpec
) -> dict[str, Adapted]:
    """What a VITS2 model can make of the weights of a VITS model.

    source: by "module.parameter", as a checkpoint has them; model: the state of `Vits2`.
    """
    given = {
        name.removeprefix(GENERATOR): tensor
        for name, tensor in source.items()
        if name.startswith(GENERATOR)
    }
    made = {
        **_spectrogram_layer(given, model, audio),
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
    given: Mapping[str, Tensor], model: Mapping[str, Tensor], audio: MelSpec
) -> dict[str, Adapted]:
    """Reads mel bands as it read frequency bins, by the pseudo-inverse of the filter bank."""
    there, here = given.get(INPUT), model[INPUT]
    if there is None or there.shape[:2] != (here.shape[0], audio.n_bins):
        return {}
    if here.shape[1] != audio.n_mels or audio.n_mels == audio.n_bins:
        return {}
    bins_of_bands = torch.linalg.pinv(mel_filters(audio).double())  # [K, M]
    bands = torch.einsum("hko,km->hmo", there.double(), bins_of_bands)
    how = "from frequency bins to mel bands by the filter bank's pseudo-inverse"
    return {INPUT: Adapted(tensor=bands.to(there.dtype), source=INPUT, how=how)}


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
