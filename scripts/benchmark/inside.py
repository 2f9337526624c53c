"""Measure what cannot be timed from outside: `python inside.py MEASUREMENT OVERRIDE …` prints a line of JSON."""

import json
import sys
import time
import timeit
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.profilers import SimpleProfiler
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from digits.data.batches import scaled
from digits.data.datamodule import DigitsData
from digits.models.network import MEAN, STD, Network
from digits.reporting.compare import speed
from processes import CONFIGS, megabytes, run


def composed(overrides: list[str]) -> DictConfig:
    """The config of train.py."""
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        return compose("train", ["run_folder=.", *overrides])


def built(cfg: DictConfig, **options: Any) -> tuple[DigitsData, Network, Trainer]:
    """Data, model and trainer as train.py builds them, but the trainer writes nothing; `options` are the trainer's."""
    data = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    data.setup()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    data.trainer = instantiate(cfg.trainer, **quiet, **options, _convert_="all")
    return data, instantiate(cfg.model, classes=data.classes, _convert_="all"), data.trainer


def given(data: DigitsData, loader: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches with pixels in 0..1, as a model gets them."""
    return (data.on_after_batch_transfer(batch, 0) for batch in loader)


def loader(cfg: DictConfig) -> dict[str, float]:
    """Images per second, in batches on the trainer's device, normalised."""
    data, _, _ = built(cfg)
    return {"rate": images_per_second((images - MEAN) / STD for images, _ in given(data, data.train_dataloader()))}


def torchvision(cfg: DictConfig) -> dict[str, float]:
    """The same with torchvision's data set and transforms: one image at a time, one worker process for each core."""
    batches = one_by_one(cfg, cfg.data.batch_size, shuffle=True, num_workers=torch.get_num_threads())
    return {"rate": images_per_second(images for images, _ in islice(batches, cfg.trainer.limit_train_batches))}


def one_by_one(cfg: DictConfig, batch_size: int, train: bool = True, **options: Any) -> DataLoader:
    """MNIST with torchvision's transforms: each image through PIL."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    return DataLoader(datasets.MNIST(cfg.data.folder, train, transform), batch_size, **options)


def images_per_second(batches: Iterable[Tensor]) -> float:
    """Measured after the first batch, so that the start of worker processes does not count."""
    batches = iter(batches)
    device = next(batches).device
    started = time.perf_counter()
    images = sum(len(batch) for batch in batches)
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return images / (time.perf_counter() - started)


def augmentation(cfg: DictConfig) -> dict[str, float]:
    """Milliseconds for augmenting one batch, and its percentage of a training step."""
    profiler = SimpleProfiler()
    data, model, trainer = built(cfg, profiler=profiler)
    trainer.fit(model, data)
    step = 1000 * median(profiler.recorded_durations["run_training_batch"])
    augment, images = model.augment, scaled(data.train_images[: data.batch_size])
    assert augment
    alone = 1000 * median(timeit.repeat(lambda: augment(images), number=1, repeat=101)[1:])  # the first one is slower
    return {"milliseconds": alone, "share": 100 * alone / step}


def growth(cfg: DictConfig) -> dict[str, float]:
    """Fit on `cfg.images` images, repeated from MNIST: microseconds for each, and MB of memory without the images."""
    profiler = SimpleProfiler()
    data, model, trainer = built(cfg, profiler=profiler)
    chosen = torch.arange(cfg.images) % len(data.train_labels)
    data.train_images, data.train_labels = data.train_images[chosen], data.train_labels[chosen]
    trainer.fit(model, data)
    seconds = sum(profiler.recorded_durations["run_training_epoch"])
    microseconds = 1e6 * seconds / (cfg.images * cfg.trainer.max_epochs)
    size = (data.train_images.nbytes + data.train_labels.nbytes) / 1e6
    return {"microseconds": microseconds, "megabytes": megabytes(getrusage(RUSAGE_SELF)) - size}


def onnx(cfg: DictConfig) -> dict[str, float]:
    """Milliseconds that the model.onnx of a run takes for one image on one thread."""
    run(" ".join(["train.py", *sys.argv[2:]]), Path())
    (path,) = Path().glob("outputs/*/*/model.onnx")
    return {"milliseconds": speed(path)[0]}


if __name__ == "__main__":
    measurements = {each.__name__: each for each in (loader, torchvision, augmentation, growth, onnx)}
    print(json.dumps(measurements[sys.argv[1]](composed(sys.argv[2:]))))
