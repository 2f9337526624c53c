"""The metrics of one run, measured on the test split, and on changed copies of it."""

import math
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from atomic_files import sha256_of
from digits.data.batches import scaled
from digits.models.augmentation import KNOTS, thicken, warp
from digits.record import FORMAT, ChangedAccuracy, ClassScores, Metrics, OnnxFile, Refusal, ReliabilityBin, RunRecord
from digits.reporting.evaluation import Evaluation, energy_of

BINS = 15  # of confidence, for the calibration error
REFUSED = 0.005  # the share of validation digits that a finished model refuses
OTHERS = (0.001, 0.002, REFUSED, 0.01, 0.02, 0.05)  # the shares that the report shows
LIMIT = 2000  # images for each change, so that slow models take seconds


def measure(
    evaluation: Evaluation,
    checkpoint: Path,
    record: RunRecord,
    onnx: OnnxFile | None = None,
    kept_epoch: int | None = None,
) -> Metrics:
    """Measure what metrics.json holds.

    Args:
        evaluation: of the model in the file `checkpoint`.
        checkpoint: the run's best.
        record: the run's, with `data`, `config` and `history`.
        onnx: facts of the exported file.
        kept_epoch: of the checkpoint, counted from 0.
    """
    assert record.data is not None
    train = record.data.train
    classes = evaluation.model.hparams["classes"]
    labels, probabilities, history = evaluation.labels, evaluation.probabilities, record.history
    bins = reliability(evaluation.confidence, evaluation.correct)
    seconds = sum(epoch.seconds for epoch in history)
    # older runs did not record the images of an epoch: each took the whole training split
    images = sum(train if epoch.images is None else epoch.images for epoch in history)
    return Metrics(
        format=FORMAT,
        model=record.model,
        seed=record.config["seed"],
        test_accuracy=evaluation.accuracy,
        test_loss=F.cross_entropy(evaluation.logits.double(), labels).item(),
        test_ece=calibration_error(bins),
        val_accuracy=evaluation.val_accuracy,
        val_loss=evaluation.val_loss,
        per_class=_per_class(evaluation, classes),
        confusion_matrix=multiclass_confusion_matrix(probabilities, labels, len(classes)).tolist(),
        reliability=bins,
        robustness=robustness(evaluation),
        least_energy=least_energy(evaluation),
        refusals=_refusals(evaluation),
        parameters=evaluation.model.parameter_count(),
        epochs=len(history),
        kept_epoch=kept_epoch,
        fit_seconds=seconds,
        train_images_per_second=images / seconds if history else None,
        history=history,
        dataset=record.data,
        checkpoint_sha256=sha256_of(checkpoint),
        onnx=onnx,
    )


def least_energy(evaluation: Evaluation, share: float = REFUSED) -> float | None:
    """The energy below which this share of the validation digits lies; None if the model did not learn to refuse."""
    return None if evaluation.val_energy is None else evaluation.val_energy.quantile(share).item()


def worst_mistakes(evaluation: Evaluation, most: int = 40, of_a_pair: int = 3) -> Tensor:
    """Int64 indices into the test split of at most `most` wrong predictions, the most confident first.

    Of each pair of a true and a predicted digit, only the first `of_a_pair` are among them.
    """
    wrong = evaluation.correct.logical_not().nonzero().flatten()
    wrong = wrong[evaluation.confidence[wrong].argsort(descending=True)]
    seen: Counter[tuple[int, int]] = Counter()
    chosen = []
    pairs = zip(evaluation.labels[wrong].tolist(), evaluation.predictions[wrong].tolist(), strict=True)
    for at, pair in enumerate(pairs):
        seen[pair] += 1
        if seen[pair] <= of_a_pair:
            chosen.append(at)
    return wrong[chosen[:most]]


def _per_class(evaluation: Evaluation, classes: list[int] | list[str]) -> dict[str, ClassScores]:
    labels, predictions = evaluation.labels.numpy(), evaluation.predictions.numpy()
    scores = precision_recall_fscore_support(labels, predictions, labels=range(len(classes)), zero_division=0)
    return {
        str(digit): ClassScores(precision=precision, recall=recall, f1=f1, support=support)
        for digit, precision, recall, f1, support in zip(classes, *(each.tolist() for each in scores), strict=True)
    }


def reliability(confidence: Tensor, correct: Tensor) -> list[ReliabilityBin]:
    """Confidence and accuracy in bins of equal width, without the empty bins; an upper edge belongs to its bin.

    C. Guo et al., "On calibration of modern neural networks", 2017.

    Args:
        confidence: of the predictions, float [N], 0 to 1.
        correct: whether they are right, [N], 1 or 0.
    """
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    confidence, correct = confidence.double(), correct.double()
    return [
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            count=int((bins == index).sum()),
            confidence=confidence[bins == index].mean().item(),
            accuracy=correct[bins == index].mean().item(),
        )
        for index in bins.unique().tolist()
    ]


def calibration_error(bins: list[ReliabilityBin]) -> float:
    """The mean gap between confidence and accuracy, 0 to 1 (ECE); torchmetrics has one more bin, for confidence 1."""
    return sum(row.count * abs(row.accuracy - row.confidence) for row in bins) / sum(row.count for row in bins)


def _refusals(evaluation: Evaluation) -> list[Refusal]:
    """For each share of refused validation digits, what is refused of the test split; empty if the model cannot."""
    rows = []
    for share in OTHERS:
        if (least := least_energy(evaluation, share)) is None:
            return []
        kept = (energy_of(evaluation.logits) >= least).double()
        accuracy = ((kept * evaluation.correct).sum() / kept.sum().clamp(min=1)).item()
        refused = 1 - kept.mean().item()
        rows.append(Refusal(least_energy=least, val_refused=share, test_refused=refused, accuracy=accuracy))
    return rows


def robustness(evaluation: Evaluation) -> list[ChangedAccuracy]:
    """Accuracy on changed copies of the test images, the same copies each time.

    Of a larger test split, 2,000 evenly spaced images are taken.

    Returns:
        A row for each change; the first, `none`, is for the unchanged images.
    """
    total = len(evaluation.labels)
    count = min(total, LIMIT)
    chosen = torch.arange(count) * total // count
    labels = evaluation.labels[chosen]
    predictions = {"none": evaluation.predictions[chosen]}
    with torch.inference_mode():
        for change, images in changed(scaled(evaluation.images[chosen])).items():
            predictions[change] = torch.cat([evaluation.model(batch).argmax(dim=1) for batch in images.split(100)])
    return [
        ChangedAccuracy(change=change, accuracy=(predicted == labels).double().mean().item(), pictures=count)
        for change, predicted in predictions.items()
    ]


def changed(images: Tensor) -> dict[str, Tensor]:
    """Change images in each way; turns, slants and shifts go in the opposite direction for every other image.

    Args:
        images: float32 [N, 1, 28, 28] in 0..1, ink 1.

    Returns:
        The changed images, like those given, by the name of the change.
    """
    count = len(images)
    sign = 1.0 - 2 * (torch.arange(count) % 2)
    axes = torch.eye(2)[torch.arange(count) // 2 % 2]  # shifts: two images along x, the next two along y
    displacements = torch.empty(count, 2, KNOTS, KNOTS).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))

    def warped(turn: float = 0, slant: float = 0, size: float = 1, pixels: float = 0, bend: float = 0) -> Tensor:
        angle, shear = sign * math.radians(turn), sign * math.radians(slant)
        shift = pixels / images.shape[-1] * sign[:, None] * axes
        return warp(images, angle, shear, torch.full((count,), size), shift, bend * displacements if bend else None)

    return {
        "turned by 15°": warped(turn=15),
        "turned by 30°": warped(turn=30),
        "shifted by 3 pixels": warped(pixels=3),
        "75 % of the size": warped(size=0.75),
        "120 % of the size": warped(size=1.2),
        "slanted by 20°": warped(slant=20),
        "thinner strokes": thicken(images, torch.full((count,), -1.0)),
        "thicker strokes": thicken(images, torch.full((count,), 1.0)),
        "bent": warped(bend=0.08),
    }
