"""Commands in a copy of a process that has imported PyTorch and Lightning already, which takes seconds each time.

Run as a program, this is that process: for each request it gets, it forks, and the copy becomes the script.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from select import select
from threading import Lock
from typing import IO

# None of them starts a thread, which a fork would lack.
IMPORTED = ["digits.training.train", "digits.data.mnist_5k", "torch.utils.tensorboard", "onnxscript", "sklearn.svm"]
NUMBER = 4  # bytes

_lock = Lock()


@cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process that forks, started once; it ends when the other end of its socket is closed, so with this one."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        words = [sys.executable, __file__, str(theirs.fileno())]
        return subprocess.Popen(words, pass_fds=[theirs.fileno()]), ours


class Forked:
    """A script that runs in such a copy. It is used like subprocess.Popen.

    Args:
        words: the script and its arguments.
        cwd: the folder in which it starts.
        output: where its standard output and standard error go.
        environment: added to that of this process.
        session: whether it gets a session and a group of processes of its own.
    """

    def __init__(
        self,
        words: list[str],
        cwd: Path,
        output: tuple[IO | int, IO | int],
        environment: dict[str, str] | None = None,
        session: bool = False,
    ) -> None:
        environment = os.environ | (environment or {})
        request = {"words": words, "cwd": str(cwd), "environment": environment, "session": session}
        self._news, theirs = os.pipe()
        files = [file if isinstance(file, int) else file.fileno() for file in output]
        with _lock:
            _, server = _server()
        socket.send_fds(server, [json.dumps(request).encode()], [*files, theirs])
        os.close(theirs)
        self.returncode: int | None = None
        self.pid = self._next()

    def _next(self) -> int:
        news = os.read(self._news, NUMBER)
        assert news, "the process that forks has ended"
        return int.from_bytes(news, "little", signed=True)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select([self._news], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a copy", timeout or 0)
            self.returncode = self._next()
            os.close(self._news)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def run(words: list[str], cwd: Path, timeout: float, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script with its arguments in `cwd`; like `subprocess.run` of Python with `words`."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = Forked(words, cwd, (output, errors), environment)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def serve(requests: socket.socket) -> None:
    """Answer requests; returns in each copy, ready to run its script."""
    for name in IMPORTED:
        import_module(name)
    export_once()
    gc.freeze()  # the copies need not look through all this for garbage
    while True:
        request, files, *_ = socket.recv_fds(requests, 1 << 20, 3)
        if not request:
            sys.exit()
        if not os.fork():
            if watch(files.pop()):
                requests.close()
                return become(files, **json.loads(request))
            os._exit(0)
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def watch(news: int) -> bool:
    """Fork once more. Return True in the copy; in its parent, tell its number and how it ended, and return False."""
    if not (copy := os.fork()):
        os.close(news)
        return True
    os.write(news, copy.to_bytes(NUMBER, "little"))
    _, status = os.waitpid(copy, 0)
    os.write(news, os.waitstatus_to_exitcode(status).to_bytes(NUMBER, "little", signed=True))
    return False


def export_once() -> None:
    """Export some model to ONNX: the first export takes twice as long as the next ones."""
    import torch  # not in the process that runs the tests
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread
    torch.onnx.export(torch.nn.Linear(1, 1).eval(), (torch.zeros(2, 1),), verbose=False)


def become(files: list[int], words: list[str], cwd: str, environment: dict[str, str], session: bool) -> None:
    """Take the place of a process that was started with these words, in this folder, with its output in files."""
    if session:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which `nohup` and `&` have children ignore
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for target, file in enumerate([os.open(os.devnull, os.O_RDONLY), *files]):
        os.dup2(file, target)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_path(sys.argv[0], run_name="__main__")
