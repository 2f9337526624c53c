"""How many pictures a second the server answers, and how soon, next to Gradio around the same model.

Both servers run on this machine; this process asks them over loopback, in turn. A client keeps its connection and
sends the next picture as soon as it has the answer to the one before, so a time is what one of so many people waits.
Every answer is compared with the model's own, read without a server.
"""

import argparse
import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from digits.cli import plain_errors
from digits.errors import DataError
from digits.serving import Reader, read_picture
from processes import ENVIRONMENT, HERE, ROOT
from table import table

CLIENTS = (1, 16, 64)
ROUNDS, SECONDS = 5, 3.0  # of each server at each number of clients
CLOSE = 1e-4  # Gradio's environment may hold other versions of what prepares a picture

Probabilities = dict[int, float]  # of each digit
Round = list[tuple[float, str]]  # of each question the seconds until its answer, and `right`, `wrong` or `error`


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description="How many pictures a second the server answers, and how soon.")
    parser.add_argument("model", type=Path, help="a run's folder, or its model.onnx")
    parser.add_argument("pictures", nargs="+", type=Path, help="PNG files to ask about")
    parser.add_argument("--gradio", metavar="PYTHON", help="of an environment that holds Gradio, to compare with")
    arguments = parser.parse_args()

    reader = Reader(arguments.model)
    model = reader.path.absolute()
    commands: dict[str, list[Any]] = {"digits": [sys.executable, ROOT / "scripts" / "serve.py", model, "--port", "0"]}
    if arguments.gradio:
        commands["gradio"] = [Path(arguments.gradio).absolute(), HERE / "rivals" / "gradio_app.py", model]
    questions = []
    for path in arguments.pictures:
        (answer,) = reader.answers(read_picture(path.read_bytes())[None])
        questions.append((path.read_bytes(), {each.digit: each.probability for each in answer.probabilities}))
    rounds: dict[tuple[int, str], list[Round]] = {(clients, name): [] for clients in CLIENTS for name in commands}
    with running(commands) as ports:
        for name, port in ports.items():
            ask(name, port, questions, max(CLIENTS), 1.0)  # the first answers load what later ones find loaded
        for clients in CLIENTS:
            for name in ROUNDS * list(commands):
                rounds[clients, name].append(ask(name, ports[name], questions, clients, SECONDS))
    head = ("clients", "server", "answers/s", "p50, ms", "p99, ms", "wrong", "errors", "times Gradio")
    print(table(head, [cells(clients, name, rounds) for clients, name in rounds]), end="")
    failed = sum(verdict != "right" for each in rounds.values() for replies in each for _, verdict in replies)
    if failed:
        raise DataError(f"{failed} answers were errors or not the model's own")


@contextmanager
def running(commands: dict[str, list[Any]]) -> Iterator[dict[str, int]]:
    """Start each server in a process and a folder of its own; yield the ports that they say they listen on."""
    environment = ENVIRONMENT | {"GRADIO_ANALYTICS_ENABLED": "False"}
    ports = {}
    with ExitStack() as stack:
        for name, command in commands.items():
            folder = stack.enter_context(TemporaryDirectory())
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert process.stdout
            port = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            if not port:
                raise DataError(f"{name}: the server did not start; it says why above")
            ports[name] = int(port[1])
        yield ports


def digits(connection: HTTPConnection, picture: bytes) -> Probabilities:
    """Ask scripts/serve.py: the picture is the body."""
    connection.request("POST", "/api/predict", picture, {"Content-Type": "image/png"})
    answer = json.loads(connection.getresponse().read())
    return {each["digit"]: each["probability"] for each in answer["probabilities"]}


def gradio(connection: HTTPConnection, picture: bytes) -> Probabilities:
    """Ask rivals/gradio_app.py: the picture is a data URL in JSON, which spares an upload and a queue."""
    body = {"data": [{"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}]}
    connection.request("POST", "/gradio_api/run/predict", json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    return {int(each["label"]): each["confidence"] for each in answer["data"][0]["confidences"]}


ASK: dict[str, Callable[[HTTPConnection, bytes], Probabilities]] = {"digits": digits, "gradio": gradio}


def ask(name: str, port: int, questions: list[tuple[bytes, Probabilities]], clients: int, seconds: float) -> Round:
    """Ask for some seconds with as many clients at once; each begins with another picture."""
    end = time.perf_counter() + seconds

    def client(number: int) -> Round:
        connection, replies = HTTPConnection("127.0.0.1", port), []
        while (started := time.perf_counter()) < end:
            number = (number + 1) % len(questions)
            picture, wanted = questions[number]
            try:
                found = ASK[name](connection, picture)
            except (OSError, HTTPException, ValueError, LookupError):
                replies.append((0.0, "error"))
                break
            close = all(abs(found[digit] - probability) <= CLOSE for digit, probability in wanted.items())
            replies.append((time.perf_counter() - started, "right" if close else "wrong"))
        connection.close()
        return replies

    with ThreadPoolExecutor(clients) as pool:
        return [reply for replies in pool.map(client, range(clients)) for reply in replies]


def cells(clients: int, name: str, rounds: dict[tuple[int, str], list[Round]]) -> list[object]:
    """A row of the table: of one server at one number of clients."""
    replies = [reply for each in rounds[clients, name] for reply in each]
    times = quantiles([1000 * taken for taken, verdict in replies if verdict != "error"] or [0.0], n=100)
    counts = [sum(verdict == kind for _, verdict in replies) for kind in ("wrong", "error")]
    own = rates(rounds[clients, name])
    row = [clients, name, f"{median(own):.0f}", f"{times[49]:.1f}", f"{times[98]:.1f}", *counts]
    if name == "gradio" or (clients, "gradio") not in rounds:
        return [*row, ""]
    pairs = zip(own, rates(rounds[clients, "gradio"]), strict=True)
    return [*row, f"{median(one / other for one, other in pairs if other):.1f}"]


def rates(rounds: list[Round]) -> list[float]:
    """Right answers a second, of each round."""
    return [sum(verdict == "right" for _, verdict in replies) / SECONDS for replies in rounds]


if __name__ == "__main__":
    with plain_errors():
        main()
