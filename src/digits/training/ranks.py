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


def is_first(config: Mapping[str, Any]) -> bool:
    """Whether this process is rank 0, which alone checks, claims a folder and reports.

    A process that trains alone is no rank. torchrun, srun or an earlier job may still have left it variables that
    Lightning would take for one: they are removed, before Lightning is imported.
    """
    if is_distributed(config):
        return not any(int(os.environ.get(name, 0)) for name in RANKS)
    for name in (*RANKS, "SLURM_NTASKS"):
        os.environ.pop(name, None)
    return True
