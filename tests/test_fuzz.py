"""Random requests and damaged pictures: the API keeps to its schema, errors are plain, memory does not grow.

`make fuzz` does the same for some minutes, with new cases each time.
"""

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance
from served import Server, serving

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.api import PICTURE_TYPES
from digits_reader.app import create_app
from digits_reader.decode import PictureError
from digits_reader.pictures import read_picture

FILES = [
    encoded(picture_of(scene, digit, 0).resize((64, 64)), kind)
    for digit, scene in enumerate(("canvas", "marker"))
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
]
SIZES = (0, 1, 7, 8, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)

api = schemathesis.openapi.from_dict(create_app([], None, [], [], []).openapi())


@pytest.fixture(scope="module")
def server(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(quickstart, cwd=tmp_path_factory.mktemp("serving")) as running:
        yield running


def png(width: int, height: int, bits: int, colours: int, pixels: bytes) -> bytes:
    """A PNG file with any header."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return file


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A picture file with some bytes changed, removed, doubled, inserted or copied from another file."""
    content = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content))) if draw(st.booleans()) else draw(st.integers(0, min(64, len(content))))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(("flip", "write", "cut", "end", "double", "insert", "splice"))):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "write":
                order = draw(st.sampled_from(("big", "little")))
                content[at : at + 4] = draw(st.sampled_from(SIZES)).to_bytes(4, order)
            case "cut":
                del content[at : at + length]
            case "end":
                del content[at:]
            case "double":
                content[at:at] = content[at : at + length]
            case "insert":
                content[at:at] = draw(st.binary(max_size=64))
            case "splice":
                content[at:] = draw(st.sampled_from(FILES))[at:]
    return bytes(content)


generated = st.builds(
    png, *2 * [st.sampled_from(SIZES)], st.sampled_from((0, 1, 8, 16, 255)), st.integers(0, 7), st.binary(max_size=2000)
)

pictures = mutated() | generated | st.binary(max_size=200)
for kind in PICTURE_TYPES:
    schemathesis.openapi.media_type(kind, st.sampled_from(FILES) | pictures)


@api.parametrize()
def test_the_api_keeps_to_its_schema(server: Server, case: schemathesis.Case):
    # The schema allows a picture without ink and a label of 2.0; the server refuses both on purpose.
    case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}", excluded_checks=[positive_data_acceptance])


@given(pictures)
@settings(max_examples=50 * settings().max_examples)
def test_a_picture_is_read_or_refused(content: bytes):
    try:
        image = read_picture(content)
    except PictureError:
        return
    assert image.shape == (1, 28, 28) and image.dtype == np.float32
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


LARGE = picture_of("canvas", 3, 0).resize((1500, 1500))


@pytest.mark.parametrize(
    ("bodies", "times", "more"),
    [
        ([*FILES, *(file[: len(file) // 2] for file in FILES)], 6, 10),
        ([encoded(LARGE, "JPEG"), encoded(LARGE)[:-5000]], 12, 64),  # as much as Pillow keeps for the next picture
    ],
    ids=["small", "large"],
)
def test_memory_does_not_grow(server: Server, bodies: list[bytes], times: int, more: int):
    """Good and damaged pictures add fewer megabytes than if the server kept the pixels of each."""

    def ask(connection: HTTPConnection, rounds: int) -> float:
        for _ in range(rounds):
            for body in bodies:
                connection.request("POST", "/api/predict", body, {"Content-Type": "image/png"})
                with connection.getresponse() as reply:
                    assert reply.status in (200, 422)
                    reply.read()
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    rounds = settings().max_examples // 10
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        warm = ask(connection, 3 * rounds)
        assert ask(connection, times * rounds) < warm + more


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
