"""Run a trained model's model.onnx on prepared images."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from digits_reader.decode import content_of
from digits_reader.pictures import read_picture
from plain_errors import ModelFileError

SHIPPED = Path(__file__).parent / "model"  # the model that comes with the reader; make model writes it
BATCH = 256
EVEN = 0.5  # a digit that is less probable is more likely another
NOT_KNOWN = "it looks like no digit that this model knows"


@dataclass(frozen=True)
class DigitProbability:
    """How probable it is, from 0 to 1, that a picture shows this digit, or what else the model knows."""

    digit: int | str
    probability: float


@dataclass(frozen=True)
class Answer:
    """A model's answer to one image."""

    digit: int | str  # the most probable; a text if the model has learned letters
    confidence: float  # its probability, 0 to 1
    runner_up: int | str  # the second most probable
    probabilities: list[DigitProbability]  # of every digit the model knows, the highest first
    certain: bool | None  # whether this looks like a digit; None if the model has not learned to tell
    reason: str | None  # why it looks like none, in plain words


class Reader:
    """A run's model.onnx, ready to read images on one CPU thread. Threads may share one; a copy opens the file again.

    Args:
        path: the file, or the folder of its run; without one, the model that comes with the reader.

    Attributes:
        path, content: of the file.
        name: of the model.
        classes: the digits it knows, or texts like letters, in the order of its outputs.
        dataset, test_accuracy: the data it was tested on, and its accuracy there, 0 to 1.
        strangers: how well it reads pictures by strangers, in words; None if that was not measured.
        least_energy: an image whose logits have less energy, or whose digit is less than EVEN probable, is refused;
            None if the model did not learn to refuse.

    Raises:
        ModelFileError: the file is missing or was not written by a run.
    """

    def __init__(self, path: Path | str = SHIPPED) -> None:
        path = Path(path)
        self.path = path / "model.onnx" if path.is_dir() else path
        if not self.path.is_file():
            raise ModelFileError(f"{self.path}: no such file; wanted a finished run's folder or its model.onnx")
        try:
            self.content = self.path.read_bytes()
            self._session = _session_of(self.content)
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.name, self.dataset = metadata["model"], metadata["dataset"]
            self.classes: list[int | str] = json.loads(metadata["classes"])
            self.test_accuracy = float(metadata["test_accuracy"])
            self.strangers = metadata.get("strangers")
            self.least_energy: float | None = json.loads(metadata.get("least_energy", "null"))
            shapes = {each.name: each.shape[1:] for each in self._session.get_inputs() + self._session.get_outputs()}
            if shapes.get("images") != [1, 28, 28] or shapes.get("probabilities") != [len(self.classes)]:
                raise ValueError(f"its inputs and outputs are {shapes}")
            given = self._session.get_inputs()[0]
            if given.type != "tensor(float)" or isinstance(given.shape[0], int):  # one that is for other devices
                raise ValueError(f"it takes {given.type} {given.shape}")
        except Exception as error:  # onnxruntime's errors have no base class of their own
            reason = f"has no {error} in its metadata" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise ModelFileError(
                f"{self.path}: not a model.onnx that a run wrote ({reason}); digits export RUN writes one"
            ) from error

    def __reduce__(self) -> tuple[type["Reader"], tuple[Path]]:
        return Reader, (self.path,)

    def has_its_file(self) -> bool:
        """Whether the file still holds this model."""
        with suppress(OSError):
            return self.path.read_bytes() == self.content
        return False

    def __str__(self) -> str:
        """Which model this is, where from, and how good."""
        where = "which comes with digits" if self.path.parent == SHIPPED else str(self.path)
        tested = f"{100 * self.test_accuracy:.2f} % of the test split of {self.dataset}"
        return f"{self.name}, {where}: reads {self.strangers or tested}"

    def read(self, picture: Path | str | bytes) -> Answer:
        """Read the digit in a picture file, which is named or given as its bytes.

        Raises:
            OSError: the file cannot be read.
            PictureError: as read_picture.
        """
        content = picture if isinstance(picture, bytes) else content_of(Path(picture))
        return self.answers(read_picture(content)[None])[0]

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
            first, second = ranked[:2]
            certain = None
            if self.least_energy is not None:
                certain = energy >= self.least_energy and first.probability >= EVEN
            reason = NOT_KNOWN if certain is False else None
            answers.append(Answer(first.digit, first.probability, second.digit, ranked, certain, reason))
        return answers


def _session_of(content: bytes) -> onnxruntime.InferenceSession:
    """An ONNX file, ready to run on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # no error log: the exceptions have the same text
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def default_model() -> Path:
    """The newest model.onnx below outputs, but none of a sweep's jobs; else the one that comes with the reader.

    A sweep trains to compare: its last job may be its worst. Of a search, only the best trial has a model.
    """
    found = (path for path in Path("outputs").rglob("model.onnx") if not (path.parents[1] / "jobs.json").exists())
    return max(found, key=lambda path: path.stat().st_mtime, default=SHIPPED)


def page_readers(paths: Iterable[Path]) -> list[Reader]:
    """The readers of some models for the page and its API; ModelFileError: one cannot be read, or knows no digits."""
    readers = [Reader(path) for path in paths]
    for reader in readers:
        if isinstance(reader.classes[0], str):
            raise ModelFileError(
                f"{reader.path}: knows {', '.join(map(str, reader.classes))}, and the page is for digits; "
                "digits read takes this model"
            )
    return readers


def by_name(readers: list[Reader]) -> dict[str, Reader]:
    """Map model names to readers, in order; a second model of the same name gets a number after it."""
    named: dict[str, Reader] = {}
    for reader in readers:
        name, number = reader.name, 2
        while name in named:
            name, number = f"{reader.name} {number}", number + 1
        named[name] = reader
    return named
