"""The benchmark runs, its references do what they say, and its parts are what they should be."""

import json
import runpy
import shlex

import pytest
import torch
import yaml
from conftest import run_command, run_folders
from hydra import initialize_config_dir
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from digits.config import mistakes_in_overrides
from digits.data.mnist_5k import Mnist5k
from digits.errors import DigitsError
from inside import RepeatedMnist
from machine import machine
from processes import CONFIGS, HERE, run
from results import PAIRS, compare, save
from speed import benchmark

PARTS = yaml.safe_load((HERE / "parts.yaml").read_text())
COMMANDS = [command for part in PARTS.values() for command in part["commands"].values()]


def measured(cwd, *words):
    """Run some parts; their rows by name."""
    done = run_command("scripts/benchmark/speed.py", "--quick", "--only", *words, "--out", "found", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads((cwd / "found" / "benchmark.json").read_text())
    assert (cwd / "found" / "benchmark.md").read_text() in done.stdout
    assert found["hardware"]["cores"] and found["versions"]["torch"] == torch.__version__.partition("+")[0]
    return {what: row for part in found["parts"].values() for what, row in part["rows"].items()}


def test_parts_without_mnist(tmp_path):
    rows = measured(tmp_path, "augmentation", "commands", "start")
    assert 0 < rows["augmentation of a batch, ms"]["value"] < 25
    assert rows["`train.py --help`, s"]["value"] > 0 and rows["`train.py --cfg job`, s"]["value"] > 0
    (first,), (imports,) = rows["command to first step, s"]["values"]
    assert 0.1 < first / imports < 4
    assert not run_folders(tmp_path), "the runs are not kept"


def test_loader(mnist_dir, tmp_path):
    assert measured(tmp_path, "loader")["loader, images/s"]["value"] > 8


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    done = run_command("scripts/benchmark/speed.py", "--only", "loaders", cwd=tmp_path)
    assert done.returncode == 2 and "invalid choice: 'loaders'" in done.stderr


@pytest.mark.parametrize("name", PARTS)
def test_rows_name_commands_and_units_that_exist(name):
    part = PARTS[name]
    for row in part["rows"].values():
        sign, target, unit = row["target"].split(maxsplit=2)
        assert sign in "≥≤" and float(target) > 0
        assert {row["ours"], row.get("theirs", row["ours"])} <= part["commands"].keys()
        assert unit in PAIRS if "theirs" in row and unit != "%" else unit in ("%", "s", "ms")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("train.py") and "=" in each])
def test_commands_of_parts_are_good(command):
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        assert mistakes_in_overrides(shlex.split(command)[1:]) == []


def test_pairs_of_runs_are_compared():
    runs = {"ours": [[{"s": 9.0}, {"s": value}] for value in (2.0, 4.0, 1.0)], "loop": [[{"s": 8.0}]] * 3}
    rows = {
        "fast": {"figure": "s", "ours": "ours", "theirs": "loop", "target": "≥ 4 times as fast"},
        "long": {"figure": "s", "ours": "ours", "theirs": "loop", "target": "≤ 0.2 times as long"},
        "more": {"figure": "s", "ours": "ours", "theirs": "loop", "target": "≤ 0 s more"},
        "alone": {"figure": "s", "ours": "ours", "target": "≤ 2 s"},
        "mean": {"figure": "s", "ours": "ours", "theirs": "loop", "target": "≥ 3 %"},
    }
    compare({"runs": runs, "rows": rows})
    assert {name: row["value"] for name, row in rows.items()} == pytest.approx(
        {"fast": 4, "long": 0.25, "more": -6, "alone": 2, "mean": 7 / 3}
    )
    assert [name for name, row in rows.items() if row["met"]] == ["fast", "more", "alone"]


def test_a_process_without_the_text_to_stop_at_fails_with_the_end_of_its_output(tmp_path):
    with pytest.raises(DigitsError, match=r"(?s)^train.py --help ended with 0:\n.*Tab completion"):
        run("train.py --help", tmp_path, until="never")


def test_what_was_measured_before_a_failure_is_kept(tmp_path, capsys):
    rows = {"imports, s": {"figure": "process", "ours": "imports", "target": "≤ 1e3 s"}}
    good = {"times": 1, "commands": {"imports": "train.py --help"}, "rows": rows}
    bad = {"times": 1, "commands": {"a": "train.py --help", "b": "train.py experiment=never"}, "rows": {}}
    with pytest.raises(DigitsError, match="experiment=never: no such choice"):
        benchmark({"good": good, "bad": bad, "after": dict(good)}, False, tmp_path)
    kept = json.loads((tmp_path / "benchmark.json").read_text())["parts"]
    assert kept["good"]["rows"]["imports, s"]["met"] and len(kept["bad"]["runs"]["a"]) == 1
    assert "runs" not in kept["after"]
    assert "| imports, s |" in capsys.readouterr().out


def test_bare_loop_takes_the_steps_of_a_run(quickstart, tmp_path):
    lines = run("references/bare_loop.py experiment=quickstart trainer.max_epochs=2 trainer.accelerator=cpu", tmp_path)
    metrics = json.loads((quickstart / "report" / "metrics.json").read_text())
    wanted = [100 * row["val/accuracy"] for row in metrics["history"]]
    assert [line["validation"] for line in lines] == pytest.approx(wanted, abs=1e-4)
    assert lines[-1]["percent"] == pytest.approx(100 * metrics["test/accuracy"], abs=0.3)  # a run tests in 32-bit


@pytest.mark.parametrize(("name", "parameters"), [("train_mnist_fast", 215_194), ("pytorch_example", 1_199_882)])
def test_reference_networks_learn(name, parameters):
    torch.manual_seed(0)
    reference = runpy.run_path(str(HERE / "references" / f"{name}.py"))
    data, net = Mnist5k(val_size=500), reference["network"]()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    data.setup()
    order = torch.randperm(len(data.train_labels))
    images, labels = (data.train_images[order] / 255 - 0.1307) / 0.3081, data.train_labels[order]
    if name == "train_mnist_fast":
        seconds = reference["fit"](net, images, labels)
    else:
        batches = DataLoader(TensorDataset(images, labels), 64)
        seconds = reference["fit"](net, batches, torch.optim.Adadelta(net.parameters()))
    assert seconds > 0
    predictions = net.eval()((data.val_images / 255 - 0.1307) / 0.3081).argmax(1)
    assert (predictions == data.val_labels).float().mean() > 0.75


def test_mnist_is_repeated(mnist_dir):
    data = RepeatedMnist(samples=60_003, folder=mnist_dir)
    source = data.read()
    images, labels = source.train_images, source.train_labels
    assert len(images) == len(labels) == 60_003 and len(source.test_labels) == 10_000
    assert images[60_002].equal(images[2]) and labels[60_002] == labels[2]


def test_growth_trains_on_as_many_digits_as_asked(mnist_dir, tmp_path):
    command = PARTS["growth"]["commands"]["60,000"].replace("60000", "600")
    (found,) = run(f"{command} trainer.accelerator=cpu seed=1", tmp_path)
    assert found["microseconds"] > 0 and found["megabytes"] > 100


def test_table_and_picture(tmp_path):
    ours = [[{"seconds": 2.0, "percent": 99.12, "validation": 99.0}], [{"seconds": 3.0, "percent": 99.34}]]
    loop = [[{"seconds": 5.0, "percent": 97.0}, {"seconds": 9.0, "percent": 99.0}]] * 2
    rows = {"fit, s": {"figure": "seconds", "ours": "model=cnn", "theirs": "a loop", "target": "≥ 4 times as fast"}}
    perfect = [[{"seconds": 1.0, "percent": 100.0}]]
    runs = {"model=cnn": ours, "a loop": loop, "model=perfect": perfect}
    part = {"in_picture": True, "runs": runs, "rows": rows}
    compare(part)
    table = save(machine() | {"quick": False, "parts": {"part": part}}, tmp_path)
    assert "| fit, s | 2.5 | 9 (a loop) | 3.75 times as fast | ≥ 4, missed |" in table
    assert "| `model=cnn` | 2 | 99.00 | 99.23 ± 0.16 | 2.5 |" in table
    assert "| a loop | 2 |  | 99.00 ± 0.00 | 9 |" in table
    light, dark = (
        Image.open(tmp_path / name).convert("L").getpixel((1, 1)) for name in ("speed.png", "speed-dark.png")
    )
    assert light == 255 and dark < 40
