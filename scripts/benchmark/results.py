"""What a benchmark leaves in outputs/: figures as JSON, a table as Markdown, a picture."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from digits.record import RunRecord

Runs = list[list[dict[str, Any]]]  # the lines of each run: one for each epoch, or only the last one
TICKS = (0.975, 0.98, 0.985, 0.99, 0.992, 0.994, 0.996, 0.997, 0.998)  # of the picture


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows])


def save(name: str, figures: dict[str, Any], markdown: str) -> Path:
    """Print `markdown`; write it and `figures` into a new folder in outputs/<name>; return the folder."""
    from digits.training.run import git_state, hardware, versions  # import torch, which --help does not need

    folder = Path(f"outputs/{name}/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    folder.mkdir(parents=True)
    record = RunRecord.begun(git=git_state(), versions=versions(), hardware=hardware())
    machine = record.model_dump(exclude_unset=True)
    cpu, cores, gpus = (record.hardware[key] for key in ("cpu", "cores", "gpus"))
    packages = [f"{package} {record.versions[package]}" for package in ("python", "torch", "lightning")]
    words = [record.started[:10], cpu, f"{cores} cores", *gpus, *packages]
    text = f"{', '.join(words)}\n\n{markdown}\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(machine | figures, indent=1, ensure_ascii=False), encoding="utf-8")
    print(text, f"written to {folder}", sep="\n", flush=True)
    return folder


def draw(curves: dict[str, Runs], folder: Path) -> None:
    """Draw mean test accuracy ± standard deviation against median seconds of training, for light and dark pages."""
    for file, look in {"speed.png": "default", "speed-dark.png": "dark_background"}.items():
        with style.context(look):
            figure = Figure(figsize=(8.2, 4.6), layout="constrained")
            axes = figure.add_subplot(xscale="log", yscale="logit", xlabel="seconds of training")
            for name, runs in curves.items():
                epochs = list(zip(*runs, strict=False))  # a run may take more epochs than another
                seconds = [median(run["seconds"] for run in epoch) for epoch in epochs]
                accuracy = [mean(run["percent"] / 100 for run in epoch) for epoch in epochs]
                spread = [stdev(run["percent"] / 100 for run in epoch) if len(epoch) > 1 else 0 for epoch in epochs]
                axes.errorbar(seconds, accuracy, spread, fmt="o-", label=name, linewidth=1, markersize=4)
            axes.set(ylabel="test accuracy", ylim=(TICKS[0], TICKS[-1]))
            axes.set_yticks(TICKS, [f"{tick:.1%}" for tick in TICKS])
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.minorticks_off()
            axes.grid(alpha=0.3)
            axes.legend()
            figure.savefig(folder / file, dpi=130)
