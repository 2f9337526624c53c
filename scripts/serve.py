"""Read digits over HTTP, with a page to draw on: http://127.0.0.1:8000."""

import argparse
import socket
import subprocess
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits.run_folder import RunFolder
from plain_errors import ConfigError, Terminated, plain_errors

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

RUNS = Path("outputs")


def newest_run() -> Path | None:
    """The newest finished run; None if there is none."""
    with suppress(ConfigError):
        return RunFolder.newest().path
    return None


def main() -> None:
    """Parse the command line, then serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="runs or their model.onnx (default: the newest run)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 for any free one")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="another name of this server")
    parser.add_argument("--drawings", type=Path, default=Path("data/drawings.sqlite"), help="file to save drawings in")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that answer (default: 1)")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        raise ConfigError(f"--workers: got {arguments.workers}, wanted at least 1")

    from digits_reader.drawings import Drawings

    # The address and the file come first: both may fail, and training the quickstart takes long.
    with closing(Drawings(arguments.drawings, mode="rwc")) as drawings, listen(arguments) as listener:
        models = arguments.models or [newest_run() or train_quickstart()]

        import uvicorn

        from digits_reader.app import create_app
        from digits_reader.reader import Reader, by_name

        readers = [Reader(path) for path in models]
        hosts = ["localhost", arguments.host], arguments.allow_host
        host, port = listener.getsockname()[:2]
        print(f"digits: http://{host}:{port} (models: {', '.join(by_name(readers))}); Ctrl-C ends", flush=True)
        options: dict[str, Any] = {"log_level": "warning", "server_header": False}
        if arguments.workers == 1:
            app = create_app(readers, drawings, *hosts)
            uvicorn.Server(uvicorn.Config(app, **options)).run(sockets=[listener])
        else:
            factory = partial(app_of_worker, models, arguments.drawings, *hosts)
            run_workers(uvicorn.Config(factory, factory=True, workers=arguments.workers, **options), listener)


def app_of_worker(models: list[Path], drawings: Path, hosts: list[str], origins: list[str]) -> "FastAPI":
    """Build the application in a worker. Each worker opens the models and the drawings itself."""
    from digits_reader.app import create_app
    from digits_reader.drawings import Drawings
    from digits_reader.reader import Reader

    return create_app([Reader(path) for path in models], Drawings(drawings, mode="rw"), hosts, origins)


def run_workers(config: "uvicorn.Config", listener: socket.socket) -> None:
    """Keep the workers running until a signal; uvicorn replaces a worker that dies."""
    from uvicorn.supervisors import Multiprocess

    class Supervisor(Multiprocess):
        ended_by: type[BaseException] = KeyboardInterrupt

        def handle_term(self) -> None:
            self.ended_by = Terminated
            super().handle_term()

    supervisor = Supervisor(config, sockets=[listener])
    supervisor.run()
    raise supervisor.ended_by


def listen(arguments: argparse.Namespace) -> socket.socket:
    """Open the socket to listen on."""
    try:
        listener = socket.create_server((arguments.host, arguments.port), backlog=2048)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        place = f"{arguments.host}:{arguments.port}"
        raise ConfigError(f"{place}: {reason}; choose others with --host and --port") from error
    # Without this an answer on a reused connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def train_quickstart() -> Path:
    """Train the quickstart experiment; return its folder."""
    print(f"no finished run in {RUNS}: training the quickstart first, under a minute", flush=True)
    train = Path(__file__).parents[1] / "train.py"
    code = subprocess.run([sys.executable, train, "experiment=quickstart"], check=False).returncode
    folder = newest_run()
    if code or folder is None:
        sys.exit(code)
    return folder


if __name__ == "__main__":
    with plain_errors():
        main()
