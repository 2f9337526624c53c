"""A model file that answers."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from digits.errors import ModelFileError

BATCH = 256


@dataclass(frozen=True)
class Likelihood:
    """How likely a picture shows a digit; probability in 0..1."""

    digit: int
    probability: float


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture.

    Attributes:
        digit: the likeliest.
        confidence: its probability, 0..1.
        runner_up: the second likeliest.
        probabilities: of every digit the model knows, falling.
    """

    digit: int
    confidence: float
    runner_up: int
    probabilities: list[Likelihood]


class Reader:
    """A model.onnx as a run leaves it, on one thread of the CPU. Several threads may use one Reader at once.

    Args:
        path: the file, or the run's folder it lies in.

    Attributes:
        path: of the file.
        name: of the model.
        classes: the digits it knows, in the order of its outputs.
        dataset, test_accuracy: what it was tested on, and the share of right answers there, 0..1.

    Raises:
        ModelFileError: there is no such file, or not one that a run wrote.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self.path = path / "model.onnx" if path.is_dir() else path
        if not self.path.is_file():
            raise ModelFileError(f"{self.path}: no such file; wanted a finished run's folder or its model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is told below, once
        try:
            self._session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
            facts = self._session.get_modelmeta().custom_metadata_map
            self.name, self.dataset = facts["model"], facts["dataset"]
            self.classes: list[int] = json.loads(facts["classes"])
            self.test_accuracy = float(facts["test_accuracy"])
            shapes = {put.name: put.shape[1:] for put in self._session.get_inputs() + self._session.get_outputs()}
            if shapes.get("images") != [1, 28, 28] or shapes.get("probabilities") != [len(self.classes)]:
                raise ValueError(f"its inputs and outputs are {shapes}")
        except Exception as error:  # onnxruntime's own have no base class
            reason = f"it does not say its {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise ModelFileError(
                f"{self.path}: not a model.onnx that a run wrote ({reason}); python scripts/export.py RUN writes one"
            ) from error

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to float32 [N, classes], rows that sum to 1."""
        if not len(images):
            return np.empty((0, len(self.classes)), np.float32)
        batches = [images[at : at + BATCH] for at in range(0, len(images), BATCH)]
        return np.concatenate([self._session.run(["probabilities"], {"images": batch})[0] for batch in batches])

    def answers(self, images: NDArray[np.float32]) -> list[Answer]:
        """One for each of images float32 [N, 1, 28, 28]."""
        found = []
        for row in self.probabilities(images).tolist():
            ranked = sorted((Likelihood(*pair) for pair in zip(self.classes, row, strict=True)), key=_falling)
            found.append(Answer(ranked[0].digit, ranked[0].probability, ranked[1].digit, ranked))
        return found


def by_name(readers: list[Reader]) -> dict[str, Reader]:
    """Readers under their models' names, in their order; a name that is taken gets a number."""
    named: dict[str, Reader] = {}
    for reader in readers:
        name, number = reader.name, 2
        while name in named:
            name, number = f"{reader.name} {number}", number + 1
        named[name] = reader
    return named


def _falling(likelihood: Likelihood) -> float:
    return -likelihood.probability
