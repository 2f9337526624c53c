"""Keep run.json up to date, from the start of a run to its end."""

import os
import platform
import subprocess
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from digits.record import Git
from digits.reporting.tracking import end_tracking
from digits.run_folder import RunFolder
from digits.threads import quota_of_cores, usable_cores
from plain_errors import Pruned, end_of, in_one_line

PACKAGES = ["torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "omegaconf", "onnx", "onnxruntime"]


class Run:
    """A context manager: the run's status is `running` inside, and `finished`, `pruned` or `failed` after it.

    Args:
        folder: where run.json lies; it says already what the run is. Only rank 0 writes.

    Attributes:
        record: what run.json says.
        loggers: of the run, by name, once it has them; MLflow and W&B are told how it has ended.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.record = folder, folder.record()
        self.loggers: dict[str, Logger] = {}

    def __enter__(self) -> "Run":
        self.record.status = "running"
        if not self.record.versions:  # another part of the run has not written them
            self.record.git, self.record.versions, self.record.hardware = git_state(), versions(), hardware()
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.record.status = "finished"
        elif isinstance(error, Pruned):
            self.record.status = "pruned"
        else:
            self.record.status = "failed"
            self.record.error = in_one_line(error) or type(error).__name__
            if isinstance(error, KeyboardInterrupt):
                self.record.error = end_of(error)
            else:
                self.record.traceback = traceback.format_exception(error)
        self._write()
        end_tracking(self.loggers.values(), error)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the seconds of one part of the run."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.record.seconds = self.record.seconds | {name: round(time.monotonic() - started, 3)}
        self._write()

    @rank_zero_only
    def _write(self) -> None:
        self.folder.write_record(self.record)


def git_state() -> Git:
    """Commit of the project's checkout, and whether it has uncommitted changes."""

    def git(*words: str) -> str | None:
        folder = Path(__file__).parent
        try:
            done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain")
    return Git(commit=git("rev-parse", "HEAD"), dirty=None if changes is None else bool(changes))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """The machine in a few words: system, processor, its cores and those that may be used, torch's threads, GPUs."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    quota = quota_of_cores()
    return ({"quota": quota} if quota else {}) | {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": torch.cpu.get_capabilities().get("cpu_name") or platform.processor(),
        "machine_cores": os.cpu_count(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpus": gpus or ["MPS"] * torch.backends.mps.is_available(),
    }
