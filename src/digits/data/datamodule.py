"""The base of all data sets: training, validation and test split, held in memory."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning import LightningDataModule
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import DataLoader

from digits.data.batches import EpochBatches, InMemory, scaled
from digits.data.drawings import read_drawings
from digits.data.hands import draw_hands
from digits.data.non_digits import draw_non_digits
from digits.ranges import Classes, Count, NonNegativeCount, Seed, Share, Text
from plain_errors import ConfigError

DIGITS = list(range(10))


@dataclass(frozen=True)
class Splits:
    """What the files of a data set hold: images uint8 [N, 1, 28, 28] (ink 255, paper 0) and labels int64 [N].

    `sha256` is a hash of the files, in hex.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    sha256: str


class DigitsData(LightningDataModule):
    """Digits in batches: images float32 [N, 1, 28, 28] in 0..1 and labels int64 [N].

    A data set is a subclass with a `name`, a `test_split` (a few words for reports) and a method `read`. A label in a
    batch is a position in `classes`; with all ten digits, it is the digit itself. The seed chooses the validation
    images and the order of training. The test split is always the same. `train_total` is the number of images in the
    training split of the files, None if it is not known before they are read.

    Args:
        classes: the digits to tell apart; None for all ten.
        batch_size: images in a training step on one device.
        val_size: number of images of the training split that are used for validation only, stratified by class; or
            their share of it, like 0.1.
        train_size: number of images to train on, stratified by class; None for all except the validation images.
        seed: of the split and of the order of training.
        drawings: folder of drawings, like 7/name.png, which are further training images.
        hands: number of further training images that are drawn by program, see digits.data.hands.
        non_digits: number of further training images that show no digit, see digits.data.non_digits. Their label is
            the first after those of `classes`.

    Raises:
        ConfigError: by `setup`, if a size does not fit the number of images.
    """

    name: str
    test_split: str
    train_total: ClassVar[int | None] = None

    def __init__(
        self,
        classes: Classes | None = None,
        batch_size: Count = 256,
        val_size: NonNegativeCount | Share = 5000,
        train_size: Count | None = None,
        seed: Seed = 0,
        drawings: Text | None = None,
        hands: NonNegativeCount = 0,
        non_digits: NonNegativeCount = 0,
    ) -> None:
        super().__init__()
        self.classes: list[Any] = list(DIGITS) if classes is None else classes  # numbers, or texts
        self.batch_size, self.val_size, self.train_size, self.seed = batch_size, val_size, train_size, seed
        self.drawings, self.drawn = drawings, 0  # drawn: the number of drawings that were added
        self.hands, self.non_digits = hands, non_digits
        self.sha256 = ""  # of the files; empty until they are read

    @classmethod
    def mistakes_in(cls, settings: Mapping[str, Any]) -> list[str]:
        """Compare the sizes in a config with the number of images, without reading the files.

        With only some of the digits, the number of images is not known before the files are read.

        Args:
            settings: arguments of the constructor, each of the right type.

        Returns:
            A line for each mistake: key, what it got, what was wanted.
        """
        if cls.train_total is None or len(settings.get("classes") or DIGITS) < len(DIGITS):
            return []
        return _wrong_sizes(cls.train_total, len(DIGITS), settings.get("val_size", 0), settings.get("train_size"))

    @abstractmethod
    def read(self) -> Splits:
        """Read the files and check them.

        Raises:
            DataError: a file is missing or wrong.
        """

    def setup(self, stage: str | None = None) -> None:
        """Read the files and split them; do nothing if this is done, as Lightning calls it more than once."""
        if self.sha256:
            return
        splits = self.read()
        sha256 = splits.sha256
        images, labels = self._select(splits.train_images, splits.train_labels)
        self.test_images, self.test_labels = self._select(splits.test_images, splits.test_labels)
        del splits  # frees memory: below, the training images are copied
        if mistakes := _wrong_sizes(len(labels), len(self.classes), self.val_size, self.train_size):
            raise ConfigError("\n".join(mistakes))
        rest, val = self._stratified(torch.arange(len(labels)), labels, _number(self.val_size, len(labels)))
        if self.train_size not in (None, len(rest)):
            _, rest = self._stratified(rest, labels, self.train_size)
        self.train_images, self.train_labels = images[rest], labels[rest]
        self.val_images, self.val_labels = images[val], labels[val]
        if self.drawings is not None:
            self.drawn = self._add(*self._select(*read_drawings(Path(self.drawings))))
        if self.hands:
            self._add(*draw_hands(self.hands, self.classes, self.seed))
        if self.non_digits:
            self._add(draw_non_digits(self.non_digits, self.seed), torch.full((self.non_digits,), len(self.classes)))
        self.sha256 = sha256

    def train_dataloader(self) -> DataLoader:
        """Training batches, in a new order each epoch; with trainer.overfit_batches, the same ones in each."""
        overfit = self.trainer is not None and self.trainer.overfit_batches  # type: ignore[attr-defined]
        return self._loader(self.train_images, self.train_labels, self.batch_size, None if overfit else self.seed)

    def val_dataloader(self) -> DataLoader | list:
        """Validation batches, in order; an empty list without validation images."""
        return self._loader(self.val_images, self.val_labels, 1000) if len(self.val_labels) else []

    def test_dataloader(self) -> DataLoader:
        """Test batches, in the order of the file, so that row n of the predictions is image n."""
        return self._loader(self.test_images, self.test_labels, 1000)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Scale pixels from 0..255 to 0..1, on the device."""
        if isinstance(batch, Tensor):  # the model's example input, which Lightning sends here for its model summary
            return batch
        images, labels = batch
        return scaled(images), labels

    def facts(self) -> dict[str, object]:
        """Name, hash, sizes and classes, for the record of a run."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "train": len(self.train_labels),
            "drawings": self.drawn,
            "hands": self.hands,
            "non_digits": self.non_digits,
            "val": len(self.val_labels),
            "test": len(self.test_labels),
            "test_split": self.test_split,
            "classes": self.classes,
        }

    def _loader(self, images: Tensor, labels: Tensor, batch_size: int, seed: int | None = None) -> DataLoader:
        """A loader of batches from tensors that are already on the device; without a seed, in order."""
        rank, ranks, device = 0, 1, torch.device("cpu")
        if self.trainer is not None:
            rank, ranks = self.trainer.global_rank, self.trainer.world_size
            device = self.trainer.strategy.root_device
        batches = EpochBatches(len(labels), batch_size, seed, rank, ranks, device)
        dataset = InMemory(images.to(device), labels.to(device))
        # A loader draws a seed in each pass. With the global generator, that would change the dropout that follows.
        # The data set reads whole batches, as tuples; there is nothing to collate.
        return DataLoader(dataset, batch_sampler=batches, collate_fn=tuple, generator=torch.Generator())

    def _add(self, images: Tensor, labels: Tensor) -> int:
        """Add images to the training split, labels as positions in `classes`; return how many."""
        self.train_images = torch.cat([self.train_images, images])
        self.train_labels = torch.cat([self.train_labels, labels])
        return len(labels)

    def _select(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the images of `classes`; replace digits by positions in `classes`, which labels of texts are already."""
        if self.classes == DIGITS or isinstance(self.classes[0], str):
            return images, labels
        matches = labels[:, None] == torch.tensor(self.classes)
        keep = matches.any(dim=1)
        return images[keep], matches[keep].int().argmax(dim=1)

    def _stratified(self, indices: Tensor, labels: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Split `indices` in two, the rest and `size` of them, both with the classes in proportion."""
        if size == 0:
            return indices, indices[:0]
        rest, chosen = train_test_split(
            indices.numpy(), test_size=size, stratify=labels[indices].numpy(), random_state=self.seed
        )
        return torch.from_numpy(rest), torch.from_numpy(chosen)


def _number(size: float, images: int) -> int:
    """A size as a number of images: it may be a share of them."""
    return size if isinstance(size, int) else round(size * images)


def _wrong_sizes(images: int, classes: int, val_size: float, train_size: int | None) -> list[str]:
    """A line for each size that is not possible: every split needs an image of each class."""
    left = images - _number(val_size, images)
    if val_size and not classes <= left <= images - classes:
        return [f"data.val_size: got {val_size}, wanted {classes} to {images - classes} of the {images} images, or 0"]
    if train_size in (None, left) or classes <= train_size <= left - classes:
        return []
    return [
        f"data.train_size: got {train_size}, wanted {classes} to {left - classes}, or null for all {left} images "
        "that are not for validation"
    ]
