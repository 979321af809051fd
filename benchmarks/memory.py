"""Memory of one process that synthesizes many different sentences, or one long text.

Run `python benchmarks/memory.py` for the voice joe with both engines. Each measurement is a process of its own.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time

import click

import allophone
from allophone.inference.memory import resident_bytes

WORDS = [
    "the",
    "a",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "and",
    "nobody",
    "minds",
    "that",
    "it",
    "rained",
    "all",
    "day",
    "in",
    "small",
    "town",
    "by",
    "river",
    "where",
    "we",
    "lived",
    "for",
    "many",
    "years",
    "before",
    "going",
    "home",
    "again",
]
ENGINES = ("onnx", "torch")


def sentence(choose: random.Random) -> str:
    """A sentence of 3 to 30 words."""
    words = (choose.choice(WORDS) for _ in range(choose.randint(3, 30)))
    return f"{' '.join(words).capitalize()}."


def long_text(characters: int) -> str:
    choose, text = random.Random(0), ""
    while len(text) < characters:
        text += f"{sentence(choose)} "
    return text


def measure(voice_name: str, engine: str, sentences: int, characters: int) -> dict[str, float]:
    """Resident megabytes: loaded, after some numbers of sentences, and the peak; and processor seconds."""
    voice = allophone.load(voice_name, engine=engine)
    found = {"loaded": resident_bytes() / 1e6}
    choose = random.Random(0)
    seconds = 0.0
    before = time.process_time()
    for number in range(1, sentences + 1):
        seconds += voice.say(sentence(choose)).seconds
        if number in (1, 10) or number % 100 == 0:
            found[str(number)] = resident_bytes() / 1e6
    if characters:
        seconds += voice.say(long_text(characters)).seconds
        found[f"{characters:,} characters"] = resident_bytes() / 1e6
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    found["audio s"] = seconds
    found["cpu s"] = time.process_time() - before
    return found


@click.command()
@click.option("--voice", default="joe", show_default=True)
@click.option("--sentences", default=300, show_default=True)
@click.option("--characters", default=20_000, show_default=True)
@click.option("--child", hidden=True)
def main(voice: str, sentences: int, characters: int, child: str | None) -> None:
    if child:
        click.echo(json.dumps(measure(voice, child, sentences, characters)))
        return
    for engine in ENGINES:
        for what in ((sentences, 0), (0, characters)):
            done = subprocess.run(
                [
                    *(sys.executable, __file__, "--voice", voice, "--child", engine),
                    *("--sentences", str(what[0]), "--characters", str(what[1])),
                ],
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            told = ", ".join(f"{name}: {value:,.0f}" for name, value in found.items())
            click.echo(f"{engine}, {what[0]} sentences, {what[1]:,} characters in one (MB): {told}")


if __name__ == "__main__":
    main()
