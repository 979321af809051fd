"""Training steps and speech of the model families on a GPU, for `benchmarks/gpu_parts.py`; with a dry run on the CPU.

B batch, F frames, T text, N samples.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from attrs import frozen
from side_by_side import SYMBOLS, Step, Trained, batch_of, experiment_of, speech_like
from torch import Tensor

import allophone
from allophone.data.batch import Batch
from allophone.inference.protocol import (
    Synthesizer,
    TextBatch,
    Vocoder,
    VocoderSpec,
    VoiceSpec,
)
from allophone.registry import default_registry
from allophone.training.objective import optional
from allophone_diffwave.controls import DiffwaveControls
from allophone_valle.ar import ArModel
from allophone_valle.config import ArConfig, ValleControls
from allophone_valle.decoding import ArPrefix, continue_codes

Row = dict[str, str | int | float]

PRECISIONS = ("fp32", "bf16", "fp16")
SENTENCE = "A sentence of medium length, which is read aloud again and again."
CODES_A_SECOND = 75


@frozen(kw_only=True)
class Scale:
    """The device and the sizes of what runs on it."""

    dry: bool

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.dry else "cuda:0")

    def of(self, whole: int, tiny: int) -> int:
        return tiny if self.dry else whole

    def milliseconds(self, call: Step, rounds: int = 20) -> float:
        """The median over the rounds, each until the device is done, after warming up."""
        taken = []
        for turn in range(self.of(rounds + 3, 2)):
            self.wait()
            started = time.perf_counter()
            call()
            self.wait()
            if turn >= self.of(3, 1):
                taken.append(1000 * (time.perf_counter() - started))
        return statistics.median(taken)

    def wait(self) -> None:
        if not self.dry:
            torch.cuda.synchronize()


def attempt(row: Row, measure: Callable[[], Row]) -> Row:
    """The row with what is measured, or with the error."""
    try:
        return row | measure()
    except Exception as error:
        return row | {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


RECIPES = (
    ("vits/ljspeech", None),
    ("vits2/ljspeech-nosdp", None),
    ("fastspeech2/ljspeech", None),
    ("hifigan/ljspeech", None),
    ("diffwave/ljspeech", None),
    ("valle/libritts", "ar"),
    ("valle/libritts", "nar"),
)


def training(scale: Scale) -> Iterator[Row]:
    """Steps of the published sizes on 16 utterances of 6 seconds each, in every precision."""
    for recipe, stage in RECIPES:
        for precision in PRECISIONS:
            yield trained(scale, recipe, stage, precision, compiled=False)


def compiled(scale: Scale) -> Iterator[Row]:
    """The same in bf16 with `runtime.compile`, and how long the first two steps take to compile."""
    for recipe, stage in RECIPES:
        yield trained(scale, recipe, stage, "bf16", compiled=not scale.dry)


def trained(scale: Scale, recipe: str, stage: str | None, precision: str, *, compiled: bool) -> Row:
    if scale.dry:
        recipe = f"{recipe.partition('/')[0]}/tiny"
    row: Row = {"recipe": f"{recipe}, {stage}" if stage else recipe, "precision": precision}
    if scale.dry and precision == "fp16":
        return row | {"left out": "fp16 needs a GPU"}

    def measure() -> Row:
        changes = [f"runtime.precision='{precision}'", f"runtime.compile={str(compiled).lower()}"]
        if not scale.dry:
            torch.cuda.reset_peak_memory_stats()
        one = experiment_of(recipe, *changes, stage=stage, device=scale.device)
        seconds = scale.of(6, 1)
        batch = utterances(one, rows=scale.of(16, 2), seconds=seconds)
        if calibrate := optional(one.objective, "calibrate"):
            calibrate([batch])
        started = time.perf_counter()
        for _ in range(2):
            metrics = one.runtime.take_step([batch])[0]
        scale.wait()
        first = time.perf_counter() - started
        broken = [name for name, value in metrics.items() if not torch.as_tensor(value).isfinite()]
        if broken and precision != "fp16":
            raise ValueError(f"{', '.join(broken)} not finite")
        taken = scale.milliseconds(lambda: one.runtime.take_step([batch]), rounds=10)
        measured: Row = {"steps a second": round(1000 / taken, 2)}
        measured["seconds of speech a second"] = round(1000 * len(batch) * seconds / taken, 1)
        if not scale.dry:
            measured["GB"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
        if compiled:
            measured["first two steps, s"] = round(first, 1)
        return measured

    return attempt(row, measure)


def utterances(one: Trained, *, rows: int, seconds: int) -> Batch:
    """Noise with the features that any objective may ask for; 15 symbols a second."""
    audio = one.experiment.audio
    samples = seconds * audio.sample_rate // audio.hop_length * audio.hop_length
    tokens, frames = 15 * seconds, samples // audio.hop_length
    durations = torch.full((rows, tokens), frames // tokens)
    durations[:, -1] += frames - durations[0].sum()
    features = {
        "waveform": speech_like(rows, samples),
        "phonemes": torch.randint(1, len(SYMBOLS), (rows, tokens)),
        "durations": durations,
        "f0": 100 + 100 * torch.rand(rows, frames),
        "energy": 10 * torch.rand(rows, frames),
    }
    if hasattr(one.experiment.model, "codebooks"):
        shape = (rows, frames, one.experiment.model.codebooks)
        features["codes"] = torch.randint(one.experiment.model.bins, shape)
    return batch_of({name: features[name] for name in one.objective.features})


def synthesis(scale: Scale) -> Iterator[Row]:
    """Speech of an installed voice; vocoders, mels and codes of models with random weights, of the published sizes."""
    for count in (1, scale.of(16, 2)):
        yield attempt({"model": "joe (VITS)", "batch": count}, partial(spoken, scale, count))
    seconds = scale.of(5, 1)
    for name, family in (("HiFi-GAN", "hifigan"), ("DiffWave, 6 steps", "diffwave")):
        for count in (1, scale.of(16, 2)):
            yield attempt(
                {"model": name, "batch": count},
                partial(vocoded, scale, family, count, seconds),
            )
    for count in (1, scale.of(16, 2)):
        row: Row = {"model": "FastSpeech 2, to mels", "batch": count}
        yield attempt(row, partial(predicted, scale, count))
    for count in (1, scale.of(8, 2)):
        row = {"model": "VALL-E, first codebook, 75 codes a second", "batch": count}
        yield attempt(row, partial(decoded, scale, count, seconds))


def real_time(seconds: float, milliseconds: float) -> Row:
    return {
        "seconds of speech": round(seconds, 2),
        "ms": round(milliseconds, 1),
        "real-time factor": round(milliseconds / 1000 / seconds, 5),
    }


def spoken(scale: Scale, count: int) -> Row:
    voice = allophone.load("joe", engine="torch", device=str(scale.device))
    texts = [SENTENCE] * count

    def call() -> list[Any]:
        return voice.say_batch(texts, batch_size=count)

    seconds = sum(one.seconds for one in call())
    return real_time(seconds, scale.milliseconds(call))


def vocoded(scale: Scale, family: str, count: int, seconds: int) -> Row:
    """From noise for mels to samples on the device."""
    one = experiment_of(f"{family}/{'tiny' if scale.dry else 'ljspeech'}")
    experiment, registry = one.experiment, default_registry()
    inference = registry.entry_of("trainers", experiment.trainer).inference_module
    spec = VocoderSpec(vocoder=experiment.vocoder, audio=experiment.audio)
    build = registry.load("vocoders", family, "vocoder")
    vocoder: Vocoder = build(spec, one.weights(inference), scale.device)
    if family == "diffwave":
        vocoder = getattr(vocoder, "with_controls")(DiffwaveControls(steps=6))  # noqa: B009
    frames = seconds * spec.audio.sample_rate // spec.audio.hop_length
    mel = torch.randn(count, spec.audio.n_mels, frames, device=scale.device)
    lengths = torch.full((count,), frames, device=scale.device)

    @torch.inference_mode()
    def call() -> Tensor:
        return vocoder.vocode(mel, lengths)

    return real_time(count * seconds, scale.milliseconds(call))


def predicted(scale: Scale, count: int) -> Row:
    """From text to mels on the device, of 7 frames a symbol."""
    one = experiment_of(f"fastspeech2/{'tiny' if scale.dry else 'ljspeech'}")
    one.objective.calibrate([utterances(one, rows=2, seconds=1)])
    weights = one.weights("model")
    output = "variance_adaptor.duration_predictor.output"
    weights[f"{output}.weight"].zero_()
    weights[f"{output}.bias"].fill_(math.log1p(7.2))
    spec = VoiceSpec(
        model=one.experiment.model, audio=one.experiment.audio, vocabulary=one.vocabulary
    )
    build = default_registry().load("models", "fastspeech2", "synthesizer")
    synthesizer: Synthesizer = build(spec, weights, scale.device)
    zeros = torch.zeros(count, dtype=torch.long, device=scale.device)
    text = TextBatch(
        ids=torch.randint(1, len(SYMBOLS), (count, 60), device=scale.device),
        lengths=zeros + 60,
        speakers=zeros,
        languages=zeros,
        seeds=tuple(range(count)),
    )

    @torch.inference_mode()
    def call() -> Any:
        return synthesizer.synthesize(text, synthesizer.controls())

    frames = int(call().lengths.sum())
    seconds = frames * spec.audio.hop_length / spec.audio.sample_rate
    return real_time(seconds, scale.milliseconds(call))


def decoded(scale: Scale, count: int, seconds: int) -> Row:
    """The steps of one utterance, with the capture of its graph."""
    config = ArConfig(channels=16, layers=2, heads=2, feed_forward_channels=32)
    if not scale.dry:
        config = ArConfig()
    model = ArModel(config, vocabulary_size=len(SYMBOLS), bins=1024).eval().to(scale.device)
    codes = seconds * CODES_A_SECOND
    rows = [
        ArPrefix(
            text=torch.randint(len(SYMBOLS), (100,), device=scale.device),
            codes=torch.randint(1024, (3 * CODES_A_SECOND,), device=scale.device),
            min_length=codes,
            max_length=codes,
            seed=seed,
        )
        for seed in range(count)
    ]

    @torch.inference_mode()
    def call() -> Any:
        return continue_codes(model, rows, ValleControls())

    return real_time(count * seconds, scale.milliseconds(call, rounds=5))
