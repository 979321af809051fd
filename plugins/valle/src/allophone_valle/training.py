"""What learning both models has in common: the loss, how well codes are predicted, the optimizer.

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
from allophone_valle.ar import IGNORED
from allophone_valle.config import OptimizerConfig, ValleConfig

TOP = 10


@frozen(kw_only=True)
class CodePredictions:
    """How codes were predicted, summed over those that count.

    cross_entropy: nats, with gradients. right, near: how many were the likeliest, or among the `TOP`
    likeliest. count: how many there are.
    """

    cross_entropy: Tensor
    right: Tensor
    near: Tensor
    count: Tensor

    def metrics(self) -> dict[str, Tensor]:
        """Means over the batch."""
        count = self.count.clamp(min=1)
        return {
            "cross_entropy": self.cross_entropy / count,
            "accuracy": self.right / count,
            f"top{TOP}_accuracy": self.near / count,
        }


def score_predictions(logits: Tensor, targets: Tensor) -> CodePredictions:
    """logits [..., V], targets [...], of which `IGNORED` ones, such as padding, do not count."""
    logits, targets = logits.flatten(0, -2).float(), targets.flatten()
    counted = targets != IGNORED
    wanted = logits.gather(1, targets.clamp(min=0).unsqueeze(1))
    better = (logits > wanted).sum(1)
    return CodePredictions(
        cross_entropy=functional.cross_entropy(
            logits, targets, ignore_index=IGNORED, reduction="sum"
        ),
        right=((better == 0) & counted).sum(),
        near=((better < TOP) & counted).sum(),
        count=counted.sum(),
    )


def plan(config: OptimizerConfig, module: str) -> Mapping[str, OptimizerPlan]:
    """AdamW over one module."""
    rises_and_falls = (
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
            schedule=rises_and_falls,
            clip_norm=config.clip_norm,
        )
    }


def codes_of(batch: Batch, model: ValleConfig) -> Padded:
    """The codes of a batch, [B, F, Q].

    Raises UserError where they are of another codec than the model describes.
    """
    codes = batch["codes"]
    if codes.values.dim() != 3 or codes.values.size(2) != model.codebooks:
        raise UserError(
            f"The stored codes are {list(codes.values.shape)} a batch, and the model describes "
            f"{model.codebooks} codebooks.",
            hint="Extract the feature 'codes' with the codec of [model.codec], or set model.codebooks.",
        )
    return codes
