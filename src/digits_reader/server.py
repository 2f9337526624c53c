"""Serve the web application until a signal, with one process or several."""

import signal
import socket
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from digits_reader.app import create_app
from digits_reader.drawings import Drawings
from digits_reader.reader import by_name, page_readers
from plain_errors import ConfigError, Terminated


def serve(
    models: list[Path],
    drawings: Drawings,
    listener: socket.socket,
    hosts: list[str],
    proxies: list[str],
    origins: list[str],
    workers: int,
) -> None:
    """Print the address, then answer with `workers` processes until SIGINT or SIGTERM; uvicorn replaces one that dies.

    Raises:
        ModelFileError: a model cannot be read.
        KeyboardInterrupt, Terminated: always, in the end.
    """
    readers = page_readers(models)
    app = partial(create_app, readers, drawings, hosts, proxies, origins)
    config = uvicorn.Config(app, factory=True, workers=workers, log_level="warning", server_header=False)
    config.timeout_worker_healthcheck = 15  # seconds; in five, a process cannot start on a busy machine
    received: list[int] = []
    if workers > 1:
        supervisor = Multiprocess(config, [listener])
        run, handle = supervisor.run, lambda signum, _: supervisor.signal_queue.append(signum)
    else:
        server = uvicorn.Server(config)
        run, handle = partial(server.run, [listener]), server.handle_exit

    def end(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        handle(signum, frame)

    # From here on a signal is noted, whatever runs then: raised inside of an import, it would become another error.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end)
    addresses = " and, for other devices, ".join(f"http://{each}" for each in _addresses(*listener.getsockname()[:2]))
    print(f"digits: {addresses} (models: {', '.join(by_name(readers))}); Ctrl-C ends", flush=True)
    run()
    raise Terminated if signal.SIGTERM in received else KeyboardInterrupt


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on; at ::, it takes IPv4 too.

    Raises:
        ConfigError: this machine does not have the address, or another program the port.
    """
    is_ipv6 = ":" in host
    family, is_dual = socket.AF_INET6 if is_ipv6 else socket.AF_INET, is_ipv6 and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=is_dual)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (")[0].rstrip(".")
        raise ConfigError(f"{_address(host, port)}: {reason}; choose others with --host and --port") from error
    # Without this an answer on a reused connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _addresses(host: str, port: int) -> list[str]:
    """Where a browser finds a server that listens there: on this machine and, if it listens to all, in its network."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host)  # the two wildcards are no addresses to open
    outer = own_address() if local else None
    return [_address(each, port) for each in (local or host, outer) if each]


def own_address() -> str | None:
    """This machine's address in its network, None without one. It asks only for the route, and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for examples, which nobody has (RFC 5737)
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
