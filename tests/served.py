"""Start scripts/serve.py in a process of its own, as people do, and send it requests."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from conftest import ROOT

from digits_reader.drawings import Drawing, Drawings


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    drawings: Path
    said: str  # its first line

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    def ask(self, method: str, path: str, body: Any = None, kind: str | None = None, **headers: str) -> Reply:
        """Send one request; a dict becomes JSON, any other body is sent unchanged."""
        if isinstance(body, dict):
            body, kind = json.dumps(body), "application/json"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)) as connection:
            connection.request(method, path, body, ({"Content-Type": kind} if kind else {}) | names)
            with connection.getresponse() as reply:
                return Reply(reply.status, reply.headers, reply.read())

    def saved(self) -> dict[str, Drawing]:
        """The drawings in the server's folder, by id."""
        return {each.id: each for each in Drawings(self.drawings).all()}


def start(
    script: str,
    *arguments: str | Path,
    cwd: Path,
    stderr: IO[str] | int = subprocess.PIPE,
    before: Sequence[str | Path] = (),
) -> subprocess.Popen[str]:
    """Start one of the scripts in `cwd`, with its output as text; `before` is a command that runs it."""
    return subprocess.Popen(
        [*before, sys.executable, ROOT / script, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        # A child of a process that ignores SIGINT, like a background job of a shell, ignores it too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@contextmanager
def serving(*arguments: str | Path, cwd: Path, before: Sequence[str | Path] = ()) -> Iterator[Server]:
    """Run scripts/serve.py on a free port, with its drawings in `cwd`."""
    drawings = cwd / "drawings"
    words = (*arguments, "--port", "0", "--drawings", drawings)
    said = cwd / "stderr.txt"  # a pipe that nobody reads gets full after some thousand warnings, and the server waits
    with said.open("w") as file, start("scripts/serve.py", *words, cwd=cwd, stderr=file, before=before) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line.startswith("digits: http://"), line + said.read_text()
            yield Server(process, line.split()[1], drawings, line)
        finally:
            process.kill()
