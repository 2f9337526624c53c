"""How many pictures the server answers per second, and how soon, next to Gradio around the same model."""

import argparse
import base64
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from digits_reader.pictures import read_picture
from digits_reader.reader import Reader
from plain_errors import DataError, plain_errors
from processes import HERE, ROOT, child_process
from results import table

CLIENTS, ROUNDS, SECONDS = (1, 16, 64), 5, 3.0  # at once; for each server; of each round
TOLERANCE = 1e-4  # of probabilities: Gradio's environment may have other versions of Pillow, NumPy and OpenCV
ROUTES = {"digits": ("/api/predict", "image/png"), "gradio": ("/gradio_api/run/predict", "application/json")}

Question = tuple[dict[str, bytes], dict[int | str, float]]  # the body for each server; each digit's probability


def main() -> None:
    """Read the command line, start the servers, ask them in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a run's folder, or its model.onnx")
    parser.add_argument("gradio", type=Path, help="the python of an environment that holds Gradio")
    parser.add_argument("pictures", nargs="+", type=Path, help="PNG files to send")
    arguments = parser.parse_args()
    reader, rows = Reader(arguments.model), []
    questions = [question(path.read_bytes(), reader) for path in arguments.pictures]
    with ExitStack() as stack:
        model, gradio = reader.path.absolute(), arguments.gradio.absolute()
        ports = {"digits": start(stack, sys.executable, ROOT / "scripts" / "serve.py", model, "--port", "0")}
        ports["gradio"] = start(stack, gradio, HERE / "gradio_app.py", model)
        for name, port in ports.items():
            ask(name, port, questions, max(CLIENTS), 1.0)  # not counted: the first answers are slower
        for clients in CLIENTS:
            waits: dict[str, list[float]] = {name: [] for name in ports}
            for name in ROUNDS * list(ports):
                waits[name] += ask(name, ports[name], questions, clients, SECONDS)
            for name, seconds in waits.items():
                times = quantiles([1000 * each for each in seconds], n=100)
                rate, ratio = len(seconds) / (ROUNDS * SECONDS), len(seconds) / len(waits["gradio"])
                rows.append((clients, name, f"{rate:.0f}", f"{times[49]:.1f}", f"{times[98]:.1f}", f"{ratio:.1f}"))
    print(table(("clients", "server", "answers/s", "p50, ms", "p99, ms", "times Gradio"), rows))


def question(picture: bytes, reader: Reader) -> Question:
    """For Gradio the picture is a data URL in JSON, which needs no upload and no queue."""
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    (answer,) = reader.answers(read_picture(picture)[None])
    bodies = {"digits": picture, "gradio": json.dumps({"data": [{"url": url}]}).encode()}
    return bodies, {each.digit: each.probability for each in answer.probabilities}


def start(stack: ExitStack, *command: Any) -> int:
    """Start a server in a temporary folder, and kill it when `stack` ends; return the port that it prints."""
    folder = stack.enter_context(TemporaryDirectory())
    process = stack.enter_context(child_process(command, stdout=subprocess.PIPE, text=True, cwd=folder))
    assert process.stdout
    port = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
    if not port:
        raise DataError(f"{command[1]}: the server did not start; its error is above")
    return int(port[1])


def ask(server: str, port: int, questions: list[Question], clients: int, seconds: float) -> list[float]:
    """Ask with `clients` at once; return the seconds until each answer. DataError: an answer is not the model's."""
    end = time.perf_counter() + seconds
    route, kind = ROUTES[server]

    def client(number: int) -> list[float]:
        waits = []
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            while (started := time.perf_counter()) < end:
                number = (number + 1) % len(questions)  # each client begins with another picture
                bodies, wanted = questions[number]
                connection.request("POST", route, bodies[server], {"Content-Type": kind})
                answer = json.loads(connection.getresponse().read())
                waits.append(time.perf_counter() - started)
                found = probabilities(answer)
                if any(abs(found.get(digit, -1) - wanted[digit]) > TOLERANCE for digit in wanted):
                    raise DataError(f"{server}: got the answer {answer}, wanted the probabilities {wanted}")
        return waits

    with ThreadPoolExecutor(clients) as pool:
        return [wait for waits in pool.map(client, range(clients)) for wait in waits]


def probabilities(answer: dict[str, Any]) -> dict[int | str, float]:
    """The probability of each digit in the answer of either server; an error has none."""
    if "data" in answer:
        return {int(each["label"]): each["confidence"] for each in answer["data"][0]["confidences"]}
    return {each["digit"]: each["probability"] for each in answer.get("probabilities", [])}


if __name__ == "__main__":
    with plain_errors():
        main()
