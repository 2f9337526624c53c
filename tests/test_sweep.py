"""A sweep with -m: all jobs run, one table at the end, every failure is printed, and the same command continues it."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import QUIET, audit, run_command, start_training
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from playwright.sync_api import expect
from test_compare import is_cut, views

from digits.former import former_line
from digits.sweep_jobs import DigitJobs
from plain_errors import ConfigError
from resumable_sweeps.grid import claim_sweep, smaller_sweep
from resumable_sweeps.job import Job
from resumable_sweeps.jobs import Jobs, say
from resumable_sweeps.names import sweep_name

# `make test-kills` asks for more
JOBS, KILLS = int(os.environ.get("SWEEP_JOBS", 4)), int(os.environ.get("SWEEP_KILLS", 3))
FAST = ["-m", "data=mnist_5k", "model=linear", "trainer.max_epochs=2", *QUIET]
SWEEP = [*FAST, f"seed=range({JOBS // 2})", "model.learning_rate=1e-2,3e-2"]
# How far a job is when its driver is killed: begun, trained, exported, not yet begun (the one before has finished).
MOMENTS = ["{0}/run.json", "{0}/checkpoints/last.ckpt", "{0}/model.onnx", "{1}/report/metrics.json"]


@contextmanager
def driver(cwd, *arguments):
    """A sweep under way in `cwd`; what is left of it at the end is killed."""
    with (cwd / "printed.txt").open("w") as file:
        process = start_training(*arguments, cwd=cwd, output=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(process, happened, cwd):
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, (cwd / "printed.txt").read_text()
        time.sleep(0.01)


def the_sweep(cwd):
    (folder,) = cwd.glob("outputs/sweeps/*")
    return folder


def records(sweep):
    return {int(path.parent.name): json.loads(path.read_text()) for path in sweep.glob("*/run.json")}


def files(folder):
    """Bytes and times of all that lies in a folder."""
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest())
        for path in [folder, *folder.rglob("*")]
    }


def finished(sweep):
    done = [number for number, record in records(sweep).items() if record["status"] == "finished"]
    return {number: files(sweep / str(number)) for number in done}


def overrides(sweep):
    """The overrides of each job that has begun, by its number."""
    return {number: record["overrides"] for number, record in records(sweep).items()}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep whose driver was killed several times, each time in another job and at another moment of it."""
    cwd = tmp_path_factory.mktemp("swept")
    before, numbers = {}, {}
    for kill in range(KILLS):
        job = kill * JOBS // (KILLS + 1)
        moment = MOMENTS[kill % len(MOMENTS)].format(job, max(job - 1, 0))
        with driver(cwd, *SWEEP) as process:
            wait_for(process, lambda at=moment: any(cwd.glob(f"outputs/sweeps/*/{at}")), cwd)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        after = finished(the_sweep(cwd))
        assert len(after) < JOBS and before.items() <= after.items()
        before = after
        found = overrides(the_sweep(cwd))
        assert all(found.get(number, job) == job for number, job in numbers.items())
        numbers |= found
        assert len({str(job) for job in numbers.values()}) == len(numbers)
    killed = [number for number, record in records(the_sweep(cwd)).items() if record["status"] == "running"]
    done = run_command("train.py", *SWEEP, cwd=cwd)
    return the_sweep(cwd), killed, before, numbers, done


def test_the_same_command_continues_a_killed_sweep(swept):
    sweep, killed, before, numbers, done = swept
    assert done.returncode == 0, done.stderr
    assert len(killed) == 1 and before, "it was killed in the middle of a job, with others behind it"
    after = finished(sweep)
    assert sorted(after) == list(range(JOBS)) and before.items() <= after.items()
    assert f"{JOBS} jobs in outputs/sweeps/{sweep.name}, {len(before)} of them finished before" in done.stdout
    assert numbers.items() <= overrides(sweep).items()
    trained = {
        (record["config"]["seed"], record["config"]["model"]["learning_rate"]) for record in records(sweep).values()
    }
    assert trained == {(seed, rate) for seed in range(JOBS // 2) for rate in (0.01, 0.03)}
    table = done.stdout[done.stdout.rindex(f"{JOBS} jobs in") :]
    assert len(re.findall(rf"│\s+{JOBS // 2} │ \d\d\.\d\d ± \d+\.\d\d % │", table)) == 2, table
    assert "linear learning_rate=0.03" in (sweep / "index.html").read_text()
    events = {len(list((sweep / f"{number}/tensorboard").glob("*/events*"))) for number in range(JOBS)}
    assert len(events) == 1 and min(events) > 0, "none from the time before the kill"


def test_a_sweep_prints_a_line_for_each_job_and_nothing_of_the_jobs(swept):
    sweep, _, before, _, done = swept
    jobs = r"^ *(\d) of \d   #(\d) linear seed=\d learning_rate=0\.0[13]   val \d\d\.\d\d %   \d+\.\d s(.*)$"
    lines = re.findall(jobs, done.stdout, flags=re.M)
    new = sorted(set(range(JOBS)) - before.keys())
    counts = range(len(before) + 1, JOBS + 1)
    assert [(int(count), int(number)) for count, number, _ in lines] == list(zip(counts, new, strict=True))
    assert all(re.fullmatch(r"(   best so far)?   about \d+ s left", rest) for _, _, rest in lines[:-1])
    assert "left" not in lines[-1][2] and done.stdout.index(f"{JOBS} of {JOBS}") < done.stdout.rindex(f"{JOBS} jobs in")
    assert "epoch" not in done.stdout and "folder" not in done.stdout
    assert "epoch 1:" in (sweep / f"{new[0]}" / "train.log").read_text()


def test_tensorboard_shows_the_learning_rates_of_a_sweep(swept, browser):
    """In the hparams tab, and in the runs' names."""
    words = ["--logdir", str(swept[0]), "--port", "0", "--host", "127.0.0.1"]
    board = [sys.executable, "-m", "tensorboard.main", *words, "--load_fast=false"]
    with subprocess.Popen(board, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            (url,) = next(filter(None, (re.findall(r"http://[^ ]+", line) for line in process.stderr)))
            page = browser.new_page(viewport={"width": 1800, "height": 900})
            page.goto(f"{url}#hparams")
            cells = page.locator("vaadin-grid-cell-content, th, td")
            expect(cells.get_by_text("learning_rate", exact=True).first).to_be_visible(timeout=60_000)
            for text in ("0.010000", "0.030000", "test/accuracy", "accuracy/val"):
                expect(cells.get_by_text(text).first).to_be_visible()
            page.goto(f"{url}#timeseries")
            expect(page.get_by_text(re.compile("linear seed=0 learning_rate=0.03")).first).to_be_visible(timeout=60_000)
            page.close()
        finally:
            process.kill()


def test_a_finished_sweep_prints_its_table_and_trains_nothing(swept):
    sweep, _, _, _, first = swept
    before = finished(sweep)
    spelt = ["-m", "model.learning_rate=0.030,0.01", *FAST[1:], f"seed=range({JOBS // 2})"]
    done = run_command("train.py", *spelt, cwd=sweep.parents[2])
    assert (done.returncode, done.stderr) == (0, "")
    assert the_sweep(sweep.parents[2]) == sweep and finished(sweep) == before
    assert "epoch" not in done.stdout and "Launching" not in done.stdout
    assert done.stdout.split("\n", 2)[2] == first.stdout[first.stdout.rindex(f"{JOBS} jobs in") :]


def test_the_page_of_a_sweep_says_what_it_was_and_links_to_each_job(swept, browser):
    sweep = swept[0]
    for page in views(browser, sweep / "index.html"):
        audit(page)
        assert page.viewport_size["width"] < 1400 or not is_cut(page)
    assert page.inner_text("h1") == "Sweep over seed, model.learning_rate"
    assert "train.py -m data=mnist_5k" in page.inner_text(".facts") and "0.01, 0.03" in page.inner_text(".facts")
    header = page.locator("thead").first.locator("th").all_inner_texts()
    assert header[:5] == ["#", "run", "seeds", "val accuracy", "test accuracy"]
    links = {link.get_attribute("href") for link in page.locator("a").all()}
    assert links == {f"{number}/{name}" for number in range(JOBS) for name in ("", "report/index.html")}
    assert all((sweep / link).exists() for link in links)


def test_a_finished_job_whose_config_has_changed_is_refused_by_name(swept):
    """As if configs/model/linear.yaml had said something else when job 1 ran."""
    sweep = swept[0]
    path = sweep / "1" / "run.json"
    kept = path.read_text()
    record = json.loads(kept)
    record["config"]["model"]["weight_decay"] = 0.125
    path.write_text(json.dumps(record))
    done = run_command("train.py", *SWEEP, cwd=sweep.parents[2])
    path.write_text(kept)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "has changed (1): in job 1 model.weight_decay was 0.125 and is now 0.0;" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, code, word", [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals_end_a_sweep_and_a_second_driver_is_refused(tmp_path, number, code, word):
    endless = [*FAST, "trainer.max_epochs=100000", "callbacks.early_stopping.patience=100000", "seed=1,2"]
    with driver(tmp_path, *endless) as process:
        logs = tmp_path.glob
        wait_for(process, lambda: any("epoch 2:" in log.read_text() for log in logs("**/train.log")), tmp_path)
        if number == signal.SIGINT:
            second = run_command("train.py", *endless, cwd=tmp_path)
            assert second.returncode == 2
            assert f"another process works in outputs/sweeps/{the_sweep(tmp_path).name};" in second.stderr
            assert second.stdout == "checking all jobs …\n" and second.stderr.count("\n") == 1
        os.kill(process.pid, number)
        assert process.wait(60) == code
    printed = (tmp_path / "printed.txt").read_text()
    assert printed.endswith(f"{word}; the same command continues the sweep\n") and "Traceback" not in printed
    assert {number: record["status"] for number, record in records(the_sweep(tmp_path)).items()} == {0: "failed"}


def test_an_interrupt_during_the_test_has_its_exit_code():
    """Lightning makes sys.exit(1) of a KeyboardInterrupt."""
    code = (
        "import sys; from plain_errors import plain_errors; from plain_errors import Terminated\n"
        "with plain_errors():\n"
        "    try: raise Terminated\n"
        "    except KeyboardInterrupt: sys.exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "terminated\n")


def test_a_sweep_runs_on_after_a_failed_job_and_tries_it_again_next_time(command, tmp_path):
    """The learning rate of 1e30 turns the loss into nan; the jobs before and after it finish."""
    grid = [*("-m", "data=mnist_5k", "model=mlp", "model.schedule=constant", "trainer.max_epochs=1", *QUIET)]
    grid += ["model.learning_rate=1e30,1e-3", "seed=1,2"]
    done = command("train.py", *grid)
    assert done.returncode == 1
    sweep = the_sweep(tmp_path)
    status = {number: record["status"] for number, record in records(sweep).items()}
    assert status == {0: "failed", 1: "failed", 2: "finished", 3: "finished"}
    assert records(sweep)[0]["error"].startswith("train/loss is nan at step")
    assert any("raise" in line for line in records(sweep)[0]["traceback"])
    failed = [line.partition(" is nan")[0] for line in done.stderr.splitlines()]
    assert failed == [f"error: #{number} mlp learning_rate=1e+30 seed={number + 1}: train/loss" for number in (0, 1)]
    table = done.stdout[done.stdout.rindex("4 jobs in") :]
    assert "#0 failed: train/loss is nan at step" in table and "#1 failed" in table
    row = next(line for line in table.splitlines() if "│ mlp" in line)
    assert re.search(r"│\s+2 │ \d\d\.\d\d ± \d+\.\d\d % │", row), row

    before, begun = finished(sweep), [records(sweep)[number]["started"] for number in (0, 1)]
    again = command("train.py", *grid)
    assert again.returncode == 1
    assert finished(sweep) == before
    assert all(records(sweep)[number]["started"] > begun[number] for number in (0, 1))
    assert "#0 failed: train/loss is nan" in again.stdout and "2 of them finished before" in again.stdout


def test_one_wrong_job_stops_a_sweep_before_it_starts(command, tmp_path):
    done = command("train.py", "-m", "data=mnist_5k", "model=linear,mlp", "data.batch_size=64,0")
    assert done.returncode == 2
    assert done.stderr == "error: data.batch_size: got 0, wanted greater than or equal to 1\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["model=linear,nope"], "model=nope: no such choice"),
        (
            ["seed=interval(1,2)"],
            "seed=interval(1,2): a sweep wants values to combine, like choice(a, b) or range(1, 9)",
        ),
        (["seed=1,2", "hydra.sweep.subdir=x"], "hydra.sweep.subdir: the folder of a job is its number"),
        (["seed=1,2", "hydra.sweep.dir=file/sweep"], "hydra.sweep.dir: cannot make file/sweep (Not a directory)"),
    ],
)
def test_a_sweep_that_cannot_run_is_explained_in_one_line(command, tmp_path, overrides, line):
    (tmp_path / "file").touch()
    done = command("train.py", "-m", "data=mnist_5k", *overrides)
    assert done.returncode == 2
    assert line in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_ends_a_sweep_with_one_line(capsys, tmp_path, monkeypatch):
    """Every job after it would fail as well."""

    def task(config):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"job": {"num": 0, "name": "first"}}))
    job = Job(task, Jobs(DigitJobs(), tmp_path, 2, "val/accuracy"), is_search=False)
    with pytest.raises(SystemExit) as end:
        job(OmegaConf.create({"trainer": {"devices": 1}}))
    line = "error: the disk: No space left on device; make room and run the same command again\n"
    assert (end.value.code, capsys.readouterr().err) == (1, line)


def test_order_and_spelling_of_overrides_do_not_change_the_name():
    one = [["model=mlp", "model.learning_rate=1e-3", f"seed={seed}"] for seed in (1, 2, 10)]
    other = [[f"seed={seed}", "model.learning_rate=0.001", "model=mlp"] for seed in (10, 2, 1)]
    assert sweep_name(one) == sweep_name(other)
    assert re.fullmatch(r"seed-1-2-10_[0-9a-f]{8}", sweep_name(one))
    assert sweep_name(one) != sweep_name([[*job, "trainer.max_epochs=3"] for job in one])
    assert re.fullmatch(r"model-mlp_[0-9a-f]{8}", sweep_name([["model=mlp"]]))
    assert re.fullmatch(r"[\w.-]{1,90}", sweep_name([[f"data.folder='/a b/{n}{'x' * 90}'"] for n in (1, 2)]))


def test_a_job_keeps_its_number_when_a_sweep_grows(tmp_path):
    def claim(*seeds):
        lock, numbers = claim_sweep(tmp_path / "sweep", [[f"seed={seed}"] for seed in seeds])
        lock.release()
        return numbers

    assert claim(5, 6) == [0, 1]
    assert claim(4, 6, 5, 6) == [2, 1, 0, 1]
    with pytest.raises(ConfigError, match=r"another sweep \(its job 2 is seed=4\)"):
        claim(5, 6)


def test_the_sweep_that_a_larger_one_could_be_added_to_is_found(tmp_path):
    grids = {"one": [1], "two": [1, 2], "other": [1, 9]}
    for name, seeds in grids.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "jobs.json").write_text(json.dumps([[f"seed={seed}"] for seed in seeds]))
    assert smaller_sweep(tmp_path, [["seed=3"], ["seed=2"], ["seed=1"]]) == tmp_path / "two"
    assert smaller_sweep(tmp_path, [["seed=2"]]) is None


def test_a_folder_that_holds_something_else_is_refused_and_not_changed(tmp_path):
    (tmp_path / "0").mkdir()
    with pytest.raises(ConfigError, match=r"no sweep \(0 is there"):
        claim_sweep(tmp_path, [["seed=1"]])
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.parametrize(
    "override, now",
    [
        ("sweep=cnn", "search=cnn"),
        ("sweep=search", "search=custom"),
        ("sweep.trials=5", "search.trials=5"),
        ("+sweep.sampler.multivariate=true", "+search.sampler.multivariate=true"),
        ("~sweep.pruner.n_warmup_steps", "~search.pruner.n_warmup_steps"),
    ],
)
def test_the_former_line_is_explained(override, now):
    assert former_line(override) == f"{override}: sweep is now called search; take {now}"


def test_other_keys_are_not_taken_for_the_former_one():
    assert [former_line(text) for text in ("seed=1", "hydra.sweep.dir=x", "sweeper=1", "model=sweep")] == [None] * 4


@pytest.mark.parametrize("mode", [[], ["-m"]])
def test_the_former_line_is_explained_by_the_command(command, mode):
    done = command("train.py", *mode, "sweep=cnn", "sweep.trials=5")
    assert (done.returncode, done.stderr) == (
        2,
        "error: sweep=cnn: sweep is now called search; take search=cnn\n"
        "sweep.trials=5: sweep is now called search; take search.trials=5\n",
    )


def test_a_line_is_broken_between_words_in_a_terminal_only(capsys, monkeypatch):
    line = (
        "4 of 12   #3 cnn_augmented learning_rate=0.003 seed=2   val 99.12 %   31.0 s   best so far   about 36 s left"
    )
    say(line)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    say(line)
    whole, *parts = capsys.readouterr().out.splitlines()
    assert whole == line and len(parts) == 2 and max(map(len, parts)) <= 80 and " ".join(parts).split() == line.split()
