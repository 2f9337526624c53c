"""Plain training loops to compare with: `python references.py LOOP OVERRIDE …` prints a line of JSON for each epoch.

Training is timed, with the validation if there is one. Reading the data and the tests are not timed. OpenMP has its
defaults, as in other people's loops: nothing here calls digits.threads.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Adadelta, Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR
from torchvision.datasets import MNIST

from digits.models.network import MEAN, STD
from digits.models.optimizer import optimizer_of
from inside import built, composed, given, one_by_one

Batches = Iterable[tuple[Tensor, Tensor]]  # images [N, 1, 28, 28], labels [N]
Epochs = Iterator[dict[str, float]]  # of each: the seconds of training so far, the test accuracy in percent


def pytorch_example(cfg: DictConfig) -> Epochs:
    """PyTorch's own MNIST example with its defaults, at most until an epoch ends with 99 % test accuracy.

    https://github.com/pytorch/examples/tree/main/mnist on a CPU: each image through PIL and torchvision's transforms,
    no worker processes, no shuffling.
    """
    train, test = one_by_one(cfg, 64), one_by_one(cfg, 1000, train=False)
    net, seconds = example_network(), 0.0
    optimizer = Adadelta(net.parameters(), lr=1.0)
    schedule = StepLR(optimizer, step_size=len(train), gamma=0.7)  # a step is a batch
    for _ in range(cfg.trainer.max_epochs):
        seconds += fit(net, islice(train, cfg.trainer.limit_train_batches), optimizer, schedule)
        yield {"seconds": seconds, "percent": (percent := accuracy(net, test))}
        if percent >= 99:
            break


def example_network() -> nn.Sequential:
    """1,199,882 parameters, from normalised images to logits."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


def plain_recipe(cfg: DictConfig) -> Epochs:
    """The plain recipe for 99 % in one epoch: a small network over tensors in memory, in 32-bit.

    https://github.com/tuomaso/train_mnist_fast, its eighth and last step.
    """
    train, test = (MNIST(cfg.data.folder, train=each) for each in (True, False))
    order, net = torch.randperm(len(train)), recipe_network()
    batches = normalised(train.data[order], train.targets[order], 256)
    optimizer = Adam(net.parameters(), lr=0.01, betas=(0.7, 0.9))
    schedule = OneCycleLR(optimizer, 0.01, total_steps=len(batches), cycle_momentum=False)
    seconds = fit(net, batches, optimizer, schedule)
    yield {"seconds": seconds, "percent": accuracy(net, normalised(test.data, test.targets, 2000))}


def recipe_network() -> nn.Sequential:
    """215,194 parameters, from normalised images to logits."""
    return nn.Sequential(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def normalised(images: Tensor, labels: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of images uint8 [N, 28, 28] and their labels."""
    return list(zip(((images[:, None] / 255 - MEAN) / STD).split(size), labels.split(size), strict=True))


def bare_loop(cfg: DictConfig) -> Epochs:
    """The steps of a run of train.py with one_cycle, without Lightning, logs, progress bar, checkpoints."""
    data, model, trainer = built(cfg)  # the trainer chooses device, precision, and what becomes of freed memory
    device, bf16, seconds = trainer.strategy.root_device, trainer.precision == "bf16-mixed", 0.0
    net = model.to(device)
    assert (cfg.model.schedule, model.augment) == ("one_cycle", None)
    test, started = data.test_dataloader(), time.perf_counter()
    train, val = data.train_dataloader(), data.val_dataloader()
    order: Any = train.batch_sampler
    steps = int(len(train) * (cfg.trainer.limit_train_batches or 1))  # experiment=speedrun takes a share of an epoch
    epochs, rate, decay = cfg.trainer.max_epochs, cfg.model.learning_rate, cfg.model.weight_decay
    optimizer = optimizer_of(net.parameters(), model.hparams["optimizer"], rate, decay, fused=True)
    schedule = OneCycleLR(optimizer, rate, total_steps=epochs * steps, pct_start=cfg.model.warmup)
    for epoch in range(epochs):
        order.set_epoch(epoch)
        batches = given(data, islice(train, steps))
        fit(net, batches, optimizer, schedule, cfg.model.label_smoothing, bf16)
        validation = accuracy(net, given(data, val), bf16)
        seconds += time.perf_counter() - started
        row = {"seconds": seconds, "validation": validation, "percent": accuracy(net, given(data, test), bf16)}
        yield row | {"gpu_bytes": torch.cuda.max_memory_allocated()}
        started = time.perf_counter()


def fit(
    net: nn.Module, batches: Batches, optimizer: Optimizer, schedule: LRScheduler, smooth: float = 0, bf16: bool = False
) -> float:
    """Train for one epoch; return the seconds it took."""
    started = time.perf_counter()
    net.train()
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(net(images), labels, label_smoothing=smooth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - started


@torch.inference_mode()
def accuracy(net: nn.Module, batches: Batches, bf16: bool = False) -> float:
    """In percent."""
    net.eval()
    with torch.autocast(next(net.parameters()).device.type, torch.bfloat16, enabled=bf16):
        correct = [net(images).argmax(1) == labels for images, labels in batches]
    return 100 * torch.cat(correct).float().mean().item()


if __name__ == "__main__":
    loop = {each.__name__: each for each in (pytorch_example, plain_recipe, bare_loop)}[sys.argv[1]]
    config = composed(sys.argv[2:])
    if config.trainer.accelerator == "gpu":
        list(loop(config))  # loads the GPU's kernels, so that the second training counts
    torch.manual_seed(config.seed)
    for row in loop(config):
        print(json.dumps(row), flush=True)
