"""Lightning's Trainer with this project's defaults: precision by hardware, checkpoints written whole."""

import ctypes
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import lightning
import torch
from lightning import Callback
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from digits.ranges import Count, NonNegativeCount
from digits.training.checkpoints import AtomicCheckpointIO

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


# What libraries say to each other, or of this project's own choices, is nothing a user can act on.
for message in (
    ".*does not have many workers",  # the digits lie in memory, worker processes would only slow them down
    ".*isinstance.treespec, LeafSpec.",  # lightning to torch
    ".*torch.jit.trace",  # TensorBoard's graph, to torch
    ".*not supported by the model summary",  # bf16 in the estimate of megabytes
    ".*across ranks is zero",  # data.val_size=0
    ".*this fit will run with no optimizer",  # models that are worked out in one pass
    ".*GPU available but not used",  # what is done once is done on the CPU, and who asks for the CPU wants it
    ".*`srun` command is available",  # Slurm is installed, and this run is none of its jobs
):
    warnings.filterwarnings("ignore", message=message)


class Trainer(lightning.Trainer):
    """A Trainer that a config can name.

    Args:
        accelerator: `auto` takes a GPU where there is one.
        devices: how many, or which by index, or `auto` for all.
        precision: `auto` takes bf16-mixed where the hardware multiplies bf16, else 32-true.
        max_epochs: passes over the training split.
        strategy: `auto`, `ddp`, or another that Lightning knows by name.
        options: those of lightning.Trainer.
    """

    fast_dev_run: bool | int  # set by Lightning, which does not say so
    callbacks: list[Callback]

    def __init__(
        self,
        accelerator: Accelerator = "auto",
        devices: Count | list[NonNegativeCount] | Literal["auto"] = 1,
        precision: Precision | Literal["auto"] = "auto",
        max_epochs: Count = 10,
        strategy: str = "auto",
        **options: Any,
    ) -> None:
        if accelerator_kind(accelerator) == "cpu":
            keep_freed_memory()
        super().__init__(
            accelerator=accelerator,
            devices=devices,
            precision=automatic_precision(accelerator) if precision == "auto" else precision,
            max_epochs=max_epochs,
            # the running means that a rank keeps are not used in training: Network shares them once an epoch
            strategy=DDPStrategy(forward_sync_buffers=False) if strategy == "ddp" else strategy,
            plugins=[AtomicCheckpointIO()],
            use_distributed_sampler=False,  # DigitsData deals the batches among ranks itself, none twice
            **options,
        )


def keep_freed_memory() -> None:
    """Have the C library keep what a step frees for the next one: a quarter off a step of convolutions on a CPU.

    glibc hands large blocks back to the kernel at once, which then has to clear each page of them for the next step.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for a large tensor
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never give the end of the heap back


def automatic_precision(accelerator: Accelerator) -> Precision:
    """bf16-mixed where the hardware has units for it (GPU, AMX, AVX512-BF16), else 32-true."""
    kind = accelerator_kind(accelerator)
    if kind == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        cpu = torch.cpu.get_capabilities()
        has_bf16 = kind == "cpu" and bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))
    return "bf16-mixed" if has_bf16 else "32-true"


def accelerator_kind(accelerator: Accelerator) -> Literal["cpu", "cuda", "mps"] | None:
    """What `accelerator` means on this machine; None where this machine has nothing of the kind."""
    if accelerator == "cpu":
        return "cpu"
    if accelerator in ("auto", "gpu", "cuda") and CUDAAccelerator.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and MPSAccelerator.is_available():
        return "mps"
    return "cpu" if accelerator == "auto" else None


def is_distributed(config: Mapping[str, Any]) -> bool:
    """Whether a trainer config asks for more than one process."""
    devices = config.get("devices", 1)
    several = len(devices) > 1 if isinstance(devices, Sequence) and devices != "auto" else devices != 1
    return several or str(config.get("strategy", "auto")).startswith("ddp") or config.get("num_nodes", 1) > 1


def hardware_mistakes(config: dict[str, Any]) -> list[str]:
    """What a trainer config, its types already checked, asks of this machine that it has not; a line each."""
    accelerator, devices = config.get("accelerator", "auto"), config.get("devices", 1)
    kind = accelerator_kind(accelerator)
    if kind is None:
        return [
            f"trainer.accelerator: got {accelerator}, but this machine has none; take trainer.accelerator=cpu or auto"
        ]
    mistakes = []
    strategy = config.get("strategy", "auto")
    if strategy not in ("auto", *StrategyRegistry):
        mistakes.append(f"trainer.strategy: got {strategy}, wanted auto, ddp or another that Lightning knows by name")
    if kind == "cpu" and isinstance(devices, list):
        mistakes.append(f"trainer.devices: got {devices}, wanted a number of processes, as accelerator is cpu")
    if kind == "cpu" and isinstance(devices, int) and devices > (cores := os.cpu_count() or 1):
        mistakes.append(f"trainer.devices: got {devices}, but this machine has {cores} (cpu cores)")
    if kind != "cpu" and devices != "auto":
        there = CUDAAccelerator.auto_device_count() if kind == "cuda" else 1
        if max(devices if isinstance(devices, list) else [devices - 1]) >= there:
            mistakes.append(f"trainer.devices: got {devices}, but this machine has {there} ({kind})")
    if kind == "mps" and is_distributed(config):
        mistakes.append("trainer.devices: PyTorch trains on one device only with mps; take trainer=default")
    if kind == "mps" and config.get("deterministic") is True:
        mistakes.append(
            "trainer.deterministic: got true, but PyTorch has no deterministic max pooling on mps; "
            "take trainer.deterministic=warn or trainer.accelerator=cpu"
        )
    if kind == "cpu" and config.get("precision") == "16-mixed":
        mistakes.append("trainer.precision: got 16-mixed, which needs a GPU; take bf16-mixed, 32-true or auto")
    return mistakes
