"""Compare the phone boundaries learned by a model with those of a corpus's labels.

    python benchmarks/boundaries.py runs/ru/checkpoints/* runs/ru --figure docs/figures/boundaries.png

Each voice (a run or checkpoint of a model that can align) aligns held-out recordings of its own data directory with
their phonemes. Boundaries are compared between phonemes that are also neighbours in the labels; if the voice uses the
phones of the labels, these are all boundaries. The figure shows the boundaries of the labels above and those of the
last voice below.

T phonemes, F frames, N samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import get_args

import click
import matplotlib
import numpy as np
import torch
from attrs import field, frozen
from held_out import recorded, spread
from matplotlib import pyplot
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from allophone.audio.spectrogram import mel_spectrogram
from allophone.config import load_experiment
from allophone.data.manifest import Split
from allophone.datasets.feature_index import StoredUtterance
from allophone.datasets.loading import open_corpus
from allophone.errors import UserError
from allophone.files.run_folder import CONFIG
from allophone.inference.engine import open_voice, synthesizer_of
from allophone.inference.locate import find_voice
from allophone.inference.protocol import TextBatch
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice
from allophone_labels.label_files import read_labels


@frozen(kw_only=True, eq=False)
class Alignment:
    """End times of the phones of an utterance in seconds, from the labels and from the voice.

    labels, voice: the ends [T] of the phones that each of them names.
    errors: absolute differences in seconds, of the boundaries that both have.
    """

    names: Sequence[str]
    samples: NDArray[np.float32]
    labels: NDArray[np.float64]
    voice: NDArray[np.float64]
    errors: NDArray[np.float64] = field()


@torch.inference_mode()
def phone_ends(
    voice: Voice, item: StoredUtterance, samples: NDArray[np.float32]
) -> NDArray[np.float64]:
    """End times of the phonemes of a stored utterance, aligned by the voice: seconds [T]."""
    align = getattr(synthesizer_of(voice), "align", None)
    if align is None:
        raise UserError(f"The voice '{voice.name}' cannot align recordings.")
    symbols = [str(symbol) for symbol in item.features["phonemes"].read()]
    ids = voice.vocabulary.symbols.encode(symbols)
    text = TextBatch(
        ids=torch.tensor([ids]),
        lengths=torch.tensor([len(ids)]),
        speakers=torch.tensor([voice.vocabulary.speaker_id(item.utterance.speaker)]),
        languages=torch.tensor([0]),
        seeds=(0,),
    )
    durations = align(text, torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    frames = voice.vocabulary.symbols.fold_durations(durations[0].tolist(), len(symbols))
    audio = voice.description.audio
    # Halfway between the centres of two frames, as `durations` rounds the labels to frames.
    boundaries = (np.cumsum(frames) - 0.5) * audio.hop_length + audio.frame_center
    return boundaries / audio.sample_rate


def compare(voice: Voice, item: StoredUtterance) -> Alignment:
    """The boundaries of the voice and of the labels, in one utterance."""
    if item.utterance.labels is None:
        raise UserError(f"The utterance {item.utterance.id} has no labels.")
    samples = recorded(item.utterance, voice.sample_rate).samples
    ends = phone_ends(voice, item, samples)
    symbols = [str(symbol) for symbol in item.features["phonemes"].read()]
    phones = read_labels(item.utterance.labels)
    labels = np.array([phone.end for phone in phones])
    names = [phone.name for phone in phones]
    errors = [
        abs(labels[block.a + step] - ends[block.b + step])
        for block in SequenceMatcher(a=names, b=symbols, autojunk=False).get_matching_blocks()
        for step in range(block.size - 1)
    ]
    return Alignment(
        names=names, samples=samples, labels=labels, voice=ends, errors=np.array(errors)
    )


def draw(alignments: Sequence[Alignment], voice: Voice, picture: Path, *, seconds: float) -> None:
    """Draw the beginning of each utterance: boundaries of the labels above, of the voice below."""
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(
        len(alignments), figsize=(10, 2.8 * len(alignments)), layout="constrained", squeeze=False
    )
    audio = voice.description.audio
    for one, panel in zip(alignments, axes[:, 0], strict=True):
        samples = one.samples[: round(seconds * voice.sample_rate)]
        mel = mel_spectrogram(torch.from_numpy(samples)[None], audio)[0].numpy()
        length = len(samples) / voice.sample_rate
        extent = (0, length, 0, audio.n_mels)
        panel.imshow(mel, origin="lower", aspect="auto", extent=extent, cmap="gray_r")
        half = audio.n_mels / 2
        panel.vlines(one.labels[one.labels < length], half, audio.n_mels, color="tab:blue", lw=1.2)
        panel.vlines(one.voice[one.voice < length], 0, half, color="tab:red", lw=1.2)
        starts = np.concatenate([[0.0], one.labels[:-1]])
        for name, start, end in zip(one.names, starts, one.labels, strict=True):
            if end < length:
                panel.text((start + end) / 2, audio.n_mels, name, ha="center", va="bottom", size=7)
        panel.set(ylabel="mel band")
    axes[-1, 0].set(xlabel="seconds; above the labels (blue), below what was learned (red)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=80)


@click.command()
@click.argument("places", nargs=-1, required=True)
@click.option("--split", default="test", show_default=True, type=click.Choice(get_args(Split)))
@click.option("--count", default=40, show_default=True, help="Utterances.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw two utterances.")
@click.option(
    "--seconds", default=4.0, show_default=True, help="Seconds of each utterance to draw."
)
def main(
    places: tuple[str, ...], split: Split, count: int, figure: Path | None, seconds: float
) -> None:
    registry = default_registry()
    table = Table("voice", title=f"Boundary errors, {split}")
    for heading in ("utterances", "boundaries", "median ms", "mean ms", "within 20 ms", "50 ms"):
        table.add_column(heading, justify="right")
    for place in places:
        found = find_voice(place, registry)
        if found.checkpoint is None:
            raise UserError(
                f"{place} must be a run or a checkpoint, whose data directory is known."
            )
        voice = open_voice(found.read(registry), registry=registry)
        experiment = load_experiment(found.checkpoint.path / CONFIG, registry=registry)
        corpus = open_corpus(experiment, registry)
        items = spread([one for one in corpus.stored if one.utterance.split == split], count)
        alignments = [compare(voice, item) for item in items]
        errors = 1000 * np.concatenate([one.errors for one in alignments])
        table.add_row(
            place,
            f"{len(alignments)}",
            f"{len(errors)}",
            f"{statistics.median(errors):.1f}",
            f"{errors.mean():.1f}",
            f"{100 * (errors <= 20).mean():.0f} %",
            f"{100 * (errors <= 50).mean():.0f} %",
        )
    Console(width=100).print(table)
    if figure:
        draw(alignments[:2], voice, figure, seconds=seconds)


if __name__ == "__main__":
    main()
