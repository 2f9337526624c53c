"""Numbers and pictures, on answers known beforehand."""

import pytest
import torch

from digits.evaluation import Evaluation
from digits.models.linear import Linear
from digits.reporting import figures
from digits.reporting.metrics import measure, worst_mistakes

RECORD = {"model": "linear", "config": {"seed": 0}, "data": {"train": 100, "classes": [3, 7]}, "history": []}


@pytest.fixture
def evaluation():
    """Four pictures: sure and right, unsure and right, sure and wrong, unsure and wrong."""
    chances = torch.tensor([[0.99, 0.01], [0.38, 0.62], [0.95, 0.05], [0.45, 0.55]])
    labels = torch.tensor([0, 1, 1, 0])
    images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    return Evaluation(Linear(classes=[3, 7]), images, labels, chances.log(), {"val/accuracy": 0.5, "val/loss": 1.0})


@pytest.fixture
def metrics(evaluation, tmp_path):
    (tmp_path / "best.ckpt").write_bytes(b"")
    return measure(evaluation, tmp_path / "best.ckpt", RECORD)


def test_numbers_are_those_worked_out_by_hand(metrics):
    assert metrics["test/accuracy"] == 0.5
    assert metrics["confusion_matrix"] == [[1, 1], [1, 1]]
    assert metrics["test/loss"] == pytest.approx(-torch.tensor([0.99, 0.62, 0.05, 0.45]).log().mean().item())
    assert metrics["per_class"].keys() == {"3", "7"}, "digits, not positions"
    assert metrics["per_class"]["7"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    # three bins: 0.95 and 0.99 together (one of two right), 0.62 (right), 0.55 (wrong)
    gap = 2 / 4 * abs(0.97 - 0.5) + 1 / 4 * abs(0.62 - 1) + 1 / 4 * abs(0.55 - 0)
    assert metrics["test/ece"] == pytest.approx(gap, abs=1e-6)
    assert [row["count"] for row in metrics["reliability"]] == [1, 1, 2]


def test_worst_mistakes_are_the_surest_first(evaluation):
    assert worst_mistakes(evaluation, 10).tolist() == [2, 3]
    assert worst_mistakes(evaluation, 1).tolist() == [2]


def test_svg_takes_its_colours_from_the_page(metrics):
    drawn = figures.svg(figures.reliability(metrics))
    assert drawn.startswith("<svg") and "var(--accent)" in drawn
    assert not any(colour in drawn for colour in figures.PAGE_COLOURS)


def test_no_mistakes_is_a_picture_too(evaluation, metrics, tmp_path):
    right = Evaluation(evaluation.model, evaluation.images, evaluation.predictions, evaluation.logits, {})
    figures.save_png(figures.mistakes(metrics, right), tmp_path / "mistakes.png")
    assert (tmp_path / "mistakes.png").stat().st_size > 1000
