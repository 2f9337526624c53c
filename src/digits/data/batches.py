"""Which samples form which batch, and how a batch is read."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler


def scaled(pixels: Tensor) -> Tensor:
    """Images as files hold them, uint8 with ink 255, as a classifier takes them: float32 with ink 1, paper 0."""
    return pixels / 255


class EpochBatches(Sampler[Any]):  # it yields tensors, but DataLoader's annotations want lists
    """Yields the indices of each batch of an epoch, each sample once, for one of several ranks.

    The order depends on seed and epoch only, so a resumed run gets the same batches as an uninterrupted one. All ranks
    get the same number of batches. Batches are of nearly equal size: the last one is no small remainder.

    Args:
        samples: number of samples in the split, at least `ranks`.
        batch_size: the largest number of samples in a batch on one rank.
        seed: of the shuffle; None keeps the order of the split.
        rank: number of this process, from 0.
        ranks: number of processes that share the samples.
        device: where the samples are; indices have to be there too.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self.samples, self.seed, self.rank, self.ranks, self.device = samples, seed, rank, ranks, device
        self.batches = min(-(-samples // (batch_size * ranks)), samples // ranks)
        self.epoch = 0
        self.sampler = self  # Lightning calls set_epoch of this attribute, not of the batch sampler itself

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        """Yield indices, int64 [batch], on the device."""
        if self.seed is None:
            order = torch.arange(self.samples)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        # The order is drawn on the CPU, so it is the same with every kind of device. It is transferred once an epoch.
        for batch in order.to(self.device).tensor_split(self.batches):
            yield batch.tensor_split(self.ranks)[self.rank]


class InMemory(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels in memory; one index operation reads a whole batch.

    TensorDataset would index with brackets, which copies bytes one by one and takes several times as long.

    Args:
        images: uint8 [N, 1, 28, 28].
        labels: int64 [N].
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels of a batch; indices are int64 [batch] on the same device."""
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)
