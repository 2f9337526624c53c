"""Run a trained model's model.onnx on prepared images."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from plain_errors import ModelFileError

BATCH = 256
NOT_KNOWN = "it looks like no digit that this model knows"


@dataclass(frozen=True)
class DigitProbability:
    """How probable it is, from 0 to 1, that a picture shows this digit."""

    digit: int
    probability: float


@dataclass(frozen=True)
class Answer:
    """A model's answer to one image."""

    digit: int  # the most probable
    confidence: float  # its probability, 0 to 1
    runner_up: int  # the second most probable
    probabilities: list[DigitProbability]  # of every digit the model knows, the highest first
    certain: bool  # whether this looks like a digit; a model that did not learn to refuse is always certain
    reason: str | None  # why it is not certain, in plain words


class Reader:
    """A run's model.onnx, ready to read images on one CPU thread. Threads may share one; a copy opens the file again.

    Args:
        path: the file, or the folder of its run.

    Attributes:
        path: of the file.
        name: of the model.
        classes: the digits it knows, in the order of its outputs.
        dataset, test_accuracy: the data it was tested on, and its accuracy there, 0 to 1.
        least_energy: an image whose logits have less energy is refused; None if the model did not learn to refuse.

    Raises:
        ModelFileError: the file is missing or was not written by a run.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self.path = path / "model.onnx" if path.is_dir() else path
        if not self.path.is_file():
            raise ModelFileError(f"{self.path}: no such file; wanted a finished run's folder or its model.onnx")
        try:
            self._session = _session_of(self.path)
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.name, self.dataset = metadata["model"], metadata["dataset"]
            self.classes: list[int] = json.loads(metadata["classes"])
            self.test_accuracy = float(metadata["test_accuracy"])
            self.least_energy: float | None = json.loads(metadata.get("least_energy", "null"))
            shapes = {each.name: each.shape[1:] for each in self._session.get_inputs() + self._session.get_outputs()}
            if shapes.get("images") != [1, 28, 28] or shapes.get("probabilities") != [len(self.classes)]:
                raise ValueError(f"its inputs and outputs are {shapes}")
        except Exception as error:  # onnxruntime's errors have no base class of their own
            reason = f"has no {error} in its metadata" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise ModelFileError(
                f"{self.path}: not a model.onnx that a run wrote ({reason}); digits export RUN writes one"
            ) from error

    def __reduce__(self) -> tuple[type["Reader"], tuple[Path]]:
        return Reader, (self.path,)

    def outputs(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Turn images float32 [N, 1, 28, 28], ink 1, paper 0, into logits and probabilities, float32 [N, classes]."""
        none = np.empty((0, len(self.classes)), np.float32)
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        results = [self._session.run(["logits", "probabilities"], {"images": batch}) for batch in batches]
        logits, probabilities = (np.concatenate(each) for each in zip([none, none], *results, strict=True))
        return logits, probabilities

    def answers(self, images: NDArray[np.float32]) -> list[Answer]:
        """Answer each of the images, float32 [N, 1, 28, 28], ink 1 and paper 0."""
        answers = []
        logits, probabilities = self.outputs(images)
        for energy, row in zip(np.logaddexp.reduce(logits, axis=1).tolist(), probabilities.tolist(), strict=True):
            ranked = [DigitProbability(*pair) for pair in zip(self.classes, row, strict=True)]
            ranked.sort(key=lambda each: -each.probability)
            (first, second), certain = ranked[:2], self.least_energy is None or energy >= self.least_energy
            reason = None if certain else NOT_KNOWN
            answers.append(Answer(first.digit, first.probability, second.digit, ranked, certain, reason))
        return answers


def _session_of(path: Path) -> onnxruntime.InferenceSession:
    """An ONNX file, ready to run on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # no error log: the exceptions have the same text
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def newest_model() -> Path | None:
    """The newest model.onnx below outputs; None where there is none."""
    return max(Path("outputs").rglob("model.onnx"), key=lambda path: path.stat().st_mtime, default=None)


def by_name(readers: list[Reader]) -> dict[str, Reader]:
    """Map model names to readers, in order; a second model of the same name gets a number after it."""
    named: dict[str, Reader] = {}
    for reader in readers:
        name, number = reader.name, 2
        while name in named:
            name, number = f"{reader.name} {number}", number + 1
        named[name] = reader
    return named
