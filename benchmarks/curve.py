"""Plot a metric of runs over training steps.

python benchmarks/curve.py mel_loss docs/figures/mel.png runs/tiny runs/other
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import matplotlib
from matplotlib import pyplot

from allophone.files.run_folder import METRICS


def points(run: Path, event: str, metric: str) -> tuple[list[int], list[float]]:
    """The steps and values of a metric in one kind of event of a run."""
    steps, values = [], []
    for line in (run / METRICS).read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if said["event"] == event and metric in said["metrics"]:
            steps.append(said["step"])
            values.append(said["metrics"][metric])
    return steps, values


@click.command()
@click.argument("metric")
@click.argument("picture", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(metric: str, picture: Path, runs: tuple[Path, ...]) -> None:
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for run in runs:
        (line,) = axes.plot(*points(run, "step", metric), alpha=0.5, label=f"{run.name}, training")
        axes.plot(
            *points(run, "validated", metric),
            marker="o",
            color=line.get_color(),
            label=f"{run.name}, validation",
        )
    axes.set(xlabel="optimizer step", ylabel=metric)
    axes.grid(alpha=0.3)
    axes.legend()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
