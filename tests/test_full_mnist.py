"""Accuracy on the official test split, with MNIST_DIR; `make test-accuracy` has the trainings that take minutes."""

import json

import pytest
from conftest import QUIET, run_command


def test_models_learn_from_a_part_of_the_official_training_split(mnist_dir, tmp_path):
    least = {"linear": 0.86, "mlp": 0.92, "cnn": 0.98, "cnn_augmented": 0.97}
    check_accuracy(tmp_path, least, "data.train_size=20000", "trainer.max_epochs=1")


@pytest.mark.long
def test_models_reach_their_accuracy_on_the_official_test_split(mnist_dir, tmp_path):
    check_accuracy(tmp_path, {"linear": 0.92, "mlp": 0.983, "cnn": 0.993})


@pytest.mark.long
def test_cnn_augmented_comes_near_its_accuracy_in_two_epochs(mnist_dir, tmp_path):
    check_accuracy(tmp_path, {"cnn_augmented": 0.985}, "trainer.max_epochs=2")


def check_accuracy(cwd, least, *overrides):
    """Train each model of `least`, and compare its accuracy on the official test split with the least it may have."""
    done = run_command("train.py", "-m", f"model={','.join(least)}", *overrides, *QUIET, cwd=cwd, timeout=1800)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in cwd.glob("outputs/sweeps/*/*/report/metrics.json")]
    assert {metrics["model"] for metrics in reports} == least.keys()
    for metrics in reports:
        assert metrics["dataset"]["test_split"] == "official test split"
        assert metrics["onnx"]["samples"] == 10000
        assert metrics["test/accuracy"] >= least[metrics["model"]]
