"""Picture files that are broken, huge or no files at all: an error for each, and the others are read."""

import io
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, seed, settings
from PIL import Image

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.decode import MAX_FILE, MAX_PAGES, MAX_SCANS, PictureError, decode
from digits_reader.pictures import read_picture
from faults.broken_pictures import pictures

GIGABYTE = 1_000_000  # in kB, as the kernel counts
SECONDS = 2  # of a processor, for a file
DIGITS = {digit: encoded(picture_of("canvas", digit, 0)) for digit in range(10)}

READER = """
import json, sys, time
from digits_reader.decode import PictureError
from digits_reader.reader import Reader

reader = Reader()
while size := sys.stdin.buffer.read(4):
    content = sys.stdin.buffer.read(int.from_bytes(size, "big"))
    started = time.process_time()
    try:
        said = reader.read(content).digit
    except PictureError as error:
        said = str(error)
    print(json.dumps([said, time.process_time() - started]), flush=True)
"""


class OneReader:
    """A process of its own that reads one picture after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def read(self, content: bytes) -> int | str:
        """The digit on a picture, or why there is none; in time and in little memory."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(len(content).to_bytes(4, "big") + content)
        self.process.stdin.flush()
        said, seconds = json.loads(self.process.stdout.readline())
        assert seconds < SECONDS
        return said

    def most_memory(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])


@pytest.fixture(scope="module")
def reader() -> Iterator[OneReader]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", READER], **pipes) as process:
        yield OneReader(process)
        process.kill()


@pytest.mark.fault(
    "picture files mutated, or with any header, into one reader",
    "read, or refused in a sentence, in 2 s and 1 GB; good ones among them are read",
    cases=20,
    short=1,
    each=500,
)
def test_a_broken_picture_is_read_or_refused(case: int, reader: OneReader):
    @seed(case)
    @settings(max_examples=500)
    @given(pictures)
    def read(content: bytes) -> None:
        said = reader.read(content)
        assert said in range(10) or (isinstance(said, str) and said and "\n" not in said and "Error" not in said)

    read()
    assert [reader.read(content) for content in DIGITS.values()] == list(DIGITS)
    assert reader.most_memory() < GIGABYTE


@settings(max_examples=2000)
@given(pictures)
def test_what_is_read_of_a_broken_picture_is_an_image(content: bytes):
    try:
        image = read_picture(content)
    except PictureError:
        return
    assert image.shape == (1, 28, 28) and image.dtype == np.float32
    assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1


LARGE = [(kind, mode, (7070, 7070)) for kind, mode in (("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"))]
LARGE += [("JPEG", "RGB", (7070, 7070)), ("TIFF", "F", (7070, 7070)), ("BMP", "1", (7070, 7070))]
LARGE += [("GIF", "L", (7070, 7070)), ("PNG", "L", (49_000_000 // 9, 9)), ("JPEG", "L", (65_000, 760))]


def large(case: int) -> bytes:
    """A picture of as many pixels as are allowed, with a thick stroke."""
    kind, mode, size = LARGE[case]
    picture = Image.new("L", size, 255)
    picture.paste(0, (size[0] // 2, size[1] // 5, size[0] // 2 + size[0] // 20, size[1] * 4 // 5))
    if mode == "P":
        picture = picture.convert("P")
        picture.info["transparency"] = 3
    file = io.BytesIO()
    options = {"progressive": True} if kind == "JPEG" else {}
    (picture if mode == "P" else picture.convert(mode)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.fault("pictures of 50 megapixels in ten forms", "read in 2 s and 1 GB each", cases=len(LARGE), short=2)
def test_the_largest_pictures_take_little(case: int, reader: OneReader):
    said = reader.read(large(case))
    assert said in range(10) or "ink" in str(said) or "marks" in str(said)
    assert reader.most_memory() < GIGABYTE


def with_scans(scans: int) -> bytes:
    """A progressive JPEG file whose last scan is there again and again."""
    file = io.BytesIO()
    picture_of("canvas", 7, 0).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last, usual = content[content.rindex(b"\xff\xda") : -2], content.count(b"\xff\xda")
    return content[:-2] + last * (scans - usual) + content[-2:]


def with_pages(pages: int) -> bytes:
    file = io.BytesIO()
    small = Image.new("L", (8, 8))
    picture_of("canvas", 7, 0).save(file, "TIFF", save_all=True, append_images=[small] * (pages - 1))
    return file.getvalue()


def test_what_takes_long_to_decode_is_refused():
    assert decode(with_scans(MAX_SCANS)).info["pages"] == 1
    with pytest.raises(PictureError, match="has more than 64 scans"):
        decode(with_scans(MAX_SCANS + 1))
    assert decode(with_pages(MAX_PAGES)).info["pages"] == MAX_PAGES
    with pytest.raises(PictureError, match="has more than 1,000 pages"):
        decode(with_pages(MAX_PAGES + 1))


def a_socket(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
    return str(path)


def a_hole(path: Path) -> str:
    path.touch()
    os.truncate(path, 100 * MAX_FILE)
    return str(path)


def a_folder(path: Path, inside: str) -> str:
    (path / inside).mkdir(parents=True)
    return str(path)


def a_loop(path: Path) -> str:
    path.symlink_to(path.name)
    return str(path)


def a_folder_with_a_pipe(path: Path) -> str:
    path.mkdir()
    os.mkfifo(path / "pipe.png")
    return str(path)


def no_utf_8(path: Path) -> str:
    name = os.fsencode(path.parent) + b"/\xff.png"
    Path(os.fsdecode(name)).write_bytes(b"no picture")
    return os.fsdecode(name)


TOO_LARGE = f"more than {MAX_FILE:,} bytes, or a device that has no end; wanted a picture"
NONE = "not a picture that can be read; wanted PNG, JPEG, WebP, AVIF, BMP, GIF or TIFF"
ODD: list[tuple[Any, str]] = [
    (lambda path: "/dev/zero", TOO_LARGE),
    (lambda path: "/dev/urandom", TOO_LARGE),
    (lambda path: "/dev/null", NONE),
    (lambda path: "/proc/self/mem", "Input/output error"),
    (lambda path: a_folder(path, "empty"), "no picture in this folder"),
    (lambda path: a_folder(path, "7.png"), "no picture in this folder"),
    (a_folder_with_a_pipe, "no picture in this folder"),
    (a_socket, "No such device or address"),
    (a_hole, TOO_LARGE),
    (a_loop, "Too many levels of symbolic links"),
    (lambda path: f"{path}{'7' * 300}.png", "File name too long"),
    (lambda path: f"{path}**", "No such file or directory"),
    (no_utf_8, NONE),
]


@pytest.mark.slow
@pytest.mark.fault(
    "devices, folders, pipes, holes and names among ten pictures",
    "one error, the ten are read, exit 3, under 1 GB",
    cases=len(ODD),
    short=2,
    each=11,
)
def test_what_is_no_picture_file_does_not_keep_others_from_being_read(case: int, tmp_path: Path):
    names = [tmp_path / f"{digit}.png" for digit in DIGITS]
    for name, content in zip(names, DIGITS.values(), strict=True):
        name.write_bytes(content)
    make, error = ODD[case]
    odd = make(tmp_path / "odd")
    words = [sys.executable, ROOT / "scripts/predict.py", ROOT / "src/digits_reader/model", *names[:5], odd, *names[5:]]
    done = subprocess.run(
        [*words, "--json"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9)),
    )
    assert [each["digit"] for each in json.loads(done.stdout) if "digit" in each] == list(DIGITS)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and line.endswith(f": {error}")
    assert done.returncode == 3
