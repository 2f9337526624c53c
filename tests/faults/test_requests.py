"""Requests of every kind, broken ones and very many: no fault of the server, and each client gets its own answer."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import Server, serving

from digits.data.mnist_5k import Mnist5k
from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.api import PICTURE_TYPES
from digits_reader.app import create_app
from digits_reader.guard import MAX_REQUESTS
from digits_reader.reader import SHIPPED, Reader
from faults.broken_pictures import FILES, pictures

pytestmark = pytest.mark.slow

DIGITS = [encoded(picture_of("canvas", digit, 0)) for digit in range(10)]
SHEET = picture_of("canvas", 3, 0).resize((1500, 1500))
LARGE = encoded(SHEET, "JPEG")

for kind in PICTURE_TYPES:
    schemathesis.openapi.media_type(kind, st.sampled_from(FILES) | pictures)
api = schemathesis.openapi.from_dict(create_app([], None, [], [], []).openapi())
operations = [operation.ok() for operation in api.get_all_operations()]


def memory(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(SHIPPED, cwd=tmp_path_factory.mktemp("serving")) as running:
        yield running


@pytest.fixture(scope="module")
def usual(server: Server) -> int:
    """The server's memory when it has answered all kinds of good requests."""
    for content in 5 * [*DIGITS, *FILES, LARGE, LARGE]:
        for path in ("/api/predict", "/api/number"):
            assert server.ask("POST", path, content, "image/png").status in (200, 409, 422)
    return memory(server)


def is_well(server: Server, usual: int) -> bool:
    """Whether the same process still answers rightly, in as much memory as usual."""
    replies = [server.ask("POST", "/api/predict", content, "image/png") for content in DIGITS]
    assert [reply.json["digit"] for reply in replies] == list(range(10)) and server.process.poll() is None
    return memory(server) < 1.2 * usual


# From the schema


def keeps_to_the_schema(case: schemathesis.Case, server: Server) -> None:
    # The schema allows a picture without ink and a label of 2.0; the server refuses both on purpose.
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}", excluded_checks=[positive_data_acceptance])


@api.parametrize()
def test_the_api_keeps_to_its_schema(server: Server, case: schemathesis.Case):
    keeps_to_the_schema(case, server)


@pytest.mark.fault(
    "requests made from the schema",
    "no 5xx, answers as in the schema; then the same process answers rightly in as much memory",
    cases=150,
    short=1,
    each=100,
)
def test_requests_from_the_schema(case: int, server: Server, usual: int):
    @seed(case)
    @settings(max_examples=100)
    @given(st.one_of(*(operation.as_strategy() for operation in operations)))
    def ask(request: schemathesis.Case) -> None:
        keeps_to_the_schema(request, server)

    ask()
    assert is_well(server, usual)


# Raw bytes


def request(line: bytes, body: bytes = b"", kind: bytes = b"image/png", *headers: bytes) -> bytes:
    lines = [line + b" HTTP/1.1", b"Host: 127.0.0.1", *headers]
    if body:
        lines += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", body])


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 100] for at in range(0, len(body), 100)]
    head = request(b"POST /api/predict", b"", b"", b"Content-Type: image/png", b"Transfer-Encoding: chunked")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


NESTED = [opening * 5000 for opening in (b"[", b'{"pixels":', b'{"a":[')]
PIXELS = json.dumps({"pixels": [[0.5] * 28] * 28}).encode()
WHOLE = [
    *(request(b"GET " + path) for path in (b"/", b"/docs", b"/healthz", b"/api/models", b"/openapi.json", b"/nothing")),
    request(b"POST /api/predict", DIGITS[7]),
    request(b"POST /api/number?model=reader", DIGITS[7]),
    request(b"POST /api/pixels", PIXELS, b"application/json"),
    request(b"POST /api/predict", DIGITS[7], b"image/png", b"Expect: 100-continue"),
    request(b"OPTIONS /api/predict", b"", b"", b"Origin: http://a.example", b"Access-Control-Request-Method: POST"),
    request(b"DELETE /api/drawings/6f1c0e1e-0000-4000-8000-000000000000"),
    *(request(b"POST /api/pixels", nested, b"application/json") for nested in NESTED),
    chunked(DIGITS[7]),
]
PIECES = [
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\0", b"\xff", b" ", b":", b"%00", b"../", b"HTTP/9.9", b"HTTP/1.0", b"0\r\n\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n"),
    *(b"Content-Length: %d\r\n" % length for length in (0, 1, 5_000_001, 10**30)),
    *(b"Content-Length: -1\r\n", b"Content-Encoding: gzip\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n"),
    *(b"Host: [\r\n", b"Origin: null\r\n", b"X: " + 70_000 * b"a" + b"\r\n", 300 * b"X: a\r\n", b"ffffffff\r\n"),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One or two requests with some bytes changed, removed or inserted."""
    content = bytearray(b"".join(draw(st.lists(st.sampled_from(WHOLE), min_size=1, max_size=2))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)) | st.integers(0, min(200, len(content))))
        match draw(st.sampled_from(("flip", "cut", "end", "insert", "line"))):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at : at + draw(st.integers(1, 64))]
            case "end":
                del content[at:]
            case "insert":
                content[at:at] = draw(st.sampled_from(PIECES) | st.binary(max_size=64))
            case "line":
                after = content.find(b"\r\n", at) + 2
                content[after:after] = draw(st.sampled_from(PIECES))
    return bytes(content)


def statuses(server: Server, content: bytes, pieces: int, patience: float) -> list[int]:
    """Send bytes in some pieces, leave when nothing comes for a while, and return the statuses that came."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            for at in range(pieces):
                connection.sendall(content[at * len(content) // pieces : (at + 1) * len(content) // pieces])
                time.sleep(0.001 * (pieces > 1))
            connection.settimeout(patience)
            while part := connection.recv(1 << 16):
                received += part
        except (TimeoutError, ConnectionError):
            pass  # the server waits for more, or has refused and closed
    return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d{3})", received, re.MULTILINE)]


@pytest.mark.fault(
    "raw requests mutated: chunked, slow, oversized, nested, cut off",
    "no 5xx; then the same process answers rightly in as much memory",
    cases=150,
    short=1,
    each=100,
)
def test_raw_requests(case: int, server: Server, usual: int):
    came: set[int] = set()

    @seed(case)
    @settings(max_examples=100)
    @given(mutated(), st.sampled_from((1, 1, 1, 5)), st.sampled_from((0.001, 0.02)))
    def ask(content: bytes, pieces: int, patience: float) -> None:
        found = statuses(server, content, pieces, patience)
        assert all(status < 500 for status in found)
        came.update(found)

    ask()
    assert 400 in came and is_well(server, usual)


# Very many


IMAGES = Mnist5k().read().test_images.numpy()[:, 0] / 255  # a thousand
CLIENTS = (16, 256, 64, 1)


@pytest.fixture(scope="module")
def expected() -> list[tuple[bytes, Any]]:
    """A thousand requests with a digit each, and what a model in this process says of each digit alone."""
    reader, images = Reader(), IMAGES.round(4)
    answers = [asdict(reader.answers(image[None, None].astype("float32"))[0]) for image in images]
    asked = [image.tolist() for image in images]
    return [
        (json.dumps({"pixels": pixels}).encode(), answer | {"image": pixels, "model": reader.name, "pages": 1})
        for pixels, answer in zip(asked, answers, strict=True)
    ]


@pytest.mark.fault(
    "requests of 1, 16, 64 and 256 clients at once",
    "each gets its own answer; 503 only above the limit of requests at once, then an answer too",
    cases=50,
    short=1,
    each=1000,
)
def test_each_of_many_clients_gets_its_own_answer(case: int, server: Server, expected: list[tuple[bytes, Any]]):
    clients = CLIENTS[case % len(CLIENTS)]
    refused: list[int] = []

    def ask(first: int) -> None:
        """Send each so many-th of the requests on one connection, each until it is answered."""
        with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=120)) as connection:
            for body, answer in expected[first::clients]:
                while (reply := post(connection, body))[0] == 503:
                    assert reply[1] == {"error": "too many requests at once, try again in a second"}
                    refused.append(first)
                    time.sleep(0.1)
                assert reply[0] == 200 and reply[1] == answer | {"milliseconds": reply[1]["milliseconds"]}

    with ThreadPoolExecutor(clients) as people:
        list(people.map(ask, range(clients)))
    assert clients > MAX_REQUESTS or not refused


def post(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, Any]:
    connection.request("POST", "/api/pixels", body, {"Content-Type": "application/json"})
    with connection.getresponse() as reply:
        return reply.status, json.load(reply)


# Large pictures


@pytest.mark.parametrize(
    ("bodies", "times", "more"),
    [
        ([*FILES, *(file[: len(file) // 2] for file in FILES)], 30, 10),
        ([LARGE, encoded(SHEET)[:-5000]], 60, 64),  # as much as Pillow keeps for the next picture
    ],
    ids=["small", "large"],
)
def test_memory_does_not_grow(server: Server, bodies: list[bytes], times: int, more: int):
    """Good and damaged pictures add fewer megabytes than if the server kept the pixels of each."""

    def ask(connection: http.client.HTTPConnection, rounds: int) -> float:
        for _ in range(rounds):
            for body in bodies:
                connection.request("POST", "/api/predict", body, {"Content-Type": "image/png"})
                with connection.getresponse() as reply:
                    assert reply.status in (200, 422)
                    reply.read()
        return memory(server) / 1024

    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        warm = ask(connection, 15)
        assert ask(connection, times) < warm + more


def test_a_large_picture_does_not_delay_other_requests(server: Server):
    large = encoded(Image.new("L", (7000, 7000), 255))  # 50 megapixels in 50 kilobytes
    assert len(large) < 100_000
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(server.ask, "POST", "/api/predict", large, "image/png")
        served = 0
        while not answer.done():
            served += server.ask("GET", "/healthz").status == 200
    assert answer.result().status == 422 and "empty paper" in answer.result().json["error"]
    assert served > 3
