"""Export a finished run's best checkpoint to ONNX again and prove the file equal to it."""

import argparse
from pathlib import Path

from digits.cli import plain_errors


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run's folder, like outputs/2026-01-31/12-00-00_cnn")
    folder = parser.parse_args().run

    from digits.training.export import export_onnx, onnx_metadata
    from digits.training.reopen import evaluate_run

    metrics, evaluation, record = evaluate_run(folder)
    path = folder / "model.onnx"
    facts = export_onnx(evaluation, path, onnx_metadata(metrics, record))
    print(
        f"{path}: {facts['bytes']:,} bytes, off by {facts['max_abs_diff']:.1e} at most and the same answer "
        f"on {facts['argmax_agreement']:.2%} of {facts['samples']:,} test digits"
    )


if __name__ == "__main__":
    with plain_errors():
        main()
