"""Many pictures read one after another, told as a table, JSON, CSV or a sheet of pictures."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from digits.serving.pictures import PictureError, decode, prepare
from digits.serving.reader import BATCH, Answer, Reader

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
TILE, COLUMNS = (330, 120), 4  # of the sheet


@dataclass(frozen=True)
class Reading:
    """What became of one picture: an answer with what was seen, or an error.

    Attributes:
        picture: its name.
        answer: None where there is an error.
        error: one sentence.
        came: the picture, small, in RGB.
        seen: float32 [1, 28, 28].
    """

    picture: str
    answer: Answer | None = None
    error: str | None = None
    came: Image.Image | None = None
    seen: NDArray[np.float32] | None = None

    def as_dict(self) -> dict[str, object]:
        """For JSON: picture, digit, confidence, runner_up, probabilities; or picture and error."""
        return {"picture": self.picture, **(asdict(self.answer) if self.answer else {"error": self.error})}


def read_pictures(reader: Reader, names: Iterable[str]) -> Iterator[Reading]:
    """Read files, the pictures in folders, those a pattern with * matches, and `-`, the standard input."""
    waiting: list[Reading] = []
    for name in names:
        for path in _paths(name):
            waiting.append(_prepared(path))
            if len(waiting) == BATCH:
                yield from _answered(reader, waiting)
                waiting = []
    yield from _answered(reader, waiting)


def write_json(readings: Iterable[Reading]) -> None:
    """A list with an object a picture."""
    json.dump([reading.as_dict() for reading in readings], sys.stdout, indent=2)
    print()


def write_csv(readings: Iterable[Reading]) -> None:
    """A line a picture."""
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(["picture", "digit", "confidence", "runner_up", "error"])
    for reading in readings:
        answer = reading.answer
        told = [answer.digit, f"{answer.confidence:.6f}", answer.runner_up] if answer else ["", "", ""]
        lines.writerow([reading.picture, *told, reading.error or ""])


def write_table(readings: Iterable[Reading]) -> None:
    """A line a picture, for people."""
    for reading in readings:
        if reading.answer:
            second = reading.answer.probabilities[1]
            print(
                f"{reading.answer.digit}  {reading.answer.confidence:7.2%}  "
                f"(or {second.digit}, {second.probability:.2%})  {reading.picture}"
            )


def write_sheet(readings: Iterable[Reading], path: Path) -> None:
    """A PNG of what came in, what the model saw, and how likely it holds each digit to be."""
    shown = [reading for reading in readings if reading.answer]
    rows = max(1, -(-len(shown) // COLUMNS))
    sheet = Image.new("RGB", (TILE[0] * min(COLUMNS, max(1, len(shown))), TILE[1] * rows), "white")
    for number, reading in enumerate(shown):
        corner = TILE[0] * (number % COLUMNS), TILE[1] * (number // COLUMNS)
        sheet.paste(_tile(reading), corner)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")


def _paths(name: str) -> list[Path | str]:
    """What a name on the command line stands for; itself where it stands for nothing, so that it is told."""
    path = Path(name)
    if name == "-" or path.is_file():
        return [name]
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
    else:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    return list(found) or [name]


def _prepared(path: Path | str) -> Reading:
    name = str(path)
    try:
        picture = decode(sys.stdin.buffer.read() if name == "-" else Path(path).read_bytes())
        return Reading(name, came=ImageOps.contain(picture, (96, 96)), seen=prepare(picture))
    except PictureError as error:
        return Reading(name, error=str(error))
    except IsADirectoryError:
        return Reading(name, error="no picture in this folder")
    except OSError as error:
        return Reading(name, error=str(error.strerror))


def _answered(reader: Reader, waiting: list[Reading]) -> Iterator[Reading]:
    good = [reading.seen for reading in waiting if reading.seen is not None]
    answers = iter(reader.answers(np.stack(good)) if good else [])
    for reading in waiting:
        answer = None if reading.seen is None else next(answers)
        yield Reading(reading.picture, answer, reading.error, reading.came, reading.seen)


def _tile(reading: Reading) -> Image.Image:
    """One picture on the sheet."""
    assert reading.answer is not None and reading.came is not None and reading.seen is not None
    tile = Image.new("RGB", TILE, "white")
    draw = ImageDraw.Draw(tile)
    small, large = ImageFont.load_default(10), ImageFont.load_default(26)
    name = reading.picture if len(reading.picture) <= 48 else "…" + reading.picture[-47:]
    draw.text((8, 2), name, fill="#5b6470", font=small)
    tile.paste(reading.came, (8, 18))
    seen = Image.fromarray(np.rint(255 * (1 - reading.seen[0])).astype(np.uint8))
    tile.paste(seen.resize((96, 96), Image.Resampling.NEAREST), (112, 18))
    draw.rectangle((111, 17, 208, 114), outline="#d5d9e0")
    draw.text((216, 16), str(reading.answer.digit), fill="#2563eb", font=large)
    draw.text((238, 28), f"{reading.answer.confidence:.1%}", fill="#1b1f24", font=small)
    for place, likelihood in enumerate(sorted(reading.answer.probabilities, key=lambda each: each.digit)):
        x = 216 + 11 * place
        high = round(44 * likelihood.probability)
        colour = "#2563eb" if likelihood.digit == reading.answer.digit else "#9aa4b1"
        draw.rectangle((x, 102 - high, x + 7, 102), fill=colour)
        draw.text((x + 1, 104), str(likelihood.digit), fill="#5b6470", font=small)
    return tile
