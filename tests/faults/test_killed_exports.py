"""Export and report that are killed: each file is the old one or the new one, whole."""

import csv
import json
import random
import shutil
import signal

import pytest
from conftest import ROOT, run_command
from PIL import Image

from atomic_files import sha256_of
from digits.onnx_file import session_of
from faults.killing import kill_at

pytestmark = pytest.mark.slow
EVENTS = {"export.py": 6, "evaluate.py": 30}  # on files of model.onnx, and of the report
SIZES = {"export.py": "model.onnx", "evaluate.py": "report/index.html"}


def is_whole(path):
    """Whether a file is not cut off, by its kind."""
    if path.suffix == ".onnx":
        return bool(session_of(path))
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
        return True
    text = path.read_text()
    if path.suffix == ".json":
        return bool(json.loads(text))
    if path.suffix == ".csv":
        return len(list(csv.DictReader(text.splitlines()))) == 1000
    return text.rstrip().endswith("</html>")


@pytest.mark.fault(
    "SIGKILL at each file event of export and report, and when half of a file is written",
    "each file is the old one or the new one, whole; the same command then works",
    cases=20,
    short=2,
)
def test_a_killed_export_or_report_leaves_whole_files(whole, tmp_path, case):
    chance, script = random.Random(case), list(EVENTS)[case % 2]
    run = shutil.copytree(whole, tmp_path / "run")
    written = [run / "model.onnx", *(path for path in (run / "report").iterdir() if path.is_file())]
    for path in written:  # an old file is not like a new one
        path.write_bytes(path.read_bytes() + b"\n" * (path.suffix in (".html", ".csv")))
    old = {path: sha256_of(path) for path in written}
    part = "model.onnx" if script == "export.py" else "/report/"
    words = [str(ROOT / "scripts" / script), "run"]
    if case % 4 < 2:
        code = kill_at(tmp_path, "event", 1 + chance.randrange(EVENTS[script]), *words, part=part, start="run/run.json")
        assert code == -signal.SIGKILL
    else:
        number = chance.randrange((run / SIZES[script]).stat().st_size)
        assert kill_at(tmp_path, "bytes", number, *words, part=part, start="run/run.json") == -signal.SIGXFSZ
    assert {path for path in run.rglob("*") if path.is_file() and path.name[0] != "."} >= set(written)
    assert all(sha256_of(path) == old[path] or is_whole(path) for path in written)
    done = run_command(f"scripts/{script}", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(map(is_whole, written))
