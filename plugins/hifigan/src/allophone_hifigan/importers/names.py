"""What the reference implementation calls the weights that we have; everybody kept its names.

Rules are applied in order, each to what the one before has left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from allophone_hifigan.config import HifiganConfig

_Rule = tuple[str, str | Callable[[re.Match[str]], str]]

PARTS: tuple[_Rule, ...] = (
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
    (r"\.parametrizations\.weight\.original$", ".weight_orig"),
    (r"\.parametrizations\.weight\.0\._(u|v)$", r".weight_\1"),
)
"""How weights under a norm were named before PyTorch had parametrizations."""

_DISCRIMINATORS: tuple[_Rule, ...] = (
    (r"^periods\.", "mpd.discriminators."),
    (r"^scales\.", "msd.discriminators."),
    (r"^(\w+\.discriminators\.\d+)\.layers\.", r"\1.convs."),
    (r"^(\w+\.discriminators\.\d+)\.output\.", r"\1.conv_post."),
)


def generator_name(name: str, config: HifiganConfig) -> str:
    """What the reference calls the weight `name` of `Generator(config)`."""
    paired = config.residual_block == "1"
    blocks = len(config.residual_kernel_sizes)

    def block(found: re.Match[str]) -> str:
        # The blocks of all stages are numbered through.
        number = int(found[1]) * blocks + int(found[2])
        convolutions = {"dilated": "convs1", "plain": "convs2"} if paired else {"dilated": "convs"}
        return f"resblocks.{number}.{convolutions[found[3]]}."

    return renamed(
        name,
        (
            *PARTS,
            (r"^input\.", "conv_pre."),
            (r"^output\.", "conv_post."),
            (r"^stages\.(\d+)\.upsample\.", r"ups.\1."),
            (r"^stages\.(\d+)\.blocks\.(\d+)\.(dilated|plain)\.", block),
        ),
    )


def discriminators_name(name: str) -> str:
    """What the reference calls the weight `name` of `Discriminators`, after "mpd." or "msd."."""
    return renamed(name, (*PARTS, *_DISCRIMINATORS))


def renamed(name: str, rules: Iterable[_Rule]) -> str:
    """`name` after all rules."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
