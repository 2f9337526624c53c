"""The products need each other no more than they say: one is deleted from a copy, one is used by another project."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import QUIET, ROOT, run_folders

from digits.run_folder import RunFolder

PRODUCT = ("src", "configs", "train.py", "pyproject.toml")
OF_SWEEPS = ("src/resumable_sweeps", "src/hydra_plugins", "configs/hydra", "configs/search")


def copy_without(folders, target):
    """A copy of the project with these folders deleted, and a function that runs a Python script in it."""
    for name in PRODUCT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target / name)
    for folder in folders:
        shutil.rmtree(target / folder)

    path = os.pathsep.join([str(target / "src"), *(each for each in sys.path if "site-packages" in each)])

    def run(*words):
        """Without -S, the file of the editable installation would name this checkout."""
        command, environment = [sys.executable, "-S", *words], os.environ | {"PYTHONPATH": path}
        return subprocess.run(command, cwd=target, env=environment, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_without_sweeps_the_project_trains_and_its_help_tells_no_lie(tmp_path):
    run = copy_without(OF_SWEEPS, tmp_path)
    gone = "No module named 'resumable_sweeps'"
    assert gone in run("-c", "import digits.config, resumable_sweeps").stderr, "the copy is what runs"
    shown = run("train.py", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "experiment=quickstart" in shown.stdout and "All settings: python train.py --cfg job" in shown.stdout
    assert not [word for word in (" -m", "sweep", "search") if word in shown.stdout]
    done = run("train.py", "experiment=quickstart", "trainer.max_epochs=1", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = map(RunFolder, run_folders(tmp_path))
    assert folder.record().reported and folder.onnx.exists() and folder.page.exists()
    assert folder.metrics().onnx.argmax_agreement == 1
    wrong = run("train.py", "search=cnn")
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: search: no such key; there are callbacks, ")


# Another project that uses the sweeps: it looks for the lowest point of a curve, and writes what it found as JSON.
TOY = '''
"""Look for the lowest point of a curve."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import hydra
from matplotlib.figure import Figure

from plain_errors import plain_errors


@contextmanager
def drawing(width, height, **style):
    figure = Figure()
    yield figure, figure.add_subplot()


class Points:
    def mistakes(self, config):
        return ["x: got a number below -9"] if config.x < -9 else []

    def mistakes_in_node(self, path, node, *, allowed):
        return []

    def facts(self, config):
        return {"shift": config["shift"]}

    def state(self, folder):
        file = folder / "found.json"
        found = json.loads(file.read_text()) if file.exists() else {"status": "not begun"}
        usual = {"error": None, "command": "toy", "started": "2026-01-01T12:00", "seconds": {}}
        value = found.pop("loss", None)
        return SimpleNamespace(**usual | found, config=found, value=lambda metric: value)

    def command(self, config, folder, name):
        return None

    def run(self, task, config, folder, name):
        Path(folder, "found.json").write_text(json.dumps({"status": "finished", **task(config)}))

    def explained(self, error):
        return error

    def summarise(self, folder, values):
        print("swept:", dict(values))

    def finish(self, trial):
        return {"distance": "0.5"}

    style = SimpleNamespace(drawing=drawing, svg=lambda figure: "<svg></svg>", plain_log=lambda *axis: None)

    def render(self, template, package, **facts):
        return f"page of {facts['best'].number}"


@hydra.main(version_base="1.3", config_path="configs", config_name="toy")
def main(config):
    if config.x == 0:
        raise ZeroDivisionError("nothing lies there")
    return {"loss": (config.x - config.shift) ** 2, "shift": config.shift}


if __name__ == "__main__":
    with plain_errors():
        main()
'''
CONFIGS = {
    "toy": "defaults: [_self_, {search: null}, {override hydra/sweeper: points}]\n"
    "x: 1.0\nshift: 2.0\nhydra: {sweep: {dir: sweeps, subdir: '${hydra:job.num}'}}\n",
    "hydra/sweeper/points": "_target_: hydra_plugins.resumable_sweeper.ResumableSweeper\n"
    "project: {_target_: toy.Points}\n",
    "search/lowest": "# @package _global_\nsearch:\n  _target_: resumable_sweeps.search.Search\n  trials: 5\n"
    "  metric: val/loss\n  space: {x: 'interval(-5.0, 5.0)'}\n  pruner: null\n"
    "  sampler: {_target_: optuna.samplers.RandomSampler, seed: 1}\n",
}


@pytest.fixture
def toy(tmp_path):
    """Runs the other project."""
    (tmp_path / "toy.py").write_text(TOY)
    for name, text in CONFIGS.items():
        path = tmp_path / "configs" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(*words):
        command = [sys.executable, "-W", "ignore", "toy.py", "-m", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


def test_another_project_sweeps(toy):
    wrong = toy("x=1,-10,-20")
    assert (wrong.code, wrong.err) == (2, "error: x: got a number below -9 (x=-10)\n")
    first = toy("x=1,0,3")
    assert first.code == 1 and "error: #1 x=0: ZeroDivisionError: nothing lies there" in first.err
    assert "3 of 3" not in first.out and "swept: {'x': ['1', '0', '3']}" in first.out
    assert "#1 not begun: killed" in first.out and "\nx: 3 values: 1, 0, 3\n" in first.out
    again = toy("x=1,0,3")
    assert "3 jobs in sweeps/x-0-1-3_" in again.out and "2 of them finished before" in again.out


def test_another_project_searches_and_continues(toy, tmp_path):
    done = toy("search=lowest", "search.trials=3")
    assert (done.code, done.err) == (0, "")
    done = toy("search=lowest")
    assert "5 trials in sweeps/lowest_" in done.out and "3 of them ended before" in done.out
    (folder,) = (tmp_path / "sweeps").glob("lowest_*")
    losses = {
        path.parent.name: float(path.read_text().split('"loss": ')[1].split(",")[0]) for path in folder.glob("*/f*")
    }
    best = min(losses, key=losses.get)
    assert len(losses) == 5 and f"best: #{best}, val/loss {losses[best]:.4f}, distance 0.5: x=" in done.out
    assert (folder / "index.html").read_text() == f"page of {best}"
    other = toy("search=lowest", "shift=1.0", f"hydra.sweep.dir={folder}")
    assert other.code == 4 and "shift was 2.0 and is now 1.0" in other.err
