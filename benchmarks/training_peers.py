"""The VITS of `coqui-tts`, at our sizes.

A step does what its trainer does: spectrograms of the batch, its own `train_step` for each of the two
optimizers, and gradient clipping as in its recipe.

B batch, T text, N samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from stopwatch import (
    BACKWARD,
    DECODER,
    DISCRIMINATORS,
    FLOW,
    LOSSES,
    POSTERIOR_ENCODER,
    REST_OF_GENERATOR,
    SEARCH,
    Stopwatch,
)
from torch import Tensor, nn
from TTS.tts.configs.vits_config import VitsConfig
from TTS.tts.models import vits
from TTS.tts.models.vits import Vits

COQUI = "coqui-tts, VITS"

Step = Callable[[], object]


@frozen(kw_only=True)
class Utterances:
    """The inputs of a training step, without padding: tokens [B, T], waveform [B, N]."""

    tokens: Tensor
    waveform: Tensor


def model_of(vocabulary_size: int) -> Vits:
    """The published sizes, which are its defaults; its vocabulary cannot be set to any number."""
    model = Vits(VitsConfig()).train()
    embedding = nn.Embedding(vocabulary_size, model.args.hidden_channels)
    nn.init.normal_(embedding.weight, 0.0, model.args.hidden_channels**-0.5)
    model.text_encoder.emb = embedding
    return model


def parameters(model: Vits) -> dict[str, int]:
    """Number of parameters of the discriminators and of the rest."""
    whole, judging = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (model, model.disc)
    )
    return {"generator": whole - judging, "discriminator": judging}


def training_step(model: Vits, given: Utterances, stopwatch: Stopwatch) -> Step:
    """Its training step, timed part by part."""
    rows = len(given.tokens)
    batch: dict[str, Any] = {
        "tokens": given.tokens,
        "token_lens": torch.full((rows,), given.tokens.size(1)),
        "waveform": given.waveform.unsqueeze(1),
        "waveform_rel_lens": torch.ones(rows),
        **dict.fromkeys(("d_vectors", "speaker_ids", "language_ids")),
    }
    optimizers, criteria = model.get_optimizer(), model.get_criterion()
    groups = [[p for group in o.param_groups for p in group["params"]] for o in optimizers]
    watch(model, stopwatch)

    def step() -> None:
        ready = model.format_batch_on_device(dict(batch))
        for index, (losing, backward) in enumerate(
            ((DISCRIMINATORS, DISCRIMINATORS), (LOSSES, BACKWARD))
        ):
            with stopwatch.part(losing):
                _, losses = model.train_step(ready, criteria[index], index)
            with stopwatch.part(backward):
                torch.autograd.backward(losses["loss"])
                nn.utils.clip_grad_norm_(groups[index], model.config.grad_clip[index])
            optimizers[index].step()
            optimizers[index].zero_grad(set_to_none=True)
        # What the generator's loss has left in the discriminators.
        model.zero_grad(set_to_none=True)

    return step


def watch(model: Vits, stopwatch: Stopwatch) -> None:
    stopwatch.watch(model, "forward", REST_OF_GENERATOR)
    stopwatch.watch(model.posterior_encoder, "forward", POSTERIOR_ENCODER)
    stopwatch.watch(model.flow, "forward", FLOW)
    stopwatch.watch(model.waveform_decoder, "forward", DECODER)
    stopwatch.watch(vits, "maximum_path", SEARCH)
