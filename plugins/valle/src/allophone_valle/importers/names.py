"""Mapping from our weight names to those of the reference (github.com/lifeiteng/vall-e) and Amphion.

Rules are applied in order, each to the result of the previous one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.foreign.tensors import Rule, rename

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
    """Return the reference's name for the weight `name`, after `stack_codebooks`."""
    return rename(name, _RULES)


def stack_codebooks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stack the reference's embeddings, output layers and stage embeddings of all codebooks.

    Drops the padding row of the first embedding. Raises UserError if output layers are not tied to the
    embeddings of the next codebook.
    """
    rest = dict(tensors)
    embeddings = _pop_numbered(rest, _TABLE)
    heads = {
        number: head
        for number in range(len(embeddings))
        if (head := rest.pop(_HEAD.format(number), None)) is not None
    }
    stages = _pop_numbered(rest, _STAGE)
    if (
        len(embeddings) < 2
        or len(stages) != len(embeddings) - 1
        or len(embeddings) - 2 not in heads
    ):
        raise UserError(
            "The checkpoint does not contain a complete NAR model: found "
            f"{len(embeddings)} code embeddings, {len(stages)} stage embeddings and {len(heads)} output "
            "layers.",
            hint="Use the checkpoint of the last training stage, which contains both models.",
        )
    bins = len(embeddings[-1])
    # A file may contain only one of several tied tensors.
    for number in range(len(embeddings) - 2):
        if number in heads and not torch.equal(heads[number], embeddings[number + 2]):
            raise UserError(
                f"{_HEAD.format(number)} is not tied to the embedding of the next codebook.",
                hint="Models trained with share_embedding = false are not supported.",
            )
    last = heads[len(embeddings) - 2]
    rest[_TABLES] = torch.stack([*(table[:bins] for table in embeddings), last])
    rest[_STAGES] = torch.cat(stages)
    return rest


def _pop_numbered(tensors: dict[str, Tensor], pattern: str) -> list[Tensor]:
    """Remove and return the tensors numbered from 0."""
    found: list[Tensor] = []
    while (name := pattern.format(len(found))) in tensors:
        found.append(tensors.pop(name))
    return found
