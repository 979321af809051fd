"""The reference implementation's names of our weights; other implementations use the same.

Rules are applied in order, each to what the one before has left.
"""

from __future__ import annotations

import re

from allophone.foreign.tensors import NORM_RULES, Rule, rename
from allophone_hifigan.config import UpsamplingConfig

_DISCRIMINATORS: tuple[Rule, ...] = (
    (r"^periods\.", "mpd.discriminators."),
    (r"^scales\.", "msd.discriminators."),
    (r"^(\w+\.discriminators\.\d+)\.layers\.", r"\1.convs."),
    (r"^(\w+\.discriminators\.\d+)\.output\.", r"\1.conv_post."),
)


def generator_name(name: str, config: UpsamplingConfig) -> str:
    """The reference's name of the weight `name` of a generator of `config`."""
    paired = config.residual_block == "1"
    blocks = len(config.residual_kernel_sizes)

    def block(found: re.Match[str]) -> str:
        # The reference numbers the blocks of all stages consecutively.
        number = int(found[1]) * blocks + int(found[2])
        convolutions = {"dilated": "convs1", "plain": "convs2"} if paired else {"dilated": "convs"}
        return f"resblocks.{number}.{convolutions[found[3]]}."

    return rename(
        name,
        (
            *NORM_RULES,
            (r"^input\.", "conv_pre."),
            (r"^output\.", "conv_post."),
            (r"^stages\.(\d+)\.upsample\.", r"ups.\1."),
            (r"^stages\.(\d+)\.blocks\.(\d+)\.(dilated|plain)\.", block),
        ),
    )


def discriminators_name(name: str) -> str:
    """The reference's name of the weight `name` of `Discriminators`, beginning with "mpd." or "msd."."""
    return rename(name, (*NORM_RULES, *_DISCRIMINATORS))
