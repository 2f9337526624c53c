"""Commands in processes of their own, timed from outside."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digits.cli import CONFIGS, WANTS_TRACEBACK
from digits.errors import DigitsError

ROOT = CONFIGS.parent
TAIL = 5  # lines of a failed command's output


class Processes:
    """Runs commands one after the other and keeps what each took and found.

    Attributes:
        log: a dict a process: command, seconds, peak memory in bytes, and what it printed as lines of JSON.
    """

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []

    def python(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """Run Python on `arguments` as in a terminal, so that progress bars are drawn; return its part of the log.

        Raises:
            DigitsError: it failed; with the end of what it printed.
        """
        # plain_errors has set this for Hydra in our own process
        env = os.environ | {"HYDRA_FULL_ERROR": str(int(WANTS_TRACEBACK))} | environment
        terminal, end = pty.openpty()
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=end, stderr=end
        )
        os.close(end)
        try:
            output = b"".join(_parts(terminal)).decode(errors="replace")
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            os.close(terminal)
        process.returncode = os.waitstatus_to_exitcode(status)
        lines = [line for line in output.splitlines() if line.strip()]
        named = " ".join(word.removeprefix(f"{ROOT}/").partition("\n")[0] for word in arguments)
        if process.returncode:
            raise DigitsError("\n".join([f"python {named} ended with {process.returncode}:", *lines[-TAIL:]]))
        done = {
            "command": named,
            "seconds": seconds,
            "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            "found": [json.loads(line) for line in lines if line.startswith("{")],
        }
        self.log.append(done)
        print(f"{seconds:6.1f} s  python {named}", file=sys.stderr)
        return done

    def reference(self, name: str, *arguments: str) -> list[dict[str, Any]]:
        """Run one of scripts/references; a dict for each epoch."""
        return self.python(str(ROOT / "scripts" / "references" / f"{name}.py"), *arguments)["found"]

    def watched(self, program: str, *overrides: str) -> dict[str, Any]:
        """Run train.py on the CPU inside a program that looks at it and ends it before anything is kept."""
        with TemporaryDirectory() as parent:
            options = ["trainer.accelerator=cpu", f"hydra.run.dir={parent}/run"]
            return self.python("-c", program, str(ROOT / "train.py"), *overrides, *options)

    def train(self, *overrides: str, **environment: str) -> dict[str, Any]:
        """Train on the CPU in a folder that is not kept; return what the run says of itself.

        Returns:
            `fit`: seconds of the whole fit, with validation, logs and checkpoints; `epochs`: seconds of its epochs
            alone; `samples`: gone through; `test`, `val`: accuracies; `peak`: bytes; `onnx`: milliseconds a picture.
        """
        from digits.reporting.compare import speed

        with TemporaryDirectory() as parent:
            folder = Path(parent) / "run"
            options = ["trainer.accelerator=cpu", f"hydra.run.dir={folder}"]
            done = self.python(str(ROOT / "train.py"), *overrides, *options, **environment)
            record, metrics = (json.loads((folder / name).read_text()) for name in ("run.json", "report/metrics.json"))
            found = {
                "fit": record["seconds"]["fit"],
                "epochs": metrics["fit_seconds"],
                "samples": metrics["dataset"]["train"] * metrics["epochs"],
                "test": metrics["test/accuracy"],
                "val": metrics["val/accuracy"],
                "peak": done["peak"],
                "onnx": speed(folder / "model.onnx")[0],
            }
        done["command"], done["found"] = f"train.py {' '.join(overrides)}", [found]
        return found


def _parts(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal, until nobody holds its other end."""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # how Linux says so
            return
        if not part:  # and how others do
            return
        yield part
