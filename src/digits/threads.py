"""How many threads PyTorch gets, and how they wait for each other. Both are decided before PyTorch is imported.

PyTorch's threads meet at the end of each operation, a thousand times a second. On Linux they wait by spinning, for a
millisecond and more: the fastest way on a machine that does nothing else. Where another program takes the core of one
of them, the others spin until it has the core back, and training takes three to twenty times as long. Threads that
sleep at once take a fifth longer on a quiet machine, but stay near their fair share on a busy one.
"""

import os
import sys
import time
from pathlib import Path

SECONDS = 0.06  # a look at the other programs: six ticks of the kernel's clock
LOOKS = 5  # a process that has just ended, as the job before, leaves work to the kernel; a busy one is seen each time
BUSY = 0.3  # cores that others use; below this the machine is quiet
SHORT_SPIN = "10000"  # as fast as the library's own spin on a quiet machine, and less costly if others start later
CHOSEN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # by the user or by the process that started this one


def prepare_threads() -> None:
    """Set the variables that PyTorch's thread library reads when it is loaded; those that are set already stay.

    Child processes inherit them.
    """
    if quota := quota_of_cores():  # the library itself does not know it
        os.environ.setdefault("OMP_NUM_THREADS", str(quota))
    if sys.platform == "linux" and not any(name in os.environ for name in CHOSEN):
        if all(cores_of_others() > BUSY for _ in range(LOOKS)):  # one look on a quiet machine
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        else:
            os.environ["GOMP_SPINCOUNT"] = SHORT_SPIN


def usable_cores() -> int:
    """The cores that this process may use: by its affinity, and by its container's quota, rounded up."""
    from joblib import cpu_count  # takes a quarter of a second, which --help does not need

    return cpu_count()


def quota_of_cores() -> int | None:
    """The cores that a container's quota allows, rounded up; None if that takes nothing away."""
    by_affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return usable_cores() if usable_cores() < by_affinity else None


def cores_of_others() -> float:
    """How many of the cores that this process may use are taken by other programs now."""
    before = _busy_ticks()
    time.sleep(SECONDS)
    return (_busy_ticks() - before) / (SECONDS * os.sysconf("SC_CLK_TCK"))


def _busy_ticks() -> int:
    """The time that this process's cores have worked, in ticks of the kernel's clock."""
    own = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    rows = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
    working = [map(int, row[1:4] + row[6:9]) for row in rows if row[0] in own]  # all but idle and waiting for a disk
    return sum(sum(row) for row in working)
