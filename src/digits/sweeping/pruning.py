"""A trial of a search, while it trains: each epoch's value to the study, and an early end where that sees no hope."""

from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from digits.errors import ConfigError, Pruned
from digits.sweeping.study import Search


class Pruning(Callback):
    """Raises Pruned when a validation, but for the last, was so bad that the pruner gives the trial up.

    Args:
        folder: of the trial; its name is its number, its parent is the search's.
        config: the trial's.
    """

    def __init__(self, folder: Path, config: DictConfig) -> None:
        self.number, self.search = int(folder.name), Search.of(config, folder.parent)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report and ask."""
        if trainer.sanity_checking:
            return
        epoch, value = trainer.current_epoch, trainer.callback_metrics[self.search.metric].item()
        hopeless = self.search.report(self.number, epoch, value)
        if hopeless and epoch + 1 < (trainer.max_epochs or 0):
            raise Pruned(f"pruned after epoch {epoch}: {self.search.metric} {value:.4f}")


def objective(history: list[dict[str, float]], metric: str) -> float:
    """A trial's value: the metric of the epoch that best.ckpt is of, which is the first with the best accuracy."""
    rows = [row for row in history if "val/accuracy" in row]
    if not rows:
        raise ConfigError("callbacks.history: no validation in it, which a search goes by; add callbacks=default")
    return max(rows, key=lambda row: row["val/accuracy"])[metric]
