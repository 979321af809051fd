"""The curve of a training run as a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path


def write_curve(metrics: Path, curve: Path) -> None:
    """The logged training losses as a table."""
    events = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    rows = [{"step": one["step"], **one["metrics"]} for one in events if one["event"] == "step"]
    names = ["step", *sorted({name for row in rows for name in row if name.endswith("_loss")})]
    with curve.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([row.get(name, "") for name in names] for row in rows)
