"""Everything but the download works without a network, and nothing is written outside the project's folders.

Each command runs in a network namespace that has loopback alone, with a home of its own that stays empty. An audit hook
notes which addresses it connects to or looks up, and which files it opens to write.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUIET, ROOT

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of

pytestmark = pytest.mark.slow

ALONE = ("unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
FONTS = (".cache/matplotlib", ".config/matplotlib")  # in the user's home: Matplotlib keeps a list of them
WATCHING = """
import json, os, sys

seen = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event, given):
    if event in ("socket.connect", "socket.getaddrinfo"):
        what = given[1] if event == "socket.connect" else given[0]
    elif event == "open" and isinstance(given[0], (str, bytes)) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        what = os.path.abspath(os.fsdecode(given[0]))
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        what = os.path.abspath(os.fsdecode(given[0 if event == "os.mkdir" else 1]))
    else:
        return
    os.write(seen, (json.dumps([event, what], default=str) + "\\n").encode())

sys.addaudithook(note)
os.write(seen, b'["started", ""]\\n')
"""
IMPORT_ALL = """
import importlib, pkgutil
for product in ("digits", "digits_reader", "resumable_sweeps", "hydra_plugins"):
    for module in pkgutil.walk_packages(importlib.import_module(product).__path__, f"{product}."):
        importlib.import_module(module.name)
import mlflow, onnxruntime, optuna
"""


class Watched:
    """A folder in which commands run without a network, with a home of their own, and what they connected to."""

    def __init__(self, cwd: Path) -> None:
        self.cwd, self.home, self.seen = cwd / "project", cwd / "home", cwd / "seen.txt"
        for folder in (self.cwd, self.home, cwd / "tmp", cwd / "watching"):
            folder.mkdir()
        (cwd / "watching/sitecustomize.py").write_text(WATCHING)
        self.environment = {  # none of what names a test or a CI, where some packages are silent
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "HOME": str(self.home),
            "TMPDIR": str(cwd / "tmp"),
            "SEEN": str(self.seen),
            "PYTHONPATH": os.pathsep.join([str(cwd / "watching"), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            [*ALONE, sys.executable, *words], cwd=self.cwd, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def outside(self) -> list[str]:
        """Which other machines were asked, and what was written elsewhere."""
        events = [json.loads(line) for line in self.seen.read_text().splitlines()]
        assert ["started", ""] in events
        hosts = {what[0] if isinstance(what, list) else what for event, what in events if event.startswith("socket")}
        written = {what for event, what in events if event.startswith(("open", "os."))}
        ours = (f"{self.cwd.parent}/project", f"{self.cwd.parent}/tmp", "/dev/", "/proc/self/")
        elsewhere = {what.removeprefix(f"{self.home}/") for what in written if not what.startswith(ours)}
        elsewhere |= {str(path.relative_to(self.home)) for path in self.home.rglob("*")}  # not all is written by Python
        kept = {what for what in elsewhere if not any(f"{name}/".startswith(f"{what}/") for name in FONTS)}
        kept = {what for what in kept if not what.startswith(FONTS)}
        return sorted(kept | {str(host) for host in hosts - {"127.0.0.1", "localhost", "::1", None}})


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def read(watched: Watched) -> None:
    (watched.cwd / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    assert watched.run(ROOT / "scripts/predict.py", "7.png").startswith("7 ")


def import_all(watched: Watched) -> None:
    watched.run("-c", IMPORT_ALL)


def train_and_use(watched: Watched) -> None:
    """A real training with all loggers that need no server, then each command on its folder."""
    watched.run(ROOT / "train.py", *TRAIN, "logger=[csv,tensorboard,mlflow]", "run_folder=run")
    assert (watched.cwd / "run/report/index.html").is_file() and (watched.cwd / "outputs/mlflow.db").is_file()
    (watched.cwd / "run/model.onnx").unlink()
    watched.run(ROOT / "scripts/export.py", "run")
    assert (watched.cwd / "run/model.onnx").is_file()
    assert "accuracy" in watched.run(ROOT / "scripts/evaluate.py", "run")
    assert "run" in watched.run(ROOT / "scripts/compare.py", "run", "--page", "page.html")


def sweep(watched: Watched) -> None:
    watched.run(ROOT / "train.py", "-m", *TRAIN, "seed=1,2", "hydra.sweep.dir=sweep")
    assert len(list(watched.cwd.glob("sweep/*/report/index.html"))) == 2


def search(watched: Watched) -> None:
    watched.run(ROOT / "train.py", "-m", *TRAIN, "search=custom", "search.trials=2", RATE, "hydra.sweep.dir=search")


def serve(watched: Watched) -> None:
    """The server is asked from inside, as its network is its own."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, "{ROOT / "tests"}")
from served import serving
with serving(cwd=Path.cwd()) as server:
    reply = server.ask("POST", "/api/predict", Path("7.png").read_bytes(), "image/png")
    assert reply.json["digit"] == 7 and server.ask("GET", "/").status == 200
"""
    (watched.cwd / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    watched.run("-c", code)


TRAIN = ["data=mnist_5k", "data.train_size=800", "model=linear", "trainer.max_epochs=1", *QUIET]
RATE = "model.learning_rate=tag(log, interval(1e-4, 1e-1))"
USES = [read, import_all, serve, train_and_use, sweep, search]


@pytest.mark.fault(
    "without a network: read, import all, serve, train, export, evaluate, compare, sweep, search",
    "all work; no connection but to loopback, nothing written outside the folder",
    cases=len(USES),
    short=2,
)
def test_all_but_the_download_works_without_a_network(case: int, watched: Watched, namespaces: None):
    USES[case](watched)
    assert watched.outside() == []
