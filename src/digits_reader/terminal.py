"""Read many pictures; write the answers as a table, JSON, CSV or one large picture."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from atomic_files import atomic_path
from digits_reader.decode import FORMATS, PictureError, content_of, decode
from digits_reader.numbers import NumberLine, read_lines
from digits_reader.pictures import prepare
from digits_reader.reader import Answer, Reader

HEIC = {".heic", ".heif"}  # these too without pillow-heif: whoever has such a file is told what it needs
SUFFIXES = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS} | HEIC
UNSURE = 0.8  # below this probability an answer is worded as doubt
TILE, COLUMNS = (330, 120), 4  # of the sheet: pixels of a tile, tiles in a row


@dataclass
class Reading:
    """One picture and its answer, or the reason why there is none."""

    picture: str  # its path, - for standard input
    answer: Answer | None = None
    error: str | None = None  # one sentence
    pages: int = 1  # of the file; the first was read
    thumbnail: Image.Image | None = None  # RGB, at most 96 pixels a side
    image: NDArray[np.float32] | None = None  # the model's input, [1, 28, 28]
    lines: list[NumberLine] | None = None  # of a picture read as numbers

    def as_dict(self) -> dict[str, object]:
        """The picture's name with its answer's fields, its lines or its error, for JSON and CSV."""
        if self.lines is not None:
            number = " ".join(line.number for line in self.lines)
            return {"picture": self.picture, "number": number, "lines": [asdict(line) for line in self.lines]}
        return {"picture": self.picture, **(asdict(self.answer) if self.answer else {"error": self.error})}


def read_pictures(reader: Reader, names: Iterable[str]) -> list[Reading]:
    """Read each picture that the names stand for: files, folders, patterns with *, and - for standard input."""
    readings = [_prepare(path) for name in names for path in paths_of(name)]
    images = [reading.image for reading in readings if reading.image is not None]
    answers = iter(reader.answers(np.stack(images)) if images else [])
    for reading in readings:
        if reading.image is not None:
            reading.answer = next(answers)
    return readings


def read_numbers(reader: Reader, names: Iterable[str]) -> list[Reading]:
    """Read the numbers on each picture that the names stand for, as read_pictures."""
    return [_number(reader, path) for name in names for path in paths_of(name)]


def write_prepared(folder: Path, into: Path) -> Iterator[Reading]:
    """Write each picture of a folder as the model would be given it, 28x28 white on black, under the same name as PNG.

    Yields:
        What became of each, without an answer.
    """
    for path in paths_of(str(folder)):
        reading = _prepare(path)
        target = into / path.relative_to(folder).with_suffix(".png")
        if reading.image is not None and target.exists():
            reading.error = f"{target} is there already, from another picture of this name"
        elif reading.image is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                Image.fromarray(np.rint(255 * reading.image[0]).astype(np.uint8)).save(temporary, "PNG")
        yield reading


def skipped_files(names: Iterable[str]) -> list[Path]:
    """Find the files in the named folders whose suffix is not that of a picture."""
    files: list[Path] = []
    for path in map(Path, names):
        with suppress(OSError):  # its name is too long: told as a picture that cannot be read
            files += path.rglob("*") if path.is_dir() else []
    return sorted(file for file in files if file.is_file() and file.suffix.lower() not in SUFFIXES)


def write_json(readings: Iterable[Reading]) -> None:
    """Write a list with an object for each picture."""
    json.dump([reading.as_dict() for reading in readings], sys.stdout, indent=2)
    print()


def write_csv(readings: list[Reading]) -> None:
    """Write a header, then a line for each picture."""
    is_number = any(reading.lines is not None for reading in readings)
    columns = ["picture", *(["number"] if is_number else ["digit", "confidence", "runner_up", "certain"]), "error"]
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(reading.as_dict() for reading in readings)


def write_table(readings: Iterable[Reading]) -> None:
    """Write a line for each picture that could be read, or for each of its numbers with its least sure digit."""
    for reading in readings:
        if reading.answer:
            first, second = reading.answer.probabilities[:2]
            known = "it is a digit" if isinstance(first.digit, int) else "it is one of its classes"
            doubt = _doubt(first.probability, reading.answer.certain, known)
            other = f"(or {second.digit}, {100 * second.probability:.2f} %)"
            text = f"{first.digit}  {100 * first.probability:6.2f} %{doubt}  {other}"
            if reading.answer.certain is False:
                text = f"?  no digit I know (perhaps {first.digit})"
            print(f"{text}  {reading.picture}")
        for line in reading.lines or []:
            least = min(digit.confidence for digit in line.digits)
            doubt = _doubt(least, line.digits[0].certain, "these are digits")
            print(f"{line.number}  {100 * least:6.2f} %{doubt}  {reading.picture}")


def _doubt(probability: float, certain: bool | None, condition: str) -> str:
    """What follows a probability that is low, or that of a model which takes anything for a digit."""
    return ", unsure" * (probability < UNSURE) + f", if {condition}" * (certain is None)


def write_sheet(readings: Iterable[Reading], path: Path) -> None:
    """Write a PNG with a tile for each picture: the picture, the model's input and all probabilities."""
    tiles = [_tile(reading, reading.answer) for reading in readings if reading.answer]
    sheet = Image.new("RGB", (TILE[0] * min(COLUMNS, len(tiles)), TILE[1] * -(-len(tiles) // COLUMNS)), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (TILE[0] * (number % COLUMNS), TILE[1] * (number // COLUMNS)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")


def paths_of(name: str) -> list[Path]:
    """Find the files a name stands for; a name without files is returned as it is, and becomes an error later."""
    path = Path(name)
    with suppress(OSError, ValueError):  # its name is too long or no pattern, or its folder may not be looked into
        if name == "-" or path.is_file():
            return [path]
        if path.is_dir():
            files = (file for file in path.rglob("*") if not file.is_fifo())  # which would wait for a writer
            return sorted(file for file in files if file.suffix.lower() in SUFFIXES) or [path]
        return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))) or [path]
    return [path]


def _prepare(path: Path) -> Reading:
    with _reading(path) as reading:
        picture = decode(content_of(path))
        reading.pages = picture.info["pages"]
        reading.image, reading.thumbnail = prepare(picture), ImageOps.contain(picture, (96, 96))
    return reading


def _number(reader: Reader, path: Path) -> Reading:
    with _reading(path) as reading:
        picture = decode(content_of(path))
        reading.pages, reading.lines = picture.info["pages"], read_lines(reader, picture)
    return reading


@contextmanager
def _reading(path: Path) -> Iterator[Reading]:
    """A reading to be completed; why the picture cannot be read is noted down in it."""
    reading = Reading(str(path).encode(errors="backslashreplace").decode())  # a name may be no UTF-8
    try:
        yield reading
    except PictureError as error:
        reading.error = str(error)
    except IsADirectoryError:
        reading.error = "no picture in this folder"
    except OSError as error:
        reading.error = str(error.strerror)


def _tile(reading: Reading, answer: Answer) -> Image.Image:
    assert reading.thumbnail is not None and reading.image is not None
    tile = Image.new("RGB", TILE, "white")
    draw = ImageDraw.Draw(tile)
    small, large = ImageFont.load_default(10), ImageFont.load_default(26)
    name = reading.picture if len(reading.picture) <= 48 else "…" + reading.picture[-47:]
    draw.text((8, 2), name, fill="#5b6470", font=small)
    tile.paste(reading.thumbnail, (8, 18))
    image = Image.fromarray(np.rint(255 * (1 - reading.image[0])).astype(np.uint8))
    tile.paste(image.resize((96, 96), Image.Resampling.NEAREST), (112, 18))
    draw.rectangle((111, 17, 208, 114), outline="#d5d9e0")
    is_refused = answer.certain is False
    draw.text((216, 16), str(answer.digit), fill="#9aa4b1" if is_refused else "#2563eb", font=large)
    if_digit = " if a digit" if answer.certain is None else ""
    text = "no digit I know" if is_refused else f"{100 * answer.confidence:.1f} %{if_digit}"
    draw.text((238, 28), text, fill="#1b1f24", font=small)
    for place, each in enumerate(sorted(answer.probabilities[:10], key=lambda each: str(each.digit))):
        left, height = 216 + 11 * place, round(44 * each.probability)
        draw.rectangle((left, 102 - height, left + 7, 102), fill="#2563eb" if each.digit == answer.digit else "#9aa4b1")
        draw.text((left + 1, 104), str(each.digit), fill="#5b6470", font=small)
    return tile
