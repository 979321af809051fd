"""Find the mel parameters of a vocoder of which only the weights are known.

Resynthesizes recordings with the vocoder of `benchmarks/reference_vocoder.py`, with the mel parameters that were found and with
one of them changed. A wrong mel scale, power, logarithm or filter norm is obvious. Other parameters make little
difference: the padding, the epsilon, and `n_fft`, which mainly changes the loudness, for which `log_offset`
compensates. Run `python benchmarks/recover_mel.py --manifest data/ru/manifest.jsonl`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from attrs import evolve
from held_out import held_out, recorded, split_options
from reference_vocoder import MEL, ReferenceVocoder
from rich.console import Console
from rich.table import Table
from scores import SAMPLE_RATE, Judge, mean_scores
from vocoding import said_again

from allophone.data.manifest import Split

READINGS: dict[str, dict[str, Any]] = {
    "as recovered": {},
    "log_offset 0": {"log_offset": 0.0},
    "centred": {"center": True},
    "padded with zeros": {"padding": "zeros"},
    "magnitude_epsilon 0": {"magnitude_epsilon": 0.0},
    "magnitude_epsilon 1e-6": {"magnitude_epsilon": 1e-6},
    "power 2": {"power": 2},
    "n_fft 640, log_offset 0": {"n_fft": 640, "log_offset": 0.0},
    "n_fft 800, log_offset 0": {"n_fft": 800, "log_offset": 0.0},
    "n_fft 2048": {"n_fft": 2048},
    "win_length 800": {"win_length": 800},
    "win_length 1024": {"win_length": 1024},
    "HTK's scale": {"mel_scale": "htk"},
    "filters of height 1": {"mel_norm": "none"},
    "f_min 20 Hz": {"f_min": 20.0},
    "f_max 7600 Hz": {"f_max": 7600.0},
    "decadic logarithm": {"log_base": "10"},
    "floor 1e-7": {"log_floor": 1e-7},
}


@click.command()
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@split_options(count=10)
def main(manifest: Path, split: Split, count: int) -> None:
    judge = Judge()
    recordings = [recorded(one, SAMPLE_RATE).samples for one in held_out(manifest, split, count)]
    table = Table("the mel is read", title=f"{len(recordings)} recordings of {manifest}")
    for heading in ("DistillMOS", "PESQ", "log-mel"):
        table.add_column(heading, justify="right")
    for name, changes in READINGS.items():
        vocoder = ReferenceVocoder(evolve(MEL, **changes))
        mean = mean_scores(
            judge.judge(said_again(vocoder, recording), recording) for recording in recordings
        )
        table.add_row(name, f"{mean.mos:.2f}", f"{mean.pesq:.2f}", f"{mean.log_mel:.3f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
