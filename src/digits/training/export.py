"""Export a model to one ONNX file, and compare the file with the checkpoint on the whole test split."""

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from atomic_files import atomic_path, sha256_of
from digits.data.batches import scaled
from digits.models.classifier import Classifier
from digits.onnx_file import OPSET, portable, session_of
from digits.record import OnnxFile, RunRecord
from digits.reporting.evaluation import Evaluation
from digits.reporting.metrics import least_energy
from plain_errors import PlainError

TOLERANCE = 1e-4  # of logits and probabilities
HALF = {"tolerance": 0.05, "agreement": 0.999}  # with 16 bits, a digit between two may turn


class WithProbabilities(nn.Module):
    """The model with a second output, so that the file gives logits and probabilities, both [N, classes]."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0."""
        logits = self.model(images)
        return logits, logits.softmax(dim=1)


def export_onnx(evaluation: Evaluation, path: Path, metadata: dict[str, Any]) -> OnnxFile:
    """Write a model to `path`. Nothing is written if the file and the checkpoint differ.

    Args:
        evaluation: the model, and the logits of its checkpoint for the test split.
        path: of the file, which holds the weights too.
        metadata: kept in the file; values that are no strings become JSON.

    Returns:
        The size of the file and the result of the comparison.

    Raises:
        PlainError: an output differs by more than TOLERANCE, or a prediction differs.
    """
    return _written(evaluation, path, _converted(evaluation.model, metadata))


def export_variant(
    evaluation: Evaluation, original: Path, name: str, change: Callable[[onnx.ModelProto], onnx.ModelProto], **how: Any
) -> tuple[Path, OnnxFile]:
    """Write a changed copy of a model.onnx beside it, as model.NAME.onnx, if it agrees with the checkpoint.

    Args:
        how: arguments of the comparison, see _compare.
    """
    path = original.with_suffix(f".{name}.onnx")
    return path, _written(evaluation, path, change(onnx.load(original)), **how)


def _written(evaluation: Evaluation, path: Path, proto: onnx.ModelProto, **how: Any) -> OnnxFile:
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
        agreement = _compare(temporary, evaluation, path.name, **how)
    return OnnxFile(bytes=path.stat().st_size, **agreement)


def onnx_metadata(evaluation: Evaluation, record: RunRecord, checkpoint: Path) -> dict[str, Any]:
    """What a reader of the file needs to know: of a run, its `checkpoint` and the evaluation of that."""
    assert record.data is not None
    members = record.config["model"].get("members")  # of an ensemble
    return ({"members": members} if members else {}) | {
        "model": record.model,
        "classes": evaluation.model.hparams["classes"],
        "input": "images: float32 [batch, 1, 28, 28], ink 1, paper 0; nothing to normalise",
        "output": "logits and probabilities: float32 [batch, classes], in the order of classes",
        "dataset": record.data.name,
        "test_split": record.data.test_split,
        "test_accuracy": evaluation.accuracy,
        "least_energy": least_energy(evaluation),
        "checkpoint_sha256": sha256_of(checkpoint),
        "git_commit": record.git.commit or "",
    }


def _converted(model: Classifier, metadata: dict[str, Any]) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own code
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            WithProbabilities(model).eval(),
            (torch.zeros(2, 1, 28, 28),),  # torch would take a batch size of 1 for a constant
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    proto = portable(program.model_proto)
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _compare(
    path: Path,
    evaluation: Evaluation,
    name: str,
    sizes: tuple[int, ...] = (1, 7, 256),
    images: NDArray[Any] | None = None,
    tolerance: float = TOLERANCE,
    agreement: float = 1.0,
) -> dict[str, Any]:
    """Run the file over the test split in batches of some sizes and compare it with the checkpoint."""
    session = session_of(path)
    images = scaled(evaluation.images).numpy() if images is None else images
    images = images[: len(images) // sizes[0] * sizes[0]]  # whole batches, if there is one size only
    wanted = [each[: len(images)].numpy() for each in (evaluation.logits, evaluation.probabilities)]
    largest, agreeing = 0.0, 1.0
    for size in sizes:
        batches = [session.run(None, {"images": images[at : at + size]}) for at in range(0, len(images), size)]
        found = [np.concatenate(output) for output in zip(*batches, strict=True)]
        differences = [np.abs(f - w).max() for f, w in zip(found, wanted, strict=True)]
        largest = float(np.max([largest, *differences]))  # unlike max(), nan if any difference is nan
        agreeing = min(agreeing, float((found[0].argmax(axis=1) == wanted[0].argmax(axis=1)).mean()))
    if not (largest <= tolerance and agreeing >= agreement):
        raise PlainError(
            f"{name} differs from the checkpoint: by up to {largest:.2e}, and in {100 * (1 - agreeing):.2f} % of "
            f"the predictions; wanted at most {tolerance:.0e}, and {100 * (1 - agreement):.2g} %; nothing was exported"
        )
    return {"max_abs_diff": largest, "argmax_agreement": agreeing, "samples": len(images)}
