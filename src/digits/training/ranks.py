"""Is this process one of several that train one model?"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


def is_distributed(config: Mapping[str, Any]) -> bool:
    """Whether a trainer config asks for more than one process."""
    devices = config.get("devices", 1)
    several = len(devices) > 1 if isinstance(devices, Sequence) and devices != "auto" else devices != 1
    return several or str(config.get("strategy", "auto")).startswith("ddp") or (config.get("num_nodes") or 1) > 1


def rank() -> int:
    """The number of this process among those of a distributed run, by the variables of what started it."""
    return max(int(os.environ.get(name, 0)) for name in RANKS)


def forget_rank() -> None:
    """Remove the variables that torchrun, srun or an earlier job left to a process that trains alone.

    Lightning reads them when it is imported, and would take the process for a rank that writes nothing.
    """
    for name in (*RANKS, "SLURM_NTASKS"):
        os.environ.pop(name, None)
