"""Write drawn pictures to a folder. A file's name begins with what it shows, as `digits score` wants it: 7_chalk_1."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from digits.data.hands import draw_hands
from digits.pictures import marks, numbers, scenes

# Kept as PNG; photographs as JPEG.
CLEAN = ("canvas", "hairline", "tiny", "tight", "cut", "page", "disc", "torn", "window", "sticker")

# Pictures below this number were looked at while the reader was written.
UNSEEN = 1000
Pictures = Iterator[tuple[str, Image.Image]]  # with the name of each file


def write_pictures(kind: str, folder: Path, each: int | None, first: int | None) -> int:
    """Draw pictures and return how many, as `digits draw` says."""
    kinds = {"digits": partial(_digits, scenes.SCENES), "harder": partial(_digits, scenes.HARDER)}
    kinds["sheets"] = partial(_digits, scenes.ROUND)
    draw = (kinds | {"numbers": _numbers, "marks": _marks, "hands": _hands})[kind]
    options = {name: value for name, value in (("each", each), ("first", first)) if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, picture in draw(**options):
        picture.save(folder / name)
        names.append(name)
    return len(names)


def _digits(names: Iterable[str], each: int = 10, first: int = UNSEEN) -> Pictures:
    for scene in names:
        suffix = "png" if scene in CLEAN else "jpg"
        for digit in range(10):
            for number in range(first, first + each):
                yield f"{digit}_{scene}_{number}.{suffix}", scenes.picture_of(scene, digit, number)


def _numbers(each: int = 500, first: int = UNSEEN) -> Pictures:
    for kind in numbers.KINDS:
        for number in range(first, first + each):
            picture, lines = numbers.number_of(number, kind)
            yield f"{'-'.join(lines)}_{kind}_{number}.png", picture


def _marks(each: int = 0, first: int = 0) -> Pictures:
    for kind, (_, most) in marks.KINDS.items():
        for number in range(first, first + (each or most)):
            yield f"no_{kind}_{number}.png", marks.picture_of(kind, number)


def _hands(each: int = 24, first: int = 0) -> Pictures:
    """A row for each digit, black on white."""
    images, _ = draw_hands(10 * each, list(range(10)), first)
    rows = images.view(each, 10, 28, 28).permute(1, 2, 0, 3).reshape(280, each * 28)
    sheet = Image.fromarray(255 - rows.numpy())
    yield "hands.png", sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.BICUBIC)
