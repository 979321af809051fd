"""`allophone say`: synthesizes a text."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.cli.voice_options import (
    chosen_controls,
    chosen_prompt,
    mention_speaker,
    open_voice,
    speaking_options,
    voice_options,
)
from allophone.errors import UserError

if TYPE_CHECKING:
    from allophone.synthesis.voice import Voice
    from allophone.synthesis.waveform import Waveform


@click.command("say")
@click.argument("text", required=False)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the text from a file.",
)
@click.option(
    "--out",
    default="speech.wav",
    show_default=True,
    help="The output file, .wav or .flac, or - for WAV on standard output.",
)
@click.option(
    "--stream", is_flag=True, help="With --out -: write each chunk as soon as it is synthesized."
)
@click.option(
    "--timings",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the start and end of each phoneme, as JSON.",
)
@voice_options
@speaking_options
def command(
    text: str | None,
    file: Path | None,
    out: str,
    stream: bool,
    timings: Path | None,
    place: str | None,
    **how: Any,
) -> None:
    """Synthesize TEXT, a file or standard input, and write the audio to a file.

    Phonemes can be given in [[double brackets]].
    """
    # Starting the threads of NumPy's BLAS takes a tenth of the time of a short command, and nothing here
    # needs them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if stream and (out != "-" or timings):
        raise UserError("--stream requires --out - and cannot be used with --timings.")
    words = _text(text, file)
    how |= chosen_controls(how)
    voice = open_voice(place, how, language=how["language"])
    mention_speaker(voice, how["speaker"])
    how["prompt"] = chosen_prompt(voice, how)
    if stream:
        _stream(voice, words, how)
        return
    waveform = voice.say(words, **how)
    if timings:
        _write_timings(timings, waveform, voice)
    if out == "-":
        _write_wav(waveform)
        return
    waveform.save(out)
    click.echo(f"Wrote {out}: {waveform.seconds:.2f} s, {voice.sample_rate} Hz.", err=True)


def _text(text: str | None, file: Path | None) -> str:
    if text is not None and file is not None:
        raise UserError("Both TEXT and --file were given; give only one of them.")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not UTF-8: {error}") from error
    if text is not None:
        return text
    if sys.stdin.isatty():
        raise UserError("No text was given.", hint='Try: allophone say "Hello there."')
    return sys.stdin.read()


def _stream(voice: Voice, text: str, how: dict[str, Any]) -> None:
    from allophone.audio.wav import pcm16, wav_header

    output = sys.stdout.buffer
    for index, chunk in enumerate(voice.stream(text, **how)):
        if index == 0:
            output.write(wav_header(voice.sample_rate, samples=None))
        output.write(pcm16(chunk).tobytes())
        output.flush()


def _write_wav(waveform: Waveform) -> None:
    from allophone.audio.wav import pcm16, wav_header

    sys.stdout.buffer.write(wav_header(waveform.sample_rate, samples=len(waveform.samples)))
    sys.stdout.buffer.write(pcm16(waveform.samples).tobytes())
    sys.stdout.buffer.flush()


def _write_timings(path: Path, waveform: Waveform, voice: Voice) -> None:
    from allophone.files.atomic import atomic_write

    if waveform.phonemes is None:
        raise UserError(
            f"The voice '{voice.name}' does not provide phoneme timings.", hint="Omit --timings."
        )
    rows = [
        {"symbol": one.symbol, "start": round(one.start, 4), "end": round(one.end, 4)}
        for one in waveform.phonemes
    ]
    with atomic_write(path) as file:
        file.write(json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n")
