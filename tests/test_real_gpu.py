"""The real commands on a GPU. `make gpu` runs them and writes what they gave to outputs/gpu/, also if some fail."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import torch
from conftest import ROOT

from digits.config import CONFIGS
from digits.run_folder import RunFolder
from processes import ENVIRONMENT, run
from results import save, table

PRECISIONS = [f"trainer.precision={each} trainer.max_epochs=1" for each in ("32-true", "16-mixed", "bf16-mixed")]
MODELS = [
    f"model={path.stem}{'' if 'callbacks: none' in path.read_text() else ' trainer.max_epochs=3'}"
    for path in sorted((CONFIGS / "model").glob("*.yaml"))
]
DEVICES = ["trainer=ddp trainer.devices=auto trainer.max_epochs=2"] * (torch.cuda.device_count() > 1)
SWEEPS = {
    "seed=1,2 trainer.max_epochs=1": 2,
    "search=custom search.trials=3 model=linear model.learning_rate=tag(log,interval(1e-3,1e-2))": 3,
}


class Results:
    """A pytest plugin that collects the rows of the table: what each check on the GPU gave, or its error."""

    def __init__(self):
        self.rows = []

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and "gpu" in report.keywords:
            error = "" if report.passed else report.longrepr.reprcrash.message
            self.rows.append({"check": report.location[2], **dict(report.user_properties), "error": error})

    def save(self):
        cells = [(row["check"], row.get("result", ""), (row["error"] or "ok").splitlines()[-1]) for row in self.rows]
        save("gpu", {"rows": self.rows}, table(("check", "result", "ok"), cells))


@pytest.fixture(scope="session")
def gpu(pytestconfig):
    """Overrides that train on this machine's GPU."""
    results = Results()
    pytestconfig.pluginmanager.register(results)
    has_mnist = Path(ENVIRONMENT["MNIST_DIR"], "MNIST", "raw").is_dir()
    yield f"data={'mnist' if has_mnist else 'mnist_5k'} trainer.accelerator=gpu"
    if not hasattr(pytestconfig, "workerinput"):  # each of two workers has a part of the results only
        results.save()


def trained(overrides, folder):
    """Train, test and export, which fails if the ONNX file differs from the checkpoint; return the result in words."""
    run(f"train.py {overrides} run_folder={folder}", folder.parent)
    record, metrics = RunFolder(folder).record(), RunFolder(folder).metrics()
    rate = median((epoch.images or 0) / epoch.seconds for epoch in metrics.history)
    return f"{record.precision}: test accuracy {metrics.test_accuracy:.2%}, {rate:,.0f} training images/s, ONNX equal"


def killed_and_resumed(overrides, folder):
    """Kill a run and resume it: its last weights must be those of a run that was not killed, bit for bit."""
    killed, resumed, whole = (folder / name for name in ("killed", "resumed", "whole"))
    overrides += " trainer.deterministic=true trainer.max_epochs=4"
    run(f"train.py {overrides} run_folder={killed}", folder, until="epoch 3 of")
    assert RunFolder(killed).record().status == "running"
    trained(f"{overrides} ckpt_path={killed}/checkpoints/last.ckpt", resumed)
    result = trained(overrides, whole)
    assert different_tensors(resumed, whole) == []
    return f"{result}, all tensors equal bit for bit"


def different_tensors(*folders):
    """The names of the tensors that differ between the last checkpoints of two runs."""
    paths = [folder / "checkpoints" / "last.ckpt" for folder in folders]
    first, second = (torch.load(path, weights_only=True, map_location="cpu")["state_dict"] for path in paths)
    return [name for name in first if not torch.equal(first[name], second[name])]


def speedrun(overrides, folder):
    """Compare the run that trains for the shortest time with a bare loop. In both, the second training counts."""
    loader = run(f"inside.py loader {overrides}", folder)[-1]
    run(f"train.py -m {overrides} seed=1,2 hydra.sweep.dir={folder}/sweep", folder)
    bare = run(f"references.py bare_loop {overrides} seed=2", folder)[-1]
    second = folder / "sweep" / "1"
    seconds, accuracy = RunFolder(second).record().seconds["fit"], RunFolder(second).metrics().test_accuracy
    return (
        f"{seconds:.2f} s, test accuracy {accuracy:.2%}; bare loop {bare['seconds']:.2f} s, {bare['percent']:.2f} %, "
        f"{bare['gpu_bytes'] / 1e6:,.0f} MB of GPU memory; loader {loader['rate']:,.0f} images/s"
    )


@pytest.mark.parametrize("overrides", PRECISIONS + MODELS + DEVICES)
def test_a_run(overrides, gpu, tmp_path, record_property):
    record_property("result", trained(f"{overrides} {gpu}", tmp_path / "run"))


@pytest.mark.parametrize("model", ["cnn", "cnn_augmented"])
def test_a_killed_run_is_resumed(model, gpu, tmp_path, record_property):
    record_property("result", killed_and_resumed(f"model={model} {gpu}", tmp_path))


@pytest.mark.parametrize("overrides", SWEEPS)
def test_a_sweep_and_a_search(overrides, gpu, tmp_path, record_property):
    run(f"train.py -m {overrides} {gpu} hydra.sweep.dir={tmp_path}/sweep", tmp_path)
    folders = [path.parent for path in tmp_path.glob("sweep/*/run.json")]
    assert len(folders) == SWEEPS[overrides]
    record_property("result", f"{len(folders)} run folders")


def test_seconds_to_99_percent(gpu, tmp_path, record_property):
    record_property("result", speedrun(f"experiment=speedrun {gpu}", tmp_path))


@pytest.mark.slow
def test_the_check_of_a_resumed_run_holds_on_the_cpu(tmp_path):
    overrides = "model=linear data.train_size=1000 data=mnist_5k trainer.accelerator=cpu"
    assert "training images/s, ONNX equal, all tensors" in killed_and_resumed(overrides, tmp_path)


def test_tensors_that_differ_are_named(tmp_path):
    for name, weight in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        state = {"bias": torch.zeros(1), "weight": torch.tensor(weight)}
        torch.save({"state_dict": state}, tmp_path / name / "checkpoints" / "last.ckpt")
    assert different_tensors(tmp_path / "one", tmp_path / "other") == ["weight"]


def pytest_run(*words, cwd, **environment):
    """Run pytest in a process of its own, without this machine's GPU."""
    command = [sys.executable, "-m", "pytest", "-n", "0", *words]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environment
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


CHECKS = """
import pytest
from plain_errors import PlainError
from test_real_gpu import gpu

@pytest.mark.gpu
def test_a_run(gpu, record_property):
    record_property("result", f"99 % with {gpu}")

@pytest.mark.gpu
def test_a_sweep(gpu):
    raise PlainError("train.py -m ended with 2:\\nmodel cnn\\nerror: model: got none")
"""


@pytest.mark.slow
def test_a_check_that_fails_is_in_the_table_beside_the_others(tmp_path):
    (tmp_path / "test_two.py").write_text(CHECKS)
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "scripts" / "benchmark")])
    assert pytest_run("test_two.py", cwd=tmp_path, PYTHONPATH=path, MNIST_DIR="nowhere").returncode == 1
    (folder,) = tmp_path.glob("outputs/gpu/*")
    good, bad = json.loads((folder / "gpu.json").read_text())["rows"]
    assert good == {"check": "test_a_run", "result": "99 % with data=mnist_5k trainer.accelerator=gpu", "error": ""}
    assert bad["check"] == "test_a_sweep" and "train.py -m ended with 2:\nmodel cnn" in bad["error"]
    table = (folder / "gpu.md").read_text()
    assert f"| test_a_run | {good['result']} | ok |\n| test_a_sweep |  | error: model: got none |" in table


@pytest.mark.slow
@pytest.mark.skipif(torch.backends.mps.is_available(), reason="MPS cannot be hidden")
def test_without_a_gpu_the_first_lines_say_so(tmp_path):
    done = pytest_run("-m", "gpu", __file__, "-c", str(ROOT / "pyproject.toml"), cwd=tmp_path)
    first_lines = done.stdout.partition("\n\n")[0]
    assert done.returncode == 5 and "training on a GPU: not tested, PyTorch finds none here" in first_lines
    assert list(tmp_path.iterdir()) == []
