"""What is installed and imported by whom: the reader alone, the project without the reader, the help of a command."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import QUIET, ROOT, Command, run_folders
from served import Server

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.site import SHA256

DELETED = ("src/digits_reader/", "src/digits/pictures/", "docs/")
PROJECT = ["torch", "torchvision", "lightning", "torchmetrics", "hydra", "omegaconf", "optuna", "matplotlib", "onnx"]
SERVING = ["fastapi", "starlette", "uvicorn", "pydantic", "jinja2", "filelock", "brotli"]
# Where packages are, but not this checkout.
PACKAGES = [each for each in sys.path if each and ("site-packages" in each or not Path(each).is_relative_to(ROOT))]

REFUSING = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
REFUSED, WITHOUT_SERVER = (REFUSING.format(names) for names in (PROJECT, [*PROJECT, *SERVING]))
WITHOUT_PROJECT = f"""{REFUSED}
from digits_reader import site
site.SHA256 = {{each: "{hashlib.sha256().hexdigest()}" for each in site.SHA256}}
from digits_command import main
main()
"""


def python(source: Path, *words: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start Python with the modules in `source` and all packages, but without this checkout."""
    path = os.pathsep.join([str(source), *PACKAGES])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Without -S, the file of the editable installation would name this checkout.
    return subprocess.Popen([sys.executable, "-S", *words], env=os.environ | {"PYTHONPATH": path}, **pipes, **options)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """The modules that `pip install .` gives the packages for, without those of the project."""
    shutil.copytree(ROOT / "src" / "digits_reader", tmp_path / "alone" / "digits_reader")
    for name in ("digits_command.py", "plain_errors.py", "atomic_files.py"):
        shutil.copy(ROOT / "src" / name, tmp_path / "alone")
    return tmp_path / "alone"


def test_the_reader_works_alone(quickstart: Path, alone: Path, tmp_path: Path):
    shutil.copy(quickstart / "model.onnx", tmp_path)
    (tmp_path / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    digits = ("-c", WITHOUT_PROJECT)
    helped, _ = python(alone, *digits, "--help", cwd=tmp_path).communicate()
    assert "serve" in helped and "evaluate" not in helped
    read, errors = python(alone, *digits, "read", "model.onnx", "7.png", cwd=tmp_path).communicate()
    assert read.startswith("7 "), errors
    with python(alone, *digits, "serve", "model.onnx", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout
        said = process.stdout.readline()
        server = Server(process, said.split()[1], tmp_path, said)
        assert server.ask("POST", "/api/predict", (tmp_path / "7.png").read_bytes(), "image/png").json["digit"] == 7
        assert b"<canvas" in server.ask("GET", "/").content
        process.kill()
    (tmp_path / "dist").mkdir()
    for name in SHA256:
        (tmp_path / "dist" / name).touch()
    site = python(alone, *digits, "site", "page", "model.onnx", "--runtime", "dist", cwd=tmp_path)
    assert site.communicate()[1] == "" and (tmp_path / "page" / "models" / "0.onnx").exists()


def test_what_the_reader_alone_lacks_is_named(quickstart: Path, tmp_path: Path):
    for words in (["evaluate", quickstart], ["export", quickstart], ["compare", quickstart], ["draw", "digits", "x"]):
        process = python(ROOT / "src", "-c", f"{REFUSED}from digits_command import main\nmain()", *words, cwd=tmp_path)
        errors = process.communicate()[1]
        assert process.returncode == 2 and errors.endswith("and this command needs it: pip install '.[train]'\n")
        assert errors.count("\n") == 1


def test_the_command_says_its_version(command: Command):
    assert command("src/digits_command.py", "--version").stdout == f"{version('digits')}\n"


@pytest.mark.parametrize("words", [["--help"], ["read", "--help"], ["export", "--help"], ["raed"]])
def test_help_imports_nothing_large(command: Command, words: list[str]):
    done = command("src/digits_command.py", *words, PYTHONPROFILEIMPORTTIME="1")
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    roots = {name.partition(".")[0] for name in imported}
    assert "cyclopts" in roots and ("Usage: digits" in done.stdout) == (words[-1] == "--help")
    assert not roots & {*PROJECT, "numpy", "PIL", "cv2", "onnxruntime", "fastapi", "pydantic", "filelock", "jinja2"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True)
    (path,) = folder.glob("digits-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_reads_a_picture_with_the_model_that_it_brings(wheel: zipfile.ZipFile, tmp_path: Path):
    wheel.extractall(tmp_path / "installed")
    licences = [name for name in wheel.namelist() if name.endswith("LICENSE")]
    assert {"digits_reader/page/index.html", "digits_reader/page/words.js"} <= set(wheel.namelist()) and licences
    (tmp_path / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    command = ("-c", f"{WITHOUT_SERVER}\nfrom digits_command import main\nmain()")
    process = python(tmp_path / "installed", *command, "read", "7.png", cwd=tmp_path)
    answer, said = process.communicate()
    assert answer.startswith("7 ") and said.startswith("model: reader, which comes with digits: reads "), said
    errors = python(tmp_path / "installed", *command, "serve", cwd=tmp_path).communicate()[1]
    assert errors.endswith("is not installed, and this command needs it: pip install '.[serve]'\n")


def test_the_wheel_needs_torch_for_training_only(wheel: zipfile.ZipFile):
    names = wheel.namelist()
    (metadata,) = (message_from_bytes(wheel.read(name)) for name in names if name.endswith("METADATA"))
    needs = metadata.get_all("Requires-Dist")
    assert needs and {"digits_command.py", "digits_reader/page/index.html", "digits/data/hands.txt"} <= set(names)
    always, training = ({each for each in needs if ("extra" in each) == is_extra} for is_extra in (False, True))
    assert not {re.split(r"\W", each)[0] for each in always} & {*PROJECT, *SERVING} and len(always) <= 5
    assert any(each.startswith("torch>") and each.endswith("extra == 'train'") for each in training)


@pytest.mark.slow
def test_the_project_works_without_the_reader(tmp_path: Path):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = [name for name in listed.split("\0") if name and not name.startswith(DELETED)]
    for name in filter(lambda name: (ROOT / name).is_file(), kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    source = tmp_path / "src"
    quick = ("train.py", "experiment=quickstart", "trainer.max_epochs=1", *QUIET)
    process = python(source, *quick, cwd=tmp_path)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["onnx"]["argmax_agreement"] == 1 and metrics["test/accuracy"] > 0.5
    page, gone = (
        (folder / "report" / "index.html").read_text(),
        ("digits read", "digits serve", "predict.py", "serve.py"),
    )
    assert "digits evaluate" in page and not [name for name in gone if name in page]
    helped, _ = python(source, "src/digits_command.py", "--help", cwd=tmp_path).communicate()
    assert "evaluate" in helped and not [name for name in ("serve", "draw", "site") if name in helped]
    helped, _ = python(source, "train.py", "--help", cwd=tmp_path).communicate()
    assert "quickstart" in helped and not [name for name in gone if name in helped]
    compared = python(source, "src/digits_command.py", "compare", cwd=tmp_path)
    assert compared.communicate()[1] == "" and compared.returncode == 0
