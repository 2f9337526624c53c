"""What a run says of itself: run.json and report/metrics.json, typed. No other module knows a key of theirs as text."""

import shlex
import sys
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1  # of metrics.json; it changes when a key changes its meaning

Status = Literal["not begun", "running", "finished", "pruned", "failed"]


class Record(BaseModel):
    """Base of all parts. Keys that this version does not know are kept, so that rewriting a file loses nothing.

    Infinite values and nan are refused: JSON cannot hold them.
    """

    model_config = ConfigDict(populate_by_name=True, extra="allow", allow_inf_nan=False)


class Dataset(Record):
    """What a run learned from and was tested on: sizes are numbers of images."""

    name: str
    sha256: str
    train: int
    drawings: int = 0
    hands: int = 0
    non_digits: int = 0
    val: int
    test: int
    test_split: str
    classes: list[int] | list[str]


class Epoch(Record):
    """A row of the history. Losses are in nats, accuracies in 0..1; None where the epoch had no such figure.

    Those of training are means over the steps of the epoch, on images as the network was given them.
    """

    epoch: int
    step: int
    learning_rate: float | None = None
    train_loss: float | None = Field(None, alias="train/loss")
    train_accuracy: float | None = Field(None, alias="train/accuracy")
    val_loss: float | None = Field(None, alias="val/loss")
    val_accuracy: float | None = Field(None, alias="val/accuracy")
    seconds: float
    images: int | None = None


class Git(Record):
    """The state of the project's git checkout; None if the project is not in one."""

    commit: str | None = None
    dirty: bool | None = None


class Member(Record):
    """A run in an ensemble, and its own figures, in 0..1."""

    run: str
    val_accuracy: float | None = Field(None, alias="val/accuracy")
    test_accuracy: float = Field(alias="test/accuracy")
    test_ece: float = Field(alias="test/ece")


class RunRecord(Record):
    """run.json.

    Attributes:
        status: whether the run has begun, still runs, or how it ended.
        name, tags: given by the user; None and an empty list if not.
        seconds: how long each phase took: setup, fit, test, export, report.
        overrides, config_dir: of the command; None without --config-dir.
        config: the config as composed, all interpolations resolved, secrets masked.
        history: a row for each epoch.
        early_stop: why the fit ended before its last epoch; None if it did not.
        members: of an ensemble.
        tracked: the run's ids in MLflow and W&B, by the name of the logger.
        error: why it failed, in one line; `traceback` says where.
    """

    status: Status = "not begun"
    started: str = ""
    command: str = ""
    overrides: list[str] = []
    config_dir: str | None = None
    git: Git = Git()
    versions: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    name: str | None = None
    tags: list[str] = []
    model: str = ""
    experiment: str | None = None
    config: dict[str, Any] = {}
    data: Dataset | None = None
    precision: str = ""
    history: list[Epoch] = []
    early_stop: str | None = None
    members: list[Member] = []
    tracked: dict[str, str] = {}
    error: str | None = None
    traceback: list[str] | None = None

    @classmethod
    def begun(cls, **facts: Any) -> "RunRecord":
        """The record of a run that this command begins now."""
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        return cls(status="running", started=started, command=shlex.join(["python", *sys.argv]), **facts)

    @property
    def reported(self) -> bool:
        """Whether the best checkpoint was tested and reported. In a search, only that of the best trial is."""
        return self.status == "finished" and "report" in self.seconds

    def value(self, metric: str) -> float | None:
        """val/accuracy or val/loss at the first epoch with the best validation accuracy; None without validation."""
        validated = [epoch for epoch in self.history if epoch.val_accuracy is not None]
        best = max(validated, key=lambda epoch: epoch.val_accuracy or 0, default=None)
        if best is None:
            return None
        return best.val_accuracy if metric == "val/accuracy" else best.val_loss


class ClassScores(Record):
    """Scores of one digit in 0..1, and the number of its test images."""

    precision: float
    recall: float
    f1: float
    support: int


class ReliabilityBin(Record):
    """Test images whose confidence lies in one bin: their number, mean confidence and accuracy."""

    low: float = Field(alias="from")
    high: float = Field(alias="to")
    count: int
    confidence: float
    accuracy: float


class ChangedAccuracy(Record):
    """Accuracy on test images after one change."""

    change: str
    accuracy: float
    pictures: int


class Refusal(Record):
    """The shares of images that one `least_energy` refuses, in 0..1, and the accuracy on the test images it keeps."""

    least_energy: float
    val_refused: float
    test_refused: float
    accuracy: float


class OnnxFile(Record):
    """The exported file, and how well it agrees with the checkpoint on `samples` test images."""

    bytes: int
    max_abs_diff: float
    argmax_agreement: float
    samples: int


class Metrics(Record):
    """metrics.json. Accuracies and ECE are in 0..1, losses in nats.

    Attributes:
        per_class: by digit, as text.
        confusion_matrix: counts; rows are true digits, columns predicted ones.
        kept_epoch: the epoch of best.ckpt, counted from 0 as in the history; None in older files.
        least_energy: the model refuses an image whose logits have less energy; None if it did not learn to refuse.
        refusals: what this value, and others, would refuse.
        onnx: None until the export.
    """

    format: int
    model: str
    seed: int
    test_accuracy: float = Field(alias="test/accuracy")
    test_loss: float = Field(alias="test/loss")
    test_ece: float = Field(alias="test/ece")
    val_accuracy: float | None = Field(None, alias="val/accuracy")
    val_loss: float | None = Field(None, alias="val/loss")
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    reliability: list[ReliabilityBin] = []
    robustness: list[ChangedAccuracy] = []
    least_energy: float | None = None
    refusals: list[Refusal] = []
    parameters: int
    epochs: int = 0
    kept_epoch: int | None = None
    fit_seconds: float
    train_images_per_second: float | None = None
    history: list[Epoch] = []
    dataset: Dataset
    checkpoint_sha256: str
    onnx: OnnxFile | None = None
