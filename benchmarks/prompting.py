"""Intelligibility and speaker similarity of voice cloning.

    python benchmarks/prompting.py --manifest data/ru/manifest.jsonl --language ru --voice voices/tiny

Held-out sentences are synthesized with held-out prompts, which are whole recordings of the same split and speaker. They are
compared with the recordings themselves, and with the recordings resynthesized by the voice's codec, the best that the
voice can reach. All are transcribed by the same recogniser (`benchmarks/asr.py`), and compared with the prompt by the
cosine similarity of Resemblyzer's speaker embeddings (Wan et al. 2018).

Needs the dependency group `benchmarks`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from asr import error_rates, plain, recogniser
from held_out import held_out, recorded, split_options
from reading import SAMPLE_RATE, the_recording
from resemblyzer import VoiceEncoder, preprocess_wav
from rich.console import Console
from rich.table import Table

import allophone
from allophone.audio.files import write_audio
from allophone.config.tables import parse_assignment
from allophone.data.manifest import Split, Utterance, read_manifest
from allophone.errors import UserError
from allophone.inference.engine import synthesizer_of
from allophone.synthesis.voice import Voice

Reader = Callable[[Utterance, Utterance, Path], None]
"""Synthesizes the text of the first utterance with the second as prompt."""


def through_codec(voice: Voice) -> Reader:
    """Resynthesize the recording with the codec."""
    codec = synthesizer_of(voice).codec

    def read(utterance: Utterance, prompt: Utterance, path: Path) -> None:
        samples = torch.from_numpy(recorded(utterance, codec.sample_rate).samples)[None]
        with torch.inference_mode():
            coded = codec.encode(samples, torch.tensor([samples.size(1)]))
            heard = codec.decode(coded.codes, coded.lengths)
        write_audio(path, heard[0].numpy(), codec.sample_rate)

    return read


def prompted(voice: Voice, controls: dict[str, Any]) -> Reader:
    """Synthesize with the voice."""

    def read(utterance: Utterance, prompt: Utterance, path: Path) -> None:
        heard = voice.prompt(prompt.audio, text=prompt.text)
        voice.say(utterance.text, prompt=heard, **controls).save(path)

    return read


def prompts_for(
    utterances: Sequence[Utterance], manifest: Path, seconds: tuple[float, float]
) -> list[Utterance]:
    """For each utterance, another one of the same split and speaker with a suitable length for a prompt."""
    found = [
        one
        for one in read_manifest(manifest)
        if one.split == utterances[0].split
        and seconds[0] <= len(recorded(one, SAMPLE_RATE).samples) / SAMPLE_RATE <= seconds[1]
    ]
    prompts = []
    for number, utterance in enumerate(utterances):
        others = [
            one for one in found if one.id != utterance.id and one.speaker == utterance.speaker
        ]
        if not others:
            raise UserError(
                f"No other recording of the speaker of {utterance.id} has {seconds[0]:g} to "
                f"{seconds[1]:g} s."
            )
        prompts.append(others[number % len(others)])
    return prompts


class Speakers:
    """Speaker embeddings."""

    def __init__(self) -> None:
        self._encoder = VoiceEncoder("cpu", verbose=False)

    def likeness(self, one: Path, other: Path) -> float:
        """The cosine similarity of two recordings."""
        embedded = [self._encoder.embed_utterance(preprocess_wav(path)) for path in (one, other)]
        return float(np.dot(*embedded))


@click.command()
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@split_options(count=20)
@click.option("--language", required=True, help="Language of the recogniser: en, ru, ...")
@click.option("--voice", "place", required=True, help="The folder of a voice that takes prompts.")
@click.option("--prompt-seconds", type=(float, float), default=(2.0, 6.0), show_default=True)
@click.option("--control", "given", multiple=True, metavar="NAME=VALUE")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep the generated recordings in this folder."
)
@click.option("--show", is_flag=True, help="Print texts and transcripts.")
def main(
    manifest: Path,
    split: Split,
    count: int,
    language: str,
    place: str,
    prompt_seconds: tuple[float, float],
    given: tuple[str, ...],
    keep: Path | None,
    show: bool,
) -> None:
    console = Console(width=100)
    voice = allophone.load(place, engine="torch")
    if not voice.takes_prompts:
        raise UserError(f"{place} does not take prompts; use benchmarks/reading.py.")
    controls = dict(parse_assignment(each) for each in given)
    utterances = held_out(manifest, split, count)
    prompts = prompts_for(utterances, manifest, prompt_seconds)
    expected = [plain(utterance.text, language) for utterance in utterances]
    readers: dict[str, Reader] = {
        "the recordings": lambda utterance, prompt, path: the_recording(utterance, path),
        "through the codec": through_codec(voice),
        place: prompted(voice, controls),
    }
    table = Table("reader", title=f"{len(utterances)} sentences of {manifest}, {split}")
    for heading in ("CER", "WER", "similarity to the prompt"):
        table.add_column(heading, justify="right")
    transcribe, speakers = recogniser(language), Speakers()
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, read) in enumerate(readers.items()):
            heard, alike = [], []
            for utterance, prompt, said in zip(utterances, prompts, expected, strict=True):
                path = folder / f"{number}-{utterance.id}.wav"
                read(utterance, prompt, path)
                heard.append(plain(transcribe(path), language))
                alike.append(speakers.likeness(path, Path(prompt.audio)))
                if show:
                    console.print(f"{name}: {said!r} -> {heard[-1]!r}", markup=False)
            rates = error_rates(expected, heard)
            table.add_row(
                name,
                f"{100 * rates.characters:.1f} %",
                f"{100 * rates.words:.1f} %",
                f"{np.mean(alike):.2f}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
