"""Commands run as a user runs them, and one finished run that many tests look at."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO

import forked
import numpy as np
import onnx
import pytest
import slurm
from axe_playwright_python.sync_playwright import Axe
from filelock import FileLock
from hypothesis import settings
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update"
QUIET = ["trainer.enable_progress_bar=false", "trainer.enable_model_summary=false"]

# Two tests at a time (pyproject.toml says so): each with a thread of its own is quicker than both with two.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some tests import ONNX Runtime first, and then digits

expect.set_options(timeout=20_000)  # milliseconds; other programs may keep the machine busy

# Tests with generated cases try the same ones each time; `make faults` tries many more.
settings.register_profile("short", max_examples=50, derandomize=True, database=None, deadline=None)
settings.load_profile("short")

# A test that uses one of these runs a whole command; `make test-fast` leaves it out.
RUNS = {"command", "quickstart", "server", "swept", "searched", "two", "joblib", "mnist_dir", "chromium", "runs", "gpu"}
RUNS |= {"resumed"}

# One process runs a whole file (pyproject.toml says so). The longest come first: so both end at about the same time.
LONGEST = ("test_cluster", "test_sweep", "test_resume", "test_search", "test_page", "test_devices", "test_benchmark")

IMPORTS_TORCH = {"train.py", "scripts/evaluate.py", "scripts/export.py", "scripts/compare.py", "scripts/schemas.py"}
READ_LATE = {"COLUMNS", "PATH", "URL", "https_proxy"}  # not when PyTorch, Lightning or Python itself is imported

Command = Callable[..., subprocess.CompletedProcess[str]]


def run_command(script: str, *arguments: str, cwd: Path, timeout: float = 300, **environment: str):
    """Run one of the project's scripts in `cwd`; return the finished process with its output as text.

    A script that imports PyTorch runs in a copy of a process that has done so, if its environment lets it.
    """
    words = [str(ROOT / script), *map(str, arguments)]
    if script in IMPORTS_TORCH and environment.keys() <= READ_LATE:
        return forked.run(words, cwd, timeout, environment)
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def start_training(*arguments: str, cwd: Path, output: IO | int, **environment: str) -> forked.Forked:
    """Start train.py in a group of processes of its own."""
    return forked.Forked([str(ROOT / "train.py"), *arguments], cwd, (output, output), environment, session=True)


def audit(page: Page) -> None:
    """Assert that axe-core finds nothing that keeps people from using the page; name each rule and its elements."""
    found = Axe().run(page).response["violations"]
    lines = [f"{rule['id']}: {node['html']}\n  {node['failureSummary']}" for rule in found for node in rule["nodes"]]
    assert not found, "\n".join(lines)


def with_metadata(run: Path, folder: Path, **values: str) -> Path:
    """Copy a run's model to a new folder and change values of its metadata."""
    folder.mkdir(parents=True)
    proto = onnx.load(run / "model.onnx")
    onnx.helper.set_model_props(proto, {entry.key: entry.value for entry in proto.metadata_props} | values)
    onnx.save(proto, folder / "model.onnx")
    return folder


def dots() -> Image.Image:
    """A sheet of 1,024 dots."""
    pixels = np.full((512, 512, 3), 255, np.uint8)
    pixels[::16, ::16] = 0
    return Image.fromarray(pixels)


def run_folders(cwd: Path) -> list[Path]:
    """The folders of the single runs made in `cwd`, oldest first."""
    return sorted(path.parent for path in cwd.glob("outputs/*-*-*/*/run.json"))


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`command("train.py", "model=mlp")` in a folder of this test's own."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_command(script, *arguments, cwd=tmp_path, **environment)

    return run


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quickstart cut short to two epochs; tests read it and leave it as it is.

    One process trains it for all that run tests, and the others wait.
    """
    folder = tmp_path_factory.getbasetemp()
    cwd = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "quickstart"
    with FileLock(f"{cwd}.lock"):
        if not list(cwd.glob("outputs/*/*/stderr.txt")):
            cwd.mkdir(exist_ok=True)
            done = run_command("train.py", "experiment=quickstart", "trainer.max_epochs=2", *QUIET, cwd=cwd)
            assert done.returncode == 0, done.stderr
            (folder,) = run_folders(cwd)
            (folder / "stdout.txt").write_text(done.stdout)
            (folder / "stderr.txt").write_text(done.stderr)
    (folder,) = run_folders(cwd)
    return folder


@pytest.fixture(scope="session")
def mnist_dir() -> str:
    """The folder that holds MNIST/raw, for tests on the full set; they are not collected without one."""
    return os.environ["MNIST_DIR"]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; tests that look at the page are not collected without one."""
    found = shutil.which("chromium")
    assert found
    return found


@pytest.fixture(scope="session")
def ipv6() -> None:
    """The address ::1; tests that use it are not collected without one."""


@pytest.fixture(scope="session")
def namespaces() -> None:
    """A network and mounts of one's own; tests that use them are not collected without."""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A running Chromium; not for the whole session, as its event loop would be in the way of other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """The folder of ONNX Runtime Web's files; tests on the static site in a browser are not collected without one."""
    return Path(os.environ["ONNXRUNTIME_WEB"])


@pytest.fixture(scope="session")
def joblib() -> list[str]:
    """What has jobs run in two processes; tests that do are not collected without the launcher."""
    return ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.fixture(scope="session")
def pyarrow() -> ModuleType:
    """What writes parquet files; tests on them are not collected without it."""
    import_module("pyarrow.parquet")
    return import_module("pyarrow")


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def missing() -> dict[str, str]:
    """What some tests need and this machine lacks: the fixture's name, and how to have it."""
    import torch  # reads OMP_NUM_THREADS, which is set above

    needs = {
        "mnist_dir": (os.environ.get("MNIST_DIR"), "full MNIST: not tested, set MNIST_DIR to test on it"),
        "chromium": (shutil.which("chromium"), "the page: not tested, install chromium to test it"),
        "onnxruntime_web": (
            os.environ.get("ONNXRUNTIME_WEB"),
            "the static site in a browser: not tested, set ONNXRUNTIME_WEB to onnxruntime-web's dist folder to test it",
        ),
        "ipv6": (has_ipv6(), "the server with IPv6: not tested, this machine has none"),
        "namespaces": (
            subprocess.run(["unshare", "-rnm", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0,
            "a full disk, no network: not tested, this machine does not allow unshare -rnm ip link set lo up",
        ),
        "joblib": (
            find_spec("hydra_plugins.hydra_joblib_launcher"),
            "jobs in parallel: not tested, pip install -e '.[joblib]' to test them",
        ),
        "pyarrow": (find_spec("pyarrow"), "parquet files: not tested, pip install pyarrow to test them"),
        "cluster": (
            not slurm.missing() and find_spec("hydra_plugins.hydra_submitit_launcher"),
            f"sweeps on a cluster: not tested, install slurm-wlm and munge ({', '.join(slurm.missing())} not found)",
        ),
        "gpu": (
            torch.cuda.is_available() or torch.backends.mps.is_available(),
            "training on a GPU: not tested, PyTorch finds none here (CUDA or MPS)",
        ),
    }
    return {fixture: line for fixture, (there, line) in needs.items() if not there}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what runs whole commands as slow. Leave out, and count as deselected, what this machine cannot run."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & RUNS:
            item.add_marker("slow")
        if "gpu" in fixtures:
            item.add_marker("gpu")
    lacking = missing().keys()
    needing = [item for item in items if lacking & set(getattr(item, "fixturenames", ()))]
    places = {name: place for place, name in enumerate(LONGEST)}
    items[:] = [item for item in items if item not in needing]
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
    config.hook.pytest_deselected(items=needing)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say first what is not tested. pytest's own header is not shown under -q."""
    if reporter := session.config.pluginmanager.get_plugin("terminalreporter"):  # a worker has none
        reporter.write_line("\n".join(missing().values()) or "everything is tested")
