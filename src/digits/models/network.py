"""The base of classifiers that learn by gradient descent: training step, optimizer, schedule."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from digits.models.augmentation import Augmentation, RandomAugmentation
from digits.models.classifier import Classifier
from digits.models.optimizer import ADAMW, mistakes_in_optimizer, optimizer_of
from digits.ranges import Classes, Fraction, NonNegative, Positive, Text
from plain_errors import ConfigError, PlainError

MEAN, STD = 0.1307, 0.3081  # of the pixels of MNIST's training images, in 0..1


class Network(Classifier):
    """A subclass sets `self.net`, from normalised images [N, 1, 28, 28] to scores [N, classes].

    Args:
        classes: the digits that the logits stand for, in the order of the logits.
        learning_rate: of the optimizer; with one_cycle the largest.
        weight_decay: of the optimizer.
        optimizer: the dotted name of its class as `_target_`, and its other settings.
        schedule: of the learning rate: `constant`, or `one_cycle` (L. Smith, "Super-convergence", 2017), in which the
            momentum, or the first beta, moves against it between 0.95 and 0.85.
        warmup: fraction of the steps in which one_cycle raises the learning rate.
        label_smoothing: fraction of each target that is spread evenly over all classes.
        augmentation: the largest random changes of training images, see Augmentation; None for no changes.
        teacher: folder of a run whose answers to the changed images take the place of the labels (G. Hinton et al.,
            "Distilling the knowledge in a neural network", 2015); None to learn from the labels.
        non_digits: whether some training images show no digit; their label is `len(classes)`, also with a teacher.

    Attributes:
        answers: of the teacher, see `answers_to`. Whoever sets `teacher` gives this too.
    """

    net: nn.Module
    answers: Callable[[Tensor], Tensor] | None = None

    def __init__(
        self,
        classes: Classes,
        learning_rate: Positive = 3e-3,
        weight_decay: NonNegative = 0.05,
        optimizer: dict[str, Any] = ADAMW,
        schedule: Literal["constant", "one_cycle"] = "one_cycle",
        warmup: Fraction = 0.25,
        label_smoothing: Fraction = 0.0,
        augmentation: Augmentation | None = None,
        teacher: Text | None = None,
        non_digits: bool = False,
    ) -> None:
        super().__init__(classes)
        amounts = augmentation or {}
        self.refuses = non_digits
        self.augment = RandomAugmentation(**amounts) if any(amounts.values()) else None
        # of this epoch's steps; read once an epoch, so that no step waits for the GPU
        self.losses: list[Tensor] = []
        self.accuracies: list[Tensor] = []

    @classmethod
    def mistakes_in(cls, settings: Mapping[str, Any]) -> list[str]:
        """Mistakes in the settings of the optimizer."""
        return mistakes_in_optimizer(settings.get("optimizer", ADAMW))

    def scores(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to scores [N, classes]."""
        return self.net((images - MEAN) / STD)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of one batch; labels are int64 [N]."""
        images, labels = batch
        if self.augment:
            images = self.augment(images)
        scores = self.with_no_digit(self.scores(images))
        targets = self._taught(images, labels) if self.answers else labels
        loss = F.cross_entropy(scores, targets, label_smoothing=self.hparams["label_smoothing"])
        self.losses.append(loss.detach())
        self.accuracies.append((scores.argmax(dim=1) == labels).float().mean())
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:  # at other steps Lightning would take time and log nothing
            self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_start(self) -> None:
        """Refuse to resume if the schedule in the checkpoint has another length; log some points of a short run too."""
        schedule, steps = self.lr_schedulers(), int(self.trainer.estimated_stepping_batches)
        if steps < self.trainer.log_every_n_steps:  # type: ignore[attr-defined]
            self.trainer.log_every_n_steps = max(1, steps // 5)  # type: ignore[attr-defined]
        if isinstance(schedule, OneCycleLR) and schedule.total_steps != steps:
            raise ConfigError(
                f"trainer.max_epochs: got a run of {steps} steps, but the one_cycle schedule in the checkpoint is for "
                f"{schedule.total_steps}; take the settings of that run, or begin a new run without it"
            )

    def on_train_epoch_end(self) -> None:
        """Stop at a loss that is not finite, before anything is saved."""
        self._check_losses()
        self.losses.clear()
        self.accuracies.clear()

    def on_validation_epoch_start(self) -> None:
        """Stop at a loss that is not finite, as the best checkpoint is saved after validation; share the buffers."""
        self._check_losses()
        if self.trainer.world_size > 1:
            for buffer in self.buffers():  # all ranks validate the model that rank 0 saves
                torch.distributed.broadcast(buffer, src=0)

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule that changes its learning rate at each step."""
        hparams = self.hparams
        # With 16-mixed a fused optimizer would unscale the gradients itself, too late to clip them.
        fused, rate = self.trainer.precision != "16-mixed", hparams["learning_rate"]
        optimizer = optimizer_of(self.parameters(), hparams["optimizer"], rate, hparams["weight_decay"], fused)
        if hparams["schedule"] == "constant":
            return optimizer
        steps, warmup = int(self.trainer.estimated_stepping_batches), float(hparams["warmup"])
        if warmup * steps == 1:
            warmup -= 1e-9  # OneCycleLR divides by warmup * steps - 1
        moves = not optimizer.defaults.keys().isdisjoint(("momentum", "betas"))
        schedule = OneCycleLR(optimizer, rate, total_steps=steps, pct_start=warmup, cycle_momentum=moves)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _taught(self, images: Tensor, labels: Tensor) -> Tensor:
        """The teacher's answers to digits, and the labels of marks: [N, classes], or one more for no digit.

        If only one of the two, teacher and student, has learned to refuse, the other's column is 0 or is left out; then
        an image that the teacher doubts counts less.
        """
        classes = len(self.hparams["classes"])
        marks = F.one_hot(labels, classes + 1)[:, : classes + self.refuses]
        answers = self.answers(images)  # type: ignore[misc]
        answers = F.pad(answers, (0, marks.shape[1] - answers.shape[1]))
        return torch.where(labels[:, None] == classes, marks, answers)

    def _check_losses(self) -> None:
        if not self.losses:
            return
        wrong = torch.stack(self.losses).isfinite().logical_not().nonzero()
        if len(wrong):
            step = self.global_step - len(self.losses) + int(wrong[0])
            raise PlainError(
                f"train/loss is {self.losses[int(wrong[0])].item()} at step {step} (epoch {self.current_epoch + 1}): "
                f"lower model.learning_rate (it is {self.hparams['learning_rate']:g}) or take "
                "trainer.precision=32-true"
            )
