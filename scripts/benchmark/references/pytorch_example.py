"""PyTorch's own MNIST example with its defaults, until an epoch ends with 99 % of the test digits right.

Network and settings are those of https://github.com/pytorch/examples/tree/main/mnist on a CPU: each digit through PIL
and torchvision's transforms, no worker processes, no shuffling. `python …/pytorch_example.py` prints a line of JSON an
epoch. The clock runs while it trains; its tests are outside.
"""

import json
import os
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST


def network() -> nn.Sequential:
    """1,199,882 parameters, from images [N, 1, 28, 28] to logits [N, 10]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def loader(train: bool, batch_size: int) -> DataLoader:
    """Normalised batches out of MNIST_DIR, a digit at a time."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    return DataLoader(MNIST(os.environ.get("MNIST_DIR", "data"), train=train, transform=transform), batch_size)


def fit(net: nn.Module, batches: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """Train for one epoch; return the seconds it took."""
    started = time.perf_counter()
    net.train()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    """Train and test in turn, for 14 epochs at most."""
    torch.manual_seed(1)
    train, test, net = loader(True, 64), loader(False, 1000), network()
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.7)
    seconds = accuracy = 0.0
    for epoch in range(1, 15):
        if accuracy >= 0.99:
            break
        seconds += fit(net, train, optimizer)
        schedule.step()
        net.eval()
        with torch.inference_mode():
            right = [net(images).argmax(1) == labels for images, labels in test]
        accuracy = torch.cat(right).float().mean().item()
        print(json.dumps({"epoch": epoch, "seconds": seconds, "percent": 100 * accuracy}), flush=True)


if __name__ == "__main__":
    main()
