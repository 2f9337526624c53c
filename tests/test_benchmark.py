"""The benchmarks run, their references are what they say, and the lists of what is measured name what exists."""

import json
import os
import shlex
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import run_command
from hydra import initialize_config_dir
from PIL import Image

import engines
import inside
import references
from digits.config import mistakes_in_overrides
from digits.data.mnist_5k import Mnist5k
from digits.training.callbacks import History
from load import ask
from plain_errors import DataError, PlainError
from processes import CONFIGS, ENVIRONMENT, HERE, busy, run
from results import draw
from resumable_sweeps.grid import jobs_of
from speed import COMPARISONS, benchmark, compared

PARTS = yaml.safe_load((HERE / "parts.yaml").read_text())
COMMANDS = [command for part in PARTS.values() for command in part["commands"].values()]
CPU = "data=mnist_5k trainer.accelerator=cpu"
# Those that the project's Trainer ignores too; pytest forgets that in each test.
pytestmark = pytest.mark.filterwarnings("ignore:.*treespec", "ignore:.*many workers", "ignore:.*no .val_dataloader.")


def results(cwd, name):
    """The JSON and the Markdown of the one benchmark that was run in `cwd`."""
    (folder,) = cwd.glob(f"outputs/{name}/*")
    return json.loads((folder / f"{name}.json").read_text()), (folder / f"{name}.md").read_text()


@pytest.mark.slow
def test_the_command_measures_a_part_and_leaves_a_table(tmp_path):
    done = run_command("scripts/benchmark/speed.py", "--only", "commands", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures, table = results(tmp_path, "benchmark")
    assert table in done.stdout and "| `train.py --help`, s |" in table
    assert figures["hardware"]["cores"] and figures["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert all(0 < value < 30 for row in figures["parts"]["commands"]["rows"].values() for value in row["values"][0])


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    done = run_command("scripts/benchmark/speed.py", "--only", "loaders", cwd=tmp_path)
    assert done.returncode == 2 and "invalid choice: 'loaders'" in done.stderr


@pytest.mark.slow
def test_a_run_is_timed_until_its_first_step_and_what_precedes_a_failure_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = PARTS["start"] | {"times": 1}
    start["commands"] = {name: f"{command} data=mnist_5k" for name, command in start["commands"].items()}
    bad = {"times": 1, "commands": {"a": "train.py --help", "b": "train.py experiment=never"}, "rows": {}}
    with pytest.raises(PlainError, match="experiment=never: no such choice"):
        benchmark({"start": start, "bad": bad, "after": dict(bad)})
    figures, table = results(tmp_path, "benchmark")
    (first,), (imports,) = figures["parts"]["start"]["rows"]["command to first step, s"]["values"]
    assert 0.1 < first / imports < 4
    assert len(figures["parts"]["bad"]["runs"]["a"]) == 1 and "runs" not in figures["parts"]["after"]
    assert "| command to first step, s |" in table and table in capsys.readouterr().out


@pytest.mark.parametrize("name", PARTS)
def test_rows_name_commands_and_units_that_exist(name):
    part = PARTS[name]
    for row in part["rows"].values():
        sign, target, unit = row["target"].split(maxsplit=2)
        assert sign in "≥≤" and float(target) > 0
        assert {row["ours"], row.get("reference", row["ours"])} <= part["commands"].keys()
        assert unit in COMPARISONS if "reference" in row and unit != "%" else unit in ("%", "s", "ms", "MB")
    assert {*part.get("until", {}), *part.get("busy", {}), *part.get("in_picture", [])} <= part["commands"].keys()


@pytest.mark.parametrize("shown", [each for each in COMMANDS if "=" in each])
def test_overrides_of_parts_are_good(shown):
    script, *words = shlex.split(shown)
    overrides = [word for word in words if "=" in word and not word.startswith(("+", "hydra"))]
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        assert [mistakes_in_overrides(job) for job in jobs_of(overrides)] in ([[]], [[]] * 4)
    assert script == "train.py" or hasattr({"inside.py": inside, "references.py": references}[script], words[0])


def test_a_run_is_compared_with_the_reference_at_its_side():
    runs = {"ours": [[{"s": 9.0}, {"s": value}] for value in (2.0, 4.0, 1.0)], "loop": [[{"s": 8.0}]] * 3}
    targets = {
        "≥ 4 times as fast": ["2", "8 (loop)", "4 times as fast", "≥ 4"],
        "≤ 0.2 times": ["2", "8 (loop)", "0.25 times", "≤ 0.2, missed"],
        "≤ 0 s more": ["2", "8 (loop)", "-6 s more", "≤ 0"],
        "≤ 2 s": ["2", "8 (loop)", "2 s", "≤ 2"],
        "≥ 3 %": ["2.33 ± 1.53", "8.00 ± 0.00 (loop)", "2.333 %", "≥ 3, missed"],
    }
    for target, cells in targets.items():
        row = {"figure": "s", "ours": "ours", "reference": "loop", "target": target}
        assert compared("name", row, runs) == ["name", *cells]
    assert compared("alone", {"figure": "s", "ours": "ours", "target": "≤ 2 s"}, runs) == [
        "alone",
        "2",
        "",
        "2 s",
        "≤ 2",
    ]


def test_a_process_without_the_text_to_stop_at_fails_with_the_end_of_its_output(tmp_path):
    with pytest.raises(PlainError, match=r"(?s)^train.py --help ended with 0:\n.*Tab completion"):
        run("train.py --help", tmp_path, until="never")


def test_other_processes_are_busy_meanwhile_and_end():
    def children():
        shown = subprocess.run(["ps", "-ww", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
        return [line for line in shown.stdout.splitlines() if "count += 1" in line]

    with busy(2):
        assert len(children()) == 2
    assert children() == []


@pytest.mark.slow
def test_references_run_with_the_defaults_of_openmp():
    def seen_by_openmp(words):
        """Each library of OpenMP says it when it is loaded: PyTorch's first, then scikit-learn's."""
        options = {"env": ENVIRONMENT | {"OMP_DISPLAY_ENV": "VERBOSE"}, "cwd": HERE, "capture_output": True}
        return subprocess.run([sys.executable, "-c", words], text=True, check=True, **options).stderr

    usual = seen_by_openmp("import torch")
    assert "OPENMP DISPLAY ENVIRONMENT BEGIN" in usual and seen_by_openmp("import references").startswith(usual)


def test_the_bare_loop_takes_the_steps_of_a_run():
    cfg = inside.composed(["model=lenet", "data.train_size=1000", "trainer.max_epochs=2", *CPU.split()])
    torch.manual_seed(cfg.seed)
    rows = list(references.bare_loop(cfg))
    history = History()
    torch.manual_seed(cfg.seed)
    data, model, trainer = inside.built(cfg, callbacks=[history])
    trainer.fit(model, data)
    wanted = [100 * row.val_accuracy for row in history.rows]
    assert [row["validation"] for row in rows] == pytest.approx(wanted, abs=1e-4)
    assert 0 < rows[0]["seconds"] < rows[1]["seconds"] and rows[1]["percent"] > 50


@pytest.mark.parametrize(("name", "parameters"), [("recipe", 215_194), ("example", 1_199_882)])
def test_reference_networks_learn(name, parameters):
    torch.manual_seed(0)
    data, net = Mnist5k(val_size=500), getattr(references, f"{name}_network")()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    data.setup()
    order = torch.randperm(len(data.train_labels))[:1200]
    batches = references.normalised(data.train_images[order, 0], data.train_labels[order], 40)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1)
    assert references.fit(net, batches, optimizer, schedule) > 0
    assert references.accuracy(net, references.normalised(data.val_images[:, 0], data.val_labels, 500)) > 50


def test_a_batch_is_augmented_in_a_share_of_a_step():
    overrides = ["model=cnn_augmented", "data.batch_size=64", "trainer.limit_train_batches=3", "trainer.max_epochs=1"]
    figures = inside.augmentation(inside.composed([*overrides, *CPU.split()]))
    assert 0 < figures["milliseconds"] < 100 and 0 < figures["share"] < 50


def test_growth_trains_on_as_many_images_as_asked():
    cfg = inside.composed(["model=linear", "+images=9000", "trainer.max_epochs=2", *CPU.split()])
    figures = inside.growth(cfg)
    assert figures["microseconds"] > 0 and figures["megabytes"] > 100


def test_loaders_deliver_images(mnist_dir):
    cfg = inside.composed(["trainer.limit_train_batches=4", "trainer.accelerator=cpu", f"data.folder={mnist_dir}"])
    assert inside.loader(cfg)["rate"] > 8 * inside.torchvision(cfg)["rate"] > 0


def test_the_picture_is_drawn_for_light_and_dark_pages(tmp_path):
    loop = [[{"seconds": 5.0, "percent": 97.0}, {"seconds": 9.0, "percent": 99.0}]] * 2
    draw({"loop": loop, "model=perfect": [[{"seconds": 1.0, "percent": 100.0}]]}, tmp_path)
    light, dark = (Image.open(tmp_path / name).convert("L") for name in ("speed.png", "speed-dark.png"))
    assert light.getpixel((1, 1)) == 255 and dark.getpixel((1, 1)) < 40


@contextmanager
def server(answer):
    """A server that always gives the same answer; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever).start()
        yield running.server_port
        running.shutdown()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("digits", {"probabilities": [{"digit": 3, "probability": 0.9}]}),
        ("gradio", {"data": [{"confidences": [{"label": "3", "confidence": 0.9}]}]}),
    ],
)
def test_under_load_every_answer_is_compared_with_the_models_own(name, answer):
    bodies = {"digits": b"png", "gradio": b"{}"}
    with server(json.dumps(answer).encode()) as port:
        waits = ask(name, port, [(bodies, {3: 0.9})], clients=2, seconds=1)
        assert len(waits) > 2 and all(0 < wait < 1 for wait in waits)
        with pytest.raises(DataError, match=f"{name}: got the answer"):
            ask(name, port, [(bodies, {3: 0.8})], clients=2, seconds=60)  # ends at the first answer
    with server(b'{"detail": "busy"}') as port, pytest.raises(DataError, match="busy"):
        ask(name, port, [(bodies, {3: 0.9})], clients=1, seconds=60)


# Other engines


@pytest.mark.parametrize("name", ["ONNX Runtime", "OpenCV 5"])
def test_what_the_page_on_engines_says_gives_right_probabilities(name, quickstart):
    (engine,) = [each for each in engines.engines() if each.name == name]
    images = Mnist5k().read().test_images[::5].numpy().astype(np.float32) / 255
    cell, why = engines.tried(engine, Path(sys.executable), quickstart / "model.onnx", images)
    assert float(cell) < 1e-5, why
    wrong = engine._replace(code=engine.code + "\nprobabilities = probabilities[:, ::-1]")
    assert engines.tried(wrong, Path(sys.executable), quickstart / "model.onnx", images)[0] == "**wrong**"
    broken = engine._replace(code="raise ValueError('no such layer')")
    assert engines.tried(broken, Path(sys.executable), quickstart / "model.onnx", images) == (
        "refused",
        "ValueError: no such layer",
    )


def test_the_table_of_engines_has_a_row_for_each_section():
    first, _, _ = engines.PAGE.read_text().partition("\n## ")
    rows = [line.split(" | ")[0].strip("| ") for line in first.splitlines() if line.startswith("| ")]
    assert rows == ["engine", "---", *(engine.name for engine in engines.engines())]
