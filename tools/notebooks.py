"""Writes the notebooks of docs/notebooks: one a model family, with the same beginning.

    python tools/notebooks.py

Each trains the family's tiny recipe for a few minutes, listens, and changes something. `tests/test_notebooks.py` checks
that the files are as this program writes them, and runs them with fewer steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distributions import ROOT

FOLDER = ROOT / "docs" / "notebooks"

Cell = tuple[str, str]
"""The kind of a cell, "markdown" or "code", and its text."""


def text(content: str) -> Cell:
    return "markdown", content


def code(content: str) -> Cell:
    return "code", content


def beginning(title: str, packages: str, recipe: str) -> Iterator[Cell]:
    """Installation, recordings, and features."""
    yield text(
        f"# {title}\n\n"
        f"Trains the recipe `{recipe}`, a small model for CPUs, listens to it, and changes something. Lines with `!` are "
        "commands, as in a terminal.\n\n"
        f"    pip install {packages} allophone-espeak allophone-english allophone-voice-joe"
    )
    yield code("STEPS = 1000  # Half an hour or so on a CPU; more is better.")
    yield text(
        "## Recordings\n\n"
        "So that nothing has to be downloaded, an installed voice says some sentences. With recordings of your own, put them "
        "into the folder `recordings`, with a file `metadata.csv` of lines `file|text`."
    )
    yield code(
        "from pathlib import Path\n\n"
        "import allophone\n\n"
        "TEXTS = [\n"
        '    "The river runs past the old mill.",\n'
        '    "She reads the letter twice, and smiles.",\n'
        '    "Seven ships left the harbour at dawn.",\n'
        '    "Nobody knew where the music came from.",\n'
        '    "A cold wind moved over the hills.",\n'
        '    "We waited for the train until noon.",\n'
        '    "The garden was full of yellow roses.",\n'
        '    "He keeps his tools in a wooden box.",\n'
        '    "Rain fell on the roof all night.",\n'
        '    "The children run down to the lake.",\n'
        '    "Somebody left the window open.",\n'
        '    "They built the bridge out of stone.",\n'
        "]\n"
        'recordings = Path("recordings")\n'
        "if not recordings.exists():\n"
        "    recordings.mkdir()\n"
        '    joe = allophone.load("joe")\n'
        "    for number, words in enumerate(TEXTS):\n"
        '        joe.say(words, seed=number).save(recordings / f"{number:02}.wav")\n'
        '    lines = [f"{number:02}.wav|{words}" for number, words in enumerate(TEXTS)]\n'
        '    (recordings / "metadata.csv").write_text("\\n".join(lines) + "\\n")'
    )


def prepared(recipe: str, *more: str) -> Iterator[Cell]:
    """Preparing and extracting."""
    settings = " ".join(("data.splits.valid=2", *more)).split()
    words = " ".join(f"--set {each}" for each in settings)
    yield text(
        "## Features\n\n`prepare` lists the utterances, `extract` computes what training needs of them."
    )
    yield code(f"!allophone prepare {recipe} {words}\n!allophone extract {recipe} {words}")


def trained(recipe: str, run: str, *more: str, what: str = "Training") -> Iterator[Cell]:
    settings = " ".join(f"--set {each}" for each in ("data.splits.valid=2", *more))
    yield text(f"## {what}\n\n`tensorboard --logdir runs` shows losses, mels and audio meanwhile.")
    yield code(f"!allophone train {recipe} {settings} --run {run} --max-steps {{STEPS}}")


HEAR = (
    "from IPython.display import Audio\n\n"
    'voice = allophone.load("{place}")\n'
    'spoken = voice.say("The river runs past the hills."{prompt})\n'
    "Audio(spoken.samples, rate=spoken.sample_rate)"
)

VALIDATION = "--manifest data/tiny/manifest.jsonl --split valid"

CONTINUE = "The run goes on from its latest checkpoint, with another learning rate; what a run was trained with is in its folder."


def voice(title: str, family: str, rate: str) -> Iterator[Cell]:
    """A family that says texts."""
    recipe, run = f"{family}/tiny", f"runs/{family}"
    yield from beginning(title, f"allophone-{family}", recipe)
    yield from prepared(recipe)
    yield from trained(recipe, run)
    yield text("## Listening\n\nAfter so few steps it has the rhythm of speech, and few words.")
    yield code(HEAR.format(place=run, prompt=""))
    yield text(
        f"## Changing something\n\nHow the voice speaks: `{rate}` is a control of the family."
    )
    yield code(
        f'slower = voice.say("The river runs past the hills.", {rate}=1.4)\n'
        "assert slower.seconds > spoken.seconds\n"
        "Audio(slower.samples, rate=slower.sample_rate)"
    )
    yield text(f"How it is trained: {CONTINUE[0].lower()}{CONTINUE[1:]}")
    yield code(
        f"!allophone train --run {run} --resume latest --set trainer.learning_rate=1e-4 --max-steps {{2 * STEPS}}"
    )


def vocoder(title: str, family: str, change: Sequence[Cell]) -> Iterator[Cell]:
    """A family that converts mels to audio."""
    recipe, run = f"{family}/tiny", f"runs/{family}"
    yield from beginning(title, f"allophone-{family}", recipe)
    yield from prepared(recipe)
    yield from trained(recipe, run)
    yield text(
        "## Listening\n\nRecordings that were kept for validation, converted to mels and back."
    )
    yield code(
        f"!allophone vocode --vocoder {run} {VALIDATION} --out vocoded\n\n"
        "from IPython.display import Audio\n\n"
        'name = next(Path("vocoded").glob("*.wav")).name\n'
        'Audio(filename=f"vocoded/{name}")'
    )
    yield from change
    yield text(CONTINUE)
    yield code(
        f"!allophone train --run {run} --resume latest --set trainer.learning_rate=1e-4 --max-steps {{2 * STEPS}}"
    )


def valle() -> Iterator[Cell]:
    yield from beginning("VALL-E", "allophone-valle", "valle/tiny")
    yield from prepared("valle/codec-tiny")
    yield from trained("valle/codec-tiny", "runs/codec", what="Training the codec")
    codec = "model.codec.place=runs/codec"
    yield from prepared("valle/tiny", codec)
    yield from trained(
        "valle/tiny --stage ar", "runs/ar", codec, what="Training the first codebook"
    )
    yield from trained("valle/tiny --stage nar", "runs/nar", codec, what="Training the others")
    yield text(
        "## Listening\n\nThe two runs are combined to a voice, which clones the speaker of a recording of a few seconds."
    )
    yield code("!allophone import runs/ar runs/nar voices/valle")
    yield code(
        HEAR.format(place="voices/valle", prompt=", prompt=prompt").replace(
            "spoken =", 'prompt = voice.prompt("recordings/04.wav", text=TEXTS[4])\nspoken ='
        )
    )
    yield text("## Changing something\n\nHow codes are drawn: only from the likeliest.")
    yield code(
        'surer = voice.say("The river runs past the hills.", prompt=prompt, top_p=0.8, temperature=0.7)\n'
        "Audio(surer.samples, rate=surer.sample_rate)"
    )


def notebooks() -> Mapping[str, Sequence[Cell]]:
    """The cells of each notebook, by the name of its file without extension."""
    return {
        "vits": list(voice("VITS", "vits", "length_scale")),
        "vits2": list(voice("VITS2", "vits2", "length_scale")),
        "fastspeech2": list(voice("FastSpeech 2", "fastspeech2", "length_scale")),
        "hifigan": list(
            vocoder(
                "HiFi-GAN",
                "hifigan",
                [
                    text(
                        "## Changing something\n\nThe same mels by Griffin-Lim, without training."
                    ),
                    code(
                        "!allophone vocode --vocoder griffin-lim --like hifigan/tiny "
                        f"{VALIDATION} --out griffin-lim\n\n"
                        'Audio(filename=f"griffin-lim/{name}")'
                    ),
                ],
            )
        ),
        "diffwave": list(
            vocoder(
                "DiffWave",
                "diffwave",
                [
                    text(
                        "## Changing something\n\nMore steps of denoising, and another sampler, take longer and sound better."
                    ),
                    code(
                        f"!allophone vocode --vocoder runs/diffwave {VALIDATION} --out slower --control sampler=dpm "
                        "--control steps=12\n\n"
                        'Audio(filename=f"slower/{name}")'
                    ),
                ],
            )
        ),
        "valle": list(valle()),
    }


def as_json(cells: Sequence[Cell]) -> str:
    """A notebook in Jupyter's format 4.5, without outputs."""
    written: list[dict[str, Any]] = []
    for number, (kind, content) in enumerate(cells):
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{number:02}",
            "metadata": {},
            "source": content.splitlines(keepends=True),
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        written.append(cell)
    notebook = {
        "cells": written,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, cells in notebooks().items():
        (FOLDER / f"{name}.ipynb").write_text(as_json(cells), "utf-8")


if __name__ == "__main__":
    main()
