"""Texts as they are read aloud: how many of 500 cases are right, beside `nemo_text_processing`.

Run `python benchmarks/normalizing.py`, with `--peer` to have the peer too: it is installed in an environment of its own
(`uv pip install nemo_text_processing`, 0.6 GB), since its requirements fit no other benchmark's. Each contender reads
all cases in a process of its own, which tells how long its import and its loading took, the memory that it then has,
and the time of each sentence: the median of `--rounds` after one that does not count. Times are the processor's, which
other programs on the machine disturb less.

`normalizing_cases.txt` says what is right, in the categories of the Google text normalisation corpus, and lists several
readings where several are: all contenders are judged by the same ones. The cases are our own.

With `--corpus GoogleTN.json`, the contenders read sentences of that corpus itself: `data/GoogleTN.json` of
github.com/NVIDIA/NeMo-text-processing, a line `{"text": ..., "gt_normalized": ...}` each, of which only the ones that a
normalizer must change are taken, evenly spread. Their one reading is the corpus's own, which is often not the only right
one (it spells "colour" American, and says the days of ISO dates first), and the peer was developed on it.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from attrs import frozen
from held_out import spread
from rich.console import Console
from rich.table import Table

CASES = Path(__file__).with_name("normalizing_cases.txt")
PEER = "nemo_text_processing==1.2.0"
OURS = "allophone-english"

LOAD = {
    OURS: """
from allophone_english.normalizer import EnglishNormalizer
imported = time.process_time()
say = EnglishNormalizer()
""",
    PEER: """
import logging
logging.disable(logging.CRITICAL)
from nemo_text_processing.text_normalization.normalize import Normalizer
imported = time.process_time()
normalizer = Normalizer(input_case="cased", lang="en")
say = lambda text: normalizer.normalize(text, punct_post_process=True)
""",
}
"""What imports each contender and makes the function `say`."""

READ = """
import json, statistics, sys, time
rounds = int(sys.argv[1])
texts = json.load(sys.stdin)
started = time.process_time()
{load}
say("Warm up.")
loaded = time.process_time()
status = open("/proc/self/status").read()
memory = int(status.split("VmHWM:")[1].split()[0]) / 1024
said, times = [], [[] for _ in texts]
for turn in range(rounds + 1):
    for index, text in enumerate(texts):
        begun = time.process_time()
        words = say(text)
        if turn:
            times[index].append(time.process_time() - begun)
        else:
            said.append(words)
print()
print(json.dumps(dict(
    said=said, seconds=[statistics.median(one) for one in times],
    import_seconds=imported - started, load_seconds=loaded - started, memory=memory,
)))
"""


@frozen(kw_only=True)
class Case:
    """A text, its category, and the pattern of all readings that are right."""

    category: str
    written: str
    said: str

    def accepts(self, words: str) -> bool:
        """Whether a contender's words are one of the readings."""
        return re.fullmatch(self.said, compared(words)) is not None


@frozen(kw_only=True)
class Reading:
    """What one contender made of all texts; memory in MiB."""

    name: str
    said: Sequence[str]
    seconds: Sequence[float]
    import_seconds: float
    load_seconds: float
    memory: float


def read_cases(path: Path = CASES) -> list[Case]:
    """The cases of a file: `[CATEGORY]` lines, and `written => said` lines below them."""
    cases: list[Case] = []
    category = ""
    for line in path.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            category = heading[1]
        elif line and not line.startswith("# "):
            written, _, said = line.partition(" => ")
            cases.append(Case(category=category, written=written, said=reading_pattern(said)))
    return cases


def read_corpus(path: Path, count: int) -> list[Case]:
    """Sentences of the Google corpus that a normalizer must change, evenly spread."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    changed = [line for line in lines if line["text"] != line["gt_normalized"]]
    return [
        Case(
            category="GOOGLE",
            written=_untokenized(line["text"]),
            said=re.escape(compared(_untokenized(line["gt_normalized"]))),
        )
        for line in spread(changed, count)
    ]


def _untokenized(text: str) -> str:
    """A text without the spaces and quotes of a tokenizer."""
    text = re.sub(r" ('s\b|[.,;:!?%)\]](?= |$))", r"\1", text)
    return re.sub(r"(?<=[(\[]) ", "", text).replace("``", '"').replace("''", '"')


_NUMBER_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty|first|second|third|\w+th)\b"
)
_SPELLINGS = {
    r"\bper cent\b": "percent",
    r"\bmilli amp": "milliamp",
    r"(?<=[a-z])tre(?=s?\b)": "ter",
    r"(?<=[a-z]{2})our(?=s?\b|ed\b|ing\b|able|ite|ful)": "or",
    r"(?<=[a-z]{3})is(?=(?:e|ed|es|er|ers|ing|ations?|ational)\b)": "iz",
}
_DIGITS = ("(zero|oh)", *["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def compared(words: str) -> str:
    """Words as they are compared: without case, punctuation, hyphens and the "and" of numbers.

    What is not punctuation of prose stays, so that a sign that was left in counts as one.
    """
    words = re.sub(r"[.,;:!?\"()\[\]\u2013\u2014\u2026-]|(?<=[a-z])/(?=[a-z])", " ", words.lower())
    for british, american in _SPELLINGS.items():
        words = re.sub(british, american, words)
    words = re.sub(r"(?<![a-z])'|'(?![a-z])", "", words)
    words = re.sub(rf"\b(hundred|thousand|million|billion) and (?={_NUMBER_WORD})", r"\1 ", words)
    words = re.sub(r"\b([a-z])'?(?: (?=[a-z]\b(?!')))", r"\1", " ".join(words.split()))
    words = re.sub(r"\bo\b(?!')", "oh", words)
    return " ".join(words.split()) + " "


def reading_pattern(said: str) -> str:
    """A regular expression of `a (b|c) <12>`, in which every word is followed by a space."""
    digits = re.sub(
        r"<([\d ]+)>",
        lambda match: " ".join(_DIGITS[int(digit)] for digit in match[1].replace(" ", "")),
        said,
    )
    pieces = re.findall(r"[()|]|[^\s()|]+", digits)
    return "".join(
        {"(": "(?:"}.get(piece, piece) if piece in "()|" else re.escape(compared(piece))
        for piece in pieces
    )


def read_all(name: str, python: Path, texts: Iterable[str], rounds: int) -> Reading:
    """Let a contender read all texts, in a process of its own."""
    run = subprocess.run(
        [str(python), "-c", READ.format(load=LOAD[name]), str(rounds)],
        input=json.dumps(list(texts)),
        capture_output=True,
        text=True,
        check=True,
    )
    return Reading(name=name, **json.loads(run.stdout.splitlines()[-1]))


def install_peer(folder: Path) -> Path:
    """The Python of a new environment that has the peer."""
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    command = [uv, "pip", "install", "--quiet", "--python", str(python), PEER]
    subprocess.run(command, check=True)
    return python


def show(console: Console, cases: Sequence[Case], readings: Sequence[Reading]) -> None:
    """How many are right, by category, and what each contender costs."""
    right: Mapping[str, list[bool]] = {
        one.name: [case.accepts(said) for case, said in zip(cases, one.said, strict=True)]
        for one in readings
    }
    table = Table("", "cases", *right, title="right")
    for category in dict.fromkeys(case.category for case in cases):
        chosen = [index for index, case in enumerate(cases) if case.category == category]
        counts = [f"{sum(found[index] for index in chosen)}" for found in right.values()]
        table.add_row(category, f"{len(chosen)}", *counts)
    totals = [f"{sum(found)} ({sum(found) / len(cases):.1%})" for found in right.values()]
    table.add_row("all", f"{len(cases)}", *totals)
    console.print(table)
    costs = Table("", "import s", "load s", "MiB", "ms a sentence", "slowest ms", title="costs")
    for one in readings:
        milliseconds = [1000 * seconds for seconds in one.seconds]
        costs.add_row(
            one.name,
            f"{one.import_seconds:.3f}",
            f"{one.load_seconds:.3f}",
            f"{one.memory:.0f}",
            f"{statistics.mean(milliseconds):.3f}",
            f"{max(milliseconds):.3f}",
        )
    console.print(costs)


@click.command()
@click.option("--peer", is_flag=True, help="Install nemo_text_processing and read with it too.")
@click.option("--peer-python", type=Path, help="The Python of an environment that has the peer.")
@click.option("--corpus", type=Path, help="Sentences of the Google corpus instead of our cases.")
@click.option("--count", default=1000, show_default=True, help="Sentences of the corpus.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--wrong", is_flag=True, help="Print what each contender reads wrongly.")
def main(
    peer: bool, peer_python: Path | None, corpus: Path | None, count: int, rounds: int, wrong: bool
) -> None:
    cases = read_corpus(corpus, count) if corpus else read_cases()
    texts = [case.written for case in cases]
    readings = [read_all(OURS, Path(sys.executable), texts, rounds)]
    if peer_python:
        readings.append(read_all(PEER, peer_python, texts, rounds))
    elif peer:
        with tempfile.TemporaryDirectory() as place:
            readings.append(read_all(PEER, install_peer(Path(place) / "peer"), texts, rounds))
    console = Console(width=110)
    for one in readings if wrong else []:
        for case, said in zip(cases, one.said, strict=True):
            if not case.accepts(said):
                click.echo(f"{one.name}: {case.category}: {case.written!r} -> {said!r}")
    show(console, cases, readings)


if __name__ == "__main__":
    main()
