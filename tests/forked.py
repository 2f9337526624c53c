"""Commands in a copy of a process that has imported PyTorch and Lightning already, which takes ten seconds each time.

Run as a program, this is that process: for each line of JSON it gets, it forks and runs a script in the child.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib import import_module
from pathlib import Path
from signal import SIGKILL
from threading import Timer

# None of them starts a thread, which a fork would lack.
IMPORTED = ["digits.training.train", "digits.data.mnist_5k", "torch.utils.tensorboard", "onnxscript", "sklearn.svm"]


@cache
def _server() -> subprocess.Popen[str]:
    """The process that forks, started once; it ends when its input is closed, so with this process."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(words: list[str], cwd: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a script with its arguments in `cwd`; like `subprocess.run` of Python with `words`."""
    server = _server()
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdout", "stderr")]
        request = {"words": words, "cwd": str(cwd), "environment": dict(os.environ), "files": list(map(str, files))}
        print(json.dumps(request), file=server.stdin, flush=True)
        child, begin = int(server.stdout.readline()), time.monotonic()
        timer = Timer(timeout, os.kill, (child, SIGKILL))
        timer.start()
        try:
            code = int(server.stdout.readline())
        except BaseException:  # pytest-timeout's; the next command must not get this one's exit code
            os.kill(child, SIGKILL)
            server.stdout.readline()
            raise
        finally:
            timer.cancel()
        if time.monotonic() - begin >= timeout:
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, code, *(file.read_text() for file in files))


def serve() -> None:
    """Answer requests; returns in each child, ready to run its script."""
    for name in IMPORTED:
        import_module(name)
    export_once()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            return become(**request)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def export_once() -> None:
    """Export some model to ONNX: the first export takes twice as long as the next ones."""
    import torch  # not in the process that runs the tests
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread
    torch.onnx.export(torch.nn.Linear(1, 1).eval(), (torch.zeros(2, 1),), verbose=False)


def become(words: list[str], cwd: str, environment: dict[str, str], files: list[str]) -> None:
    """Take the place of a process that was started with these words, in this folder, with its output in files."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for target, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), target)
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)


if __name__ == "__main__":
    serve()
    runpy.run_path(sys.argv[0], run_name="__main__")
