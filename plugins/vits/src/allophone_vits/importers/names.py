"""Mapping from our weight names to those of the reference implementation.

All other supported implementations kept these names. Rules are applied in order, each to the result of the
previous one.
"""

from __future__ import annotations

import re

from allophone.foreign.tensors import NORM_RULES, Rule, rename

_SHARED: tuple[Rule, ...] = (
    *NORM_RULES,
    (r"(norms?(?:\.\d+)?)\.weight$", r"\1.gamma"),
    (r"(norms?(?:\.\d+)?)\.bias$", r"\1.beta"),
    (r"\.wavenet\.gates\.", ".enc.in_layers."),
    (r"\.wavenet\.outputs\.", ".enc.res_skip_layers."),
    (r"\.wavenet\.speaker\.", ".enc.cond_layer."),
    (r"\.depthwise\.", ".convs_sep."),
    (r"\.pointwise\.", ".convs_1x1."),
    (r"\.depthwise_norms\.", ".norms_1."),
    (r"\.pointwise_norms\.", ".norms_2."),
)

_TEXT_ENCODER: tuple[Rule, ...] = (
    (r"^text_encoder\.embedding\.", "enc_p.emb."),
    (r"^text_encoder\.prior\.", "enc_p.proj."),
    (r"^text_encoder\.", "enc_p.encoder."),
)

_TRANSFORMERS: tuple[Rule, ...] = (
    (
        r"\.blocks\.(\d+)\.attention\.(query|key|value|output)\.",
        lambda found: f".attn_layers.{found[1]}.conv_{found[2][0]}.",
    ),
    (
        r"\.blocks\.(\d+)\.attention\.relative_(key|value)s$",
        lambda found: f".attn_layers.{found[1]}.emb_rel_{found[2][0]}",
    ),
    (r"\.blocks\.(\d+)\.attention_norm\.", r".norm_layers_1.\1."),
    (r"\.blocks\.(\d+)\.feed_forward_norm\.", r".norm_layers_2.\1."),
    (r"\.blocks\.(\d+)\.feed_forward\.expand\.", r".ffn_layers.\1.conv_1."),
    (r"\.blocks\.(\d+)\.feed_forward\.contract\.", r".ffn_layers.\1.conv_2."),
)

_LATENTS: tuple[Rule, ...] = (
    (r"^posterior_encoder\.input\.", "enc_q.pre."),
    (r"^posterior_encoder\.output\.", "enc_q.proj."),
    (r"^posterior_encoder\.", "enc_q."),
    # In the reference, the reversal after each coupling is a flow with an index of its own.
    (r"^flow\.couplings\.(\d+)\.", lambda found: f"flow.flows.{2 * int(found[1])}."),
    (r"^(flow\.flows\.\d+)\.input\.", r"\1.pre."),
    (r"^(flow\.flows\.\d+)\.output\.", r"\1.post."),
)

_DURATIONS: tuple[Rule, ...] = (
    (r"^duration_predictor\.convolutions\.(\d+)\.", lambda found: f"dp.conv_{int(found[1]) + 1}."),
    (r"^duration_predictor\.norms\.(\d+)\.", lambda found: f"dp.norm_{int(found[1]) + 1}."),
    (r"^duration_predictor\.(?:text_)?output\.", "dp.proj."),
    (r"^duration_predictor\.text_input\.", "dp.pre."),
    (r"^duration_predictor\.text_convolutions\.", "dp.convs."),
    (r"^duration_predictor\.speaker\.", "dp.cond."),
    (r"^duration_predictor\.posterior\.input\.", "dp.post_pre."),
    (r"^duration_predictor\.posterior\.convolutions\.", "dp.post_convs."),
    (r"^duration_predictor\.posterior\.output\.", "dp.post_proj."),
    (r"^duration_predictor\.posterior\.flow\.", "dp.post_flows."),
    (r"^duration_predictor\.flow\.", "dp.flows."),
    (r"^(dp\.(?:post_)?flows)\.shift$", r"\1.0.m"),
    (r"^(dp\.(?:post_)?flows)\.log_scale$", r"\1.0.logs"),
    (
        r"^(dp\.(?:post_)?flows)\.couplings\.(\d+)\.",
        lambda found: f"{found[1]}.{2 * int(found[2]) + 1}.",
    ),
    (r"^(dp\.(?:post_)?flows\.\d+)\.input\.", r"\1.pre."),
    (r"^(dp\.(?:post_)?flows\.\d+)\.convolutions\.", r"\1.convs."),
    (r"^(dp\.(?:post_)?flows\.\d+)\.output\.", r"\1.proj."),
)


def _decoder(blocks: int, *, paired: bool) -> tuple[Rule, ...]:
    """The reference numbers residual blocks consecutively over all stages, `blocks` per stage."""

    def block(found: re.Match[str]) -> str:
        convolutions = {"dilated": "convs1", "plain": "convs2"} if paired else {"dilated": "convs"}
        number = int(found[1]) * blocks + int(found[2])
        return f"dec.resblocks.{number}.{convolutions[found[3]]}."

    return (
        (r"^decoder\.input\.", "dec.conv_pre."),
        (r"^decoder\.output\.", "dec.conv_post."),
        (r"^decoder\.speaker\.", "dec.cond."),
        (r"^decoder\.stages\.(\d+)\.upsample\.", r"dec.ups.\1."),
        (r"^decoder\.stages\.(\d+)\.blocks\.(\d+)\.(dilated|plain)\.", block),
        (r"^speaker_embedding\.", "emb_g."),
    )


_DISCRIMINATOR: tuple[Rule, ...] = (
    (r"^judges\.(\d+)\.layers\.", r"discriminators.\1.convs."),
    (r"^judges\.(\d+)\.output\.", r"discriminators.\1.conv_post."),
)


def reference_generator_name(name: str, *, blocks: int, paired: bool) -> str:
    """Return the reference's name for the weight `name` of `Vits`.

    blocks: residual blocks per stage of the decoder; paired: whether they are of type "1".
    """
    rules = (
        *_SHARED,
        *_TEXT_ENCODER,
        *_TRANSFORMERS,
        *_LATENTS,
        *_DURATIONS,
        *_decoder(blocks, paired=paired),
    )
    return rename(name, rules)


def reference_discriminator_name(name: str) -> str:
    """Return the reference's name for the weight `name` of `Discriminator`."""
    return rename(name, (*_SHARED, *_DISCRIMINATOR))
