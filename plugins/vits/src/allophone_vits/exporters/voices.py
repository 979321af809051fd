"""Export of a voice to one ONNX file, as Piper's voices are, or to three parts for streaming.

joe.onnx            ids to samples; inputs as in Piper: input, input_lengths, scales, sid
joe.onnx.json       sample rate, phoneme ids and front end settings

joe/                three parts
    encoder.onnx    ids to the prior and duration of each id
    flow.onnx       samples of the prior to latents, for some or all frames
    decoder.onnx    latents to samples, for some or all frames
    config.json     as above, and the context that flow and decoder need, in frames
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import asdict
from torch.export import Dim

from allophone.config import structure
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.inference.folder import StoredVoice
from allophone.registry import default_registry
from allophone_hifigan.config import HifiganConfig
from allophone_onnx.export import Input, require_exporting, write_graph
from allophone_onnx.settings import (
    DECODER,
    ENCODER,
    FLOW,
    PARTS,
    SETTINGS,
    PartsSettings,
    write_settings,
)
from allophone_vits.config import VitsControls
from allophone_vits.exporters.graphs import DecoderGraph, EncoderGraph, FlowGraph, SynthesisGraph
from allophone_vits.importers.names import reference_generator_name
from allophone_vits.model import Generator, Vits
from allophone_vits.synthesis import inference_model

NameWeight = Callable[[str], str]
"""Maps the name of a weight in the model to its name in the file."""


def export_voice(voice: StoredVoice, destination: Path) -> None:
    """Export a VITS voice to one ONNX file; the exporter of the model `vits`."""
    model = inference_model(Vits, voice.spec, voice.weights)
    write_voice(model, voice, destination, name_weight=_reference_names(voice))


def export_streaming_voice(voice: StoredVoice, destination: Path) -> None:
    """Export a VITS voice to three parts; the streaming exporter of the model `vits`."""
    model = inference_model(Vits, voice.spec, voice.weights)
    write_streaming_voice(model, voice, destination, name_weight=_reference_names(voice))


def write_voice(
    model: Generator, voice: StoredVoice, destination: Path, *, name_weight: NameWeight = str
) -> None:
    """Write one ONNX file and its JSON file, for any `Generator`.

    model: with the weights of `voice`, see `synthesis.inference_model`.
    name_weight: maps names of weights in the model to names in the file.
    Raises UserError if `destination` does not end in ".onnx" or a required package is missing.
    """
    if destination.suffix != ".onnx":
        raise UserError(f"The name of the exported file, '{destination.name}', must end in .onnx.")
    require_exporting()
    controls = _controls(model, voice)
    write_graph(
        destination,
        SynthesisGraph(model, controls).eval(),
        _text_inputs(model),
        ("output", "durations"),
        name_weight=_strip_model_prefix(name_weight),
    )
    _write_settings(destination.with_name(f"{destination.name}.json"), _settings(voice, controls))


def write_streaming_voice(
    model: Generator, voice: StoredVoice, destination: Path, *, name_weight: NameWeight = str
) -> None:
    """Write the folder of a voice in three parts, for any `Generator`; see `write_voice`."""
    require_exporting()
    controls = _controls(model, voice)
    destination.mkdir()
    write_graph(
        destination / ENCODER,
        EncoderGraph(model, controls).eval(),
        _text_inputs(model) | _noise_input(model),
        ("mean", "log_scale", "durations"),
        name_weight=_strip_model_prefix(name_weight),
    )
    write_graph(
        destination / FLOW,
        FlowGraph(model).eval(),
        _latent_inputs(model, masked=True),
        ("flowed",),
        name_weight=name_weight,
    )
    write_graph(
        destination / DECODER,
        DecoderGraph(model).eval(),
        _latent_inputs(model),
        ("output",),
        name_weight=name_weight,
    )
    unbounded = model.flow.margin == sys.maxsize
    parts = PartsSettings(
        decoder_margin=model.decoder.margin,
        flow_margin=None if unbounded else model.flow.margin,
        duration_channels=model.duration_predictor.noise_channels,
    )
    _write_settings(destination / SETTINGS, _settings(voice, controls) | {PARTS: asdict(parts)})


def _settings(voice: StoredVoice, controls: VitsControls) -> dict[str, Any]:
    return write_settings(voice.description, voice.vocabulary, controls, default_registry())


def _controls(model: Generator, voice: StoredVoice) -> VitsControls:
    controls: VitsControls = structure(model.controls, voice.description.controls)
    return controls


def _text_inputs(model: Generator) -> dict[str, Input]:
    batch, text, scales = Dim("batch_size", min=1), Dim("phonemes", min=1), Dim("scales", min=3)
    inputs = {
        "input": Input(example=torch.zeros(2, 9, dtype=torch.long), dynamic={0: batch, 1: text}),
        "input_lengths": Input(example=torch.tensor([9, 7]), dynamic={0: batch}),
        "scales": Input(example=torch.tensor([0.7, 1.0, 0.8]), dynamic={0: scales}),
    }
    if model.speaker_embedding is not None:
        inputs["sid"] = Input(example=torch.tensor([0, 1]), dynamic={0: batch})
    return inputs


def _noise_input(model: Generator) -> dict[str, Input]:
    """Input for the duration predictor's noise; it has 0 channels if the predictor takes none."""
    batch, text = Dim("batch_size", min=1), Dim("phonemes", min=1)
    noise = torch.zeros(2, model.duration_predictor.noise_channels, 9)
    return {"duration_noise": Input(example=noise, dynamic={0: batch, 2: text})}


def _latent_inputs(model: Generator, *, masked: bool = False) -> dict[str, Input]:
    batch, frames = Dim("batch_size", min=1), Dim("frames", min=1)
    latents = torch.zeros(2, model.decoder.in_channels, 9)
    inputs = {"latents": Input(example=latents, dynamic={0: batch, 2: frames})}
    if masked:
        mask = torch.ones(2, 1, 9)
        inputs["mask"] = Input(example=mask, dynamic={0: batch, 2: frames})
    if model.speaker_embedding is not None:
        inputs["sid"] = Input(example=torch.tensor([0, 1]), dynamic={0: batch})
    return inputs


def _strip_model_prefix(name_weight: NameWeight) -> NameWeight:
    """Strip the prefix that weights get in a graph module with an attribute `model`."""
    return lambda name: name_weight(name.removeprefix("model."))


def _reference_names(voice: StoredVoice) -> NameWeight:
    """Names of the reference implementation, which the `piper` importer expects; it has no other decoder."""
    decoder = voice.description.model.decoder
    if isinstance(decoder, HifiganConfig):
        blocks, paired = len(decoder.residual_kernel_sizes), decoder.residual_block == "1"
        return lambda name: reference_generator_name(name, blocks=blocks, paired=paired)

    def name_weight(name: str) -> str:
        if name.startswith("decoder."):
            return name
        return reference_generator_name(name, blocks=1, paired=False)

    return name_weight


def _write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(settings, ensure_ascii=False, indent=1).encode() + b"\n")
