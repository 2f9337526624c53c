"""The comparison of many runs."""

import json
import re
import shutil
import time

import numpy as np
import onnx
import pandas as pd
import pytest
from conftest import QUIET, audit, run_command
from playwright.sync_api import expect

from digits.reporting.compare import holm, mcnemar, write_page
from digits.reporting.runs import candidates_of, find_runs, results


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


def changed(folder, config, **changes):
    """Change run.json of a copy: settings of its config by dotted key, and other keys."""
    record = json.loads((folder / "run.json").read_text())
    for key, value in config.items():
        *parts, last = key.split(".")
        node = record["config"]
        for part in parts:
            node = node[part]
        node[last] = value
    (folder / "run.json").write_text(json.dumps(record | changes))
    return folder


def views(browser, path):
    """A page as people look at it: on a phone and a screen, light and dark."""
    for width in (390, 1400):
        for scheme in ("light", "dark"):
            view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            view.goto(path.as_uri())
            yield view  # it stays open until the browser ends


def is_cut(page):
    """Whether a part of the page is wider than the window, or a table than its box."""
    return page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    )


@pytest.fixture(scope="module")
def twenty(quickstart, tmp_path_factory):
    """A comparison of twenty runs, some of them close together: its folder, and the finished command."""
    cwd = tmp_path_factory.mktemp("twenty")
    for number in range(20):
        accuracy = 0.9 + 0.002 * (number % 7)
        figures = {"val/accuracy": accuracy, "test/accuracy": 1.8 - accuracy, "fit_seconds": 1 + number % 3}
        folder = copy_of(quickstart, cwd / "runs" / f"{number}", **figures)
        config = {"model.learning_rate": (number + 1) / 1000, "seed": 5, "run_folder": str(folder)}
        changed(folder, config, name=f"run{number}", tags=["tried", "odd" if number % 2 else "even"])
    changed(copy_of(quickstart, cwd / "runs" / "failed"), {}, status="failed", error="train/loss is nan")
    return cwd, run_command("scripts/compare.py", "runs", "--csv", "a.csv", "--json", "a.json", cwd=cwd, COLUMNS="80")


def test_seeds_form_one_candidate_and_other_data_another_section(quickstart, tmp_path):
    dataset = json.loads((quickstart / "report" / "metrics.json").read_text())["dataset"]
    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        copy_of(quickstart, tmp_path / f"{seed}", seed=seed, **{"test/accuracy": accuracy})
    copy_of(quickstart, tmp_path / "other", dataset=dataset | {"sha256": "0" * 64})
    runs, left_out = find_runs([tmp_path])
    assert (len(runs), left_out) == (4, [])
    sizes = sorted([len(each.runs) for each in candidates] for candidates in candidates_of(runs))
    assert sizes == [[1], [3]]
    (three,) = [first for first, *_ in candidates_of(runs) if len(first.runs) == 3]
    assert three.name == "quickstart"
    assert three.mean("test_accuracy") == pytest.approx(0.92)
    assert three.percent("test_accuracy") == "92.00 ± 2.00"


def test_other_callbacks_are_another_candidate_and_a_repeated_seed_is_not_counted_twice(quickstart, tmp_path):
    for name in ("first", "again", "other"):
        copy_of(quickstart, tmp_path / name)
    changed(tmp_path / "other", {"callbacks.early_stopping.patience": 3})
    (candidates,) = candidates_of(find_runs([tmp_path])[0])
    assert {each.name.partition(" ")[2]: each.seeds for each in candidates} == {
        "callbacks.early_stopping.patience=3": "1",
        "callbacks.early_stopping.patience=8": "1 in 2 runs",
    }


def test_names_of_candidates_show_the_settings_that_differ(quickstart, tmp_path):
    for index, rate in enumerate((0.01, 0.02)):
        folder = copy_of(quickstart, tmp_path / str(index))
        record = json.loads((folder / "run.json").read_text())
        record["config"]["model"]["learning_rate"] = rate
        (folder / "run.json").write_text(json.dumps(record))
    (candidates,) = candidates_of(find_runs([tmp_path])[0])
    assert sorted(each.name for each in candidates) == [
        "quickstart learning_rate=0.01",
        "quickstart learning_rate=0.02",
    ]


def test_int8_files_have_columns_of_their_own(quickstart, tmp_path):
    for seed, accuracy in enumerate((0.90, 0.92)):
        folder = copy_of(quickstart, tmp_path / f"{seed}", seed=seed)
        model = onnx.load(folder / "model.onnx")
        facts = {each.key: each.value for each in model.metadata_props} | {"test_accuracy": str(accuracy)}
        onnx.helper.set_model_props(model, facts)
        onnx.save(model, folder / "model.int8.onnx")
    runs, _ = find_runs([tmp_path])
    (section,) = write_page(runs, [], tmp_path / "page.html", "", "")
    (row,) = section["rows"]
    assert row["int8 accuracy"] == "91.00 ± 1.41 %" and float(row["int8 ms"]) > 0
    assert row["int8 kB"] == row["ONNX kB"]
    assert "<th>int8 kB</th>" in (tmp_path / "page.html").read_text().replace(' scope="col"', "")
    (tmp_path / "1" / "model.int8.onnx").unlink()
    (section,) = write_page(runs, [], tmp_path / "page.html", "", "")
    assert not [column for column in section["rows"][0] if "int8" in column], "not all seeds have one"


def test_mcnemar_gives_the_p_value_calculated_by_hand():
    first = np.array([1] * 10 + [1] * 9 + [0] * 1 + [0] * 5, dtype=bool)
    second = np.array([1] * 10 + [0] * 9 + [1] * 1 + [0] * 5, dtype=bool)
    assert mcnemar(first, second) == (9, 1, pytest.approx(2 * (10 + 1) / 2**10))
    assert mcnemar(first, first) == (0, 0, 1)


def test_holm_gives_the_p_values_calculated_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([0.02]) == [0.02] and holm([]) == []


def test_results_are_data_with_a_column_for_each_setting_that_differs(twenty):
    cwd, done = twenty
    assert done.returncode == 0, done.stderr
    frame = results(cwd / "runs")
    assert len(frame) == 20 and results(cwd / "none").empty
    assert sorted(frame["model.learning_rate"]) == [number / 1000 for number in range(1, 21)]
    settings = [column for column in frame if column.startswith(("model.", "data.", "trainer.", "callbacks."))]
    assert settings == ["model.learning_rate"], "the others are equal, or name the run"
    assert {"run", "name", "tags", "seed", "test/accuracy", "val/accuracy", "val/loss", "parameters"} < set(frame)
    assert frame.set_index("name").loc["run8", ["tags", "val/accuracy"]].tolist() == ["tried, even", 0.902]
    for kept in (pd.read_csv(cwd / "a.csv"), pd.read_json(cwd / "a.json")):
        assert kept.columns.tolist() == frame.columns.tolist()
        assert sorted(kept["test/accuracy"]) == sorted(frame["test/accuracy"])


def test_the_table_fits_the_terminal_by_leaving_out_columns(twenty):
    cwd, done = twenty
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "val accuracy" in done.stdout and "ONNX kB" not in done.stdout
    names = [line.split()[1] for line in lines if line.startswith("│ run") and "run " not in line]
    assert names[:3] == ["run13", "run6", "run12"], "by validation accuracy, which is the reverse of the test's"
    wide = run_command("scripts/compare.py", "runs", "--page", "wide.html", cwd=cwd, COLUMNS="200")
    assert "ONNX kB" in wide.stdout and "tried, even" in wide.stdout


def test_a_tag_chooses_runs(twenty):
    cwd, _ = twenty
    done = run_command("scripts/compare.py", "runs", "--tag", "odd", "--page", "odd.html", cwd=cwd)
    assert done.returncode == 0 and "run1 " in done.stdout and "run2 " not in done.stdout
    done = run_command("scripts/compare.py", "runs", "--tag", "none", cwd=cwd)
    assert done.returncode == 2 and "no finished run with the tag none to compare" in done.stderr


def test_the_page_of_twenty_runs_is_whole(twenty, browser):
    """Every dot has a number that covers nothing; every link leads somewhere; nothing is cut on a screen."""
    cwd, _ = twenty
    for page in views(browser, cwd / "comparison.html"):
        audit(page)
        assert page.viewport_size["width"] < 1400 or not is_cut(page)
        for plot in page.locator(".plot svg").all():
            boxes = {text.text_content(): text.bounding_box() for text in plot.locator("g[id^=text] text").all()}
            numbers = [boxes[str(number)] for number in range(1, 21) if str(number) in boxes]
            assert len(numbers) == 20
            dots = [dot.bounding_box() for dot in plot.locator("use").all()]
            overlaps = [
                (a, b)
                for at, a in enumerate(numbers)
                for b in numbers[at + 1 :] + dots
                if a["x"] < b["x"] + b["width"] - 1
                and b["x"] < a["x"] + a["width"] - 1
                and a["y"] + 3 < b["y"] + b["height"] - 3
                and b["y"] + 3 < a["y"] + a["height"] - 3
            ]
            assert overlaps == []
    links = [link.get_attribute("href") for link in page.locator("a").all()]
    assert {f"runs/{number}/report/index.html" for number in range(20)} < set(links)
    assert "runs/failed/" in links and all((cwd / link).exists() for link in links)
    text = page.inner_text("main")
    assert "digits compare runs --csv" in text and "train/loss is nan" in text
    assert "corrected for the number of pairs, 66, by Holm's method" in text
    assert re.search(r"\d by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12", text), "what each model read"


def test_columns_are_sorted_and_learning_curves_chosen_by_click_and_keyboard(twenty, browser):
    cwd, _ = twenty
    page = next(views(browser, cwd / "comparison.html"))
    ranking = page.get_by_role("region", name="ranking")
    column = "(rows, at) => rows.map(row => parseFloat(row.cells[at].textContent))"
    rows, validated, fitted = ranking.locator("tbody tr"), 3, 5
    heading = ranking.get_by_role("columnheader", name="fit s")
    heading.get_by_role("button").click()
    falling = rows.evaluate_all(column, fitted)
    assert falling == sorted(falling, reverse=True) and len(set(falling)) == 3
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")
    assert rows.evaluate_all(column, fitted) == sorted(falling)
    expect(heading).to_have_attribute("aria-sort", "ascending")
    ranking.get_by_role("button", name="#").press("Space")
    assert rows.evaluate_all(column, 0) == list(range(1, 21)), "as it was"
    accuracies = rows.evaluate_all(column, validated)
    assert accuracies == sorted(accuracies, reverse=True)
    expect(heading).not_to_have_attribute("aria-sort", re.compile("."))

    lines, boxes = page.locator(".overlay g[id^=curve]"), page.locator("input[data-curve]")
    assert lines.count() == boxes.count() == 12
    boxes.nth(2).press("Space")
    shown = [line.get_attribute("id") for line in lines.all() if line.is_visible()]
    assert shown == [f"curve-{number}" for number in range(1, 13) if number != 3]
    boxes.nth(2).click()
    assert all(line.is_visible() for line in lines.all())
    audit(page)


def test_a_table_that_goes_on_below_shows_it_by_a_shadow_and_a_short_one_is_whole(twenty, browser):
    cwd, _ = twenty
    page = next(views(browser, cwd / "comparison.html"))
    for name, is_long in (("differences", True), ("all runs", False)):  # 66 pairs, 20 runs
        region = page.get_by_role("region", name=name)
        assert region.evaluate("box => box.scrollHeight > box.clientHeight + 20") == is_long
        assert ("100% 64px" in region.evaluate("box => getComputedStyle(box).backgroundSize")) == is_long


def test_settings_that_are_numbers_are_plotted_against_accuracy(twenty):
    cwd, _ = twenty
    (section,) = write_page(find_runs([cwd / "runs"])[0], [], cwd / "again.html", "", "")
    (plot,) = section["settings"]
    assert "learning_rate" in plot and plot.count("<use") >= 20


def test_names_of_candidates_show_what_their_commands_set(quickstart, tmp_path):
    for index, words in enumerate((["model=mlp", "seed=1"], ["model=linear", "model.learning_rate=1e-2", "seed=2"])):
        rate = {"model.learning_rate": 0.01 + index, "model.weight_decay": index}
        changed(copy_of(quickstart, tmp_path / str(index)), rate, overrides=["logger=none", *words])
    (candidates,) = candidates_of(find_runs([tmp_path])[0])
    assert sorted(each.name for each in candidates) == [
        "quickstart model=linear learning_rate=1e-2",
        "quickstart model=mlp",
    ]


def test_a_single_run_gets_no_plot(quickstart, browser, tmp_path):
    assert run_command("scripts/compare.py", str(quickstart), cwd=tmp_path).returncode == 0
    for page in views(browser, tmp_path / "comparison.html"):
        audit(page)
        assert page.locator("svg").count() == 0
        assert page.locator("h2, h3").all_inner_texts()[1:] == ["Images that no run predicts correctly", "All runs"]


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
        "runs/version/report/metrics.json": "got format 99, wanted 1; run digits evaluate runs/version",
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
    done = run_command("scripts/compare.py", ".", "gone", cwd=tmp_path)
    wanted = "error: gone: no such folder; wanted runs, or folders that hold them\n"
    assert (done.returncode, done.stderr) == (2, wanted)


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
