"""Metrics, figures and robustness, on predictions known beforehand."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from conftest import run_command

from digits.models.linear import Linear
from digits.record import ChangedAccuracy, ClassScores, Dataset, Epoch, RunRecord
from digits.reporting import figures
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import changed, measure, robustness, worst_mistakes
from digits.run_folder import RunFolder

DATASET = Dataset(name="few", sha256="0" * 64, train=100, val=0, test=4, test_split="known", classes=[3, 7])
RECORD = RunRecord(model="linear", data=DATASET, config={"seed": 0})


@pytest.fixture
def evaluation():
    """Four predictions: sure and right, unsure and right, sure and wrong, unsure and wrong."""
    chances = torch.tensor([[0.99, 0.01], [0.38, 0.62], [0.95, 0.05], [0.45, 0.55]])
    labels = torch.tensor([0, 1, 1, 0])
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    return Evaluation(Linear(classes=[3, 7]), images, labels, chances.log(), val_loss=1.0, val_accuracy=0.5)


@pytest.fixture
def metrics(evaluation, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"")
    return measure(evaluation, tmp_path / "best.ckpt", RECORD)


def test_metrics_are_those_calculated_by_hand(metrics):
    assert metrics.test_accuracy == metrics.val_accuracy == 0.5
    assert metrics.confusion_matrix == [[1, 1], [1, 1]]
    assert metrics.test_loss == pytest.approx(-torch.tensor([0.99, 0.62, 0.05, 0.45]).log().mean().item())
    assert metrics.per_class.keys() == {"3", "7"}, "digits, not positions"
    assert metrics.per_class["7"] == ClassScores(precision=0.5, recall=0.5, f1=0.5, support=2)
    # three bins: 0.95 and 0.99 together (one of two right), 0.62 (right), 0.55 (wrong)
    gap = 2 / 4 * abs(0.97 - 0.5) + 1 / 4 * abs(0.62 - 1) + 1 / 4 * abs(0.55 - 0)
    assert metrics.test_ece == pytest.approx(gap, abs=1e-6)
    assert [row.count for row in metrics.reliability] == [1, 1, 2]


def test_a_confidence_of_1_lies_in_the_last_bin_for_the_ece_too(evaluation, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"")
    chances = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.95, 0.05], [0.95, 0.05]])  # three are right
    metrics = measure(replace(evaluation, logits=chances.log()), tmp_path / "best.ckpt", RECORD)
    assert [(row.count, row.accuracy) for row in metrics.reliability] == [(4, 0.75)]
    assert metrics.test_ece == pytest.approx(0.975 - 0.75)


def test_refused_digits_are_those_below_a_quantile_of_the_validation_digits(evaluation, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"")
    logits = evaluation.logits + torch.tensor([[4.0], [3.0], [-1.0], [2.0]])  # of which the log-sum-exp is 0
    known = replace(evaluation, logits=logits, val_energy=torch.linspace(0, 10, 1001))
    metrics = measure(known, tmp_path / "best.ckpt", RECORD)
    assert metrics.least_energy == pytest.approx(0.05), "0.5 % of the validation digits have less"
    chosen, *_ = [row for row in metrics.refusals if row.least_energy == metrics.least_energy]
    assert (chosen.val_refused, chosen.test_refused) == (0.005, 0.25)
    assert chosen.accuracy == pytest.approx(2 / 3), "of the three that are left"
    assert [row.val_refused for row in metrics.refusals] == sorted(row.val_refused for row in metrics.refusals)


def test_a_model_that_knows_digits_only_refuses_nothing(metrics):
    assert metrics.least_energy is None and metrics.refusals == []


def test_epochs_of_older_runs_count_the_whole_training_split(evaluation, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"")
    history = [Epoch(epoch=0, step=1, seconds=2.0), Epoch(epoch=1, step=2, seconds=2.0, images=60)]
    record = RECORD.model_copy(update={"history": history})
    assert measure(evaluation, tmp_path / "best.ckpt", record).train_images_per_second == (100 + 60) / 4


def test_worst_mistakes_come_in_order_of_confidence(evaluation):
    assert worst_mistakes(evaluation, 10).tolist() == [2, 3]
    assert worst_mistakes(evaluation, 1).tolist() == [2]


def test_svg_takes_its_colours_from_the_page(metrics):
    drawn = figures.svg(figures.reliability(metrics))
    assert drawn.startswith("<svg") and "var(--accent)" in drawn
    assert not any(colour in drawn for colour in figures.PAGE_COLOURS)


def test_a_model_without_mistakes_gets_a_figure_too(evaluation, metrics, tmp_path):
    right = Evaluation(evaluation.model, evaluation.images, evaluation.predictions, evaluation.logits)
    figures.save_png(figures.mistakes(metrics, right), tmp_path / "mistakes.png")
    assert (tmp_path / "mistakes.png").stat().st_size > 1000


# Robustness


def test_each_change_does_what_its_name_says():
    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 6:22, 12:16] = 1  # a stroke 16 pixels high and 4 wide
    ink = {name: each.squeeze(1) for name, each in changed(images).items()}
    assert all(each.min() >= 0 and each.max() <= 1.001 for each in ink.values())
    position = torch.arange(28.0) - 13.5

    def spread(each, dim):
        along = each.sum(dim=dim)
        return ((along * position**2).sum(dim=1) / along.sum(dim=1)).sqrt()

    upright = spread(images.squeeze(1), dim=2)
    assert torch.allclose(spread(ink["75 % of the size"], dim=2) / upright, torch.tensor(0.75), atol=0.02)
    assert torch.allclose(spread(ink["120 % of the size"], dim=2) / upright, torch.tensor(1.2), atol=0.02)
    for name, degrees in (("turned by 15°", 15), ("turned by 30°", 30), ("slanted by 20°", 20)):
        moments = (ink[name] * position[:, None] * position).sum(dim=(1, 2))  # of rows and columns
        across, along = spread(ink[name], dim=1) ** 2, spread(ink[name], dim=2) ** 2
        mixed = moments / ink[name].sum(dim=(1, 2))
        if "slanted" in name:
            angles = (mixed / along).atan().rad2deg()
        else:
            angles = 0.5 * torch.atan2(2 * mixed, along - across).rad2deg()
        assert torch.allclose(angles.abs(), torch.tensor(float(degrees)), atol=1.5), name
        assert angles[0] * angles[1] < 0, "every other one to the other side"
    centres = [(ink["shifted by 3 pixels"].sum(dim=dim) * position).sum(dim=1) / 64 for dim in (1, 2)]
    assert torch.stack(centres, dim=1).round().tolist() == [[-3, 0], [3, 0], [0, -3], [0, 3]]
    assert ink["thinner strokes"][:, 14].sum(dim=1).tolist() == [2] * 4
    assert ink["thicker strokes"][:, 14].sum(dim=1).tolist() == [6] * 4
    assert (ink["bent"][0] - ink["bent"][1]).abs().max() > 0.5, "each bent its own way"


def test_robustness_is_the_same_each_time_and_starts_with_the_unchanged_images(evaluation):
    torch.manual_seed(1)
    rows = robustness(evaluation)
    torch.manual_seed(2)
    assert robustness(evaluation) == rows
    assert rows[0] == ChangedAccuracy(change="none", accuracy=0.5, pictures=4)


def test_robustness_takes_evenly_spaced_images_of_a_large_split(evaluation):
    total = 5000
    labels = (torch.arange(total) >= total // 2).long()  # sorted by class, and the second half wrong
    logits = torch.tensor([[1.0, 0.0]]).repeat(total, 1)
    large = Evaluation(evaluation.model, torch.zeros(total, 1, 28, 28, dtype=torch.uint8), labels, logits)
    assert robustness(large)[0] == ChangedAccuracy(change="none", accuracy=0.5, pictures=2000)


def test_robustness_is_in_the_report(quickstart):
    metrics = RunFolder(quickstart).metrics()
    accuracy = {row.change: row.accuracy for row in metrics.robustness}
    assert accuracy["none"] == pytest.approx(metrics.test_accuracy)
    assert all(row.pictures == 1000 for row in metrics.robustness)
    assert 0.2 < accuracy["turned by 30°"] < accuracy["turned by 15°"] < accuracy["none"]
    page = (quickstart / "report" / "index.html").read_text()
    assert f"turned by 30°</th><td>{100 * accuracy['turned by 30°']:.2f}</td>" in page


def test_a_folder_of_an_older_version_is_compared_and_evaluated(quickstart, tmp_path):
    old = tmp_path / "run"
    shutil.copytree(quickstart, old)
    metrics = json.loads((old / "report" / "metrics.json").read_text())
    record = json.loads((old / "run.json").read_text())
    without_robustness = {key: value for key, value in metrics.items() if key != "robustness"}
    (old / "report" / "metrics.json").write_text(json.dumps(without_robustness))
    record["config"]["sweep"] = None
    for row in record["history"]:
        del row["images"]
    (old / "run.json").write_text(json.dumps(record | {"value": 0.97}))
    compared = run_command("scripts/compare.py", str(old), cwd=tmp_path)
    assert compared.returncode == 0 and "quickstart" in compared.stdout, compared.stderr
    done = run_command("scripts/evaluate.py", str(old), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((old / "report" / "metrics.json").read_text())["robustness"] == metrics["robustness"]
