"""Shared by both objectives: the loss, accuracies and the optimizer.

Legend: B batch, F frames of codes, Q codebooks, V entries.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone.data.batch import Batch, Padded
from allophone.errors import UserError
from allophone.training.objective import OptimizerPlan
from allophone.training.optimizers import adamw, cosine, linear_warmup
from allophone_valle.ar import IGNORE_INDEX
from allophone_valle.config import OptimizerConfig, ValleConfig

TOP = 10
"""k of the top-k accuracy."""


@frozen(kw_only=True)
class CodePredictions:
    """Loss and accuracy, summed over codes with a target.

    cross_entropy: in nats, with gradients. correct, top_correct: codes whose target is the most likely, or
    among the `TOP` most likely. count: number of codes.
    """

    cross_entropy: Tensor
    correct: Tensor
    top_correct: Tensor
    count: Tensor

    def metrics(self) -> dict[str, Tensor]:
        """Means over the codes of the batch."""
        count = self.count.clamp(min=1)
        return {
            "cross_entropy": self.cross_entropy / count,
            "accuracy": self.correct / count,
            f"top{TOP}_accuracy": self.top_correct / count,
        }


def score_predictions(logits: Tensor, targets: Tensor) -> CodePredictions:
    """Score logits [..., V] against targets [...], except where these are `IGNORE_INDEX`."""
    logits, targets = logits.flatten(0, -2).float(), targets.flatten()
    has_target = targets != IGNORE_INDEX
    target_logits = logits.gather(1, targets.clamp(min=0).unsqueeze(1))
    rank = (logits > target_logits).sum(1)
    return CodePredictions(
        cross_entropy=functional.cross_entropy(
            logits, targets, ignore_index=IGNORE_INDEX, reduction="sum"
        ),
        correct=((rank == 0) & has_target).sum(),
        top_correct=((rank < TOP) & has_target).sum(),
        count=has_target.sum(),
    )


def optimizer_plan(config: OptimizerConfig, module: str) -> Mapping[str, OptimizerPlan]:
    """AdamW for one module, with warmup and optional cosine decay."""
    schedule = (
        linear_warmup(config.warmup)
        if config.decay_steps is None
        else cosine(config.warmup, config.decay_steps)
    )
    return {
        module: adamw(
            module,
            learning_rate=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            schedule=schedule,
            clip_norm=config.clip_norm,
        )
    }


def batch_codes(batch: Batch, model: ValleConfig) -> Padded:
    """Return the codes of a batch, [B, F, Q]; UserError if their number of codebooks is not the model's."""
    codes = batch["codes"]
    if codes.values.dim() != 3 or codes.values.size(2) != model.codebooks:
        raise UserError(
            f"The stored codes have shape {list(codes.values.shape)}, expected [batch, frames, "
            f"{model.codebooks}]: the model has {model.codebooks} codebooks.",
            hint="Extract the feature 'codes' with the codec of [model.codec], or set model.codebooks.",
        )
    return codes
