"""What a run prints while it is fitted: a line for each epoch and, in a terminal, a bar with the time left."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from digits.record import Epoch
from digits.training.callbacks import History

SPLITS = {"train": "training", "val": "validation", "test": "test images"}
EVERY = 10  # steps between two updates of the bar


class Progress(Callback):
    """Print the newest row of `history` after each epoch, below it a bar for the whole fit, which is gone at the end.

    No step waits for the device: the bar counts batches, and the row has been read from the device already.
    """

    def __init__(self, history: History, with_bar: bool) -> None:
        self.history, self.with_bar, self.console = history, with_bar, Console()

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Say what is fitted, on what. How many values a closed form learns is known after the fit only."""
        if not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        facts = data.facts()
        words = [] if pl_module.fitted_once else [f"{pl_module.parameter_count():,} parameters"]
        words.append(", ".join(f"{facts[key]:,} {name}" for key, name in SPLITS.items()))
        devices = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
        words.append(f"{devices}{trainer.strategy.root_device}, {trainer.precision}")
        print("   ".join(words), flush=True)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Draw the bar. A closed form takes its time after its last batch, so a bar would say nothing."""
        self.shows = trainer.is_global_zero
        shown = self.shows and self.with_bar and self.console.is_interactive and not pl_module.fitted_once
        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("left")
        self.bar = Bar(*columns, console=self.console, transient=True, refresh_per_second=4, disable=not shown)
        self.steps, self.epochs = int(trainer.num_training_batches), trainer.max_epochs or 0
        self.task = self.bar.add_task("", total=self.steps * self.epochs)
        self._advance(trainer.current_epoch, 0)
        self.bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, now and then."""
        if batch_idx % EVERY == EVERY - 1:
            self._advance(trainer.current_epoch, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line."""
        self._advance(trainer.current_epoch, self.steps)
        if self.shows:
            self.console.print(epoch_line(self.history.rows, self.epochs), highlight=False, soft_wrap=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the bar."""
        self.bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar, if there is one yet."""
        if hasattr(self, "bar"):
            self.bar.stop()

    def _advance(self, epoch: int, batches: int) -> None:
        shown = f"epoch {min(epoch + 1, self.epochs)} of {self.epochs}"
        self.bar.update(self.task, description=shown, completed=epoch * self.steps + batches)


def epoch_line(rows: list[Epoch], epochs: int) -> str:
    """The last of `rows` in one line, counted from 1, with the best epoch so far; `epochs` is the number of all."""
    row = rows[-1]
    words = [f"epoch {row.epoch + 1:{len(str(epochs))}} of {epochs}"]
    if row.train_loss is not None:
        words.append(f"loss {row.train_loss:.3f}")
    if row.val_accuracy is not None:
        best = max((each for each in rows if each.val_accuracy is not None), key=lambda each: each.val_accuracy or 0)
        words += [f"val {percent(row.val_accuracy)}", f"best {percent(best.val_accuracy or 0)} ({best.epoch + 1})"]
    return "   ".join([*words, f"{row.seconds:.1f} s"])


def percent(share: float) -> str:
    """A share in 0..1 as people read it."""
    return f"{100 * share:.2f} %"
