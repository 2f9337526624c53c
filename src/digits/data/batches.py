"""Which samples make up which batch, and how they are picked."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler


class EpochBatches(Sampler[Tensor]):
    """Deals every sample once an epoch into batches of nearly equal size, for one of several ranks.

    The order follows from (seed, epoch) alone, so a resumed run sees what the killed one would have seen.
    All ranks get the same number of batches, none empty and none repeated; no batch is a small remainder.

    Args:
        samples: number of samples in the split, at least `ranks`.
        batch_size: samples a batch on one rank, at most one fewer than asked where they do not divide evenly.
        seed: of the shuffle; None keeps the order of the split.
    """

    def __init__(self, samples: int, batch_size: int, seed: int | None = None, rank: int = 0, ranks: int = 1) -> None:
        self.samples, self.seed, self.rank, self.ranks = samples, seed, rank, ranks
        self.batches = min(-(-samples // (batch_size * ranks)), samples // ranks)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        """Yield int64 index tensors [batch]."""
        if self.seed is None:
            order = torch.arange(self.samples)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        for batch in order.tensor_split(self.batches):
            yield batch.tensor_split(self.ranks)[self.rank]


class InMemory(Dataset[tuple[Tensor, Tensor]]):
    """Images and labels of which a whole batch is picked at once.

    PyTorch's own TensorDataset indexes byte by byte, which takes several times as long.

    Args:
        images: [N, ...].
        labels: [N].
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take int64 [batch] to images [batch, ...] and labels [batch]."""
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)
