"""Run commands in processes of their own, and measure from outside what they take."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from resource import struct_rusage
from typing import Any

from plain_errors import PlainError

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
CONFIGS = str(ROOT / "configs")
# Without settings of OpenMP: train.py makes its own, and the references run with the defaults.
ENVIRONMENT = {key: text for key, text in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_"))}
# Rich draws its progress bar into a pipe, as in a terminal.
ENVIRONMENT |= {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
ENVIRONMENT["MNIST_DIR"] = str(Path(os.environ.get("MNIST_DIR", "data")).expanduser().absolute())


def run(command: str, cwd: Path, until: str = "") -> list[dict[str, Any]]:
    """Run `train.py …`, or a script in this folder, in `cwd`. Arguments contain no spaces.

    Returns:
        The lines of JSON that it printed. The last one, or an empty one, also gets `elapsed`, the seconds it took, and
        `peak`, the most memory it had, in MB.

    Raises:
        PlainError: it failed, or `until` never appeared in its output. The process is killed when `until` appears.
    """
    script, *arguments = command.split()
    path = ROOT / script if script == "train.py" else HERE / script
    output, started = b"", time.perf_counter()
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with child_process([sys.executable, path, *arguments], cwd=cwd, env=ENVIRONMENT, **pipes) as process:
        assert process.stdout
        while not (until and until.encode() in output) and (part := os.read(process.stdout.fileno(), 65536)):
            output += part
        elapsed = time.perf_counter() - started
        if reached := bool(until) and until.encode() in output:
            process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    if not reached and (until or process.returncode):
        raise PlainError("\n".join([f"{command} ended with {process.returncode}:", *lines[-5:]]))
    print(f"{elapsed:6.1f} s  {command}", file=sys.stderr)
    figures = [json.loads(line) for line in lines if line.startswith("{")] or [{}]
    figures[-1] |= {"elapsed": elapsed, "peak": megabytes(usage)}
    return figures


@contextmanager
def busy(number: int) -> Iterator[None]:
    """Meanwhile as many other processes count in a Python loop, as long as this one lives."""
    loop = f"import os\ncount = 0\nwhile os.getppid() == {os.getpid()}: count += 1"
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(child_process([sys.executable, "-c", loop]))
        yield


@contextmanager
def child_process(command: Sequence[Any], **options: Any) -> Iterator[subprocess.Popen]:
    """A process that is killed at the end, if it still runs."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def megabytes(usage: struct_rusage) -> float:
    """The most memory that a process has had."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
