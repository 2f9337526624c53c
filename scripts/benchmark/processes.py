"""Run commands in processes of their own, and measure from outside how long they take."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from plain_errors import PlainError

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
CONFIGS = str(ROOT / "configs")
# Copied on import, before plain_errors changes it. Rich draws its progress bar into a pipe, as in a terminal.
ENVIRONMENT = os.environ | {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
ENVIRONMENT["MNIST_DIR"] = str(Path(os.environ.get("MNIST_DIR", "data")).expanduser().absolute())


def run(command: str, cwd: Path, until: str = "") -> list[dict[str, Any]]:
    """Run `train.py …`, or a script in this folder, in `cwd`. Arguments contain no spaces.

    Returns:
        The lines of JSON that it printed. `elapsed`, the seconds it took, is added to the last one, or to an empty one.

    Raises:
        PlainError: it failed, or `until` never appeared in its output. The process is killed when `until` appears.
    """
    script, *arguments = command.split()
    path = ROOT / script if script == "train.py" else HERE / script
    output, started = b"", time.perf_counter()
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen([sys.executable, path, *arguments], cwd=cwd, env=ENVIRONMENT, **pipes) as process:
        try:
            assert process.stdout
            while not (until and until.encode() in output) and (part := os.read(process.stdout.fileno(), 65536)):
                output += part
            elapsed = time.perf_counter() - started
            failed = until.encode() not in output or (not until and process.wait())
        finally:
            process.kill()  # does nothing if it has ended
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    if failed:
        raise PlainError("\n".join([f"{command} ended with {process.returncode}:", *lines[-5:]]))
    print(f"{elapsed:6.1f} s  {command}", file=sys.stderr)
    figures = [json.loads(line) for line in lines if line.startswith("{")] or [{}]
    figures[-1]["elapsed"] = elapsed
    return figures
