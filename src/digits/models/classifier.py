"""The base of all classifiers: validation, calibration, test, and what a checkpoint needs to rebuild one."""

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.utilities.distributed import gather_all_tensors

from digits.former import model_settings
from digits.ranges import Classes
from plain_errors import PlainError


class Classifier(LightningModule):
    """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]; a subclass defines `scores`.

    Logits are scores times `sharpness`, an inverse temperature that makes the cross-entropy on the validation split
    smallest (C. Guo et al., "On calibration of modern neural networks", 2017). So probabilities are neither too sure
    nor too unsure, and no prediction changes. Without a validation split, `sharpness` stays as it is.

    Hyperparameters are plain numbers, strings, lists and dicts, so that a checkpoint rebuilds its model without
    pickled code.

    Args:
        classes: the digits that the logits stand for, in the order of the logits.

    Attributes:
        placement: arguments of the Trainer that this class needs; they replace those of the config.
        fitted_once: whether one pass over the data, on one device, fits the model.
        refuses: whether the model has learned from images that show no digit, too.
    """

    placement: ClassVar[dict[str, Any]] = {}
    fitted_once: ClassVar[bool] = False
    refuses: bool = False
    sharpness: Tensor  # []

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self.save_hyperparameters()  # the arguments of the subclass too
        self.example_input_array = torch.zeros(2, 1, 28, 28)
        # Validating its arguments would read values from the GPU, and so wait for it in each step.
        self.accuracy = MulticlassAccuracy(len(classes), average="micro", validate_args=False)
        self.test_logits: list[Tensor] = []
        self.val_scores: list[tuple[Tensor, Tensor]] = []  # of this validation, with their labels
        self.register_buffer("sharpness", torch.tensor(1.0))
        self.register_load_state_dict_pre_hook(not_calibrated)

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28] in 0..1 to scores [N, classes]; the largest is the most likely class."""

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]."""
        return self.calibrated(self.scores(images))

    def calibrated(self, scores: Tensor) -> Tensor:
        """Scores [N, classes] to logits float32 [N, classes]."""
        return (scores * self.sharpness).float()

    @torch.no_grad()
    def answers_to(self, images: Tensor) -> Tensor:
        """What a student learns from images float32 [N, 1, 28, 28], wherever these are.

        Probabilities [N, classes]; one more, of no digit, if the model has learned to refuse.
        """
        return self.with_no_digit(self.to(images.device)(images)).softmax(dim=1)

    def with_no_digit(self, scores: Tensor) -> Tensor:
        """Scores [N, classes], with a column for no digit if the model has learned to refuse.

        That score is always 0, so the energy of the others is the log-odds of a digit.
        """
        return F.pad(scores, (0, 1)) if self.refuses else scores

    @classmethod
    def mistakes_in(cls, settings: Mapping[str, Any]) -> list[str]:
        """A line for each mistake that annotations do not show: key, what it got, what was wanted.

        Args:
            settings: arguments of the constructor, each of the right type.
        """
        return []

    def parameter_count(self) -> int:
        """Number of learned values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def class_images(self) -> Tensor | None:
        """What the model looks for in each class, as images [classes, 28, 28].

        Ink on a positive pixel counts for the class, ink on a negative pixel counts against it. None if the model has
        no such images.
        """
        return None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log val/loss and val/accuracy; during the fit, keep the scores to calibrate with."""
        images, labels = batch
        scores = self.scores(images)
        # A network is validated without calibration, as it trains. Scores of a closed form have no scale of their own.
        self._log(self.calibrated(scores) if self.fitted_once else scores, labels, "val")
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.val_scores.append((scores, labels))

    def on_validation_epoch_end(self) -> None:
        """Calibrate with the validation scores of all ranks, before the checkpoint is written."""
        if self.val_scores:
            scores, labels = (torch.cat(part) for part in zip(*self.val_scores, strict=True))
            self.val_scores.clear()
            if self.trainer.world_size > 1:
                scores, labels = (torch.cat(gather_all_tensors(part)) for part in (scores, labels))
            # The labels are smoothed by one label in total. Otherwise a model without mistakes would get the largest
            # sharpness (J. Platt, "Probabilistic outputs for support vector machines", 1999).
            self.calibrate(scores, labels, smoothing=1 / len(labels))

    def calibrate(self, scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> None:
        """Choose `sharpness` for scores [N, classes] and labels int64 [N], of which a fraction may be smoothed."""
        scores, labels = scores.cpu().double(), labels.cpu()

        def loss(log_sharpness: float) -> float:
            return F.cross_entropy(scores * 10**log_sharpness, labels, label_smoothing=smoothing).item()

        self.sharpness.fill_(10 ** minimize_scalar(loss, bounds=(-3, 6), method="bounded").x)

    def on_test_epoch_start(self) -> None:
        """Start with no logits."""
        self.test_logits.clear()

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log test/loss and test/accuracy; keep the logits [N, classes] for the report."""
        logits = self(batch[0])
        self._log(logits, batch[1], "test")
        self.test_logits.append(logits)

    def described(self) -> dict[str, Any]:
        """What a checkpoint needs, beside the values, to be enough to rebuild the model; see `rebuilt`."""
        model_class = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"model_class": model_class, "hyper_parameters": dict(self.hparams)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the class's name and the calibration."""
        checkpoint |= self.described()
        checkpoint["state_dict"]["sharpness"] = self.sharpness  # averaged weights hold a mean of old values instead

    def _log(self, logits: Tensor, labels: Tensor, split: str) -> None:
        loss = F.cross_entropy(logits, labels)
        if not loss.isfinite():
            raise PlainError(f"{split}/loss is {loss.item()} after step {self.global_step}")
        self.accuracy(logits, labels)
        self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        self.log(f"{split}/accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)


def not_calibrated(model: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Load checkpoints that are older than the calibration."""
    state_dict.setdefault(f"{prefix}sharpness", torch.tensor(1.0))


def rebuilt(model_class: str, hyper_parameters: Mapping[str, Any]) -> Classifier:
    """The classifier that a checkpoint of this version or a former one names, with untrained values.

    Raises:
        ImportError: the class is not one of this project.
        AttributeError, TypeError: there is no such class, or it takes other hyperparameters.
    """
    module, _, name = model_class.rpartition(".")
    if not module.startswith("digits.models."):
        raise ImportError(f"model class is {model_class}, wanted one of digits.models")
    kind = getattr(import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise ImportError(f"model class is {model_class}, wanted a classifier")
    return kind(**model_settings(hyper_parameters))
