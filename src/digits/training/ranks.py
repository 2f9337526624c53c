"""Is this process one of several that train one model, and which folder do they share?"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

SLURM_TASKS = "SLURM_NTASKS"  # in a job of Slurm
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")

_stores: list[Any] = []  # rank 0 answers the others as long as its store lives


def is_distributed(config: Mapping[str, Any]) -> bool:
    """Whether a trainer config asks for more than one process."""
    devices = config.get("devices", 1)
    several = len(devices) > 1 if isinstance(devices, Sequence) and devices != "auto" else devices != 1
    return several or str(config.get("strategy", "auto")).startswith("ddp") or (config.get("num_nodes") or 1) > 1


def rank() -> int:
    """The number of this process in a distributed run, from the environment variables in RANKS; 0 without them."""
    return max(int(os.environ.get(name, 0)) for name in RANKS)


def started_processes() -> int:
    """How many processes torchrun or srun has started for this run; 1 without them."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    if _in_slurms_shell():
        return 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def _in_slurms_shell() -> bool:
    """Whether this is a shell of Slurm's, in which Lightning ignores Slurm too."""
    return os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")


def _lacks_srun() -> bool:
    """Whether this is a job of Slurm without srun: Lightning then waits for tasks that nobody has started."""
    starters = ("SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RUN_ID")
    return SLURM_TASKS in os.environ and not _in_slurms_shell() and not any(name in os.environ for name in starters)


def mistakes_in_start(config: Mapping[str, Any]) -> list[str]:
    """Compare a checked trainer config with the number of processes that torchrun or srun has started."""
    started, nodes, devices = started_processes(), config.get("num_nodes") or 1, config.get("devices", 1)
    if is_distributed(config) and _lacks_srun():
        return [f"trainer.devices: got {devices} in a job of Slurm; put srun in front of python, to start its tasks"]
    each = len(devices) if isinstance(devices, list) else devices
    if started == 1 and nodes > 1:
        return [f"trainer.num_nodes: got {nodes}, but this is one process; start the others with srun or torchrun"]
    if started == 1 or each == "auto" or each * nodes == started:
        return []
    return [
        f"trainer.devices: got {devices}{f' on {nodes} machines' * (nodes > 1)}, but torchrun or srun has started "
        f"{started} processes; take trainer=ddp, with trainer.devices times trainer.num_nodes equal to that"
    ]


def forget_rank() -> None:
    """Remove the variables that torchrun, srun or an earlier job left to a process that trains alone.

    Lightning reads them when it is imported, and would take the process for a rank that writes nothing.
    """
    for name in (*RANKS, SLURM_TASKS):
        os.environ.pop(name, None)


def share_folder(folder: str | None = None) -> str:
    """Return the run's folder: rank 0 passes it in, and the others wait for it.

    Alone, each rank would name another folder, after the second in which it starts. Rank 0 passes an empty text if
    there will be no run, and then waits until the others have read it.
    """
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from torch.distributed.rendezvous import rendezvous

    attempt = f"run_folder {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"  # torchrun keeps its store for the next
    started = started_processes()
    if SLURM_TASKS in os.environ:  # Lightning reads this, which srun --ntasks=2 does not set
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(started // int(os.environ["SLURM_NNODES"])))
    environment = TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment()
    url = f"tcp://{environment.main_address}:{environment.main_port}"
    store, *_ = next(rendezvous(url, rank(), started))
    _stores.append(store)
    if folder is None:
        folder = store.get(attempt).decode()
        store.add(f"{attempt} heard", 1)
        return folder
    store.set(attempt, folder)
    end = time.monotonic() + 60
    while not folder and store.add(f"{attempt} heard", 0) < started - 1 and time.monotonic() < end:
        time.sleep(0.1)
    return folder
