"""Intelligibility of a voice on held-out sentences of a corpus.

Recordings and synthesized speech are transcribed by the same recogniser (`benchmarks/asr.py`) and compared by
character and word error rate:

    python benchmarks/reading.py --manifest data/ru/manifest.jsonl --language ru --voice runs/tiny --vocoder runs/hifigan

Each voice that predicts mels is combined with every --vocoder, or with Griffin-Lim if there is none. A
sentence that a voice cannot synthesize is reported and counts as an empty transcript.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from asr import error_rates, plain, recogniser
from held_out import held_out, recorded, split_options
from rich.console import Console
from rich.table import Table

import allophone
from allophone.audio.files import write_audio
from allophone.data.manifest import Split, Utterance
from allophone.errors import UserError

SAMPLE_RATE = 16000
"""The sample rate of the recogniser."""

Reader = Callable[[Utterance, Path], None]
"""Synthesizes the text of an utterance."""


def the_recording(utterance: Utterance, path: Path) -> None:
    write_audio(path, recorded(utterance, SAMPLE_RATE).samples, SAMPLE_RATE)


def voice_reader(place: str, vocoder: str | None) -> Reader:
    voice = allophone.load(place, vocoder=vocoder)

    def read(utterance: Utterance, path: Path) -> None:
        speaker = utterance.speaker if voice.speakers else None
        voice.say(utterance.text, speaker=speaker).save(path)

    return read


def readers(voices: Sequence[str], vocoders: Sequence[str]) -> dict[str, Reader]:
    found: dict[str, Reader] = {"the recordings": the_recording}
    for place in voices:
        for vocoder in vocoders or (None,):
            name = f"{place} + {vocoder}" if vocoder else place
            found[name] = voice_reader(place, vocoder)
    return found


@click.command()
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@split_options(count=20)
@click.option("--language", required=True, help="Language of the recogniser: en, ru, ...")
@click.option("--voice", "voices", multiple=True, help="A voice folder, run, checkpoint or name.")
@click.option("--vocoder", "vocoders", multiple=True, help="A vocoder folder, run or checkpoint.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep the generated recordings in this folder."
)
@click.option("--show", is_flag=True, help="Print texts and transcripts.")
def main(
    manifest: Path,
    split: Split,
    count: int,
    language: str,
    voices: tuple[str, ...],
    vocoders: tuple[str, ...],
    keep: Path | None,
    show: bool,
) -> None:
    console = Console(width=100)
    utterances = held_out(manifest, split, count)
    expected = [plain(utterance.text, language) for utterance in utterances]
    table = Table("reader", title=f"{len(utterances)} sentences of {manifest}, {split}")
    for heading in ("CER", "WER", "unread"):
        table.add_column(heading, justify="right")
    transcribe = recogniser(language)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, read) in enumerate(readers(voices, vocoders).items()):
            transcripts, unread = [], 0
            for utterance, said in zip(utterances, expected, strict=True):
                path = folder / f"{number}-{utterance.id}.wav"
                try:
                    read(utterance, path)
                    transcripts.append(plain(transcribe(path), language))
                except UserError as error:
                    console.print(f"{name} cannot read {utterance.id}: {error}", markup=False)
                    transcripts.append("")
                    unread += 1
                if show:
                    console.print(f"{name}: {said!r} -> {transcripts[-1]!r}", markup=False)
            rates = error_rates(expected, transcripts)
            table.add_row(
                name, f"{100 * rates.characters:.1f} %", f"{100 * rates.words:.1f} %", f"{unread}"
            )
    console.print(table)


if __name__ == "__main__":
    main()
