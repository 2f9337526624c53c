"""A grid with -m: all jobs run, one table at the end, no failure unseen."""

import json
import re

from conftest import QUIET


def test_grid_goes_on_after_a_failing_job_and_says_so(command, tmp_path):
    """The learning rate of 1e30 turns the loss into nan; the jobs before and after it finish."""
    done = command(
        "train.py",
        *("-m", "data=mnist_5k", "model=mlp", "model.schedule=constant", "trainer.max_epochs=1", *QUIET),
        *("model.learning_rate=1e30,1e-3", "seed=1,2"),
    )
    assert done.returncode == 1
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    status = {path.parent.name: json.loads(path.read_text())["status"] for path in sweep.glob("*/run.json")}
    assert status == {"0": "failed", "1": "failed", "2": "finished", "3": "finished"}
    assert json.loads((sweep / "0" / "run.json").read_text())["error"].startswith("train/loss is nan at step")
    assert done.stderr.count("error: train/loss is nan") == 2 and "Traceback" not in done.stderr
    table = done.stdout[done.stdout.index("4 jobs in") :]
    assert "#0 failed: train/loss is nan at step" in table and "#1 failed" in table
    row = next(line for line in table.splitlines() if "mlp" in line)
    assert re.search(r"│\s+2 │ \d\d\.\d\d ± \d+\.\d\d % │", row), row


def test_wrong_job_stops_a_sweep_before_it_starts(command, tmp_path):
    done = command("train.py", "-m", "data=mnist_5k", "model=linear,mlp", "data.batch_size=64,0")
    assert done.returncode == 2
    assert done.stderr == "error: data.batch_size: got 0, wanted greater than or equal to 1\n"
    assert list(tmp_path.iterdir()) == []
