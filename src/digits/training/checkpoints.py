"""Checkpoints: written whole, read without running code, the best one kept when a run is resumed."""

import logging
import shutil
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from atomic_files import atomic_path
from digits.models.classifier import Classifier, rebuilt
from digits.run_folder import RunFolder
from plain_errors import ConfigError, ModelFileError

EPOCH = "epoch"  # as `monitor`: the last epoch is the best
log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint whole or not at all. Lightning's class does not sync, and hides that the disk is full."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`."""
        content = BytesIO()
        torch.save(checkpoint, content)  # on a full disk it would say something else
        with atomic_path(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class BestCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that always leaves a best checkpoint, even without validation, or resumed in a new folder.

    Lightning forgets the best score when the folder changes. The first epoch after a resume would then be the best.
    """

    _resumed: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember which checkpoint the run is resumed from."""
        super().setup(trainer, pl_module, stage)
        self._resumed = Path(trainer.ckpt_path) if trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Copy the best checkpoint so far into this run's folder, and continue from its score."""
        best = Path(state_dict["best_model_path"])
        if self._resumed and not best.is_file():  # the folder was moved: look beside the checkpoint that is resumed
            best = self._resumed.with_name(best.name)
        if not best.is_file() or self.dirpath is None:
            log.warning("the best checkpoint so far is not beside %s; the best new epoch is kept", self._resumed)
            return
        copy = Path(self.dirpath) / best.name
        if copy != best:
            self._copy(best, copy)
        self.best_model_path = self.kth_best_model_path = str(copy)
        self.best_model_score = self.current_score = self.kth_value = state_dict["best_model_score"]
        self.best_k_models = {str(copy): state_dict["best_model_score"]}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare this epoch with the best one. Before the first validation there is nothing to compare."""
        if self.monitor in (EPOCH, *trainer.callback_metrics):
            super().on_train_epoch_end(trainer, pl_module)
        elif measured := sorted(name for name in trainer.callback_metrics if name.startswith("val/")):
            raise ConfigError(f"monitor: got {self.monitor}, wanted one of {', '.join([EPOCH, *measured])}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the last state as the best one where no epoch was validated."""
        super().on_train_end(trainer, pl_module)
        dry_run: bool | int = trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.best_model_path and self.dirpath and not dry_run:
            log.warning("no epoch was validated: the last state is kept as best.ckpt")
            trainer.save_checkpoint(Path(self.dirpath) / f"{self.filename}.ckpt", weights_only=False)

    @rank_zero_only
    def _copy(self, best: Path, copy: Path) -> None:
        with atomic_path(copy) as temporary:
            shutil.copyfile(best, temporary)


def checkpoints_in(folder: RunFolder, monitor: str, fitted_once: bool) -> list[Callback]:
    """The callbacks that write best.ckpt and last.ckpt.

    Args:
        folder: the run's.
        monitor: the figure whose highest value is the best, or the lowest if it is a loss; EPOCH for the last epoch.
        fitted_once: whether the model is fitted in one pass, so that the two are the same.
    """
    if fitted_once:  # a ModelCheckpoint keeps nothing before the first step of an optimizer, and here there is none

        def save(trainer: Trainer, _: LightningModule) -> None:
            for path in (folder.best, folder.last):
                trainer.save_checkpoint(path, weights_only=False)

        return [LambdaCallback(on_train_end=save)]
    mode = "min" if monitor.endswith("loss") else "max"
    kept: dict[str, Any] = {"dirpath": folder.best.parent, "enable_version_counter": False}
    return [
        BestCheckpoint(filename=folder.best.stem, monitor=monitor, mode=mode, **kept),
        ModelCheckpoint(filename=folder.last.stem, save_on_train_epoch_end=True, **kept),
    ]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's tensors and plain values. No code in it is run.

    Raises:
        ModelFileError: the file is absent, cut off, holds pickled code or is no checkpoint of a classifier.
    """
    try:
        with zipfile.ZipFile(path) as file, catch_warnings(action="ignore"):  # PyTorch warns of other kinds of files
            if damaged := file.testzip():  # PyTorch does not compare the checksums that it writes
                raise ValueError(f"{damaged} is damaged")
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251  only weights
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}; wanted a checkpoint file") from error
    except Exception as error:  # damaged bytes make torch raise almost anything
        first_line = str(error).strip().split("\n")[0].split(". ")[0]
        raise ModelFileError(
            f"{path}: not a whole checkpoint of plain tensors and values ({first_line}); wanted one that train.py wrote"
        ) from error
    wanted = {"state_dict", "hyper_parameters", "model_class"}
    if not isinstance(checkpoint, dict) or not wanted <= checkpoint.keys():
        raise ModelFileError(f"{path}: not a checkpoint of this project; wanted one that train.py wrote")
    return checkpoint


def last_whole(folder: RunFolder) -> Path:
    """The checkpoint to continue from: last.ckpt, or best.ckpt, which is older; ModelFileError: both are damaged."""
    try:
        read_checkpoint(folder.last)
    except ModelFileError as error:
        with suppress(ModelFileError):
            read_checkpoint(folder.best)
            log.warning("%s; the run goes on from %s", error, folder.best)
            return folder.best
        raise
    return folder.last


def load_model(path: Path) -> Classifier:
    """Rebuild a classifier, in evaluation mode on the CPU, from its checkpoint alone.

    Raises:
        ModelFileError: as read_checkpoint, or the file does not fit the class that it names.
    """
    checkpoint = read_checkpoint(path)
    try:
        model = rebuilt(checkpoint["model_class"], checkpoint["hyper_parameters"])
        model.load_state_dict(checkpoint["state_dict"])
    except Exception as error:  # values of another kind make a constructor raise almost anything
        first_line = str(error).split("\n")[0]
        raise ModelFileError(f"{path}: does not fit its model {checkpoint['model_class']} ({first_line})") from error
    return model.eval()


def check_resumable(path: Path, model: Classifier, callbacks: Iterable[Callback]) -> int:
    """Make sure that training of `model` with these callbacks can continue from the checkpoint at `path`.

    Returns:
        The step at which it continues, as loggers count steps. Lightning's global_step counts those of optimizers.

    Raises:
        ModelFileError: as read_checkpoint, the checkpoint is of another model, or early stopping would end it again.
    """
    checkpoint = read_checkpoint(path)
    stopping = [each.state_key for each in callbacks if isinstance(each, EarlyStopping)]
    try:
        states = checkpoint.get("callbacks", {}).items()
        stopped = sum(state["stopped_epoch"] for key, state in states if key in stopping)
        shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint["state_dict"].items()}
        step: int = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    except (AttributeError, LookupError, TypeError) as error:
        raise ModelFileError(f"{path}: no state of a training ({error}); wanted a last.ckpt of train.py") from error
    if stopped:
        raise ModelFileError(
            f"{path}: early stopping ended this run after epoch {stopped + 1}; to train longer, "
            "resume without it: ~callbacks.early_stopping"
        )
    found = {"sharpness": ()} | shapes
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if found != wanted or "optimizer_states" not in checkpoint:
        settings = ", ".join(f"{key}={value}" for key, value in checkpoint["hyper_parameters"].items())
        raise ModelFileError(
            f"{path}: of another model ({checkpoint['model_class']}: {settings}); "
            f"wanted one of {type(model).__name__} with the settings of the config; take the model=… of that run"
        )
    return step
