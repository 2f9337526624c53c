"""Read digits over HTTP, with a page to draw on: http://127.0.0.1:8000."""

import argparse
import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from digits.cli import plain_errors
from digits.errors import ConfigError

RUNS = Path("outputs")


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="runs or their model.onnx (default: the newest run's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets in the network")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name of this server"
    )
    parser.add_argument("--drawings", type=Path, default=Path("data/drawings.sqlite"), help="where drawings are kept")
    arguments = parser.parse_args()

    from digits.serving.drawings import Drawings

    with closing(Drawings(arguments.drawings, create=True)) as drawings, listen(arguments) as listening:
        models = arguments.models or [newest_run() or quickstart()]

        import uvicorn

        from digits.serving.app import create_app
        from digits.serving.reader import Reader, by_name

        readers = [Reader(path) for path in models]
        app = create_app(readers, drawings, ["localhost", arguments.host, *arguments.allow_host])
        host, port = listening.getsockname()[:2]
        print(f"digits: http://{host}:{port} (models: {', '.join(by_name(readers))}); Ctrl-C ends", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[listening])


def listen(arguments: argparse.Namespace) -> socket.socket:
    """Take the address, before anything that takes long."""
    try:
        listening = socket.create_server((arguments.host, arguments.port), backlog=2048)
    except (OSError, OverflowError) as error:
        reason = error.strerror.partition(" (")[0] if isinstance(error, OSError) and error.strerror else str(error)
        place = f"{arguments.host}:{arguments.port}"
        raise ConfigError(f"{place}: {reason}; choose others with --host and --port") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or an answer waits 40 ms on a kept connection
    return listening


def newest_run() -> Path | None:
    """The folder of the run that finished last."""
    finished = [
        path.parent
        for path in RUNS.rglob("run.json")
        if (path.parent / "model.onnx").exists() and json.loads(path.read_text() or "{}").get("status") == "finished"
    ]
    return max(finished, key=lambda folder: (folder / "model.onnx").stat().st_mtime, default=None)


def quickstart() -> Path:
    """Train the quickstart, as there is no run yet."""
    print(f"no finished run in {RUNS}: training the quickstart first, under a minute", flush=True)
    train = Path(__file__).parents[1] / "train.py"
    code = subprocess.run([sys.executable, train, "experiment=quickstart"], check=False).returncode
    if code:
        sys.exit(code)
    folder = newest_run()
    assert folder is not None
    return folder


if __name__ == "__main__":
    with plain_errors():
        main()
