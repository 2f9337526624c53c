"""The results of a run, in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from digits.record import Metrics


def print_summary(folder: Path, metrics: Metrics) -> None:
    """Print a short table: accuracy, loss, time, and where report and model are.

    Args:
        folder: of the run.
        metrics: with `onnx`.
    """
    assert metrics.onnx is not None
    data, onnx = metrics.dataset, metrics.onnx
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("model", f"{metrics.model}, {metrics.parameters:,} parameters")
    table.add_row("data", f"{data.name}: {data.train:,} train, {data.val:,} validation, {data.test:,} test")
    table.add_row("test accuracy", f"{metrics.test_accuracy:.2%}  ({data.test_split})")
    table.add_row("test loss", f"{metrics.test_loss:.4f}   ECE {metrics.test_ece:.4f}")
    if metrics.val_accuracy is not None:
        table.add_row("validation accuracy", f"{metrics.val_accuracy:.2%}")
    if metrics.epochs:
        speed = f"{metrics.train_images_per_second:,.0f} images/s"
        table.add_row("fit", f"{metrics.fit_seconds:.1f} s, {metrics.epochs} epochs, {speed}")
    table.add_row("report", str(folder / "report" / "index.html"))
    difference = f"largest difference from the checkpoint {onnx.max_abs_diff:.0e}"
    table.add_row("ONNX", f"{folder / 'model.onnx'}  ({onnx.bytes / 1e3:,.0f} kB, {difference})")
    console = Console()
    console.print()
    console.print(table)
