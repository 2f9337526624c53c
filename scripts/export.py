"""Export a finished run's best checkpoint to ONNX again, and compare the file with the checkpoint."""

import argparse
from pathlib import Path

from digits.run_folder import RunFolder
from plain_errors import plain_errors


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("run", type=Path, nargs="?", help="a run's folder (default: the newest one in outputs)")
    help_ensemble = "make one model of several runs, the mean of their probabilities, in a new run folder"
    group.add_argument("--ensemble", type=Path, nargs="+", metavar="RUN", help=help_ensemble)
    help_into = "the ensemble's run folder (default: a new one in outputs)"
    parser.add_argument("--into", type=Path, metavar="FOLDER", help=help_into)
    parser.add_argument("--int8", action="store_true", help="also write a smaller model.int8.onnx if it is as accurate")
    arguments = parser.parse_args()
    if arguments.into and not arguments.ensemble:
        parser.error("--into is for --ensemble")
    if arguments.ensemble:
        from digits.reporting.report import print_summary
        from digits.training.ensemble import export_ensemble

        folder, metrics = export_ensemble([RunFolder(run) for run in arguments.ensemble], arguments.into)
        print_summary(folder, metrics)
    else:
        folder = RunFolder(arguments.run) if arguments.run else RunFolder.newest()
        export(folder)
    if arguments.int8:
        from digits.reporting.compare import speed
        from digits.training.int8 import export_int8

        small, facts = export_int8(folder)
        print(f"{small}: {small.stat().st_size:,} bytes; " + ", ".join(f"{key} {facts[key]:.4g}" for key in facts))
        times = (f"{path.name} {speed(path)[0]:.3f}" for path in (folder.onnx, small))
        print("ms for a picture on one thread: " + ", ".join(times))


def export(folder: RunFolder) -> None:
    """Write model.onnx of a run again."""
    from digits.training.export import export_onnx, onnx_metadata
    from digits.training.finish import evaluate_again

    evaluation, record = evaluate_again(folder)
    file = export_onnx(evaluation, folder.onnx, onnx_metadata(evaluation, record, folder.best))
    print(
        f"{folder.onnx}: {file.bytes:,} bytes; compared with the checkpoint on {file.samples:,} test digits: "
        f"largest difference {file.max_abs_diff:.1e}, {file.argmax_agreement:.2%} equal predictions"
    )


if __name__ == "__main__":
    with plain_errors():
        main()
