"""A run of train.py as a bare loop: the same network, digits, batches, order, optimizer, schedule and precision.

`python scripts/references/bare_loop.py model=cnn seed=1` takes what train.py takes, for models that learn with muon
and one_cycle without dropout and augmentation, and prints a line of JSON an epoch. There is no Lightning in the loop,
no log, no bar, no checkpoint. The clock runs from the making of the optimizer and through the validation, as it does
in a fit of train.py; the tests are outside.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from digits.cli import CONFIGS
from digits.models.muon import Muon
from digits.training.trainer import automatic_precision, keep_freed_memory

BF16 = automatic_precision("cpu") == "bf16-mixed"


@torch.inference_mode()
def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of digits it reads right."""
    net.eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
        answers = [net(part.float() / 255).argmax(1) for part in images.split(1000)]
    return (torch.cat(answers) == labels).float().mean().item()


def main() -> None:
    """Compose the config, train, and test after each epoch."""
    keep_freed_memory()  # as in a fit of train.py: what is compared is what Lightning takes
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", sys.argv[1:])
    data = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    data.setup()
    torch.manual_seed(cfg.seed)
    net = instantiate(cfg.model, classes=data.classes, _convert_="all")
    keys = ("learning_rate", "weight_decay", "label_smoothing", "warmup")
    peak, decay, smoothing, warmup = (net.hparams[key] for key in keys)
    assert (net.hparams["optimizer"], net.hparams["schedule"], net.augment) == ("muon", "one_cycle", None)
    images, labels, epochs = data.train_images, data.train_labels, cfg.trainer.max_epochs
    steps = -(-len(labels) // data.batch_size)
    seconds, started = 0.0, time.perf_counter()
    optimizer = Muon(net.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=decay, fused=True)
    schedule = OneCycleLR(optimizer, peak, total_steps=epochs * steps, pct_start=warmup)
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(cfg.seed * 1_000_003 + epoch))
        for batch in order.tensor_split(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
                logits = net(images[batch].float() / 255)
                loss = F.cross_entropy(logits, labels[batch], label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        val = accuracy(net, data.val_images, data.val_labels)
        seconds += time.perf_counter() - started
        found = accuracy(net, data.test_images, data.test_labels)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "val": val, "accuracy": found}), flush=True)
        started = time.perf_counter()


if __name__ == "__main__":
    main()
