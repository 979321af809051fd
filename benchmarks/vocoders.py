"""DiffWave compared with the package `diffwave`: speed and memory, and quality over the number of steps.

    python benchmarks/vocoders.py speed [--json]
    python benchmarks/vocoders.py memory
    python benchmarks/vocoders.py quality --vocoder runs/diffwave --manifest data/ru/manifest.jsonl --out steps

`speed` samples 5 seconds at 22.05 kHz in the six published steps, with the base model and the same random weights
in both, in float32 and in bf16. The contenders are interleaved, in a different order each round; the table shows medians.
All run in one process with the same allocator: glibc's defaults, unless MALLOC_ variables are set,
which are printed. `memory` measures the peak memory that each adds, in a separate process. `quality`
resynthesizes held-out recordings with each sampler and several numbers of steps, and
writes the mean log-mel distance to OUT.json and OUT.png.

Needs the dependency group `benchmarks`. M mel bands, F frames, N samples.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import matplotlib
import torch
from attrs import asdict, evolve, frozen
from held_out import held_out, recorded, split_options
from matplotlib import pyplot
from rich.console import Console
from side_by_side import OURS, Step, Timing, measure, show
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.data.manifest import Split
from allophone.inference.protocol import Vocoder, VocoderSpec
from allophone.inference.vocoders import load_vocoder
from allophone.registry import default_registry
from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.importers.checkpoint import reference_name
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import FAST_BETAS, SAMPLERS
from allophone_diffwave.vocoder import DiffwaveVocoder, build_vocoder

SECONDS = 5.0
LONG_SECONDS = 60.0
STEPS = (2, 4, 6, 12, 50)
PEER = "diffwave"
CPU = torch.device("cpu")
PRECISIONS = ("fp32", "bf16")


def frames_of(seconds: float, audio: MelSpec) -> int:
    return round(seconds * audio.sample_rate / audio.hop_length)


def denoiser() -> Denoiser:
    """The base model with random weights, including its output layer."""
    torch.manual_seed(0)
    network = Denoiser(DiffwaveConfig(), mels=MelSpec().n_mels)
    torch.nn.init.normal_(network.output.weight, std=0.1)
    return network


def ours(precision: str, mel: Tensor) -> Step:
    """mel [1, M, F]."""
    spec = VocoderSpec(vocoder=DiffwaveConfig(), audio=MelSpec())
    vocoder = build_vocoder(spec, denoiser().state_dict(), CPU)
    chosen: dict[str, Any] = {"betas": FAST_BETAS, "precision": precision}
    adjusted = vocoder.with_controls(DiffwaveControls(**chosen))
    return lambda: vocoded(adjusted, mel)


@torch.inference_mode()
def vocoded(vocoder: Vocoder, mel: Tensor) -> Tensor:
    """mel [1, M, F] -> [N]."""
    return vocoder.vocode(mel, torch.tensor([mel.size(2)]))[0]


def peer(precision: str, mel: Tensor) -> Step:
    """Sampling with the package's own function, mel [1, M, F]."""
    from diffwave import inference
    from diffwave.model import DiffWave
    from diffwave.params import params

    network = DiffWave(params).eval()
    weights = denoiser().state_dict()
    network.load_state_dict({reference_name(name): value for name, value in weights.items()})
    inference.models[None] = network

    def sample() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return inference.predict(mel, device=CPU, fast_sampling=True)

    return sample


CONTENDERS: dict[str, Callable[[str, Tensor], Step]] = {OURS: ours, PEER: peer}


def allocator() -> str:
    """The settings of the memory allocator."""
    found = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("MALLOC_")]
    return " ".join([*found, os.environ.get("LD_PRELOAD", "")]).strip() or "glibc's defaults"


@click.group()
def main() -> None:
    """DiffWave compared with the package `diffwave`."""


@main.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", multiple=True, type=int, default=(1, 2), show_default=True)
@click.option("--seconds", default=SECONDS, show_default=True, help="Seconds of speech to sample.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def speed(rounds: int, threads: tuple[int, ...], seconds: float, as_json: bool) -> None:
    """Time of sampling in both precisions."""
    mel = torch.rand(1, MelSpec().n_mels, frames_of(seconds, MelSpec()))
    timings: list[Timing] = []
    for count in threads:
        torch.set_num_threads(count)
        for precision in PRECISIONS:
            steps = {name: build(precision, mel) for name, build in CONTENDERS.items()}
            what = f"6 steps, {precision}"
            timings += measure(what, steps, count, rounds, time.perf_counter)
    if as_json:
        plain = [asdict(one) for one in timings]
        click.echo(json.dumps({"allocator": allocator(), "timings": plain}, indent=1))
        return
    title = f"{seconds:g} s of speech; allocator: {allocator()}"
    show(Console(width=110), title, timings, seconds)


@main.command()
@click.option(
    "--seconds", multiple=True, type=float, default=(SECONDS, LONG_SECONDS), show_default=True
)
@click.option(
    "--peer-seconds",
    default=2 * SECONDS,
    show_default=True,
    help="Maximum seconds for the peer, whose memory grows with the length.",
)
def memory(seconds: tuple[float, ...], peer_seconds: float) -> None:
    """Peak memory added by sampling, in MiB."""
    lengths = {OURS: seconds, PEER: (*[one for one in seconds if one < peer_seconds], peer_seconds)}
    for name in CONTENDERS:
        for length in lengths[name]:
            arguments = [sys.executable, __file__, "peak", name, str(length)]
            run = subprocess.run(arguments, check=True, capture_output=True, text=True)
            click.echo(f"{name}, {length:g} s: {float(run.stdout):.0f} MiB")


@main.command(hidden=True)
@click.argument("name", type=click.Choice(list(CONTENDERS)))
@click.argument("seconds", type=float)
def peak(name: str, seconds: float) -> None:
    """In a process of its own: the peak of its memory above what is there before, in MiB."""
    short, whole = (
        torch.rand(1, MelSpec().n_mels, frames_of(one, MelSpec())) for one in (0.1, seconds)
    )
    CONTENDERS[name]("fp32", short)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    CONTENDERS[name]("fp32", whole)()
    click.echo((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


@frozen(kw_only=True)
class Distance:
    """How far what a sampler says in some steps is from the recordings: log_mel in nepers.

    seconds: that it took, for a second of speech.
    """

    sampler: str
    steps: int
    log_mel: float
    seconds: float


@main.command()
@click.option("--vocoder", "place", required=True, help="A DiffWave folder, run or checkpoint.")
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@split_options(count=10)
@click.option("--steps", multiple=True, type=int, default=STEPS, show_default=True)
@click.option(
    "--out",
    default="vocoder-steps",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The files to write, without .json and .png.",
)
def quality(
    place: str, manifest: Path, split: Split, count: int, steps: tuple[int, ...], out: Path
) -> None:
    """Log-mel distance to recordings over the number of steps."""
    vocoder = load_vocoder(place, None, device=CPU, registry=default_registry())
    assert isinstance(vocoder, DiffwaveVocoder)
    recordings = [
        torch.from_numpy(recorded(utterance, vocoder.audio.sample_rate).samples)
        for utterance in held_out(manifest, split, count)
    ]
    choices: list[dict[str, Any]] = [
        {"sampler": sampler, "steps": number} for sampler in SAMPLERS for number in steps
    ]
    ways = [evolve(vocoder.controls, **chosen) for chosen in choices]
    ways.append(evolve(vocoder.controls, betas=FAST_BETAS))
    distances = []
    for controls in ways:
        distances.append(distance(vocoder, controls, recordings))
        click.echo(distances[-1])
    out.parent.mkdir(parents=True, exist_ok=True)
    plain = [asdict(one) for one in distances]
    out.with_suffix(".json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    draw(distances, out.with_suffix(".png"))


def distance(
    vocoder: DiffwaveVocoder, controls: DiffwaveControls, recordings: list[Tensor]
) -> Distance:
    """Analysis and synthesis of recordings [N], scored by the vocoder's own mels."""
    adjusted = vocoder.with_controls(controls)
    audio = adjusted.audio
    found, speech, started = [], 0.0, time.perf_counter()
    for recording in recordings:
        mel = mel_spectrogram(recording[None], audio)
        said = vocoded(adjusted, mel)
        again = mel_spectrogram(said[None], audio)
        frames = min(mel.size(2), again.size(2))
        found.append(float((mel[:, :, :frames] - again[:, :, :frames]).abs().mean()))
        speech += audio.seconds(mel.size(2))
    return Distance(
        sampler=f"{controls.sampler}, published" if controls.betas else controls.sampler,
        steps=len(controls.betas) or controls.steps,
        log_mel=round(statistics.fmean(found), 4),
        seconds=round((time.perf_counter() - started) / speech, 3),
    )


def draw(distances: list[Distance], picture: Path) -> None:
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for sampler in dict.fromkeys(one.sampler for one in distances):
        line = [one for one in distances if one.sampler == sampler]
        axes.plot(
            [one.steps for one in line],
            [one.log_mel for one in line],
            marker="o",
            label=sampler,
        )
    axes.set(xlabel="evaluations of the network", ylabel="log-mel distance to the recording")
    axes.set_xscale("log")
    axes.set_xticks(sorted({one.steps for one in distances}), minor=False)
    axes.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
