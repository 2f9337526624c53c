"""Lightning's Trainer with this project's defaults: precision by hardware, checkpoints written whole."""

import ctypes
import os
import sys
from datetime import timedelta
from typing import Any, Literal

import lightning
from lightning import Callback
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from digits.ranges import Count, NonNegativeCount
from digits.training.checkpoints import AtomicCheckpointIO
from digits.training.hardware import Accelerator, Precision, accelerator_kind, automatic_precision

LOST = timedelta(seconds=45)  # the run ends if another process does not answer for this long


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

    fast_dev_run: bool | int  # Lightning sets it, but does not declare it
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
            # Lightning sets it. AdamW then looks for NVIDIA's library in each step, for up to half a millisecond.
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        plugins: list[Any] = [AtomicCheckpointIO()]
        if SLURMEnvironment.detect():  # a job that Lightning puts back into the queue would begin a new run
            plugins.append(SLURMEnvironment(auto_requeue=False))
        super().__init__(
            accelerator=accelerator,
            devices=devices,
            precision=automatic_precision(accelerator) if precision == "auto" else precision,
            max_epochs=max_epochs,
            # training does not use the statistics of batch normalisation: Network shares them once an epoch
            strategy=DDPStrategy(forward_sync_buffers=False, timeout=LOST) if strategy == "ddp" else strategy,
            plugins=plugins,
            use_distributed_sampler=False,  # DigitsData splits the batches among the ranks itself
            **options,
        )


def keep_freed_memory() -> None:
    """Have the C library keep the memory that a step frees for the next one.

    glibc gives large blocks back to the kernel at once. The kernel then clears each page of them for the next step,
    which takes a quarter of a step of convolutions on a CPU.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(-4, 0)  # M_MMAP_MAX: a large tensor gets no separate block
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never give the end of the heap back
