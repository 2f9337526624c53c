"""Train, validation and test split of a set of digits, held in memory."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader

from digits.data.batches import EpochBatches, InMemory
from digits.data.drawings import read_drawings
from digits.errors import ConfigError
from digits.ranges import Classes, Count, NonNegativeCount, Seed


@dataclass(frozen=True)
class Source:
    """What a data set's files hold: images uint8 [N, 1, 28, 28] (ink 255, paper 0), labels int64 [N]."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    sha256: str


class DigitsData(LightningDataModule):
    """Digits as batches (images float32 [N, 1, 28, 28] in 0..1, labels int64 [N]).

    A data set is a subclass with a `name`, a `test_split` in words and a `read`. Labels in batches are
    positions in `classes`; with all ten digits they are the digits themselves. The test split is whole and
    fixed; the seed decides only what is validation and in which order training goes.

    Args:
        classes: the digits to tell apart; None for all ten.
        batch_size: images a step and device.
        val_size: images taken from the training split for validation, stratified.
        train_size: images kept for training, stratified; None for all that validation leaves.
        seed: of the split and of the order of batches.
        drawings: file of drawings people gave, as scripts/serve.py keeps it, added to training only.
    """

    name: str
    test_split: str

    def __init__(
        self,
        classes: Classes | None = None,
        batch_size: Count = 256,
        val_size: NonNegativeCount = 5000,
        train_size: Count | None = None,
        seed: Seed = 0,
        drawings: str | None = None,
    ) -> None:
        super().__init__()
        self.classes = list(range(10)) if classes is None else classes
        self.batch_size, self.val_size, self.train_size, self.seed = batch_size, val_size, train_size, seed
        self.drawings, self.drawn = drawings, 0  # drawn: how many of them were added
        self.sha256 = ""  # of the data set's files, known once they are read

    @abstractmethod
    def read(self) -> Source:
        """Open the files, check them and return what they hold; DataError where they are not right."""

    def setup(self, stage: str | None = None) -> None:
        """Read the files and split them; once, however often Lightning asks."""
        if self.sha256:
            return
        source = self.read()
        sha256 = source.sha256
        images, labels = self._select(source.train_images, source.train_labels)
        self.test_images, self.test_labels = self._select(source.test_images, source.test_labels)
        del source  # or the pictures would be held twice while they are split
        rest = torch.arange(len(labels))
        rest, val = self._stratified(rest, labels, self.val_size, "data.val_size")
        if self.train_size is not None:
            _, rest = self._stratified(rest, labels, self.train_size, "data.train_size")
        self.train_images, self.train_labels = images[rest], labels[rest]
        self.val_images, self.val_labels = images[val], labels[val]
        if self.drawings is not None:
            drawn_images, drawn_labels = self._select(*read_drawings(Path(self.drawings)))
            self.train_images = torch.cat([self.train_images, drawn_images])
            self.train_labels = torch.cat([self.train_labels, drawn_labels])
            self.drawn = len(drawn_labels)
        self.sha256 = sha256

    def train_dataloader(self) -> DataLoader:
        """Shuffled anew each epoch."""
        return self._loader(self.train_images, self.train_labels, self.batch_size, self.seed)

    def val_dataloader(self) -> DataLoader | list:
        """In order; none where no image is kept for validation."""
        return self._loader(self.val_images, self.val_labels, 1000) if len(self.val_labels) else []

    def test_dataloader(self) -> DataLoader:
        """In the order of the file, so that row n of the predictions is picture n."""
        return self._loader(self.test_images, self.test_labels, 1000)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """From bytes to ink, on the device."""
        if isinstance(batch, Tensor):  # the model's example, on its way to the summary of the model
            return batch
        images, labels = batch
        return images / 255, labels

    def facts(self) -> dict[str, object]:
        """What was learned from, for the record of a run."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "train": len(self.train_labels),
            "drawings": self.drawn,
            "val": len(self.val_labels),
            "test": len(self.test_labels),
            "test_split": self.test_split,
            "classes": self.classes,
        }

    def _loader(self, images: Tensor, labels: Tensor, batch_size: int, seed: int | None = None) -> DataLoader:
        """Batches gathered by one index operation, from tensors that already lie on the device."""
        rank, ranks, device = 0, 1, torch.device("cpu")
        if self.trainer is not None:
            rank, ranks = self.trainer.global_rank, self.trainer.world_size
            device = self.trainer.strategy.root_device
        sampler = EpochBatches(len(labels), batch_size, seed, rank, ranks, device)
        dataset = InMemory(images.to(device), labels.to(device))
        # each pass over a loader draws a seed: from a generator of its own, or dropout would depend on when it draws
        return DataLoader(dataset, sampler=sampler, batch_size=None, generator=torch.Generator())

    def _select(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the pictures of `classes` and turn digits into positions in `classes`."""
        if self.classes == list(range(10)):
            return images, labels
        matches = labels[:, None] == torch.tensor(self.classes)
        keep = matches.any(dim=1)
        return images[keep], matches[keep].int().argmax(dim=1)

    def _stratified(self, indices: Tensor, labels: Tensor, size: int, key: str) -> tuple[Tensor, Tensor]:
        """Split `indices` into the rest and `size` of them with the classes in proportion."""
        if size == 0:
            return indices, indices[:0]
        if size == len(indices) and key == "data.train_size":
            return indices[:0], indices
        smallest, largest = len(self.classes), len(indices) - len(self.classes)
        if not smallest <= size <= largest:
            raise ConfigError(f"{key}: got {size}, wanted {smallest} to {largest} of the {len(indices)} images")
        rest, chosen = train_test_split(
            indices.numpy(), test_size=size, stratify=labels[indices].numpy(), random_state=self.seed
        )
        return torch.from_numpy(rest), torch.from_numpy(chosen)
