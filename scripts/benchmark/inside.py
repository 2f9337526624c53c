"""What cannot be timed from outside: `python inside.py MEASUREMENT OVERRIDE …` prints a line of JSON.

Data, model and trainer are those that train.py builds from the same overrides.
"""

import json
import resource
import sys
import time
import timeit
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.profilers import SimpleProfiler
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from digits.data.datamodule import DigitsData, Splits
from digits.data.mnist import Mnist
from digits.models.network import MEAN, STD, Network
from processes import CONFIGS, train


def built(cfg: DictConfig, **options: Any) -> tuple[DigitsData, Network, Trainer]:
    """Data set up, model, and a trainer without logger and progress bar."""
    data = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    data.setup()
    data.trainer = instantiate(cfg.trainer, logger=False, enable_progress_bar=False, **options, _convert_="all")
    return data, instantiate(cfg.model, classes=data.classes, _convert_="all"), data.trainer


def loader(cfg: DictConfig) -> dict[str, float]:
    """Images per second, in batches on the trainer's device, normalised as a network wants them."""
    data, _, _ = built(cfg)
    batches = (data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())
    return {"rate": images_per_second((images - MEAN) / STD for images, _ in batches)}


def torchvision(cfg: DictConfig) -> dict[str, float]:
    """The same from torchvision's data set and transforms, a digit at a time, with a worker process a core."""
    ready = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    digits = datasets.MNIST(cfg.data.folder, transform=ready)
    batches = DataLoader(digits, cfg.data.batch_size, shuffle=True, num_workers=torch.get_num_threads())
    return {"rate": images_per_second(images for images, _ in islice(batches, cfg.trainer.limit_train_batches))}


def images_per_second(batches: Iterable[Tensor]) -> float:
    """From the first batch on, so that starting worker processes does not count."""
    images, started = 0, 0.0
    for batch in batches:
        images += len(batch) if started else 0
        started = started or time.perf_counter()
    if batch.device.type != "cpu":
        torch.accelerator.synchronize()
    return images / (time.perf_counter() - started)


def augmentation(cfg: DictConfig) -> dict[str, float]:
    """Milliseconds that the random change of a batch takes by itself."""
    data, model, _ = built(cfg)
    images, _ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    change = model.augment
    assert change
    return {"milliseconds": milliseconds(lambda: change(images))}


def step(cfg: DictConfig) -> dict[str, float]:
    """Milliseconds of a training step, augmentation included."""
    profiler = SimpleProfiler()
    data, model, trainer = built(cfg, profiler=profiler, enable_checkpointing=False)
    trainer.fit(model, data)
    return {"milliseconds": 1000 * median(profiler.recorded_durations["run_training_batch"])}


class RepeatedMnist(Mnist):
    """Of MNIST's training digits, `samples`: from the front, again and again."""

    def __init__(self, samples: int, **options: Any) -> None:
        super().__init__(**options)
        self.samples = samples

    def read(self) -> Splits:
        """Read MNIST and repeat it; the test split stays as it is."""
        source = super().read()
        taken = torch.arange(self.samples) % len(source.train_labels)
        return replace(source, train_images=source.train_images[taken], train_labels=source.train_labels[taken])


def growth(cfg: DictConfig) -> dict[str, float]:
    """Of a fit on RepeatedMnist: microseconds a digit, and the most megabytes held, without the digits' own."""
    callbacks = instantiate(cfg.callbacks, _convert_="all")
    del callbacks["learning_rate"]  # it needs a logger
    data, model, trainer = built(cfg, callbacks=list(callbacks.values()))
    trainer.fit(model, data)
    seconds, images = (sum(row[key] for row in callbacks["history"].rows) for key in ("seconds", "images"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    digits = cfg.data.samples * (28 * 28 + 8)  # pixels, and the label as int64
    return {"microseconds": 1e6 * seconds / images, "megabytes": (peak - digits) / 1e6}


def onnx(cfg: DictConfig) -> dict[str, float]:
    """Milliseconds that the model.onnx of a run takes for one image on one thread."""
    train(" ".join(sys.argv[2:]), Path("run").absolute())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("run/model.onnx", options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32)
    return {"milliseconds": milliseconds(lambda: session.run(None, {"images": image}))}


def milliseconds(function: Any) -> float:
    """The median of 100 calls after a first one."""
    return 1000 * median(timeit.repeat(function, number=1, repeat=101)[1:])


if __name__ == "__main__":
    measurements = {each.__name__: each for each in (loader, torchvision, augmentation, step, growth, onnx)}
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        composed = compose("train", ["run_folder=.", *sys.argv[2:]])
    print(json.dumps(measurements[sys.argv[1]](composed)))
