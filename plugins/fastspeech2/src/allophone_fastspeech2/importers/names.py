"""What the reference implementation (github.com/ming024/FastSpeech2) calls the weights that we have.

Amphion kept its names. Rules are applied in order, each to what the one before has left.
"""

from __future__ import annotations

from allophone.foreign.tensors import Rule, renamed

_RULES: tuple[Rule, ...] = (
    (r"^(encoder|decoder)\.blocks\.", r"\1.layer_stack."),
    (r"\.attention\.query\.", ".slf_attn.w_qs."),
    (r"\.attention\.key\.", ".slf_attn.w_ks."),
    (r"\.attention\.value\.", ".slf_attn.w_vs."),
    (r"\.attention\.output\.", ".slf_attn.fc."),
    (r"\.attention_norm\.", ".slf_attn.layer_norm."),
    (r"\.feed_forward\.expand\.", ".pos_ffn.w_1."),
    (r"\.feed_forward\.contract\.", ".pos_ffn.w_2."),
    (r"\.feed_forward_norm\.", ".pos_ffn.layer_norm."),
    (r"^token_embedding\.", "encoder.src_word_emb."),
    (r"^speaker_embedding\.", "speaker_emb."),
    (r"^mel_projection\.", "mel_linear."),
    (r"^postnet\.convolutions\.(\d+)\.", r"postnet.convolutions.\1.0.conv."),
    (r"^postnet\.norms\.(\d+)\.", r"postnet.convolutions.\1.1."),
    (r"\.(pitch|energy)\.(predictor|embedding)\.", r".\1_\2."),
    (r"predictor\.convolutions\.0\.", "predictor.conv_layer.conv1d_1.conv."),
    (r"predictor\.convolutions\.1\.", "predictor.conv_layer.conv1d_2.conv."),
    (r"predictor\.norms\.0\.", "predictor.conv_layer.layer_norm_1."),
    (r"predictor\.norms\.1\.", "predictor.conv_layer.layer_norm_2."),
    (r"predictor\.output\.", "predictor.linear_layer."),
)

COMPUTED = ("encoder.position_enc", "decoder.position_enc")
"""Tables in its files that we compute as they are needed."""

BINS = "variance_adaptor.{}_bins"
"""What it calls the boundaries of the bins of "pitch" and "energy", which we keep as a range."""


def reference_name(name: str) -> str:
    """What the reference calls the weight `name` of `FastSpeech2`; statistics are not among them."""
    return renamed(name, _RULES)
