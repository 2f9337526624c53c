"""The plain recipe for 99 % in one epoch: a small network over tensors in memory, in 32-bit.

The network and the settings are those of https://github.com/tuomaso/train_mnist_fast (its eighth and last step).
`python …/train_mnist_fast.py seed=1` prints a line of JSON. The clock runs from the making of the optimizer to the last
step; reading the digits and the test are outside it, as in the original.
"""

import json
import os
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torchvision.datasets import MNIST


def network() -> nn.Sequential:
    """215,194 parameters, from images [N, 1, 28, 28] to logits [N, 10]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def digits(train: bool) -> tuple[Tensor, Tensor]:
    """Normalised images float32 [N, 1, 28, 28] and labels int64 [N], out of MNIST_DIR."""
    data = MNIST(os.environ.get("MNIST_DIR", "data"), train=train)
    return (data.data[:, None] / 255 - 0.1307) / 0.3081, data.targets


def fit(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Train for one epoch in the order given; return the seconds it took."""
    started = time.perf_counter()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.7, 0.9))
    batches = list(zip(images.split(256), labels.split(256), strict=True))
    schedule = OneCycleLR(optimizer, 0.01, total_steps=len(batches), cycle_momentum=False)
    for batch, target in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(batch), target).backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - started


def main() -> None:
    """Train on all 60,000, shuffled once, and test."""
    torch.manual_seed(int(sys.argv[-1].removeprefix("seed=")))
    images, labels = digits(train=True)
    order, net = torch.randperm(len(labels)), network()
    seconds = fit(net, images[order], labels[order])
    images, labels = digits(train=False)
    with torch.inference_mode():
        predictions = torch.cat([net(part).argmax(1) for part in images.split(2000)])
    accuracy = (predictions == labels).float().mean().item()
    print(json.dumps({"epoch": 1, "seconds": seconds, "percent": 100 * accuracy}))


if __name__ == "__main__":
    main()
