"""What README and docs show is what happens."""

import re
import shlex
import subprocess
import sys
from inspect import signature
from types import ModuleType

import pytest
import torch
import yaml
from conftest import ROOT, run_command
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

import digits.commands
import digits_reader.commands
from digits.config import CONFIGS, mistakes_in_overrides
from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits.schema import mistakes_in_node
from plain_errors import DataError
from resumable_sweeps.grid import jobs_of
from resumable_sweeps.space import probes, search_of

PAGES = {path: path.read_text() for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))}
README, TEXT = PAGES[ROOT / "README.md"], "\n".join(PAGES.values())
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.S)
COMMANDS = [line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
TRAININGS = [
    line.partition("python train.py")[2].strip() for line in dict.fromkeys(COMMANDS) if "python train.py" in line
]
HARDWARE = (
    "trainer.accelerator=gpu",
    "trainer.precision=bf16-mixed",
    "trainer.num_nodes=2",
)  # what this machine may not have
MADE = (
    "outputs/",
    "site",
    "data/drawings",
    "src/digits/models/residual.py",
    "src/digits/data/folders.py",
    "configs/model/resnet",
    "configs/data/folders",
)  # by users


def python_block(words):
    (block,) = [block for kind, block in BLOCKS if kind == "python" and words in block]
    return block


def module_of(name, code, monkeypatch):
    """Run a block as the module it says it is."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, name, "exec"), vars(module))
    return module


@pytest.mark.parametrize("shown", [each for each in TRAININGS if "--config-dir" not in each])  # test_search.py has it
def test_train_commands_are_good(shown, tmp_path, monkeypatch):
    """In a folder that has what they name: a run, drawings, and one's own data."""
    for folder in ("data/drawings", "scans", "EMNIST/raw"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "train.csv").touch()
    (tmp_path / "RUN" / "checkpoints").mkdir(parents=True)
    (tmp_path / "RUN" / "checkpoints" / "best.ckpt").touch()
    monkeypatch.chdir(tmp_path)
    words = [word for word in shlex.split(shown) if word != "-m" and word not in HARDWARE]
    assert len(TRAININGS) >= 6
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        searches = [word for word in words if word.startswith("search=")]
        jobs = probes(*search_of(words, compose("train", searches).search.space)) if searches else jobs_of(words)
        for job in jobs:
            assert mistakes_in_overrides(job) == []


def test_the_sweeps_of_results_and_records_are_good():
    shown = subprocess.run(["make", "-n", "results", "records"], cwd=ROOT, capture_output=True, text=True, check=True)
    sweeps = [line.partition("train.py -m ")[2] for line in shown.stdout.splitlines() if "train.py -m " in line]
    assert len(sweeps) >= 7
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for sweep in sweeps:
            jobs = jobs_of([word for word in shlex.split(sweep) if not word.startswith("hydra.")])
            assert len(jobs) >= 2 and [mistakes_in_overrides(job) for job in (jobs[0], jobs[-1])] == [[], []]


def test_the_targets_that_are_shown_exist():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"setup", "train", "serve", "test", "test-fast", "lint", "gpu", "tensorboard", "clean"} <= listed
    shown = re.findall(r"^make ([a-z-]+)", "\n".join(COMMANDS), flags=re.M) + re.findall(r"`make ([a-z-]+)", TEXT)
    assert {"train", "serve", "test"} <= set(shown) <= listed
    train = subprocess.run(["make", "-n", "train"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "train.py experiment=quickstart" in train


BENCHMARK = [f"scripts/benchmark/{name}.py" for name in ("speed", "load")]


@pytest.mark.parametrize("script", [*(f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")), *BENCHMARK])
def test_every_script_is_shown_and_explains_itself(script, tmp_path):
    assert script in TEXT
    done = subprocess.run([sys.executable, ROOT / script, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout.lower()


SUBCOMMANDS = {each.__name__: each for each in (*digits.commands.COMMANDS, *digits_reader.commands.COMMANDS)}


def test_an_environment_without_cuda_has_all_else_of_the_lock():
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "-B", "setup", "CPU=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    torch, awk, rest = shown.stdout.splitlines()[2:5]
    words = re.search(r"whl/cpu (\$\(grep .*\))", torch)[1]
    ours = subprocess.run(
        f"echo {words}; {awk.rpartition(' > ')[0]}", shell=True, cwd=ROOT, capture_output=True, text=True
    )
    first, *lines = ours.stdout.splitlines()
    assert re.fullmatch(r"torch==\S+ torchvision==\S+", first) and "-r .venv/cpu.lock" in rest
    whole, kept = (
        set(re.findall(r"^([a-z][\w-]*)==", text, flags=re.M))
        for text in ((ROOT / "requirements.lock").read_text(), "\n".join(lines))
    )
    gone = {name.partition("-")[0] for name in whole - kept}
    assert gone == {"torch", "torchvision", "triton", "nvidia", "cuda"} and "torchmetrics" in kept and kept < whole


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_is_shown(name):
    assert f"digits {name}" in "\n".join(COMMANDS) or f"`digits {name}" in TEXT


@pytest.mark.parametrize("shown", [line for line in dict.fromkeys(COMMANDS) if line.startswith("digits ")])
def test_subcommands_that_are_shown_exist(shown):
    _, name, *words = shlex.split(shown)
    options = {word[2:].replace("-", "_") for word in words if word.startswith("--")}
    assert options <= signature(SUBCOMMANDS[name]).parameters.keys()


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(page):
    links = re.findall(r'(?:src|srcset)="([^"]+)"', PAGES[page]) + re.findall(r"\]\(([^):]+)\)", PAGES[page])
    for name in links:
        assert (page.parent / name).exists(), name
    for name in re.findall(r"`((?:src|scripts|tests|configs|docs)/[^` ]*)`", PAGES[page]):
        assert name.startswith(MADE) or (ROOT / name).exists(), name
    for name in re.findall(r"`(test_\w+\.py)`", PAGES[page]):
        assert (ROOT / "tests" / name).exists(), name


def test_every_test_file_is_in_the_table_of_rooms():
    shown = set(re.findall(r"`(test_\w+\.py)`", PAGES[ROOT / "CONTRIBUTING.md"]))
    assert shown == {path.name for path in (ROOT / "tests").glob("test_*.py")}


@pytest.mark.slow
def test_shown_mistakes_are_what_is_said(tmp_path):
    (console,) = [block for kind, block in BLOCKS if kind == "console"]
    command, *lines = console.strip().splitlines()
    done = run_command("train.py", *shlex.split(command)[3:], cwd=tmp_path)
    assert done.stderr.splitlines() == lines


def test_onnx_example_runs(quickstart, monkeypatch):
    monkeypatch.chdir(quickstart)
    module = module_of("example", python_block("import numpy as np, onnxruntime"), monkeypatch)
    assert module.probabilities.shape == (1, 10)


def test_results_example_runs(quickstart, monkeypatch, capsys):
    monkeypatch.chdir(quickstart.parents[2])
    module_of("example", python_block("import results"), monkeypatch)
    assert "quickstart" in capsys.readouterr().out


def test_reading_example_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seven.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    module_of("example", python_block("import Reader"), monkeypatch)
    digit, confidence, certain = capsys.readouterr().out.split()
    assert digit == "7" and float(confidence) > 0.9 and certain == "True"


def test_own_model_is_built_and_checked(monkeypatch):
    module_of("digits.models.residual", python_block("class ResNet"), monkeypatch)
    (text,) = [block for kind, block in BLOCKS if kind == "yaml" and "ResNet" in block]
    config = yaml.safe_load(text)["model"]
    assert len(python_block("class ResNet").strip().splitlines()) <= 25
    model = instantiate(config | {"learning_rate": float(config["learning_rate"])}, classes=list(range(10)))
    assert model(torch.rand(4, 1, 28, 28)).shape == (4, 10)
    assert list(mistakes_in_node("model", config | {"learning_rate": 3e-3, "width": 0}, {"classes"})) == [
        "model.width: got 0, wanted greater than or equal to 1"
    ]


def test_a_thousand_pictures_of_ones_own_are_read(monkeypatch, tmp_path):
    for digit in range(10):
        (tmp_path / str(digit)).mkdir()
        for number in range(100):
            Image.new("L", (28, 28), digit * 20 + number % 10).save(tmp_path / str(digit) / f"{number:02}.png")
    module_of("digits.data.folders", python_block("class Folders"), monkeypatch)
    (text,) = [block for kind, block in BLOCKS if kind == "yaml" and "Folders" in block]
    config = {key: value for key, value in yaml.safe_load(text).items() if key != "defaults"}
    data = instantiate(config | {"folder": str(tmp_path)})
    data.setup()
    assert [data.facts()[split] for split in ("train", "val", "test")] == [700, 100, 200]
    assert data.test_labels.tolist() == [digit for digit in range(10) for _ in range(20)]
    assert data.test_images[23, 0, 0, 0] == 23
    with pytest.raises(
        DataError, match=r"data\.folder: no \.png files in nowhere for 0, 1, .*, 9; wanted folders 0 to 9"
    ):
        instantiate(config | {"folder": "nowhere"}).setup()
    Image.new("L", (20, 30)).save(tmp_path / "3" / "wide.png")
    with pytest.raises(DataError, match=r"3/wide\.png: 20x30 pixels, wanted 28x28"):
        instantiate(config | {"folder": str(tmp_path)}).setup()
