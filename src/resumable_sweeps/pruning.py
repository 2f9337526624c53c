"""The callback by which a trial reports to the study of its search."""

import copy
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from optuna.pruners import BasePruner

from plain_errors import Pruned
from resumable_sweeps.study import Journal, Metric


class Pruning(Callback):
    """Raises Pruned if the pruner stops the trial after a validation, except after the last one.

    Args:
        folder: of the trial; its name is the trial's number, its parent is the search's folder.
        metric: that of the search.
        pruner: None prunes nothing.
    """

    def __init__(self, folder: str, metric: Metric, pruner: BasePruner | None) -> None:
        self.number, self.metric, self.pruner = int(Path(folder).name), metric, pruner
        self.journal = Journal(Path(folder).parent)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        epoch, value = trainer.current_epoch, trainer.callback_metrics[self.metric].item()
        hopeless = self.report(epoch, value)
        if hopeless and epoch + 1 < (trainer.max_epochs or 0):
            raise Pruned(f"pruned after epoch {epoch + 1}: {self.metric} {value:.4f}")

    def report(self, epoch: int, value: float) -> bool:
        """Write a value into the study, and return whether the pruner stops the trial.

        A trial that was killed may already have reported later epochs; the pruner does not see those.
        """
        storage, trial_id = self.journal.storage, self.journal.trial_id(self.number)
        storage.set_trial_intermediate_value(trial_id, epoch, value)
        trial = copy.copy(storage.get_trial(trial_id))
        trial.intermediate_values = {at: each for at, each in trial.intermediate_values.items() if at <= epoch}
        study = self.journal.study(pruner=self.pruner)
        return study.pruner.prune(study, trial)
