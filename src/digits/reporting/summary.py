"""What a run came to, in the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(folder: Path, metrics: dict[str, Any]) -> None:
    """Print a short table: accuracy, loss, time, and where report and model are."""
    data, onnx = metrics["dataset"], metrics["onnx"]
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("model", f"{metrics['model']}, {metrics['parameters']:,} parameters")
    table.add_row("data", f"{data['name']}: {data['train']:,} train, {data['val']:,} validation, {data['test']:,} test")
    table.add_row("test accuracy", f"{metrics['test/accuracy']:.2%}  ({data['test_split']})")
    table.add_row("test loss", f"{metrics['test/loss']:.4f}   ECE {metrics['test/ece']:.4f}")
    if metrics["val/accuracy"] is not None:
        table.add_row("validation", f"{metrics['val/accuracy']:.2%}")
    if metrics["epochs"]:
        speed = metrics["train_images_per_second"]
        table.add_row("fit", f"{metrics['fit_seconds']:.1f} s, {metrics['epochs']} epochs, {speed:,.0f} images/s")
    table.add_row("report", str(folder / "report" / "index.html"))
    table.add_row(
        "ONNX",
        f"{folder / 'model.onnx'}  ({onnx['bytes'] / 1e3:,.0f} kB, off by {onnx['max_abs_diff']:.0e} at most)",
    )
    console = Console()
    console.print()
    console.print(table)
