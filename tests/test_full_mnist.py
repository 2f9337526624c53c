"""Models on the official splits, with MNIST_DIR, in a short training. `make results` trains them as the README says."""

import json

from conftest import QUIET, run_command


def test_models_learn_the_official_training_split_and_are_tested_on_the_official_test_split(mnist_dir, tmp_path):
    least = {"linear": 0.86, "mlp": 0.92, "cnn": 0.98, "cnn_augmented": 0.97}
    short = ("data.train_size=20000", "trainer.max_epochs=1")
    done = run_command("train.py", "-m", f"model={','.join(least)}", *short, *QUIET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/*/*/report/metrics.json")]
    assert {metrics["model"] for metrics in reports} == least.keys()
    for metrics in reports:
        assert metrics["dataset"]["test_split"] == "official test split"
        assert metrics["onnx"]["samples"] == 10000
        assert metrics["test/accuracy"] >= least[metrics["model"]]
