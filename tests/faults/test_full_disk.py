"""A disk that is full, a folder that cannot be written, no temporary folder: one line, and nothing half written."""

import json
import os
import random
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import QUIET, ROOT, run_command
from forked import Forked

from atomic_files import sha256_of
from digits.training.checkpoints import read_checkpoint
from faults.killing import KILLED_AT, RUN, TRAIN, sha256_of_weights
from faults.test_killed_exports import is_whole

pytestmark = pytest.mark.slow
BOUND = str(ROOT / "tests/faults/bound.py")
NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")


@contextmanager
def small_disk(path, size):
    """A disk of `size` bytes at `path`. Yields how to make it larger, or None where this user may mount none."""
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o"]
    mounted = subprocess.run([*words, f"size={size}", "none", str(path)], capture_output=True).returncode == 0
    try:
        larger = [*words, "remount,size=99m", str(path)]
        yield partial(subprocess.run, larger, check=True) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


def run(cwd, *words):
    """A script's exit code, and what it printed to stdout and stderr."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        code = Forked([*words], cwd, (output, errors)).wait(120)
        return code, output.seek(0) or output.read(), errors.seek(0) or errors.read()


def assert_one_line(found, code, *says):
    """That a script ended with this code and one line, which holds one of these texts."""
    assert (found[0], found[2].count("\n")) == (code, 1), found
    assert any(each in found[2] for each in says), found[2]


def assert_whole(folder):
    """That all files in a run's folder that have their own names can be read."""
    for path in folder.glob("checkpoints/*.ckpt"):
        read_checkpoint(path)
    assert json.loads((folder / "run.json").read_text())
    files = [path for path in (folder / "model.onnx", *folder.glob("report/*.*")) if path.is_file()]
    assert all(map(is_whole, files)), files
    assert [path.name for path in folder.rglob(".*") if path.is_file()] in ([], [".lock"]), "nothing half written"


def in_training(whole, tmp_path, chance):
    """At a random place. With room again, the run goes on to the same weights."""
    size = (whole / "checkpoints/last.ckpt").stat().st_size
    with small_disk(tmp_path / "disk", chance.randrange(100_000, 4 * size)) as make_room:
        words = [TRAIN, *RUN, "run_folder=disk/run"]
        if not make_room:
            words = [KILLED_AT, "full", str(chance.randrange(20_000, size)), "", ".", *words]
        assert_one_line(run(tmp_path, *words), 1, *NO_ROOM)
        folder = tmp_path / "disk/run"
        assert_whole(folder)
        if make_room and (folder / "checkpoints/last.ckpt").exists():
            make_room()
            code, _, errors = run(tmp_path, TRAIN, "resume=disk/run", *QUIET)
            assert (code, errors) == (0, "")
            assert sha256_of_weights(folder) == sha256_of_weights(whole)


def in_the_end(script, largest, whole, tmp_path, chance):
    """In the export or the report of a finished run: its files stay."""
    used = sum(path.stat().st_size + 8192 for path in whole.rglob("*"))
    room = chance.randrange((whole / largest).stat().st_size // 2)
    with small_disk(tmp_path / "disk", used + 200_000) as make_room:
        folder = shutil.copytree(whole, tmp_path / "disk/run")
        before = {path: sha256_of(path) for path in (folder / "model.onnx", *folder.glob("report/*.*"))}
        words = [str(ROOT / "scripts" / script), "disk/run"]
        if make_room:
            with (tmp_path / "disk/rest").open("wb") as file, suppress(OSError):
                file.write(bytes(99_000_000))
            os.truncate(tmp_path / "disk/rest", (tmp_path / "disk/rest").stat().st_size - room // 4096 * 4096)
        else:
            words = [KILLED_AT, "full", str(room), "", ".", *words]
        assert_one_line(run(tmp_path, *words), 1, *NO_ROOM)
        assert_whole(folder)
        assert sha256_of(folder / largest) == before[folder / largest]


def shut(place, words, code, whole, tmp_path, chance):
    """A folder that cannot be written: of new runs, of the checkpoints, of the model."""
    folder = shutil.copytree(whole, tmp_path / "run")
    before = {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()}
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place).chmod(0o555)
    found = run(tmp_path, BOUND, *words)
    (tmp_path / place).chmod(0o755)
    assert_one_line(found, code, "Permission denied")
    assert {path: sha256_of(path) for path in folder.rglob("*") if path.is_file()} == before
    assert not list((tmp_path / place).glob(".*ckpt*"))


def temporary(kind, whole, tmp_path, chance):
    """The temporary folder is on another disk, on a full one, or not there: no file needs it."""
    with small_disk(tmp_path / "disk", 1 << 20 if kind == "another disk" else 4096) as mounted:
        folder = tmp_path / "disk" if mounted else Path("/dev/shm")
        if kind == "full":
            with (tmp_path / "disk/rest").open("wb") as file, suppress(OSError):
                file.write(bytes(4096))
        elsewhere = folder / "none" if kind == "none" else folder
        done = run_command("train.py", *RUN, cwd=tmp_path, TMPDIR=str(elsewhere))
        assert (done.returncode, done.stderr) == (0, "")
        assert sha256_of_weights(tmp_path / "run") == sha256_of_weights(whole)


FAULTS = [
    *[in_training] * 8,
    *[partial(in_the_end, "export.py", "model.onnx")] * 3,
    *[partial(in_the_end, "evaluate.py", "report/index.html")] * 3,
    partial(shut, ".", [TRAIN, *RUN, "run_folder=new/run"], 2),
    partial(shut, "new/checkpoints", [TRAIN, *RUN, "run_folder=new"], 1),
    partial(shut, "run", [str(ROOT / "scripts/export.py"), "run"], 1),
    *(partial(temporary, kind) for kind in ("another disk", "full", "none")),
]


@pytest.mark.fault(
    "disk full in a save, in the export, in the report; a folder that cannot be written; no temporary folder",
    "an exit code and one line; the checkpoint before still loads, nothing half written has its final name",
    cases=len(FAULTS),
    short=2,
)
def test_what_cannot_be_written_is_told_in_one_line(whole, tmp_path, case):
    FAULTS[case * 7 % len(FAULTS)](whole, tmp_path, random.Random(case))
