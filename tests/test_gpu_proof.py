"""The proof on a GPU, all of it that needs none."""

import json
from functools import partial

import pytest
import torch
from conftest import run_command

from digits.errors import DigitsError
from gpu import Proof, prove

HAS_GPU = torch.cuda.is_available() or torch.backends.mps.is_available()


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    done = run_command("scripts/benchmark/gpu.py", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "no GPU" in done.stderr
    assert not list(tmp_path.iterdir())


def test_rows_are_run_and_a_failed_one_stops_no_other(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    proof = Proof("cpu", "mnist_5k", tmp_path / "runs")
    rows = proof.rows() | {"killed and resumed": partial(proof.resume, "linear")}
    chosen = ["model=linear", "trainer.precision=16-mixed", "killed and resumed", "trainer=ddp"]
    with pytest.raises(DigitsError, match=r"^failed: trainer.precision=16-mixed$"):
        prove({name: rows[name] for name in chosen}, tmp_path / "found")
    found = {row["what"]: row for row in json.loads((tmp_path / "found" / "gpu.json").read_text())["rows"]}
    assert list(found) == chosen
    assert found["model=linear"]["result"].endswith("ONNX equal")
    assert "16-mixed, which needs a GPU" in found["trainer.precision=16-mixed"]["error"]
    assert found["killed and resumed"]["result"].endswith("tensors equal bit for bit")
    assert found["trainer=ddp"]["result"] == "one card: not run"
    table = (tmp_path / "found" / "gpu.md").read_text()
    assert table in capsys.readouterr().out
    assert "| trainer=ddp | one card: not run | ok |" in table
    assert "| trainer.precision=16-mixed |  | error: trainer.precision: got 16-mixed" in table


def test_weights_that_differ_are_an_error(tmp_path):
    for name, weight in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        state = {"bias": torch.zeros(1), "weight": torch.tensor(weight)}
        torch.save({"state_dict": state}, tmp_path / name / "checkpoints" / "last.ckpt")
    with pytest.raises(DigitsError, match="1 of 2 tensors differ, the first is weight"):
        Proof("cpu", "mnist_5k", tmp_path).same_weights("one", "other")
