"""How many pictures a second the server reads, and how soon, beside Gradio around the same model.

Both servers run on this machine; this process asks them over loopback, in turn. A client keeps its connection and
sends the next picture as soon as it has the answer to the one before, so a time is what one of so many people waits.
Every answer is compared with the model's own, read without a server. Beside ours stands the median of its rounds'
ratios to Gradio, as both are slower while something else runs.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from digits.cli import plain_errors
from digits.errors import DataError
from digits.serving import Reader, read_picture

CLIENTS = (1, 16, 64)
ROUNDS, SECONDS = 5, 3.0  # of each server at each number of clients
CLOSE = 1e-4  # Gradio's environment may hold other versions of what prepares a picture
HERE = Path(__file__).parent

Shares = dict[int, float]  # how likely each digit is


@dataclass
class Api:
    """How to ask a server, and where its answer says how likely each digit is."""

    name: str
    port: int
    requests: list[bytes]
    shares: Callable[[Any], Shares]


@dataclass
class Round:
    """What came back: seconds from question to answer, and how many failed or were not the model's own answer."""

    times: list[float] = field(default_factory=list)
    errors: int = 0
    wrong: int = 0

    def rate(self) -> float:
        """Right answers a second."""
        return (len(self.times) - self.wrong) / SECONDS


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description="How many pictures a second the server reads, and how soon.")
    parser.add_argument("model", type=Path, help="a run's folder, or its model.onnx")
    parser.add_argument("pictures", nargs="+", type=Path, help="PNG files to ask about")
    parser.add_argument("--gradio", metavar="PYTHON", help="of an environment that holds Gradio, to compare with")
    arguments = parser.parse_args()

    reader = Reader(arguments.model)
    pictures = [path.read_bytes() for path in arguments.pictures]
    wanted = [_shares(reader.answers(read_picture(picture)[None])[0].probabilities) for picture in pictures]
    with TemporaryDirectory() as folder:
        commands = {
            "digits": [sys.executable, HERE / "serve.py", reader.path, "--port", "0", "--drawings", f"{folder}/d"]
        }
        if arguments.gradio:
            commands["gradio"] = [arguments.gradio, HERE / "rivals" / "gradio_app.py", reader.path]
        with running(*commands.values()) as ports:
            apis = [APIS[name](port, pictures) for name, port in zip(commands, ports, strict=True)]
            for api in apis:
                asyncio.run(ask(api, wanted, max(CLIENTS), 1.0))  # the first answers load what later ones find loaded
            rounds = {
                clients: [[asyncio.run(ask(api, wanted, clients, SECONDS)) for api in apis] for _ in range(ROUNDS)]
                for clients in CLIENTS
            }
    failed = sum(round.errors + round.wrong for each in rounds.values() for pair in each for round in pair)
    print(table([api.name for api in apis], rounds))
    if failed:
        raise DataError(f"{failed} answers were errors or not the model's own")


def digits_api(port: int, pictures: list[bytes]) -> Api:
    """scripts/serve.py: the picture is the body."""
    requests = [_post("/api/predict", "image/png", picture) for picture in pictures]
    return Api("digits", port, requests, lambda answer: {p["digit"]: p["probability"] for p in answer["probabilities"]})


def gradio_api(port: int, pictures: list[bytes]) -> Api:
    """scripts/rivals/gradio_app.py: the picture is a data URL in JSON, which spares an upload and a queue."""
    urls = ["data:image/png;base64," + base64.b64encode(picture).decode() for picture in pictures]
    bodies = [json.dumps({"data": [{"url": url}]}).encode() for url in urls]
    requests = [_post("/gradio_api/run/predict", "application/json", body) for body in bodies]
    return Api(
        "Gradio",
        port,
        requests,
        lambda answer: {int(each["label"]): each["confidence"] for each in answer["data"][0]["confidences"]},
    )


APIS = {"digits": digits_api, "gradio": gradio_api}


@contextmanager
def running(*commands: list[Any]) -> Iterator[list[int]]:
    """Servers, each in a process of its own, and the ports they say they listen on."""
    processes = []
    try:
        for command in commands:
            environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        lines = [process.stdout.readline() for process in processes if process.stdout]
        ports = [re.search(r"http://127\.0\.0\.1:(\d+)", line) for line in lines]
        if not all(ports):
            raise DataError("a server did not start; it says why above")
        yield [int(port[1]) for port in ports if port]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


async def ask(api: Api, wanted: list[Shares], clients: int, seconds: float) -> Round:
    """Some seconds of as many clients at once; each begins with another picture."""
    replies: list[tuple[int, float, bytes, bytes]] = []
    end = time.perf_counter() + seconds
    counts = await asyncio.gather(*(_client(api, number, end, replies) for number in range(clients)))
    found = Round(errors=sum(counts))
    for picture, taken, status, body in replies:
        if status != b"200":
            found.errors += 1
            continue
        found.times.append(taken)
        shares = api.shares(json.loads(body))
        found.wrong += any(abs(shares[digit] - share) > CLOSE for digit, share in wanted[picture].items())
    return found


async def _client(api: Api, picture: int, end: float, replies: list[tuple[int, float, bytes, bytes]]) -> int:
    """Ask until the end; the number of times the connection broke, 0 or 1."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        while (started := time.perf_counter()) < end:
            picture = (picture + 1) % len(api.requests)
            writer.write(api.requests[picture])
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length, head
            body = await reader.readexactly(int(length[1]))
            replies.append((picture, time.perf_counter() - started, head.split(maxsplit=2)[1], body))
        writer.close()
        await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        return 1
    return 0


def table(names: list[str], rounds: dict[int, list[list[Round]]]) -> str:
    """A line for each number of clients and server; times over all rounds."""
    lines = [
        f"{'clients':>7}  {'server':8}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'wrong':>7}{'ratio':>8}"
    ]
    for clients, each in rounds.items():
        for place, name in enumerate(names):
            own = [pair[place] for pair in each]
            p50, p99 = 1000 * np.quantile(np.concatenate([round.times for round in own]), (0.5, 0.99))
            line = f"{clients:7}  {name:8}{median(round.rate() for round in own):10.0f}{p50:9.1f}{p99:9.1f}"
            line += f"{sum(round.errors for round in own):8}{sum(round.wrong for round in own):7}"
            if len(names) > place + 1:
                line += f"{median(pair[0].rate() / pair[1].rate() for pair in each):8.1f}"
            lines.append(line)
    return "\n".join(lines)


def _shares(likelihoods: list[Any]) -> Shares:
    return {each.digit: each.probability for each in likelihoods}


def _post(path: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    with plain_errors():
        main()
