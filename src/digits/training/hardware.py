"""What this machine has, and what a trainer config asks for that it lacks."""

import os
from collections.abc import Mapping
from typing import Any, Literal

from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import StrategyRegistry

from digits.models.muon import multiplies_bf16
from digits.training.ranks import is_distributed, mistakes_in_start

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Kind = Literal["cpu", "cuda", "mps"]


def accelerator_kind(accelerator: Accelerator) -> Kind | None:
    """The kind of device that `accelerator` means on this machine; None if the machine has none."""
    if accelerator == "cpu":
        return "cpu"
    if accelerator in ("auto", "gpu", "cuda") and CUDAAccelerator.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and MPSAccelerator.is_available():
        return "mps"
    return "cpu" if accelerator == "auto" else None


def automatic_precision(accelerator: Accelerator) -> Precision:
    """bf16-mixed where the hardware has units for it (GPU, AMX, AVX512-BF16), else 32-true."""
    return "bf16-mixed" if multiplies_bf16(accelerator_kind(accelerator) or "") else "32-true"


def hardware_mistakes(config: Mapping[str, Any]) -> list[str]:
    """Compare a trainer config with this machine.

    Args:
        config: its types are already checked.

    Returns:
        A line for each mistake.
    """
    accelerator = config.get("accelerator", "auto")
    kind = accelerator_kind(accelerator)
    if kind is None:
        return [
            f"trainer.accelerator: got {accelerator}, but this machine has none; take trainer.accelerator=cpu or auto"
        ]
    mistakes = []
    strategy = config.get("strategy", "auto")
    if strategy not in ("auto", *StrategyRegistry):
        mistakes.append(f"trainer.strategy: got {strategy}, wanted auto, ddp or another that Lightning knows by name")
    elif str(strategy).endswith(("spawn", "fork", "notebook")):
        mistakes.append(f"trainer.strategy: got {strategy}, whose processes lose the history of the run; take ddp")
    mistakes += _cpu_mistakes(config) if kind == "cpu" else _gpu_mistakes(config, kind)
    return mistakes or mistakes_in_start(config)


def _cpu_mistakes(config: Mapping[str, Any]) -> list[str]:
    devices, cores = config.get("devices", 1), os.cpu_count() or 1
    mistakes = []
    if isinstance(devices, list):
        mistakes.append(f"trainer.devices: got {devices}, wanted a number of processes, as accelerator is cpu")
    if isinstance(devices, int) and devices > cores:
        mistakes.append(f"trainer.devices: got {devices}, but this machine has {cores} (cpu cores)")
    if config.get("precision") == "16-mixed":
        mistakes.append("trainer.precision: got 16-mixed, which needs a GPU; take bf16-mixed, 32-true or auto")
    return mistakes


def _gpu_mistakes(config: Mapping[str, Any], kind: Kind) -> list[str]:
    devices = config.get("devices", 1)
    count = CUDAAccelerator.auto_device_count() if kind == "cuda" else 1
    mistakes = []
    if devices != "auto" and max(devices if isinstance(devices, list) else [devices - 1]) >= count:
        mistakes.append(f"trainer.devices: got {devices}, but this machine has {count} ({kind})")
    elif kind == "mps" and is_distributed(config):
        mistakes.append("trainer.devices: PyTorch trains on one device only with mps; take trainer=default")
    if kind == "mps" and config.get("deterministic") is True:
        mistakes.append(
            "trainer.deterministic: got true, but PyTorch has no deterministic max pooling on mps; "
            "take trainer.deterministic=warn or trainer.accelerator=cpu"
        )
    return mistakes
