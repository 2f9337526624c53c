"""A trial of a search while it trains: each epoch's value goes to the study, which may end the trial early."""

from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from optuna.pruners import BasePruner

from digits.errors import Pruned
from digits.sweeping.search import Metric
from digits.sweeping.study import Storage


class Pruning(Callback):
    """Raises Pruned where a validation, but for the last one, is so bad that the pruner gives the trial up.

    Args:
        folder: of the trial; its name is the trial's number, its parent is the search's folder.
        metric: what is reported.
        pruner: None reports and prunes nothing.
        storage: URL of a database; None for SQLite in the search's folder.
        study_name: in the storage.
    """

    def __init__(
        self, folder: str, metric: Metric, pruner: BasePruner | None, storage: str | None, study_name: str
    ) -> None:
        self.number, self.metric, self.pruner = int(Path(folder).name), metric, pruner
        self.storage = Storage(Path(folder).parent, storage, study_name)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the value of this epoch."""
        if trainer.sanity_checking:
            return
        epoch, value = trainer.current_epoch, trainer.callback_metrics[self.metric].item()
        hopeless = self.report(epoch, value)
        if hopeless and epoch + 1 < (trainer.max_epochs or 0):
            raise Pruned(f"pruned after epoch {epoch}: {self.metric} {value:.4f}")

    def report(self, epoch: int, value: float) -> bool:
        """Write a value into the study, and return whether the pruner gives the trial up.

        A trial that was killed may have reported later epochs before; the pruner does not see those.
        """
        with self.storage.opened() as database:
            trial_id = self.storage.trial_id(self.number)
            database.set_trial_intermediate_value(trial_id, epoch, value)
            trial = database.get_trial(trial_id)
            trial.intermediate_values = {at: of for at, of in trial.intermediate_values.items() if at <= epoch}
            study = self.storage.study(pruner=self.pruner)
            return study.pruner.prune(study, trial)
