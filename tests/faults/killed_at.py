"""Run a script that is killed at a chosen moment: killed_at.py HOW NUMBER PART FROM script argument…

HOW is `event`: at the NUMBER-th time that a file whose path holds PART is opened, synced, renamed or deleted; or
`bytes`: when a file gets longer than NUMBER bytes, with all before them written. FROM is a file: nothing counts before
it is there. `full` is like `bytes`, but a write fails as on a full disk, and the script goes on.
"""

import os
import resource
import runpy
import signal
import sys
from pathlib import Path

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "fsync"}


class Killer:
    """An audit hook."""

    def __init__(self, how: str, number: str, part: str, start: str) -> None:
        self.how, self.left, self.part, self.start = how, int(number), part, Path(start)
        self.armed = False

    def __call__(self, name: str, arguments: tuple) -> None:
        if name not in EVENTS or not any(self.part in str(each) for each in arguments[:2]):
            return
        if not self.armed:
            if not os.access(self.start, os.F_OK):
                return
            self.armed = True
            if self.how != "event":
                self.limit()
        if self.how == "event":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def limit(self) -> None:
        if self.how == "bytes":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and then a write fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.left, self.left))


def synced(descriptor: int) -> None:
    sys.audit("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    fsync(descriptor)


if __name__ == "__main__":
    fsync, os.fsync = os.fsync, synced
    hook, sys.argv = Killer(*sys.argv[1:5]), sys.argv[5:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.addaudithook(hook)
    runpy.run_path(sys.argv[0], run_name="__main__")
