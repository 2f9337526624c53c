"""PyTorch's own MNIST example with its defaults, until an epoch ends with 99 % of the test digits right.

Network and settings are those of https://github.com/pytorch/examples/tree/main/mnist on a CPU: each digit through PIL
and torchvision's transforms, no worker processes, no shuffling. `python scripts/references/pytorch_example.py SEED`
prints a line of JSON an epoch. The clock runs while it trains; its tests are outside.
"""

import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

EPOCHS, ENOUGH = 14, 0.99


def network() -> nn.Sequential:
    """1,199,882 numbers, from images [N, 1, 28, 28] to logits [N, 10]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def loader(train: bool, batch_size: int) -> DataLoader:
    """Normalised batches out of MNIST_DIR, a digit at a time."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    return DataLoader(MNIST(os.environ.get("MNIST_DIR", "data"), train=train, transform=transform), batch_size)


def train_epoch(net: nn.Module, batches: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """A step for each batch; the seconds it took."""
    started = time.perf_counter()
    net.train()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return time.perf_counter() - started


@torch.inference_mode()
def accuracy(net: nn.Module, batches: DataLoader) -> float:
    """The share of digits it reads right."""
    net.eval()
    right = [net(images).argmax(1) == labels for images, labels in batches]
    return torch.cat(right).float().mean().item()


def main() -> None:
    """Train and test in turn."""
    torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    train, test, net = loader(True, 64), loader(False, 1000), network()
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.7)
    seconds = found = 0.0
    for epoch in range(1, EPOCHS + 1):
        if found >= ENOUGH:
            break
        seconds += train_epoch(net, train, optimizer)
        schedule.step()
        found = accuracy(net, test)
        print(json.dumps({"epoch": epoch, "seconds": seconds, "accuracy": found}), flush=True)


if __name__ == "__main__":
    main()
