"""A run of train.py as a bare loop: the same network, images, batches, order, optimizer, schedule and precision.

`python scripts/benchmark/references/bare_loop.py model=cnn seed=1` takes the overrides of train.py, for models that
learn with muon and one_cycle without dropout and augmentation, and prints a line of JSON an epoch. There is no
Lightning in the loop, no log, no progress bar, no checkpoint. The clock runs from the making of the optimizer and
through the validation, as in a fit of train.py; the tests are outside. On a GPU the second of two trainings counts.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from digits.data.datamodule import DigitsData
from digits.models.muon import Muon


@torch.inference_mode()
def percent(net: nn.Module, images: Tensor, labels: Tensor, bf16: bool) -> float:
    """How many of the images `net` classifies right."""
    net.eval()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        predictions = [net(part.float() / 255).argmax(1) for part in images.split(1000)]
    return 100 * (torch.cat(predictions) == labels).float().mean().item()


def train(cfg: DictConfig, data: DigitsData, device: torch.device, bf16: bool) -> Iterator[dict[str, float]]:
    """Train, and test after each epoch; yield what is printed of the epoch."""
    torch.manual_seed(cfg.seed)
    net = instantiate(cfg.model, classes=data.classes, _convert_="all").to(device)
    model, epochs, seconds = cfg.model, cfg.trainer.max_epochs, 0.0
    assert (model.optimizer, model.schedule, net.augment) == ("muon", "one_cycle", None)
    test = data.test_images.to(device), data.test_labels.to(device)
    batches = -(-len(data.train_labels) // data.batch_size)
    steps = int(batches * (cfg.trainer.limit_train_batches or 1))  # a share of an epoch, as in experiment=speedrun
    started = time.perf_counter()
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    val = data.val_images.to(device), data.val_labels.to(device)
    options = {"lr": model.learning_rate, "weight_decay": model.weight_decay}
    optimizer = Muon(net.parameters(), betas=(0.9, 0.95), fused=True, **options)
    schedule = OneCycleLR(optimizer, model.learning_rate, total_steps=epochs * steps, pct_start=model.warmup)
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(cfg.seed * 1_000_003 + epoch))
        for batch in order.to(device).tensor_split(batches)[:steps]:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = net(images[batch].float() / 255)
                loss = F.cross_entropy(logits, labels[batch], label_smoothing=model.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        row = {"epoch": epoch + 1, "validation": percent(net, *val, bf16)}
        seconds += time.perf_counter() - started
        yield row | {"seconds": seconds, "percent": percent(net, *test, bf16)}
        started = time.perf_counter()


def main() -> None:
    """Compose the config and train."""
    with initialize_config_dir(str(Path(__file__).parents[3] / "configs"), version_base="1.3"):
        cfg = compose("train", [*sys.argv[1:], "run_folder=."])
    data = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    data.setup()
    # train.py's own choice of device, precision and how the process keeps freed memory
    trainer = instantiate(cfg.trainer, logger=False, enable_checkpointing=False, _convert_="all")
    device, bf16 = trainer.strategy.root_device, trainer.precision == "bf16-mixed"
    if device.type != "cpu":
        list(train(cfg, data, device, bf16))  # loads the GPU's kernels
    for row in train(cfg, data, device, bf16):
        print(json.dumps(row | {"gpu_bytes": torch.cuda.max_memory_allocated()}), flush=True)


if __name__ == "__main__":
    main()
