"""Quality of recordings resynthesized from their mel spectrograms.

Held-out recordings are resynthesized (`python benchmarks/vocoding.py
--manifest data/ru/manifest.jsonl --vocoder runs/hifigan-tiny`) by the trained vocoder of
`benchmarks/reference_vocoder.py`, by those given with --vocoder (folders, runs or checkpoints), and by Griffin-Lim on the
mels of each of these. All are scored (`benchmarks/scores.py`); the scores of the recordings are the upper
bound.

Needs the dependency group `benchmarks`. N samples.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np
import soxr
import torch
from held_out import held_out, recorded, split_options
from numpy.typing import NDArray
from reference_vocoder import NAME, ReferenceVocoder
from rich.console import Console
from rich.table import Table
from scores import SAMPLE_RATE, Judge, Scores, mean_scores

from allophone.audio.files import write_audio
from allophone.audio.spectrogram import mel_spectrogram
from allophone.data.manifest import Split
from allophone.inference.protocol import Vocoder
from allophone.inference.vocoders import FALLBACK, load_vocoder
from allophone.registry import default_registry

RECORDINGS = "the recordings"


def vocoders(places: tuple[str, ...]) -> dict[str, Vocoder]:
    """The reference vocoder, the vocoders at `places`, and Griffin-Lim for each of their MelSpecs."""
    registry, device = default_registry(), torch.device("cpu")
    trained: dict[str, Vocoder] = {NAME: ReferenceVocoder()}
    for place in places:
        trained[place] = load_vocoder(place, None, device=device, registry=registry)
    found: dict[str, Vocoder] = {}
    for name, vocoder in trained.items():
        audio = vocoder.audio
        inverse = f"{FALLBACK}, {audio.sample_rate} Hz, hop {audio.hop_length}"
        if inverse not in found:
            found[inverse] = load_vocoder(FALLBACK, audio, device=device, registry=registry)
        found[name] = vocoder
    return found


def said_again(vocoder: Vocoder, recording: NDArray[np.float32]) -> NDArray[np.float32]:
    """Analysis and synthesis of a recording [N] at the vocoder's sample rate."""
    with torch.inference_mode():
        mel = mel_spectrogram(torch.from_numpy(recording)[None], vocoder.audio)
        waveform = vocoder.vocode(mel, torch.tensor([mel.size(2)]))[0]
    return waveform.numpy()


def resampled(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    return samples if rate == to else np.asarray(soxr.resample(samples, rate, to), dtype=np.float32)


def listen(
    manifest: Path,
    contenders: dict[str, Vocoder],
    judge: Judge,
    *,
    split: Split,
    count: int,
    keep: Path | None,
) -> dict[str, list[Scores]]:
    """The scores of each contender, recording by recording."""
    scores: dict[str, list[Scores]] = {name: [] for name in (RECORDINGS, *contenders)}
    for utterance in held_out(manifest, split, count):
        reference = recorded(utterance, SAMPLE_RATE).samples
        scores[RECORDINGS].append(judge.judge(reference, reference))
        for name, vocoder in contenders.items():
            rate = vocoder.audio.sample_rate
            said = said_again(vocoder, recorded(utterance, rate).samples)
            scores[name].append(judge.judge(resampled(said, rate, SAMPLE_RATE), reference))
            if keep:
                file = f"{utterance.id}-{name.replace(os.sep, '_').replace(' ', '')}.wav"
                write_audio(keep / file, said, rate)
    return scores


@click.command()
@click.option(
    "--manifest",
    "manifests",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A manifest of recordings to resynthesize; may be repeated.",
)
@split_options(count=20)
@click.option("--vocoder", "places", multiple=True, help="A vocoder folder, run or checkpoint.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep the generated recordings in this folder."
)
def main(
    manifests: tuple[Path, ...],
    split: Split,
    count: int,
    places: tuple[str, ...],
    keep: Path | None,
) -> None:
    judge, contenders = Judge(), vocoders(places)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
    table = Table("corpus", "vocoder", title="Recordings, analysed and said again")
    for heading in ("DistillMOS", "PESQ", "log-mel"):
        table.add_column(heading, justify="right")
    for manifest in manifests:
        results = listen(manifest, contenders, judge, split=split, count=count, keep=keep)
        corpus = f"{manifest.parent.name}: {len(results[RECORDINGS])} of {split}"
        for name, scores in results.items():
            mean = mean_scores(scores)
            row = (f"{mean.mos:.2f}", f"{mean.pesq:.2f}", f"{mean.log_mel:.3f}")
            table.add_row(corpus, name, *row)
            corpus = ""
        table.add_section()
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
