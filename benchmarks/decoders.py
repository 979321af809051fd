"""Decoders of VITS beside each other: parameters, arithmetic, and time with onnxruntime.

Run `python benchmarks/decoders.py [--json]`. Each decoder of the config `DECODERS` turns 192 latent channels into 22.05 kHz, with
random weights. Arithmetic is counted by PyTorch (multiplications and additions of convolutions and matrix products), for
`--frames` frames; the inverse STFT is counted as in the exported graph. Times are processor time of the graph that the
engine `onnx` runs, on one thread, interleaved in a different order each round.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import onnxruntime
import torch
from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from allophone.audio.melspec import MelSpec
from allophone.weights.norm import for_inference
from allophone_hifigan.config import SIZES, HifiganConfig, IstftConfig, MultiBandIstftConfig
from allophone_onnx.export import Input, write_graph
from allophone_onnx.rewriting.convolutions import over_images
from allophone_onnx.schema import Model
from allophone_vits.config import SIZES as VOICES
from allophone_vits.decoder import build_decoder
from allophone_vocos.config import VocosConfig

LATENTS = 192
AUDIO = MelSpec()
JOES: dict[str, Any] = {
    name: getattr(VOICES["medium"].decoder, name)
    for name in ("channels", "residual_block", "residual_kernel_sizes", "residual_dilations")
}
"""The widths and blocks of joe, Piper's medium size."""

DECODERS: dict[str, Any] = {
    "hifigan, V1": SIZES["v1"],
    "istft, V1's blocks": IstftConfig(),
    "mb-istft, V1's blocks": MultiBandIstftConfig(),
    "hifigan, joe's": VOICES["medium"].decoder,
    "istft, joe's blocks": IstftConfig(**JOES),
    "mb-istft, joe's blocks": MultiBandIstftConfig(**JOES),
    "vocos, 256 channels (joe-fast's)": VocosConfig(channels=256, feed_forward_channels=768),
}
BASELINE = "hifigan, joe's"


@frozen(kw_only=True)
class Part:
    """A part of a model: millions of parameters, and GFLOP for a second of speech."""

    part: str
    parameters: float
    gflop: float


@frozen(kw_only=True)
class Row:
    """A decoder: its size and arithmetic, milliseconds for the frames, real-time factor, and speed beside joe's."""

    decoder: str
    parameters: float
    gflop: float
    milliseconds: float
    real_time_factor: float
    times_joe: float


class Exported(nn.Module):
    """A decoder of one speaker, without padding."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latents: Tensor) -> Tensor:
        waveform: Tensor = self.decoder(latents)
        return waveform


def counted(name: str, module: nn.Module, run: Callable[[], object], seconds: float) -> Part:
    """Count the arithmetic of a run of `module` that makes `seconds` of speech."""
    exporting = torch.compiler.is_exporting
    torch.compiler.is_exporting = lambda: True  # The inverse STFT of Vocos as a matrix product.
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
    finally:
        torch.compiler.is_exporting = exporting
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Part(
        part=name,
        parameters=round(parameters / 1e6, 2),
        gflop=round(counter.get_total_flops() / 1e9 / seconds, 2),
    )


def decoder_of(config: HifiganConfig | IstftConfig | VocosConfig) -> nn.Module:
    torch.manual_seed(0)
    with for_inference():
        decoder = build_decoder(
            config, latent_channels=LATENTS, speaker_channels=0, audio=AUDIO
        ).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.02)
    return decoder.requires_grad_(False)


def session_of(decoder: nn.Module) -> onnxruntime.InferenceSession:
    """The graph as the engine `onnx` prepares it, on one thread."""
    batch, frames = torch.export.Dim("batch_size", min=1), torch.export.Dim("frames", min=1)
    example = Input(example=torch.zeros(2, LATENTS, 9), dynamic={0: batch, 2: frames})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "decoder.onnx"
        write_graph(file, Exported(decoder), {"latents": example}, ("output",), name_weight=str)
        model = over_images(Model.FromString(file.read_bytes()))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def measure(frames: int, rounds: int) -> list[Row]:
    seconds = AUDIO.seconds(frames)
    decoders = {name: decoder_of(config) for name, config in DECODERS.items()}
    latents = torch.randn(1, LATENTS, frames)
    parts = {
        name: counted(name, decoder, partial(decoder, latents), seconds)
        for name, decoder in decoders.items()
    }
    sessions = {name: session_of(decoder) for name, decoder in decoders.items()}
    feed = {"latents": latents.numpy()}
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    order = random.Random(0)
    for turn in range(rounds + 1):
        for name in order.sample(list(sessions), len(sessions)):
            started = time.process_time()
            sessions[name].run(None, feed)
            if turn:
                taken[name].append(time.process_time() - started)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    return [
        Row(
            decoder=name,
            parameters=parts[name].parameters,
            gflop=parts[name].gflop,
            milliseconds=round(1000 * median, 1),
            real_time_factor=round(median / seconds, 4),
            times_joe=round(medians[BASELINE] / median, 2),
        )
        for name, median in medians.items()
    ]


@click.command()
@click.option("--frames", default=160, show_default=True, help="Frames decoded at once.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(frames: int, rounds: int, as_json: bool) -> None:
    torch.set_num_threads(1)
    rows = measure(frames, rounds)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=1))
        return
    columns = ("decoder", "million parameters", "GFLOP a second", "ms", "real-time factor")
    table = Table(*columns, f"times {BASELINE}", title=f"{frames} frames, one thread")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
