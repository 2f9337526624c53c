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
        rank: which of the `ranks` processes this one is.
        ranks: how many processes share each batch.
        device: where the samples lie; an index has to lie there too.
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

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        """Yield int64 index tensors [batch] on the device."""
        if self.seed is None:
            order = torch.arange(self.samples)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.samples, generator=generator)
        # One transfer an epoch. The order itself is drawn on the CPU, so it is the same on every kind of device.
        for batch in order.to(self.device).tensor_split(self.batches):
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
        """Pick rows by int64 [batch], which lies on the same device as images and labels."""
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)
