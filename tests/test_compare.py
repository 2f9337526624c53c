"""The comparison of many runs."""

import json
import shutil
import time

import numpy as np
import pytest
from conftest import QUIET, run_command

from digits.reporting.compare import mcnemar
from digits.reporting.runs import find_runs, group_runs


def copy_of(run, folder, **changes):
    """Copy the folder of a run and change its metrics."""
    for name in (".hydra", "report", "run.json", "model.onnx"):
        source = run / name
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    (folder / "report" / "metrics.json").write_text(json.dumps(metrics | changes))
    return folder


def test_seeds_form_one_group_and_other_data_another_section(quickstart, tmp_path):
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
    assert three.mean("test_accuracy") == pytest.approx(0.92)
    assert three.percent("test_accuracy") == "92.00 ± 2.00"


def test_names_of_groups_show_the_settings_that_differ(quickstart, tmp_path):
    for index, rate in enumerate((0.01, 0.02)):
        folder = copy_of(quickstart, tmp_path / str(index))
        record = json.loads((folder / "run.json").read_text())
        record["config"]["model"]["learning_rate"] = rate
        (folder / "run.json").write_text(json.dumps(record))
    (groups,) = group_runs(find_runs([tmp_path])[0])
    assert sorted(group.name for group in groups) == ["quickstart learning_rate=0.01", "quickstart learning_rate=0.02"]


def test_mcnemar_gives_the_p_value_calculated_by_hand():
    first = np.array([1] * 10 + [1] * 9 + [0] * 1 + [0] * 5, dtype=bool)
    second = np.array([1] * 10 + [0] * 9 + [1] * 1 + [0] * 5, dtype=bool)
    assert mcnemar(first, second) == (9, 1, pytest.approx(2 * (10 + 1) / 2**10))
    assert mcnemar(first, first) == (0, 0, 1)


def test_the_command_names_each_folder_it_leaves_out_and_why(quickstart, tmp_path):
    copy_of(quickstart, tmp_path / "runs" / "good")
    for name, content in (("failed", '{"status": "failed"}'), ("running", '{"status": "running"}'), ("new", "")):
        folder = copy_of(quickstart, tmp_path / "runs" / name)
        (folder / "run.json").write_text(content)
    trial = copy_of(quickstart, tmp_path / "runs" / "trial")
    record = json.loads((trial / "run.json").read_text())
    del record["seconds"]["report"]
    (trial / "run.json").write_text(json.dumps(record | {"value": 0.97}))
    copy_of(quickstart, tmp_path / "runs" / "version", format=99)
    (copy_of(quickstart, tmp_path / "runs" / "half") / "report" / "metrics.json").unlink()
    (copy_of(quickstart, tmp_path / "runs" / "cut") / "report" / "metrics.json").write_text('{"model": ')
    (copy_of(quickstart, tmp_path / "runs" / "foreign") / "run.json").write_text(
        '{"status": "finished", "seconds": {"report": 1}}'
    )
    (tmp_path / "empty").mkdir()
    done = run_command("scripts/compare.py", "runs", "empty", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout and "1,000 test images" in done.stdout
    reasons = {
        "empty": "no run in it",
        "runs/failed": "failed, wanted a finished run",
        "runs/running": "running, wanted a finished run",
        "runs/new": "not begun, wanted a finished run",
        "runs/trial": "no report; of a search, only the best trial is tested and reported",
        "runs/version/report/metrics.json": "got format 99, wanted 1; run scripts/evaluate.py on runs/version",
        "runs/half/report/metrics.json": "No such file",
        "runs/cut/report/metrics.json": "the file: Invalid JSON",
        "runs/foreign/run.json": "no 'trainer' in its config",
    }
    lines = dict(line.removeprefix("left out: ").split(": ", 1) for line in done.stderr.splitlines())
    assert lines.keys() == reasons.keys()
    assert all(lines[name].startswith(reason) for name, reason in reasons.items()), lines
    page = (tmp_path / "comparison.html").read_text()
    assert "no run predicts correctly" in page and "runs/half" in page and "data:image/png" in page


@pytest.mark.slow
def test_the_command_fails_where_no_run_is_finished(tmp_path):
    done = run_command("scripts/compare.py", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "no finished run to compare" in done.stderr


def test_two_models_are_compared_image_by_image(quickstart, tmp_path):
    arguments = ["data=mnist_5k", "model=pixel_similarity", "data.val_size=500", *QUIET]
    assert run_command("train.py", *arguments, cwd=tmp_path).returncode == 0
    done = run_command("scripts/compare.py", "outputs", str(quickstart), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first, second = (next(i for i, line in enumerate(lines) if name in line) for name in ("quickstart", "pixel_"))
    assert first < second, "the more accurate comes first"
    page = (tmp_path / "comparison.html").read_text()
    assert "&lt; 0.0001" in page and "only one run predicts correctly" in page


def test_a_thousand_folders_take_only_seconds(quickstart, tmp_path):
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
