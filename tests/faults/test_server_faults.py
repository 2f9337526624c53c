"""The server killed, ended, with a bad model file and on a full disk: what it confirmed stays, and it goes on."""

import http.client
import json
import random
import shutil
import signal
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import Server, serving

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.reader import SHIPPED

pytestmark = pytest.mark.slow

DIGITS = [encoded(picture_of("canvas", digit, 0)) for digit in range(10)]
LOST = (OSError, http.client.HTTPException)  # what becomes of a request whose server ends
ENDS = {signal.SIGTERM: 143, signal.SIGINT: 130}
NOT_SAVED = "the drawing was not saved or deleted; the server's terminal shows why"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the model that comes with the reader."""
    return Path(shutil.copy(SHIPPED / "model.onnx", tmp_path))


def drawing(number: int) -> dict[str, Any]:
    """A drawing that no other number has."""
    pixels = np.zeros((28, 28))
    pixels[4:24, 13:16] = 1
    pixels[27, :16] = [number >> bit & 1 for bit in range(16)]
    return {"id": str(uuid.uuid4()), "pixels": pixels.tolist(), "label": number % 10, "model": "reader", "answer": 1}


def answers_rightly(server: Server) -> bool:
    replies = [server.ask("POST", "/api/predict", content, "image/png") for content in DIGITS]
    return [reply.json.get("digit") for reply in replies] == list(range(10))


def health(server: Server) -> str:
    reply = server.ask("GET", "/healthz")
    assert reply.status == 200
    return reply.json["status"]


# Killed


@pytest.mark.fault(
    "drawings kept by 8 clients, the server killed among them and started again",
    "each that was confirmed is there once, as it was drawn",
    cases=20,
    short=1,
    each=250,
)
def test_each_drawing_the_server_confirmed_is_there_once_after_a_kill(case: int, model: Path, tmp_path: Path):
    given = [drawing(number) for number in range(250)]
    confirmed: list[str] = []
    killed_after = random.Random(case).randrange(20, 200)

    def save(each: dict[str, Any]) -> None:
        try:
            reply = server.ask("POST", "/api/drawings", each)
        except LOST:
            return
        assert reply.status in (200, 201)
        confirmed.append(each["id"])

    with serving(model, cwd=tmp_path) as server, ThreadPoolExecutor(8) as clients:
        requests = [clients.submit(save, each) for each in given]
        while len(confirmed) < killed_after:
            time.sleep(0.001)
        server.process.kill()
        for request in requests:
            request.result()
    assert killed_after <= len(confirmed) < len(given) and set(confirmed) <= server.saved().keys()
    with serving(model, cwd=tmp_path) as server, ThreadPoolExecutor(8) as clients:
        list(clients.map(save, given))  # as the page does: the same again, also what was confirmed
    kept = sorted(path.stem for path in server.drawings.glob("*/*.png"))
    assert kept == sorted(each["id"] for each in given)
    for each in given:
        there = server.saved()[each["id"]]
        assert (there.label, there.image) == (each["label"], (255 * np.array(each["pixels"])).astype("uint8").tobytes())


# A bad model file


def write_over(model: Path) -> None:
    model.write_bytes(b"no model" * 1000)


def cut_off(model: Path) -> None:
    with model.open("r+b") as file:
        file.truncate(1000)


def replaced(model: Path) -> None:
    model.with_suffix(".new").write_bytes(b"")
    model.with_suffix(".new").replace(model)


SPOILT = [(spoil, workers) for workers in "12" for spoil in (write_over, cut_off, replaced, Path.unlink)]


@pytest.mark.fault(
    "the model file of a running server overwritten, cut off, replaced, deleted",
    "answers stay right, health says it, all is well when the file is back",
    cases=len(SPOILT),
    short=1,
)
def test_a_server_outlives_its_model_file(case: int, model: Path, tmp_path: Path):
    spoil, workers = SPOILT[case]
    with serving(model, "--workers", workers, cwd=tmp_path) as server:
        assert answers_rightly(server) and health(server) == "ok"
        spoil(model)
        assert answers_rightly(server)
        assert health(server) == "reader: its file has changed; the model as it was goes on"
        shutil.copy(SHIPPED / "model.onnx", model)
        assert health(server) == "ok" and answers_rightly(server)


# Ended


class Begun:
    """A request that the server has begun to answer: it has sent for the body, and got half of it."""

    def __init__(self, server: Server, path: str, kind: str, body: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert self.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        self.socket.sendall(body[: len(body) // 2])
        self.rest = body[len(body) // 2 :]

    def finish(self) -> tuple[int, Any]:
        self.socket.sendall(self.rest)
        with self.socket, http.client.HTTPResponse(self.socket) as reply:
            reply.begin()
            return reply.status, json.load(reply)


ENDED = [(end, workers, wait) for workers in "12" for end in ENDS.items() for wait in (0.05, 0.5)]


@pytest.mark.fault(
    "SIGTERM or SIGINT under load, with ten requests half sent",
    "the ten are answered, exit 143 or 130",
    cases=len(ENDED),
    short=1,
)
def test_requests_that_were_begun_are_answered_after_a_signal(case: int, model: Path, tmp_path: Path):
    (sent, code), workers, wait = ENDED[case]

    def ask(digit: int) -> int:
        """Ask until the server is gone; how often it answered."""
        for asked in count():
            try:
                assert server.ask("POST", "/api/predict", DIGITS[digit], "image/png").json["digit"] == digit
            except LOST:
                return asked

    with ThreadPoolExecutor(4) as clients, serving(model, "--workers", workers, cwd=tmp_path) as server:
        asking = [clients.submit(ask, digit) for digit in range(4)]
        given = [drawing(number) for number in range(5)]
        pictures = [Begun(server, "/api/predict", "image/png", content) for content in DIGITS[:5]]
        drawings = [Begun(server, "/api/drawings", "application/json", json.dumps(each).encode()) for each in given]
        server.process.send_signal(sent)
        time.sleep(wait)
        assert [(200, digit) for digit in range(5)] == [
            (status, said["digit"]) for status, said in map(Begun.finish, pictures)
        ]
        assert [begun.finish() for begun in drawings] == [(201, {"id": each["id"]}) for each in given]
        assert server.process.wait(timeout=60) == code
        assert all(each.result() for each in asking)
    assert server.saved().keys() == {each["id"] for each in given}


# A full disk


FULL = [(room, workers) for workers in "12" for room in ("size=40k", "nr_inodes=20")]


@pytest.mark.fault(
    "a disk that gets full under drawings",
    "503 and health says it, pictures are read, each confirmed one is whole; with room again all is well",
    cases=len(FULL),
    short=1,
)
def test_a_server_outlives_a_full_disk(case: int, model: Path, tmp_path: Path, namespaces: None):
    room, workers = FULL[case]
    (tmp_path / "drawings").mkdir()
    mount = ("unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o {room} none "$0" && exec "$@"', tmp_path / "drawings")
    with serving(model, "--workers", workers, cwd=tmp_path, before=mount) as server:
        server = replace(server, drawings=Path(f"/proc/{server.process.pid}/root{server.drawings}"))
        given = [drawing(number) for number in range(100)]
        with ThreadPoolExecutor(4) as clients:
            replies = list(clients.map(lambda each: server.ask("POST", "/api/drawings", each), given))
        kept = {each["id"] for each, reply in zip(given, replies, strict=True) if reply.status == 201}
        refused = [reply for reply in replies if reply.status != 201]
        assert kept and server.saved().keys() == kept
        assert {(reply.status, reply.json["error"]) for reply in refused} == {(503, NOT_SAVED)}
        assert answers_rightly(server) and health(server) == "drawings cannot be saved: No space left on device"
        for id in kept:
            assert server.ask("DELETE", f"/api/drawings/{id}").status == 204
        assert health(server) == "ok" and server.ask("POST", "/api/drawings", given[0]).status == 201
