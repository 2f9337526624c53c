"""Accuracy on the official test split, with MNIST_DIR; cnn_augmented with fewer epochs than it needs."""

import json

from conftest import QUIET, run_command


def test_models_reach_their_accuracy_on_the_official_test_split(mnist_dir, tmp_path):
    least = {"linear": 0.92, "mlp": 0.983, "cnn": 0.993}
    done = run_command("train.py", "-m", f"model={','.join(least)}", *QUIET, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/*/*/report/metrics.json")]
    assert {metrics["model"] for metrics in reports} == least.keys()
    for metrics in reports:
        assert metrics["dataset"]["test_split"] == "official test split"
        assert metrics["onnx"]["samples"] == 10000
        assert metrics["test/accuracy"] >= least[metrics["model"]]


def test_cnn_augmented_comes_near_its_accuracy_in_two_epochs(mnist_dir, tmp_path):
    done = run_command(
        "train.py", "-m", "model=cnn_augmented", "trainer.max_epochs=2", *QUIET, cwd=tmp_path, timeout=900
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("outputs/sweeps/*/*/report/metrics.json")
    assert json.loads(path.read_text())["test/accuracy"] >= 0.985
