"""Check the readers on real corpora, and time preparation and extraction.

Uses two corpora packaged by Debian: `festvox-ru` (one Russian speaker, with phone labels) and the prompts of the Asterisk
telephone exchange (one English speaker, G.722). Both are downloaded with apt, unpacked,
counted, prepared and extracted twice; the second time there must be nothing to do.

Needs apt-get and dpkg, `allophone-english`, `allophone-espeak` and `allophone-corpora[g722]`. Run `python benchmarks/corpora.py --into FOLDER`.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from rich.console import Console
from rich.table import Table

from allophone.audio.files import read_audio
from allophone.config import Experiment, structure
from allophone.datasets.feature_index import prepared_utterances
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry


@frozen(kw_only=True)
class RealCorpus:
    """A corpus packaged by Debian, and its known contents.

    tables: of the experiment, where `{root}` is the folder that the packages were unpacked to.
    listed, recorded: utterances of its list, and recordings that are there.
    """

    name: str
    packages: tuple[str, ...]
    tables: dict[str, Any]
    listed: int
    recorded: int
    minutes: float


CORPORA = (
    RealCorpus(
        name="festvox-ru",
        packages=("festvox-ru",),
        tables={
            "corpus": {
                "type": "festvox",
                "root": "{root}/usr/share/festival/voices/russian/msu_ru_nsh_clunits",
                "stress_mark": "+",
            },
            "text": {"language": "ru", "phonemizer": {"type": "espeak"}},
            "features": {"waveform": {}, "phonemes": {}, "phones": {}, "durations": {}},
        },
        listed=620,
        recorded=620,
        minutes=99.5,
    ),
    RealCorpus(
        name="asterisk",
        packages=("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722"),
        tables={
            "corpus": {
                "type": "asterisk",
                "root": "{root}/usr/share/asterisk/sounds/en_US_f_Allison",
                "transcripts": "{root}/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz",
            },
            "text": {"language": "en-us", "phonemizer": {"type": "espeak"}},
            "features": {"waveform": {}, "phonemes": {}},
        },
        # One prompt of the list was never recorded.
        listed=569,
        recorded=568,
        minutes=25.5,
    ),
)


@click.command
@click.option(
    "--into", type=click.Path(path_type=Path), help="Folder to unpack into, which is kept."
)
@click.option("--workers", default=2, help="Number of extraction processes.")
def main(into: Path | None, workers: int) -> None:
    """Download, check, prepare and extract the corpora."""
    with tempfile.TemporaryDirectory() as temporary:
        columns = ("corpus", "usable", "left out", "minutes", "prepare", "extract", "again", "MB")
        title = f"seconds to prepare, to extract with {workers} processes, and again; MB stored"
        table = Table(*columns, title=title)
        for corpus in CORPORA:
            root = (into or Path(temporary)) / corpus.name
            if not root.exists():
                _unpack(corpus.packages, root)
            data = Path(temporary) / "data" / corpus.name
            table.add_row(corpus.name, *_measured(corpus, _experiment(corpus, root, data), workers))
        Console().print(table)


def _unpack(packages: tuple[str, ...], root: Path) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        subprocess.run(["apt-get", "download", "-q", *packages], cwd=downloads, check=True)
        partial = root.with_name(f"{root.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        for package in sorted(Path(downloads).glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, partial], check=True)
        partial.rename(root)


def _experiment(corpus: RealCorpus, root: Path, data: Path) -> Experiment:
    table = {
        key: value.format(root=root.absolute()) for key, value in corpus.tables["corpus"].items()
    }
    plain = {
        "data": {"directory": str(data), "corpora": [table], "limits": {"max_seconds": 30}},
        "text": corpus.tables["text"],
        "audio": {"sample_rate": 16000},
        "features": corpus.tables["features"],
    }
    return structure(Experiment, plain)


def _measured(corpus: RealCorpus, experiment: Experiment, workers: int) -> list[str]:
    seconds = []

    def timed(work: Any, **arguments: Any) -> Any:
        began = time.perf_counter()
        result = work(experiment, default_registry(), **arguments)
        seconds.append(f"{time.perf_counter() - began:.2f}")
        return result

    timed(prepare)
    _check(corpus, experiment)
    extracted = timed(extract, workers=workers)
    again = timed(extract, workers=workers)
    if any(again.computed.values()):
        raise UserError(
            f"{corpus.name}: the second run extracted {dict(again.computed)} again, expected nothing."
        )
    store = Path(experiment.data.directory) / "features"
    size = sum(path.stat().st_size for path in store.rglob("*.bin"))
    return [
        f"{extracted.usable}",
        f"{len(extracted.dropped)}",
        f"{extracted.seconds / 60:.1f}",
        *seconds,
        f"{size / 1e6:.1f}",
    ]


def _check(corpus: RealCorpus, experiment: Experiment) -> None:
    """Check that all known contents were found, by reading everything."""
    utterances = prepared_utterances(experiment)
    recorded = [u for u in utterances if Path(u.audio).exists()]
    minutes = sum(read_audio(u.audio).seconds for u in recorded) / 60
    found = (len(utterances), len(recorded), round(minutes, 1))
    if found != (corpus.listed, corpus.recorded, corpus.minutes):
        raise UserError(
            f"{corpus.name}: {found} listed, recorded and minutes; expected are "
            f"{(corpus.listed, corpus.recorded, corpus.minutes)}."
        )


if __name__ == "__main__":
    main()
