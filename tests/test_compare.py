"""Many runs side by side."""

import json
import shutil
import time

import numpy as np
import pytest
from conftest import QUIET, run_command

from digits.reporting.compare import _pair
from digits.reporting.runs import Group, find_runs, group_runs


def copy_of(run, folder, **changes):
    """A run's folder again, with changes to its metrics ("/" for a key inside)."""
    for name in (".hydra", "report", "run.json", "model.onnx"):
        source = run / name
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    (folder / "report" / "metrics.json").write_text(json.dumps(metrics | changes))
    return folder


def test_seeds_are_one_group_and_other_data_another_section(quickstart, tmp_path):
    dataset = json.loads((quickstart / "report" / "metrics.json").read_text())["dataset"]
    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        copy_of(quickstart, tmp_path / f"{seed}", seed=seed, **{"test/accuracy": accuracy})
    copy_of(quickstart, tmp_path / "other", dataset=dataset | {"sha256": "0" * 64})
    runs, left_out = find_runs([tmp_path])
    assert (len(runs), left_out) == (4, [])
    sizes = sorted([len(group.runs) for group in groups] for groups in group_runs(runs))
    assert sizes == [[1], [3]]
    (three,) = [groups[0] for groups in group_runs(runs) if len(groups[0].runs) == 3]
    assert three.name == "quickstart"
    assert three.mean("test/accuracy") == pytest.approx(0.92)
    assert three.spread("test/accuracy") == pytest.approx(0.02)


def test_settings_that_differ_are_in_the_name(quickstart, tmp_path):
    for index, rate in enumerate((0.01, 0.02)):
        folder = copy_of(quickstart, tmp_path / str(index))
        record = json.loads((folder / "run.json").read_text())
        record["config"]["model"]["learning_rate"] = rate
        (folder / "run.json").write_text(json.dumps(record))
    (groups,) = group_runs(find_runs([tmp_path])[0])
    assert sorted(group.name for group in groups) == ["quickstart learning_rate=0.01", "quickstart learning_rate=0.02"]


def test_mcnemar_on_counts_known_beforehand():
    right = np.array([[1] * 10 + [1] * 9 + [0] * 1 + [0] * 5, [1] * 10 + [0] * 9 + [1] * 1 + [0] * 5], dtype=bool)
    pair = _pair((0, Group("one", [])), (1, Group("other", [])), right)
    assert pair["counts"] == (9, 1)
    assert pair["p"] == pytest.approx(2 * (10 + 1) / 2**10)
    same = _pair((0, Group("one", [])), (1, Group("other", [])), right[[0, 0]])
    assert same["p"] == 1


def test_command_names_what_it_leaves_out(quickstart, tmp_path):
    copy_of(quickstart, tmp_path / "runs" / "good")
    for name, content in (("failed", '{"status": "failed"}'), ("running", '{"status": "running"}'), ("new", "")):
        folder = copy_of(quickstart, tmp_path / "runs" / name)
        (folder / "run.json").write_text(content)
    copy_of(quickstart, tmp_path / "runs" / "version", format=99)
    (copy_of(quickstart, tmp_path / "runs" / "half") / "report" / "metrics.json").unlink()
    (copy_of(quickstart, tmp_path / "runs" / "cut") / "report" / "metrics.json").write_text('{"model": ')
    (tmp_path / "empty").mkdir()
    done = run_command("scripts/compare.py", "runs", "empty", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout and "1,000 test digits" in done.stdout
    told = {line.split(":")[1].strip(): line for line in done.stderr.splitlines()}
    assert told.keys() == {"empty", *(f"runs/{n}" for n in ("failed", "running", "new", "version", "half", "cut"))}
    assert "metrics.json has format 99, wanted 1" in told["runs/version"]
    assert "No such file" in told["runs/half"]
    page = (tmp_path / "comparison.html").read_text()
    assert "None reads them right" in page and "runs/half" in page and "data:image/png" in page


def test_nothing_to_compare_is_said(tmp_path):
    done = run_command("scripts/compare.py", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "no finished run to compare" in done.stderr


def test_two_models_on_the_same_pictures(quickstart, tmp_path):
    arguments = ["data=mnist_5k", "model=pixel_similarity", "data.val_size=500", *QUIET]
    assert run_command("train.py", *arguments, cwd=tmp_path).returncode == 0
    done = run_command("scripts/compare.py", "outputs", str(quickstart), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first, second = (next(i for i, line in enumerate(lines) if name in line) for name in ("quickstart", "pixel_"))
    assert first < second, "the more accurate comes first"
    page = (tmp_path / "comparison.html").read_text()
    assert "&lt; 0.0001" in page and "Only one reads them right" in page


def test_a_thousand_folders_take_seconds(quickstart, tmp_path):
    for seed in range(1000):
        folder = tmp_path / "runs" / str(seed)
        (folder / "report").mkdir(parents=True)
        metrics = json.loads((quickstart / "report" / "metrics.json").read_text()) | {"seed": seed}
        (folder / "report" / "metrics.json").write_text(json.dumps(metrics))
        for name in ("run.json", ".hydra", "model.onnx", "report/predictions.csv"):
            (folder / name).symlink_to(quickstart / name)
    started = time.monotonic()
    done = run_command("scripts/compare.py", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1000" in done.stdout
    assert time.monotonic() - started < 40, "it takes four seconds and the imports on a quiet machine"
