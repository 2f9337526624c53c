"""A file that differs from its checkpoint is not exported."""

import pytest
import torch

from digits.errors import DigitsError
from digits.models.mlp import MLP
from digits.reporting.evaluation import Evaluation
from digits.training.export import export_onnx

CLASSES = [3, 7]


@pytest.fixture
def evaluation():
    model = MLP(classes=CLASSES, hidden=[16]).eval()
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        logits = model(images.float() / 255)
    return Evaluation(model, images, torch.zeros(300, dtype=torch.int64), logits)


def test_equal_file_is_written(evaluation, tmp_path):
    facts = export_onnx(evaluation, tmp_path / "model.onnx", {"classes": CLASSES})
    assert facts.max_abs_diff <= 1e-4 and facts.argmax_agreement == 1.0 and facts.samples == 300


@pytest.mark.parametrize("spoil", ["a little", "argmax", "nan"])
def test_differing_file_is_not_written(evaluation, tmp_path, spoil):
    if spoil == "a little":
        evaluation.logits[123] += 3e-4
    elif spoil == "argmax":
        evaluation.logits[123] = evaluation.logits[123].flip(0)
    else:
        evaluation.logits[123] = torch.nan
    with pytest.raises(DigitsError, match=r"model\.onnx differs from the checkpoint"):
        export_onnx(evaluation, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []
