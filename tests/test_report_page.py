"""The report in a browser: of a network, and of a closed form."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from conftest import QUIET, audit, run_command
from playwright.sync_api import Browser, Page, expect

from digits.models.linear import Linear
from digits.models.mlp import MLP
from digits.record import Epoch
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation
from digits.reporting.report import write_report
from digits.run_folder import RunFolder

# The least contrast of text and background in the confusion matrix. The browser paints each colour for that.
CONTRAST = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((byte) => byte / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
  };
  return [...document.querySelectorAll(".matrix tbody td")].map((cell) => {
    const pair = [light(getComputedStyle(cell).color), light(getComputedStyle(cell).backgroundColor)];
    return { text: cell.innerText.trim(), contrast: Math.max(...pair) / Math.min(...pair), background: pair[1] };
  });
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a run of each kind."""
    cwd = tmp_path_factory.mktemp("runs")
    named = ["name=first", "tags=[small,two words]", "hydra.sweep.dir=outputs/both"]
    models = ["model=mlp,pixel_similarity", "data=mnist_5k", "trainer.max_epochs=3"]
    done = run_command("train.py", "-m", *models, *named, *QUIET, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {
        RunFolder(folder).record().model: folder
        for folder in cwd.glob("outputs/both/*")
        if (folder / "run.json").exists()
    }


@pytest.fixture
def opened(browser: Browser):
    """`opened(folder, width=390, color_scheme="dark")` opens the report of a run."""
    contexts = []

    def start(folder: Path, width: int = 1400, **options) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        fetched = page.fetched = []
        page.goto((folder / "report" / "index.html").as_uri())
        return page

    yield start
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("model", ["mlp", "pixel_similarity"])
def test_everybody_can_use_the_report(runs, opened, model, width, scheme):
    page = opened(runs[model], width, color_scheme=scheme)
    audit(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [url for url in page.fetched if not url.startswith("data:")] == [page.url], "something is fetched"
    cells = [cell for cell in page.evaluate(CONTRAST) if cell["text"]]
    assert min(cell["contrast"] for cell in cells) >= 4.5
    page.locator("button[data-pair]").first.click()
    audit(page)


def test_cells_are_coloured_so_that_eight_times_the_mistakes_differ(runs, opened):
    page = opened(runs["pixel_similarity"])
    wrong = page.locator("td.wrong")
    counts = [int(text) for text in wrong.locator(".count").all_inner_texts()]
    backgrounds = [cell["background"] for cell in page.evaluate(CONTRAST)]
    places = wrong.evaluate_all(
        "cells => cells.map(cell => [...document.querySelectorAll('.matrix tbody td')].indexOf(cell))"
    )
    colours = dict(sorted((count, backgrounds[at]) for count, at in zip(counts, places, strict=True)))
    most = max(colours)
    eighth = min(colours, key=lambda count: abs(count - most / 8))
    assert list(colours.values()) == sorted(colours.values(), reverse=True), "the more mistakes, the stronger"
    assert colours[eighth] / colours[most] > 1.5


def test_a_cell_filters_the_gallery_by_click_tap_and_keyboard(runs, opened):
    page = opened(runs["pixel_similarity"], 390, has_touch=True)
    pairs = "items => items.filter(item => !item.hidden).map(item => item.dataset.pair)"
    items, status = page.locator("#gallery li"), page.locator("#shown")
    usual = items.evaluate_all(pairs)
    assert len(usual) <= 40 and max(map(usual.count, usual)) == 3, "at most three of a pair"
    matrix = RunFolder(runs["pixel_similarity"]).metrics().confusion_matrix
    first, second = page.locator("button[data-pair='2-1']"), page.locator("button[data-pair='4-9']")

    first.click()
    assert items.evaluate_all(pairs) == ["2-1"] * 20
    expect(status).to_contain_text(f"{matrix[2][1]} of 100 images of a 2 predicted as 1")
    expect(status).to_contain_text("The 20 with the highest confidence are shown")
    expect(items.locator("visible=true").first).to_be_in_viewport()
    expect(first).to_have_attribute("aria-pressed", "true")

    second.tap()
    assert items.evaluate_all(pairs) == ["4-9"] * matrix[4][9]
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(status).not_to_contain_text("are shown")
    page.get_by_role("button", name="Show all pairs").click()
    assert items.evaluate_all(pairs) == usual
    expect(second).to_be_focused()

    first.focus()
    page.keyboard.press("Enter")
    assert set(items.evaluate_all(pairs)) == {"2-1"}
    page.keyboard.press("Space")
    assert items.evaluate_all(pairs) == usual, "the same cell again shows all"


def test_each_command_is_copied_and_repeating_composes_the_same_config(runs, opened):
    page = opened(runs["mlp"], permissions=["clipboard-read", "clipboard-write"])
    commands = page.locator(".commands code").all_inner_texts()
    for button, command in zip(page.get_by_role("button", name="Copy:").all(), commands, strict=True):
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == command
    folder = str(runs["mlp"].relative_to(runs["mlp"].parents[2]))
    assert commands[1:] == [
        f"python train.py resume={folder}",
        f"digits evaluate {folder}",
        f"digits read {folder} photo.jpg",
        f"digits serve {folder}",
        f"tensorboard --logdir {folder}",
    ]
    python, script, *overrides = shlex.split(commands[0])
    composed = run_command(script, *overrides, "--cfg", "job", cwd=runs["mlp"].parents[2])
    assert python == "python" and composed.returncode == 0, composed.stderr
    saved = yaml.safe_load((runs["mlp"] / ".hydra" / "config.yaml").read_text())
    assert yaml.safe_load(composed.stdout) == saved | {"run_folder": None, "run_label": None}, "another run, no other"
    closed = opened(runs["pixel_similarity"])
    assert "resume=" not in closed.locator(".commands").inner_text(), "fitted in one pass"


def test_without_a_clipboard_the_command_is_selected(runs, opened):
    page = opened(runs["mlp"])
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject() }")
    button = page.get_by_role("button", name="Copy: Serve")
    button.click()
    expect(button).to_have_text("Selected")
    assert page.evaluate("String(getSelection())").startswith("digits serve ")


def test_links_lead_somewhere_and_name_and_tags_are_on_top(runs, opened):
    for model, folder in runs.items():
        page = opened(folder)
        expect(page.locator("h1")).to_have_text(f"first: {model} on mnist_5k")
        expect(page.get_by_role("list", name="tags").locator("li")).to_have_text(["small", "two words"])
        links = [link.get_attribute("href") for link in page.locator("a").all()]
        for link in links:
            found = page.locator(link).count() if link.startswith("#") else (folder / "report" / link).is_file()
            assert found == 1, link
        names = {"metrics.json", "predictions.csv", "model.onnx", "confusion_matrix.png", "mistakes.png", "config.yaml"}
        assert names <= {link.split("/")[-1] for link in links}


def test_no_chart_is_empty(runs, opened, tmp_path):
    expect(opened(runs["pixel_similarity"]).locator("svg")).to_have_count(1)  # calibration
    page = opened(runs["mlp"])
    expect(page.locator(".curves svg")).to_have_count(3)
    metrics, record = RunFolder(runs["mlp"]).metrics(), RunFolder(runs["mlp"]).record()
    kept = metrics.history[metrics.kept_epoch]
    assert kept.val_accuracy == max(row.val_accuracy for row in metrics.history)
    assert 0.5 < kept.train_accuracy < 1
    words = page.locator("#curves + p").inner_text()
    assert f"epoch {metrics.kept_epoch + 1} of 3" in words and f"{record.precision} precision" in words
    assert f"was {100 * kept.val_accuracy:.2f} %" in words and f"the {100 * metrics.val_accuracy:.2f} % above" in words

    metrics.history, metrics.epochs, metrics.kept_epoch = metrics.history[:1], 1, 0
    few = Evaluation(
        Linear(classes=list(range(10))), torch.zeros(10, 1, 28, 28).byte(), torch.arange(10), torch.eye(10)
    )
    write_report(RunFolder(tmp_path), metrics, few, record)
    page = opened(tmp_path)
    expect(page.locator(".curves")).to_have_count(0)
    expect(page.get_by_text("One point makes no curve")).to_contain_text("training accuracy ")
    audit(page)


@pytest.mark.parametrize("lower, said", [("val_loss", True), ("train_loss", False)])
def test_training_loss_above_validation_loss_is_explained(runs, opened, tmp_path, lower, said):
    metrics, record = RunFolder(runs["mlp"]).metrics(), RunFolder(runs["mlp"]).record()
    setattr(metrics.history[-1], lower, 0.01)
    model = MLP(classes=list(range(10)), hidden=[8], dropout=0.1, label_smoothing=0.1)
    few = Evaluation(model, torch.zeros(10, 1, 28, 28).byte(), torch.arange(10), torch.eye(10))
    write_report(RunFolder(tmp_path), metrics, few, record)
    page = opened(tmp_path)
    assert page.get_by_text("Training loss lies above validation loss").count() == said
    assert page.get_by_text("dropout left units out and labels were smoothed").count() == said


def test_a_curve_needs_two_values_and_its_ticks_are_plain(runs):
    metrics = RunFolder(runs["mlp"]).metrics()
    rows = [Epoch(epoch=at, step=at, seconds=1, train_loss=loss) for at, loss in enumerate((2.0, 0.4, 0.06))]
    metrics.history = rows
    (only,) = figures.curves(metrics)
    assert only.axes[0].get_title() == "loss (nats)"
    shown = re.findall(r">([\d.]+)</text>", figures.svg(only))
    assert {"0.1", "0.2", "0.5", "1", "2"} <= set(shown)
    metrics.history = rows[:1]
    assert figures.curves(metrics) == []


def test_bars_of_the_calibration_have_their_numbers(runs):
    metrics = RunFolder(runs["mlp"]).metrics()
    shown = re.findall(r">([\d,]+)</text>", figures.svg(figures.reliability(metrics)))
    assert all(f"{row.count:,}" in shown for row in metrics.reliability)
    assert {"20", "80", "100"} <= set(shown), "percent"
