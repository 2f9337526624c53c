"""Every number of the report."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from digits.reporting.evaluation import Evaluation
from digits.reporting.robustness import robustness
from digits.training.checkpoints import sha256_of

BINS = 15
FORMAT = 1  # of metrics.json; another number once a key changes its meaning


def measure(evaluation: Evaluation, checkpoint: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Put together metrics.json, but for what the export adds.

    Args:
        evaluation: of the best checkpoint.
        checkpoint: the best checkpoint's file.
        record: run.json.

    Returns:
        Plain numbers, strings, lists and dicts; shares are in 0..1, losses in nats.
    """
    labels, probabilities = evaluation.labels, evaluation.probabilities
    classes = evaluation.model.hparams["classes"]
    history = record.get("history", [])
    fit_seconds = sum(row["seconds"] for row in history)
    images = sum(row.get("images", record["data"]["train"]) for row in history)  # older runs took all, unsaid
    confusion = multiclass_confusion_matrix(probabilities, labels, len(classes))
    return {
        "format": FORMAT,
        "model": record["model"],
        "seed": record["config"]["seed"],
        "test/accuracy": (evaluation.predictions == labels).double().mean().item(),
        "test/loss": F.cross_entropy(evaluation.logits.double(), labels).item(),
        "test/ece": multiclass_calibration_error(probabilities, labels, len(classes), n_bins=BINS).item(),
        "val/accuracy": evaluation.val.get("val/accuracy"),
        "val/loss": evaluation.val.get("val/loss"),
        "per_class": _per_class(probabilities, labels, classes),
        "confusion_matrix": confusion.tolist(),
        "reliability": _reliability(probabilities, labels),
        "robustness": robustness(evaluation),
        "parameters": evaluation.model.parameter_count(),
        "epochs": len(history),
        "fit_seconds": fit_seconds,
        "train_images_per_second": images / fit_seconds if history else None,
        "history": history,
        "dataset": record["data"],
        "checkpoint_sha256": sha256_of(checkpoint),
    }


def _per_class(probabilities: Tensor, labels: Tensor, classes: list[int]) -> dict[str, dict[str, float]]:
    scores = {
        "precision": multiclass_precision(probabilities, labels, len(classes), average=None),
        "recall": multiclass_recall(probabilities, labels, len(classes), average=None),
        "f1": multiclass_f1_score(probabilities, labels, len(classes), average=None),
        "support": labels.bincount(minlength=len(classes)),
    }
    return {
        str(digit): {name: values[position].item() for name, values in scores.items()}
        for position, digit in enumerate(classes)
    }


def _reliability(probabilities: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """Confidence against accuracy in bins of equal width (Guo et al., "On calibration", 2017), empty ones left out."""
    confidence, predictions = probabilities.max(dim=1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    rows = []
    for index in bins.unique().tolist():
        inside = bins == index
        rows.append(
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "count": int(inside.sum()),
                "confidence": confidence[inside].mean().item(),
                "accuracy": (predictions == labels)[inside].float().mean().item(),
            }
        )
    return rows


def worst_mistakes(evaluation: Evaluation, most: int) -> Tensor:
    """Int64 indices into the test split of wrong answers, the most confident first."""
    wrong = (evaluation.predictions != evaluation.labels).nonzero().flatten()
    confidence = evaluation.probabilities.max(dim=1).values[wrong]
    return wrong[confidence.argsort(descending=True)][:most]
