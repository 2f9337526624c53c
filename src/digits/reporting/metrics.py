"""The metrics of one run, measured on the test split."""

from pathlib import Path

import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from digits.files import sha256_of
from digits.record import FORMAT, ClassScores, Metrics, ReliabilityBin, RunRecord
from digits.reporting.evaluation import Evaluation
from digits.reporting.robustness import robustness

BINS = 15  # of confidence, for the calibration error


def measure(evaluation: Evaluation, checkpoint: Path, record: RunRecord, seed: int) -> Metrics:
    """Measure what metrics.json holds, except `onnx`, which the export adds.

    Args:
        evaluation: of the best checkpoint.
        checkpoint: the file of the best checkpoint.
        record: of the run, with `data` and `history`.
        seed: of the run.
    """
    assert record.data is not None
    train = record.data.train
    classes = evaluation.model.hparams["classes"]
    labels, probabilities, history = evaluation.labels, evaluation.probabilities, record.history
    seconds = sum(epoch.seconds for epoch in history)
    # older runs did not record the images of an epoch: each took the whole training split
    images = sum(train if epoch.images is None else epoch.images for epoch in history)
    return Metrics(
        format=FORMAT,
        model=record.model,
        seed=seed,
        test_accuracy=evaluation.correct.double().mean().item(),
        test_loss=F.cross_entropy(evaluation.logits.double(), labels).item(),
        test_ece=multiclass_calibration_error(probabilities, labels, len(classes), n_bins=BINS).item(),
        val_accuracy=evaluation.val_accuracy,
        val_loss=evaluation.val_loss,
        per_class=_per_class(evaluation, classes),
        confusion_matrix=multiclass_confusion_matrix(probabilities, labels, len(classes)).tolist(),
        reliability=_reliability(evaluation),
        robustness=robustness(evaluation),
        parameters=evaluation.model.parameter_count(),
        epochs=len(history),
        fit_seconds=seconds,
        train_images_per_second=images / seconds if history else None,
        history=history,
        dataset=record.data,
        checkpoint_sha256=sha256_of(checkpoint),
    )


def worst_mistakes(evaluation: Evaluation, most: int) -> Tensor:
    """Int64 indices into the test split of at most `most` wrong predictions, the most confident first."""
    wrong = evaluation.correct.logical_not().nonzero().flatten()
    return wrong[evaluation.confidence[wrong].argsort(descending=True)][:most]


def _per_class(evaluation: Evaluation, classes: list[int]) -> dict[str, ClassScores]:
    labels, predictions = evaluation.labels.numpy(), evaluation.predictions.numpy()
    scores = precision_recall_fscore_support(labels, predictions, labels=range(len(classes)), zero_division=0)
    return {
        str(digit): ClassScores(precision=precision, recall=recall, f1=f1, support=support)
        for digit, precision, recall, f1, support in zip(classes, *(each.tolist() for each in scores), strict=True)
    }


def _reliability(evaluation: Evaluation) -> list[ReliabilityBin]:
    """Confidence and accuracy in bins of equal width, without the empty bins.

    C. Guo et al., "On calibration of modern neural networks", 2017.
    """
    confidence, correct = evaluation.confidence, evaluation.correct
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    return [
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            count=int((bins == index).sum()),
            confidence=confidence[bins == index].mean().item(),
            accuracy=correct[bins == index].float().mean().item(),
        )
        for index in bins.unique().tolist()
    ]
