"""Callbacks of every run: the seed of each epoch, the history, what is printed, an average of the weights."""

import logging
import signal
import time
from typing import Any

import rich.progress
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from digits.models.network import Network
from digits.ranges import Seed
from digits.record import Epoch

log = logging.getLogger(__name__)


class SeedEveryEpoch(Callback):
    """Make dropout and augmentation follow from (seed, epoch, rank), so that a resumed run repeats them.

    Args:
        seed: the run's.
    """

    def __init__(self, seed: Seed) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed torch. No checkpoint holds the state of its generators."""
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 4099 + trainer.global_rank)


class History(Callback):
    """Keep a row of metrics for each epoch in the checkpoint, and log it."""

    def __init__(self) -> None:
        self.rows: list[Epoch] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of this epoch."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row. Lightning calls this before it writes a checkpoint at the end of the epoch."""
        loader: Any = trainer.train_dataloader
        figures: dict[str, Any] = {}
        if isinstance(pl_module, Network):
            figures["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            figures["train/loss"] = torch.stack(pl_module.losses).mean().item()
            figures["train/accuracy"] = torch.stack(pl_module.accuracies).mean().item()
        for name in ("val/loss", "val/accuracy"):
            if name in trainer.callback_metrics:
                figures[name] = trainer.callback_metrics[name].item()
        row = Epoch(
            epoch=trainer.current_epoch,
            step=trainer.global_step or int(trainer.num_training_batches),  # of a closed form loggers count batches
            seconds=time.monotonic() - self._started,
            # limit_train_batches may have taken a part of the loader only
            images=round(len(loader.dataset) * int(trainer.num_training_batches) / len(loader)),
            **figures,
        )
        self.rows.append(row)
        numbers = [f"{name} {value:.4f}" for name, value in figures.items() if "/" in name]
        if trainer.is_global_zero and numbers:
            log.info("epoch %d: %s (%.1f s)", row.epoch + 1, ", ".join(numbers), row.seconds)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as plain values."""
        return {"rows": [row.model_dump(by_alias=True, exclude_unset=True) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the rows of the run that is resumed."""
        self.rows = [Epoch.model_validate(row) for row in state_dict["rows"]]


def early_stop(trainer: Trainer, history: list[Epoch]) -> str | None:
    """Why early stopping ended a fit before its last epoch, epochs counted from 1; None if it did not."""
    if not history or history[-1].epoch + 1 == trainer.max_epochs:
        return None
    unit = "epoch" if trainer.check_val_every_n_epoch == trainer.val_check_interval == 1 else "validation"
    for stopping in trainer.early_stopping_callbacks:
        if stopping.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            return f"stopped after epoch {history[-1].epoch + 1}: {_reason(stopping, unit)}{_best(stopping, history)}"
    return None


def _reason(stopping: EarlyStopping, unit: str) -> str:
    if stopping.stopping_reason != EarlyStoppingReason.PATIENCE_EXHAUSTED:
        return str(stopping.stopping_reason_message).removesuffix(" Signaling Trainer to stop.").removesuffix(".")
    way, delta = "rise" if stopping.mode == "max" else "fall", abs(stopping.min_delta)
    least = f" by more than {delta:g}" if delta else ""
    count = stopping.wait_count
    return f"{stopping.monitor} did not {way}{least} for {count} {unit}{'s' * (count > 1)}"


def _best(stopping: EarlyStopping, history: list[Epoch]) -> str:
    """The first epoch with the best value of what is watched, if the history has it."""
    rows = (row.model_dump(by_alias=True) for row in history)
    values = {row["epoch"]: value for row in rows if (value := row.get(stopping.monitor)) is not None}
    choose = max if stopping.mode == "max" else min
    return f"; the best is epoch {choose(values, key=values.__getitem__) + 1}" if values else ""


class Progress(Callback):
    """Print a line for each epoch and, in a terminal, a bar with the time left, which disappears at the end.

    It counts batches and takes the rows of `history`, so no step waits for the device.
    """

    def __init__(self, history: History, with_bar: bool) -> None:
        self.history, self.with_bar = history, with_bar
        left = BarColumn(), TimeRemainingColumn(), TextColumn("left")
        self.bar = rich.progress.Progress(
            "epoch {task.description} of {task.total}", *left, transient=True, refresh_per_second=4
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        # a closed form is fitted after the last batch
        if self.with_bar and self.bar.console.is_interactive and not pl_module.fitted_once:
            self.bar.add_task(f"{trainer.current_epoch + 1}", total=trainer.max_epochs, completed=trainer.current_epoch)
            self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        batch, epoch = args[-1], trainer.current_epoch
        for task in self.bar.task_ids if batch % 10 == 0 else ():
            done = epoch + (batch + 1) / trainer.num_training_batches
            self.bar.update(task, description=f"{epoch + 1}", completed=done)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line, counted from 1, with the best epoch so far."""
        row = self.history.rows[-1]
        words = [f"epoch {row.epoch + 1:{len(str(trainer.max_epochs))}} of {trainer.max_epochs}"]
        if row.train_loss is not None:
            words.append(f"loss {row.train_loss:.3f}")
        if row.val_accuracy is not None:
            found = ((each.val_accuracy, -each.epoch) for each in self.history.rows if each.val_accuracy is not None)
            best, epoch = max(found)
            words += [f"val {100 * row.val_accuracy:.2f} %", f"best {100 * best:.2f} % ({1 - epoch})"]
        self.bar.console.print("   ".join([*words, f"{row.seconds:.1f} s"]), highlight=False, soft_wrap=True)

    def on_train_end(self, *args: Any) -> None:
        self.bar.stop()

    def on_exception(self, *args: Any) -> None:
        self.bar.stop()


class AveragedWeights(WeightAveraging):
    """Validate and keep an average of the weights over about the last ninth of the steps so far.

    The average changes less from epoch to epoch than the weights do, so a lucky epoch is seldom chosen. O. Shamir and
    T. Zhang, "Stochastic gradient descent for non-smooth optimization", 2013, call it polynomial-decay averaging.
    """

    def __init__(self) -> None:
        super().__init__(avg_fn=self.updated)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the average on the device of the weights. Lightning moves the weights only after this."""
        pl_module.to(trainer.strategy.root_device)
        super().setup(trainer, pl_module, stage)

    @staticmethod
    def updated(average: Tensor, weight: Tensor, steps: Tensor) -> Tensor:
        """The average of a parameter or buffer after one more step."""
        return average + (weight - average) * (9 / (9 + steps))


class KeepSigterm(Callback):
    """Keep this process's own handler of SIGTERM.

    Lightning's handler waits for the other ranks, which may never come, and exits with 0.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the handler before Lightning sets its own."""
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set it again."""
        signal.signal(signal.SIGTERM, self._handler)
