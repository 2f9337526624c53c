"""Accuracy on the official test split, with MNIST_DIR; each model once, the longest cut short."""

import json

import pytest
from conftest import QUIET, run_command, run_folders


@pytest.mark.parametrize(
    "model, overrides, accuracy",
    [
        ("linear", [], 0.92),
        ("mlp", [], 0.983),
        ("cnn", [], 0.993),
        ("cnn_augmented", ["trainer.max_epochs=4"], 0.994),
    ],
)
def test_accuracy(mnist_dir, tmp_path, model, overrides, accuracy):
    done = run_command("train.py", f"model={model}", *overrides, *QUIET, cwd=tmp_path, MNIST_DIR=mnist_dir)
    assert done.returncode == 0, done.stderr
    (run,) = run_folders(tmp_path)
    metrics = json.loads((run / "report" / "metrics.json").read_text())
    assert metrics["dataset"]["test_split"] == "official test split"
    assert metrics["onnx"]["samples"] == 10000
    assert metrics["test/accuracy"] >= accuracy
