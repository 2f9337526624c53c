"""Commands run in processes of their own and timed from outside."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from digits.errors import DigitsError

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
CONFIGS = str(ROOT / "configs")
TAIL = 5  # lines of a failed command's output
# As it is on import, before plain_errors changes it; rich draws its bars into a pipe as it does in a terminal.
ENVIRONMENT = os.environ | {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
ENVIRONMENT["MNIST_DIR"] = str(Path(os.environ.get("MNIST_DIR", "data")).expanduser().absolute())


def run(command: str, cwd: Path, until: str = "") -> list[dict[str, Any]]:
    """Run `train.py …`, or a script beside this one, in `cwd`.

    Args:
        command: the script and its arguments, without blanks in them.
        cwd: a folder.
        until: where this appears in the output, the process is killed and its time ends.

    Returns:
        What it printed as lines of JSON; to the last, or an empty one, its seconds are added as `process`.

    Raises:
        DigitsError: it failed, or `until` never appeared; with the end of what it printed.
    """
    script, *words = command.split()
    path = ROOT / script if script == "train.py" else HERE / script
    output, seconds, started = b"", 0.0, time.perf_counter()
    with subprocess.Popen(
        [sys.executable, path, *words],
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        try:
            while part := os.read(process.stdout.fileno(), 65536):
                output += part
                if until and not seconds and until.encode() in output:
                    seconds = time.perf_counter() - started
                    process.kill()
            process.wait()
        except BaseException:
            process.kill()
            raise
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    if not seconds and (process.returncode or until):
        raise DigitsError("\n".join([f"{command} ended with {process.returncode}:", *lines[-TAIL:]]))
    seconds = seconds or time.perf_counter() - started
    print(f"{seconds:6.1f} s  {command}", file=sys.stderr)
    found = [json.loads(line) for line in lines if line.startswith("{")] or [{}]
    return [*found[:-1], found[-1] | {"process": seconds}]


def train(overrides: str, folder: Path) -> dict[str, Any]:
    """Run train.py into `folder`, an absolute path; return its results."""
    run(f"train.py {overrides} hydra.run.dir={folder}", folder.parent)
    return results(folder)


def results(folder: Path) -> dict[str, Any]:
    """What run.json and metrics.json in a run's folder say, in one dict."""
    return json.loads((folder / "run.json").read_text()) | json.loads((folder / "report" / "metrics.json").read_text())
