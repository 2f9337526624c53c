"""What goes on beside the training steps: seeding, the course of training as rows, averaging, the signal to end."""

import logging
import signal
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from digits.models.network import Network
from digits.ranges import Seed

log = logging.getLogger(__name__)


class SeedEveryEpoch(Callback):
    """Dropout and augmentation follow from (seed, epoch, rank), so a resumed run draws what the killed one would.

    Args:
        seed: the run's.
    """

    def __init__(self, seed: Seed) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed torch anew; no checkpoint holds the state of its generators."""
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 4099 + trainer.global_rank)


class History(Callback):
    """A row of metrics for each epoch, kept in the checkpoint and logged as it comes."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of this epoch."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row. Lightning calls this before any checkpoint of the epoch's end is written."""
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        if isinstance(pl_module, Network):
            row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            row["train/loss"] = torch.stack(pl_module.losses).mean().item()
        for name in ("val/loss", "val/accuracy"):
            if name in trainer.callback_metrics:
                row[name] = trainer.callback_metrics[name].item()
        row["seconds"] = time.monotonic() - self._started
        loader: Any = trainer.train_dataloader  # of which limit_train_batches may take a part
        row["images"] = round(len(loader.dataset) * int(trainer.num_training_batches) / len(loader))
        self.rows.append(row)
        numbers = [f"{name} {value:.4f}" for name, value in row.items() if "/" in name]
        if trainer.is_global_zero and numbers:
            log.info("epoch %d: %s (%.1f s)", row["epoch"], ", ".join(numbers), row["seconds"])

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the killed run's rows."""
        self.rows = state_dict["rows"]


class RunningMean(WeightAveraging):
    """What is judged and kept is a mean of the weights, over about the last ninth of the steps so far.

    It jumps less from epoch to epoch than the weights themselves, so that the epoch chosen on validation is seldom one
    that was merely lucky. O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization", 2013.
    """

    def __init__(self) -> None:
        super().__init__(avg_fn=self.moved)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the mean where the weights will be. Lightning moves them only later, so it would lie on the CPU."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)

    @staticmethod
    def moved(mean: Tensor, weight: Tensor, steps: Tensor) -> Tensor:
        """The mean after one more step, of a parameter or of what batch normalisation keeps."""
        return mean + (weight - mean) * (9 / (9 + steps))


class KeepSigterm(Callback):
    """Keep the process's own answer to SIGTERM.

    Lightning's waits for the other ranks inside the signal handler, where they may never come, and exits with 0.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the handler before Lightning sets its own."""
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it again."""
        signal.signal(signal.SIGTERM, self._handler)
