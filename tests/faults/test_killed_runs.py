"""Training that is killed at any moment and resumed ends as if nothing had happened."""

import json
import random
import signal

import pytest
from conftest import QUIET, run_command
from test_tracking import client_of, points, rows

from faults.killing import EPOCHS, RUN, TRAIN, kill_at, kill_while_it_trains, sha256_of_weights

pytestmark = pytest.mark.slow
EVENTS = 45  # of the saves after the first: a file is opened, synced, renamed, its folder synced, its first name freed
IN_MLFLOW = range(30, 34)  # a few cases, as MLflow is slow


def killed_in(cwd, arguments, size, case):
    """The folder of a run that was killed: at an event of a save, at any moment, or when half a file was written."""
    chance = random.Random(case)
    if case % 3 == 0:
        assert kill_at(cwd, "event", 1 + chance.randrange(EVENTS), TRAIN, *arguments) == -signal.SIGKILL
    elif case % 3 == 1:
        assert kill_while_it_trains(cwd, arguments, chance.uniform(0, 0.3)) == -signal.SIGKILL
    else:
        assert kill_at(cwd, "bytes", chance.randrange(20_000, size), TRAIN, *arguments) == -signal.SIGXFSZ
    return cwd / "run"


def steps_in_mlflow(cwd):
    client = client_of(cwd)
    (run,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    history = client.get_metric_history(run.info.run_id, "train/loss")
    return sorted(each.step for each in history)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow")
@pytest.mark.fault(
    "SIGKILL at any moment of the training and at each file event of a checkpoint's save; then resume=",
    "weights with the same SHA-256 as of the run never killed; history, csv, TensorBoard, MLflow have each epoch once",
    cases=50,
    short=2,
)
def test_a_run_that_was_killed_ends_as_the_one_that_was_not(whole, tmp_path, case):
    arguments = [*RUN, "logger=[csv,tensorboard,mlflow]"] if case in IN_MLFLOW else RUN
    killed = killed_in(tmp_path, arguments, (whole / "checkpoints/last.ckpt").stat().st_size, case)
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    if case % 2:
        killed = killed.rename(tmp_path / "moved to another place")
    read_by_others = [tmp_path / path.name for path in (killed / ".hydra").iterdir()]
    for path in read_by_others:
        path.hardlink_to(killed / ".hydra" / path.name)
    before = [path.read_text() for path in read_by_others]
    done = run_command("train.py", f"resume='{killed}'", *QUIET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(before) == 3 and [path.read_text() for path in read_by_others] == before, "new files, none emptied first"
    assert not list(killed.rglob(".*ckpt*")), "nothing half written is left"

    assert sha256_of_weights(killed) == sha256_of_weights(whole)
    overrides = [(run / ".hydra" / "overrides.yaml").read_text() for run in (whole, killed)]
    assert overrides[1].startswith(overrides[0]) or case in IN_MLFLOW
    assert "resume" not in overrides[1], "they repeat the run"
    first, second = (json.loads((run / "report" / "metrics.json").read_text()) for run in (whole, killed))
    assert first["test/accuracy"] == second["test/accuracy"]
    assert [row["epoch"] for row in second["history"]] == list(range(EPOCHS))
    assert [row["val/loss"] for row in first["history"]] == [row["val/loss"] for row in second["history"]]
    assert rows(killed) == rows(whole)
    steps = [{tag: [step for step, _ in each] for tag, each in points(run).items()} for run in (whole, killed)]
    assert steps[0] == steps[1]
    if case in IN_MLFLOW:
        assert steps_in_mlflow(tmp_path) == [int(row["step"]) for row in rows(whole) if row["train/loss"]]
