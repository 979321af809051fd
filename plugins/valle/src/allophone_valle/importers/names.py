"""What the reference (github.com/lifeiteng/vall-e) calls the weights that we have; Amphion kept its names.

Rules are applied in order, each to what the one before has left.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.foreign.tensors import Rule, renamed

_TABLE = "nar_audio_embeddings.{}.word_embeddings.weight"
_HEAD = "nar_predict_layers.{}.weight"
_STAGE = "nar_stage_embeddings.{}.word_embeddings.weight"
_TABLES, _STAGES = "nar_tables", "nar_stages"

_RULES: tuple[Rule, ...] = (
    (r"\.transformer\.blocks\.", ".decoder.layers."),
    (r"\.transformer\.norm\.", ".decoder.norm."),
    (r"\.attention\.query_key_value\.", ".self_attn.in_proj_"),
    (r"\.attention\.output\.", ".self_attn.out_proj."),
    (r"\.attention_norm\.", ".norm1."),
    (r"\.feed_forward_norm\.", ".norm2."),
    (r"\.expand\.", ".linear1."),
    (r"\.contract\.", ".linear2."),
    (r"\.project\.", ".project_layer."),
    (r"\.text_embedding\.", ".text_embedding.word_embeddings."),
    (r"\.code_embedding\.", ".audio_embedding.word_embeddings."),
    (r"\.text_positions\.scale$", ".text_position.alpha"),
    (r"\.code_positions\.scale$", ".audio_position.alpha"),
    (r"\.head\.", ".predict_layer."),
    (r"^(ar|nar)\.", r"\1_"),
)


def reference_name(name: str) -> str:
    """What the reference calls the weight `name` of a voice, once its codebooks are `stacked`."""
    return renamed(name, _RULES)


def stacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reference's tensors with the embeddings, heads and stages of all codebooks in one tensor each.

    Its first embedding has a row more, for padding, which stands for nothing here. Raises UserError where
    heads are not tied to the embeddings of the next codebook.
    """
    rest = dict(tensors)
    embeddings = _taken(rest, _TABLE)
    heads = {
        number: head
        for number in range(len(embeddings))
        if (head := rest.pop(_HEAD.format(number), None)) is not None
    }
    stages = _taken(rest, _STAGE)
    if (
        len(embeddings) < 2
        or len(stages) != len(embeddings) - 1
        or len(embeddings) - 2 not in heads
    ):
        raise UserError(
            "These are not the weights of a VALL-E with all of its codebooks: it has "
            f"{len(embeddings)} embeddings of codes, {len(stages)} of stages and {len(heads)} heads.",
            hint="Take the checkpoint of the last stage of training, which has both models.",
        )
    bins = len(embeddings[-1])
    # Of tied tensors, a file may have kept one alone.
    for number in range(len(embeddings) - 2):
        if number in heads and not torch.equal(heads[number], embeddings[number + 2]):
            raise UserError(
                f"{_HEAD.format(number)} is not tied to the embedding of the next codebook.",
                hint="Models that were trained with share_embedding = false have no counterpart here.",
            )
    last = heads[len(embeddings) - 2]
    rest[_TABLES] = torch.stack([*(table[:bins] for table in embeddings), last])
    rest[_STAGES] = torch.cat(stages)
    return rest


def _taken(tensors: dict[str, Tensor], pattern: str) -> list[Tensor]:
    """Take those out that are numbered from 0 on."""
    found: list[Tensor] = []
    while (name := pattern.format(len(found))) in tensors:
        found.append(tensors.pop(name))
    return found
