"""Sweeps and searches that are killed, doubled, or find a clock set back: nothing is trained twice, nothing is lost."""

import json
import os
import random
import re
import signal
import subprocess
import time
from datetime import datetime, timedelta
from functools import partial

import pytest
from conftest import QUIET, run_command
from test_search import study_of
from test_sweep import files, finished, records, the_sweep

from faults.killing import TRAIN, begun, kill_at, wait_for

pytestmark = pytest.mark.slow
SMALL = ["data=mnist_5k", "data.train_size=500", "data.val_size=200", "model=linear", "trainer.max_epochs=1", *QUIET]
JOBS = 3
SWEEP = ["-m", *SMALL, f"seed=range({JOBS})"]
SEARCH = ["-m", "search=custom", *SMALL, "model.learning_rate=interval(0.001,0.1)", f"search.trials={JOBS}"]


def ended(folder):
    """What lies in the folders of the jobs that need no other run."""
    done = [n for n, record in records_so_far(folder).items() if record["status"] in ("finished", "pruned")]
    return {number: files(folder / str(number)) for number in done}


def records_so_far(folder):
    """As records(), where a job may have claimed its folder only."""
    found = {int(path.parent.name): path.read_text() for path in folder.glob("*/run.json")}
    return {number: json.loads(text) for number, text in found.items() if text}


def assert_complete(cwd, before, done):
    """That all jobs have finished, those of `before` as they were then, and that the table has them."""
    numbers = range(JOBS)
    assert (done.returncode, done.stderr) == (0, "")
    folder, after = the_sweep(cwd), ended(the_sweep(cwd))
    assert sorted(after) == list(numbers) == sorted(records(folder))
    is_search = "search=custom" in done.args
    for number in before:
        is_best = is_search and (folder / str(number) / "report").exists()  # it gets one in the end
        assert is_best or after[number] == before[number], number
    trained = re.findall(r"^ *\d of \d   #(\d+) ", done.stdout, flags=re.M)
    assert sorted(map(int, trained)) == sorted(set(numbers) - before.keys())
    if is_search:
        trials = study_of(folder).trials
        assert [trial.number for trial in trials] == list(numbers)
        assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED"}
    else:
        seeds = [record["config"]["seed"] for _, record in sorted(records(folder).items())]
        assert seeds == list(numbers)
        table = done.stdout[done.stdout.rindex(f"{JOBS} jobs in") :]
        assert re.search(rf"│\s+{JOBS} │ \d\d\.\d\d ± \d+\.\d\d % │", table), table


def killed(words, tmp_path, chance):
    """The driver is killed anywhere."""
    at = chance.randrange(1, chance.choice([60, 250]))
    assert kill_at(tmp_path, "event", at, TRAIN, *words, part="/sweeps/", start=".") == -signal.SIGKILL
    folders = list(tmp_path.glob("outputs/sweeps/*"))
    before = ended(folders[0]) if folders else {}
    assert_complete(tmp_path, before, run_command("train.py", *words, cwd=tmp_path))


def set_back(folder):
    """Have all that lies in a folder be from tomorrow."""
    for path in folder.rglob("run.json"):
        record = json.loads(path.read_text())
        later = datetime.fromisoformat(record["started"]) + timedelta(days=1)
        path.write_text(json.dumps(record | {"started": later.isoformat()}))
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() + 86400, path.stat().st_mtime + 86400))


def killed_and_clock_set_back(words, tmp_path, chance):
    at = chance.randrange(100, 250)
    assert kill_at(tmp_path, "event", at, TRAIN, *words, part="/sweeps/", start=".") == -signal.SIGKILL
    set_back(the_sweep(tmp_path))
    before = ended(the_sweep(tmp_path))
    assert_complete(tmp_path, before, run_command("train.py", *words, cwd=tmp_path))


def two_drivers(words, tmp_path, chance):
    """A second driver is refused by a sweep, and shares the trials of a search."""
    first = begun(tmp_path, TRAIN, *words)
    part = chance.choice(["*/0/run.json", "*/0/checkpoints/last.ckpt", "*/1/run.json"])
    wait_for(first, lambda: any(tmp_path.glob(f"outputs/sweeps/{part}")), tmp_path)
    second = run_command("train.py", *words, cwd=tmp_path)
    assert first.wait(120) == 0
    printed = (tmp_path / "printed.txt").read_text()
    if words is SWEEP:
        assert second.returncode == 2 and "another process works in" in second.stderr
        second.stdout = ""
    else:
        assert (second.returncode, second.stderr) == (0, "")
    both = re.findall(r"^ *\d of \d   #(\d+) ", printed + second.stdout, flags=re.M)
    assert sorted(map(int, both)) == list(range(JOBS))
    before = ended(the_sweep(tmp_path))
    assert_complete(tmp_path, before, run_command("train.py", *words, cwd=tmp_path))


def workers(process):
    """The numbers of the processes in which a driver has jobs run."""
    words = ["pgrep", "-P", str(process.pid), "-f", "popen_loky"]
    return [int(number) for number in subprocess.run(words, capture_output=True, text=True).stdout.split()]


def job_killed(words, tmp_path, chance):
    """One of the processes in which jobs run is killed."""
    words = [*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    driver = begun(tmp_path, TRAIN, *words)
    part = chance.choice(["run.json", "train.log", "checkpoints/last.ckpt"])
    wait_for(driver, lambda: any(tmp_path.glob(f"outputs/sweeps/*/?/{part}")), tmp_path)
    os.kill(chance.choice(workers(driver)), signal.SIGKILL)
    code = driver.wait(240)
    before = ended(the_sweep(tmp_path))
    assert code in (0, 1) and (code == 0) == (len(before) == JOBS), (tmp_path / "printed.txt").read_text()
    assert_complete(tmp_path, before, run_command("train.py", *words, cwd=tmp_path))
    assert finished(the_sweep(tmp_path)).keys() == set(range(JOBS))


FAULTS = [
    *[partial(killed, SWEEP)] * 12,
    *[partial(killed, SEARCH)] * 6,
    *(partial(fault, words) for fault in (killed_and_clock_set_back, two_drivers) for words in (SWEEP, SEARCH) * 2),
    *[partial(job_killed, SWEEP)] * 4,
]


@pytest.mark.fault(
    "sweeps and searches: driver or job killed, two drivers on one folder, clock set back; then the same command",
    "nothing is trained twice, nothing is lost, and the table is complete",
    cases=len(FAULTS),
    short=0,
)
def test_the_same_command_continues_and_trains_nothing_twice(joblib, tmp_path, case):
    FAULTS[case * 11 % len(FAULTS)](tmp_path, random.Random(case))
