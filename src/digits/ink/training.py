"""Train the ink network on drawn scenes; it learns what to call ink, in every direction and in any colours."""

import multiprocessing
from functools import partial

import numpy as np
import torch
from lightning import LightningDataModule, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from digits.ink.network import InkNet
from digits.ink.scenes import draw_scene

AT_ONCE = 250  # scenes that a process draws before it hands them over
INK_WEIGHT = 4  # of a pixel with ink; nine of ten have none
SMALL_SIDE = 128  # pixels of the smaller batches
FEW = 20.0  # pixels; in scenes with less ink than this, a wrong pixel counts less


class Scenes(LightningDataModule):
    """Drawn scenes, held in memory: pictures uint8 [N, 3, H, W] and their ink, uint8 [N, 1, H, W].

    Args:
        train: number of scenes; a twentieth of it are drawn for validation.
        batch_size: scenes in a step.
        seed: of the scenes to train on; those for validation are always the same.
    """

    def __init__(self, train: int, batch_size: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.train, self.batch_size, self.seed = train, batch_size, seed

    def setup(self, stage: str | None = None) -> None:
        """Draw all scenes, on every core."""
        self.train_scenes, self.val_scenes = _drawn(self.train, self.seed + 1), _drawn(self.train // 20, 0)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(self.train_scenes, self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(self.val_scenes, self.batch_size)


def _drawn(number: int, seed: int) -> TensorDataset:
    starts = range(0, number, AT_ONCE)
    with multiprocessing.get_context("fork").Pool() as pool:
        parts = pool.map(partial(_some, number=number, seed=seed), starts, chunksize=1)
    pictures, ink = (torch.from_numpy(np.concatenate(each)) for each in zip(*parts, strict=True))
    return TensorDataset(pictures.permute(0, 3, 1, 2), ink[:, None])


def _some(start: int, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rngs = [np.random.default_rng([seed, index]) for index in range(start, min(start + AT_ONCE, number))]
    pictures, ink = zip(*(draw_scene(rng) for rng in rngs), strict=True)
    return np.stack(pictures), np.stack(ink)


class InkModule(LightningModule):
    """Trains an InkNet. The validation metric `val/overlap` is the Dice coefficient over all pixels, 0 to 1.

    Args:
        rate: learning rate at its highest (one cycle).
    """

    def __init__(self, rate: float = 4e-3) -> None:
        super().__init__()
        self.rate = rate
        self.net = InkNet().to(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        pictures, ink = _sized(*_changed(*(each.float() / 255 for each in batch)))
        logits = self.net(pictures.contiguous(memory_format=torch.channels_last)).float()
        likelihood = F.binary_cross_entropy_with_logits(logits, ink, weight=1 + (INK_WEIGHT - 1) * ink)
        found = logits.sigmoid()
        both, each = (found * ink).sum(dim=(1, 2, 3)), (found + ink).sum(dim=(1, 2, 3))
        loss = 2 * likelihood + (1 - (2 * both + FEW) / (each + FEW)).mean()
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._both, self._each = torch.zeros(2)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        pictures, ink = (each.float() / 255 for each in batch)
        found = self.net(pictures).float().sigmoid()
        self._both += (found * ink).sum().cpu()
        self._each += (found + ink).sum().cpu()

    def on_validation_epoch_end(self) -> None:
        self.log("val/overlap", 2 * self._both / self._each, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(self.parameters(), self.rate, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.rate, steps, pct_start=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _changed(pictures: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
    """Turn and mirror a batch, swap its colours; each picture gets another gamma, and one of ten is inverted."""
    turns, mirrored = int(torch.randint(4, ())), bool(torch.randint(2, ()))
    pictures, ink = (torch.rot90(each, turns, (2, 3)) for each in (pictures, ink))
    if mirrored:
        pictures, ink = pictures.flip(3), ink.flip(3)
    shape = len(pictures), 1, 1, 1
    pictures = pictures[:, torch.randperm(3)] ** torch.empty(shape).uniform_(0.7, 1.4).to(pictures)
    inverted = (torch.rand(shape) < 0.1).to(pictures)
    return inverted + (1 - 2 * inverted) * pictures, ink


def _sized(pictures: Tensor, ink: Tensor) -> tuple[Tensor, Tensor]:
    """A batch as it is, a part of it, or reduced: the network sees signs of many sizes, and learns in half the time."""
    kind = float(torch.rand(()))
    if kind < 0.3:
        return pictures, ink
    if kind < 0.65:
        top, left = torch.randint(pictures.shape[2] - SMALL_SIDE + 1, (2,)).tolist()
        place = (..., slice(top, top + SMALL_SIDE), slice(left, left + SMALL_SIDE))
        return pictures[place], ink[place]
    size = SMALL_SIDE, SMALL_SIDE
    reduced = (F.interpolate(each, size, mode="bilinear", antialias=True) for each in (pictures, ink))
    return next(reduced), next(reduced)
