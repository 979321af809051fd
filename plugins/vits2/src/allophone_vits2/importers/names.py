"""Mapping from our weight names to those of the public implementation p0p4k/vits2_pytorch.

It keeps the names of VITS for the modules of VITS; these rules cover the others. Rules are applied in order,
each to the result of the previous one.
"""

from __future__ import annotations

from allophone.foreign.tensors import NORM_RULES, Rule, rename
from allophone_vits.importers.names import reference_generator_name as vits_name
from allophone_vits2.config import FlowKind

_MONO: tuple[Rule, ...] = (
    # In the public implementation, each coupling, transformer coupling and reversal has an index of its own.
    (
        r"^flow\.couplings\.(\d+)\.transformer\.",
        lambda found: f"flow.flows.{3 * int(found[1]) + 2}.pre_transformer.",
    ),
    (
        r"^flow\.couplings\.(\d+)\.transformer_output\.",
        lambda found: f"flow.flows.{3 * int(found[1]) + 2}.post.",
    ),
    (r"^flow\.couplings\.(\d+)\.", lambda found: f"flow.flows.{3 * int(found[1])}."),
)

_FLOWS: dict[FlowKind, tuple[Rule, ...]] = {
    "pre_conv2": ((r"^(flow\.couplings\.\d+)\.transformer\.", r"\1.pre_transformer.blocks.0."),),
    "pre_conv": ((r"^(flow\.couplings\.\d+)\.transformer\.", r"\1.pre_transformer."),),
    "fft": (
        (r"^(flow\.couplings\.\d+)\.transformer\.", r"\1.enc.blocks.0."),
        (r"^(flow\.couplings\.\d+)\.speaker\.", r"\1.enc.cond_layer."),
        (r"^(flow\.couplings\.\d+)\.gate\.", r"\1.enc.cond_pre."),
    ),
    "mono_layer_inter_residual": _MONO,
    "mono_layer_post_residual": _MONO,
    "wavenet": (),
}

_CAUSAL: tuple[Rule, ...] = (
    (r"\.enc\.attn_layers\.", ".enc.self_attn_layers."),
    (r"\.enc\.norm_layers_1\.", ".enc.norm_layers_0."),
    (r"\.enc\.norm_layers_2\.", ".enc.norm_layers_1."),
)

_DURATION_DISCRIMINATOR: tuple[Rule, ...] = (
    *NORM_RULES,
    (r"\.norm\.weight$", ".norm.gamma"),
    (r"\.norm\.bias$", ".norm.beta"),
    (
        r"^text\.(\d+)\.(conv|norm)(?:olution)?\.",
        lambda found: f"{found[2]}_{int(found[1]) + 1}.",
    ),
    (
        r"^joint\.(\d+)\.(conv|norm)(?:olution)?\.",
        lambda found: f"pre_out_{found[2]}_{int(found[1]) + 1}.",
    ),
    (r"^duration\.", "dur_proj."),
    (r"^output\.", "output_layer.0."),
)


def reference_generator_name(name: str, *, flow: FlowKind, blocks: int, paired: bool) -> str:
    """Return the public implementation's name for the weight `name` of `Vits2`.

    blocks: residual blocks per stage of the decoder; paired: whether they are of type "1".
    """
    ours = rename(
        name, ((r"^text_encoder\.speaker\.", "enc_p.encoder.spk_emb_linear."), *_FLOWS[flow])
    )
    theirs = vits_name(ours, blocks=blocks, paired=paired)
    return rename(theirs, _CAUSAL if flow == "fft" else ())


def reference_duration_discriminator_name(name: str) -> str:
    """Return the public implementation's name for the weight `name` of `DurationDiscriminator`."""
    return rename(name, _DURATION_DISCRIMINATOR)
