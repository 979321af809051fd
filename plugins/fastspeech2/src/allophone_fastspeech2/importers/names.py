"""Mapping from our weight names to those of the reference implementation (github.com/ming024/FastSpeech2).

Amphion uses the same names. Rules are applied in order, each to the result of the previous one.
"""

from __future__ import annotations

from allophone.foreign.tensors import Rule, rename

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

POSITION_TABLES = ("encoder.position_enc", "decoder.position_enc")
"""Positional encodings in the reference's files, which we compute on the fly."""

BINS = "variance_adaptor.{}_bins"
"""The reference's name for the bin boundaries of "pitch" and "energy", which we store as a range."""


def reference_name(name: str) -> str:
    """Return the reference's name for the weight `name` of `FastSpeech2`, except statistics."""
    return rename(name, _RULES)
