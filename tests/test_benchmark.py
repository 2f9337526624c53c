"""The benchmark runs, its references do what they say, and what it finds holds with room to spare."""

import json
import runpy

import pytest
import torch
from conftest import ROOT, run_command, run_folders
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from digits.benchmark import record
from digits.benchmark.parts import PARTS, RECIPES, Bench, Row
from digits.benchmark.picture import draw
from digits.benchmark.processes import Processes
from digits.benchmark.record import markdown
from digits.benchmark.repeated import RepeatedMnist
from digits.data.mnist_5k import Mnist5k
from digits.errors import DataError, DigitsError

TOLD = ("speedrun", "example", "overhead", "recipes", "onnx", "growth", "ddp")  # parts made of whole processes
RUN = {"fit": 2.0, "test": 0.9912, "val": 0.99}
ROW = {"what": "fit, s", "ours": [2.0, 4.0, 3.0], "theirs": [9.0, 9.0, 9.0], "against": "a loop", "value": 3.0}
RECORD = {
    "started": "2026-01-31T12:00:00",
    "quick": True,
    "versions": {"python": "3.13", "torch": "2.15", "lightning": "2.6"},
    "hardware": {"cpu": "a CPU", "cores": 2, "threads": 2, "system": "Linux"},
    "rows": [ROW | {"sign": "≥", "bound": 4, "unit": "times as fast"}],
    "points": {"model=cnn": [RUN, RUN | {"test": 0.9934, "fit": 3.0}], "perfect": [RUN | {"test": 1.0}]},
    "curves": {"a loop": [[{"seconds": 5.0, "accuracy": 0.97}, {"seconds": 9.0, "accuracy": 0.99}]]},
}


def measured(cwd, *words):
    """Run some parts; their rows by name."""
    done = run_command("scripts/benchmark.py", "--quick", "--only", *words, "--out", "found", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads((cwd / "found" / "benchmark.json").read_text())
    table = (cwd / "found" / "benchmark.md").read_text()
    assert table == markdown(found) and table in done.stdout
    assert found["hardware"]["cores"] and found["versions"]["torch"] == torch.__version__.partition("+")[0]
    return {row["what"]: row for row in found["rows"]}


def test_parts_without_mnist(tmp_path):
    rows = measured(tmp_path, "augmentation", "commands", "start")
    assert [len(rows[f"`train.py {words}`, s"]["ours"]) for words in ("--help", "--cfg job")] == [3, 3]
    assert 0 < rows["augmentation of a batch, ms"]["value"] < 25
    first = rows["command to first step, s"]
    assert 0.1 < first["ours"][0] / first["theirs"][0] < 3
    assert not run_folders(tmp_path)


def test_loader(mnist_dir, tmp_path):
    assert measured(tmp_path, "loader")["loader, images/s"]["value"] > 8


def test_a_part_that_there_is_not(tmp_path):
    done = run_command("scripts/benchmark.py", "--only", "loaders", cwd=tmp_path)
    assert done.returncode == 2 and "invalid choice: 'loaders'" in done.stderr


def test_mnist_that_is_not_there(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match="MNIST is not in"):
        record.benchmark(["loader"], True, tmp_path / "found")
    assert not (tmp_path / "found").exists()


class Told:
    """In place of processes: what they would have said."""

    def __init__(self):
        self.asked = []

    def train(self, *overrides, **environment):
        self.asked.append((*overrides, *environment))
        seconds = 2.0 if "trainer=ddp" in overrides else 3.0
        return RUN | {"epochs": seconds, "samples": 1000, "peak": 9e8, "onnx": 0.1}

    def reference(self, name, *arguments):
        self.asked.append((name, *arguments))
        return [{"seconds": 100.0, "accuracy": 0.98}, {"seconds": 300.0, "accuracy": 0.991}]


def test_rows_are_what_the_processes_said():
    bench = Bench(quick=False)
    bench.run = Told()
    found = {row.what: row for name in TOLD for row in PARTS[name](bench)}
    assert {name: round(row.value, 3) for name, row in found.items()} == {
        "`experiment=speedrun`: test accuracy, %": 99.12,
        "`experiment=speedrun`: fit, s": 150,
        "`experiment=speedrun`: fit to 99 %, s": 150,
        "`model=cnn`: fit, s": 0.007,
        **{f"`{words}`: test accuracy, %": 99.12 for words in RECIPES},
        **{f"`{words}`: fit, s": 2 for words in RECIPES},
        "`model.onnx`, one picture, one thread, ms": 0.1,
        "training, µs a digit, of 60,000": 1,
        "training, µs a digit, of 600,000": 1,
        "memory beside the data, MB, of 60,000": 0.951,
        "memory beside the data, MB, of 600,000": 0.474,
        "two processes: epochs, s": 0.667,
    }
    turns = [("experiment=speedrun", "seed=1"), ("train_mnist_fast", "1"), ("experiment=speedrun", "seed=2")]
    assert bench.run.asked[:3] == turns and len(bench.points["experiment=speedrun"]) == 10
    assert found["`experiment=speedrun`: fit to 99 %, s"].against == "PyTorch's example, 2 epochs to 99.10 %"


def test_a_process_that_fails_is_named_with_the_end_of_its_output():
    run = Processes()
    run.python("-c", "print('{\"a\": 1}')")
    with pytest.raises(DigitsError) as error:
        run.python("-c", "# one\nfor line in range(9): print(line)\nraise SystemExit(3)")
    assert str(error.value).splitlines() == ["python -c # one ended with 3:", "4", "5", "6", "7", "8"]
    (kept,) = run.log
    assert kept["found"] == [{"a": 1}] and kept["seconds"] > 0 and kept["peak"] > 1e6


def test_what_was_measured_before_a_failure_is_kept(tmp_path, monkeypatch, capsys):
    def good(bench):
        bench.points["model=cnn"].append(RUN)
        return [Row("a part, s", [1.0], 1.0, "≤", 2.0, "s")]

    def bad(bench):
        bench.points["model=cnn"].append(RUN)
        bench.train("never", "experiment=never")

    monkeypatch.setattr(record, "PARTS", {"good": good, "bad": bad})
    with pytest.raises(DigitsError, match="experiment=never: no such choice"):
        record.benchmark(["good", "bad", "good"], True, tmp_path)
    kept = json.loads((tmp_path / "benchmark.json").read_text())
    assert [row["what"] for row in kept["rows"]] == ["a part, s"]
    assert len(kept["points"]["model=cnn"]) == 2 and "never" not in kept["points"]
    assert "| a part, s | 1 |  | 1 s | ≤ 2 |" in capsys.readouterr().out


def test_bare_loop_takes_the_steps_of_a_run(quickstart):
    words = ["experiment=quickstart", "trainer.max_epochs=2"]
    found = Bench(quick=True).run.reference("bare_loop", *words)
    metrics = json.loads((quickstart / "report" / "metrics.json").read_text())
    assert [row["val"] for row in found] == [row["val/accuracy"] for row in metrics["history"]]
    assert found[-1]["accuracy"] == pytest.approx(metrics["test/accuracy"], abs=0.003)  # a run tests in 32-bit


@pytest.mark.parametrize(("name", "numbers"), [("train_mnist_fast", 215_194), ("pytorch_example", 1_199_882)])
def test_reference_networks_learn(name, numbers):
    torch.manual_seed(0)
    reference = runpy.run_path(str(ROOT / "scripts" / "references" / f"{name}.py"))
    data, net = Mnist5k(val_size=500), reference["network"]()
    assert sum(parameter.numel() for parameter in net.parameters()) == numbers
    data.setup()
    order = torch.randperm(len(data.train_labels))
    images, labels = (data.train_images[order] / 255 - 0.1307) / 0.3081, data.train_labels[order]
    if name == "train_mnist_fast":
        seconds = reference["fit"](net, images, labels)
    else:
        batches = DataLoader(TensorDataset(images, labels), 64)
        seconds = reference["train_epoch"](net, batches, torch.optim.Adadelta(net.parameters()))
    assert seconds > 0
    answers = net.eval()((data.val_images / 255 - 0.1307) / 0.3081).argmax(1)
    assert (answers == data.val_labels).float().mean() > 0.75


def test_repeated_mnist(mnist_dir):
    data = RepeatedMnist(samples=60_003, folder=mnist_dir)
    images, labels = (source := data.read()).train_images, source.train_labels
    assert len(images) == len(labels) == 60_003 and len(source.test_labels) == 10_000
    assert images[60_002].equal(images[2]) and labels[60_002] == labels[2]


def test_table_and_picture(tmp_path):
    table = markdown(RECORD)
    assert "| fit, s | 3 | 9 (a loop) | 3 times as fast | ≥ 4, missed |" in table
    assert "| `model=cnn` | 2 | 99.00 | 99.23 ± 0.16 | 2.5 |" in table
    assert "| a loop | 1 | | 99.00 | 9 |" in table
    draw(RECORD, tmp_path)
    light, dark = (
        Image.open(tmp_path / name).convert("L").getpixel((1, 1)) for name in ("speed.png", "speed-dark.png")
    )
    assert light == 255 and dark < 40
