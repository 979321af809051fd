"""`allophone say`: speak a text with a voice."""

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
    help="A .wav or .flac file, or - for WAV on standard output.",
)
@click.option(
    "--stream", is_flag=True, help="With --out -: write each piece as soon as it is made."
)
@click.option(
    "--timings",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write when each phoneme is heard, as JSON.",
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
    """Speak TEXT, a file, or what comes in on standard input, with a voice.

    A recording of it is written; phonemes can be given in [[double brackets]].
    """
    # NumPy only moves samples here, and starting the threads of its BLAS would take a tenth of a short command.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if stream and (out != "-" or timings):
        raise UserError("--stream writes to standard output alone: give --out -, no --timings.")
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
        raise UserError("Both a text and --file were given; only one of them can be said.")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not UTF-8: {error}") from error
    if text is not None:
        return text
    if sys.stdin.isatty():
        raise UserError("There is nothing to say.", hint='Try: allophone say "Hello there."')
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


def _write_timings(path: Path, waveform: Waveform, voice: Voice) -> None:
    if waveform.phonemes is None:
        raise UserError(f"The voice '{voice.name}' does not tell when its phonemes are heard.")
    rows = [
        {"symbol": one.symbol, "start": round(one.start, 4), "end": round(one.end, 4)}
        for one in waveform.phonemes
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
