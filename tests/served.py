"""The server in a process of its own, as people start it, for tests to ask."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import ROOT

from digits.serving.drawings import Drawing, Drawings


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
    port: int
    drawings: Path

    def ask(self, method: str, path: str, body: Any = None, kind: str | None = None, **headers: str) -> Reply:
        """One request; dicts go as JSON, everything else as it is."""
        if isinstance(body, dict):
            body, kind = json.dumps(body), "application/json"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, ({"Content-Type": kind} if kind else {}) | names)
            with connection.getresponse() as reply:
                return Reply(reply.status, reply.headers, reply.read())

    def kept(self) -> dict[str, Drawing]:
        """The drawings in its file, by id."""
        with closing(Drawings(self.drawings)) as drawings:
            return {each.id: each for each in drawings.all()}


@contextmanager
def serving(*arguments: str | Path, cwd: Path) -> Iterator[Server]:
    """scripts/serve.py on a free port, its drawings in `cwd`."""
    drawings = cwd / "drawings.sqlite"
    words = [*map(str, arguments), "--port", "0", "--drawings", str(drawings)]
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "serve.py", *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    assert line.startswith("digits: http://127.0.0.1:"), process.stderr.read()
    try:
        yield Server(process, int(line.split(":")[3].split()[0]), drawings)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
