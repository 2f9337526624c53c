"""Classifiers that learn by gradient descent: steps, optimizer, augmentation."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from digits.errors import ConfigError, DigitsError
from digits.models.augmentation import RandomChange
from digits.models.classifier import Classifier
from digits.models.muon import Muon
from digits.ranges import Classes, Degrees, Fraction, NonNegative, Positive

MEAN, STD = 0.1307, 0.3081  # of the ink in MNIST's training images


class Network(Classifier):
    """A subclass sets `self.net`, from normalised images to logits.

    Args:
        classes: the digits the logits stand for, in their order.
        learning_rate: of the optimizer; with one_cycle its peak.
        weight_decay: of the optimizer; decoupled with adamw.
        optimizer: `adamw`, `muon` (which see), or `sgd` without momentum.
        schedule: `constant`, or `one_cycle` (L. Smith, "Super-convergence", 2017).
        warmup: share of the steps in which one_cycle goes up.
        label_smoothing: share of each target spread evenly over the classes.
        rotation, shift, zoom, shear, thickness, bend: random changes of the training images; see RandomChange.
    """

    net: nn.Module

    def __init__(
        self,
        classes: Classes,
        learning_rate: Positive = 1e-3,
        weight_decay: NonNegative = 0.0,
        optimizer: Literal["adamw", "muon", "sgd"] = "adamw",
        schedule: Literal["constant", "one_cycle"] = "constant",
        warmup: Fraction = 0.25,
        label_smoothing: Fraction = 0.0,
        rotation: Degrees = 0.0,
        shift: Fraction = 0.0,
        zoom: Fraction = 0.0,
        shear: Degrees = 0.0,
        thickness: Fraction = 0.0,
        bend: Fraction = 0.0,
    ) -> None:
        super().__init__(classes)
        changes = (rotation, shift, zoom, shear, thickness, bend)
        self.augment = RandomChange(*changes) if any(changes) else None
        self.losses: list[Tensor] = []  # of this epoch's steps, read once an epoch so that no step waits for them

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 [N, 1, 28, 28], ink 1 and paper 0, to logits [N, classes]."""
        return self.net((images - MEAN) / STD)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy of one batch."""
        images, labels = batch
        if self.augment:
            images = self.augment(images)
        loss = F.cross_entropy(self(images), labels, label_smoothing=self.hparams["label_smoothing"])
        self.losses.append(loss.detach())
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:  # what is logged between is not written and costs its time
            self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_train_start(self) -> None:
        """Refuse to resume into a run of another length: the schedule in the checkpoint would not fit it."""
        schedule, steps = self.lr_schedulers(), self.trainer.estimated_stepping_batches
        if isinstance(schedule, OneCycleLR) and schedule.total_steps != steps:
            raise ConfigError(
                f"trainer.max_epochs: got a run of {steps} steps, but the one_cycle schedule in the checkpoint is for "
                f"{schedule.total_steps}; resume with the settings that its run was started with"
            )

    def on_train_epoch_end(self) -> None:
        """Fail loudly on a loss that is no number, before anything is saved."""
        self._check_losses()
        self.losses.clear()

    def on_validation_epoch_start(self) -> None:
        """Validation comes before the end of the training epoch, and the best checkpoint with it."""
        self._check_losses()
        if self.trainer.world_size > 1:
            for buffer in self.buffers():  # all ranks judge what rank 0 will save
                torch.distributed.broadcast(buffer, src=0)

    def configure_optimizers(self) -> Any:
        """The optimizer, with its schedule a step at a time."""
        hparams = self.hparams
        # Under 16-mixed a fused optimizer undoes the scaling of the gradients itself: they could not be clipped before.
        fused = self.trainer.precision != "16-mixed"
        options = {"lr": hparams["learning_rate"], "weight_decay": hparams["weight_decay"], "fused": fused}
        if hparams["optimizer"] == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(self.parameters(), **options)
        elif hparams["optimizer"] == "muon":
            optimizer = Muon(self.parameters(), betas=(0.9, 0.95), **options)
        else:
            optimizer = torch.optim.AdamW(self.parameters(), betas=(0.9, 0.99), **options)
        if hparams["schedule"] == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, hparams["learning_rate"], total_steps=steps, pct_start=hparams["warmup"])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _check_losses(self) -> None:
        if not self.losses:
            return
        wrong = torch.stack(self.losses).isfinite().logical_not().nonzero()
        if len(wrong):
            step = self.global_step - len(self.losses) + int(wrong[0])
            raise DigitsError(
                f"train/loss is {self.losses[int(wrong[0])].item()} at step {step} (epoch {self.current_epoch}): "
                f"lower model.learning_rate (it is {self.hparams['learning_rate']:g}) or take "
                f"trainer.precision=32-true"
            )
