"""The forms in which people keep MNIST, each known by what a file holds; only pictures and pickles go by their names.

A reader yields what a file holds, whatever it is. That it is MNIST, digits.data.mnist finds out.
"""

import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np
import torch
from scipy.io import loadmat

from digits.data.mnist_form import SIDE
from digits.data.parts import Part, as_bytes, as_labels, decoded, is_square, labelled, numbers, squares
from plain_errors import DataError, in_one_line

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
HEAD = 16_384  # bytes of a file that tell its form: the header of a table of 785 columns may take 7,000
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PAIRS = [("x_train", "y_train"), ("x_test", "y_test"), ("train_images", "train_labels"), ("test_images", "test_labels")]
PAIRS += [("images", "labels"), ("data", "target"), ("x", "y")]  # names of arrays in an npz file
DIGITS = {str(digit) for digit in range(10)}
MOST = 10_000  # paths that are looked at, so that a large disk does not take minutes
AT_ONCE = 5_000  # rows of a parquet file
BROKEN = (OSError, EOFError, ValueError, KeyError, zlib.error, zipfile.BadZipFile, RuntimeError)


@dataclass(frozen=True)
class Form:
    """A form of data.

    Args:
        name: in messages.
        fits: whether a path, whose first bytes are given, unpacked, has this form. A folder has no bytes.
        read: the parts of a file; DataError or one of BROKEN: it cannot be read.
    """

    name: str
    fits: Callable[[Path, bytes], bool]
    read: Callable[[Path], Iterable[Part]]


def forms_in(folders: Iterable[Path]) -> list[tuple[Form, Path]]:
    """The paths in some folders that have a form, those that are read fastest first; a folder may be one file."""
    found = []
    paths = (path for folder in folders for path in (inside(folder) if folder.is_dir() else [folder]))
    for path in islice(paths, MOST):
        start = head(path)
        form = next((form for form in FORMS if form.fits(path, start)), None)
        if form:
            found.append((form, path))
    return sorted(found, key=lambda each: (FORMS.index(each[0]), each[1].suffix == ".gz"))


def inside(folder: Path) -> list[Path]:
    """What is in a folder, by name, but for hidden files; nothing if it may not be read, like a disk's lost+found."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except PermissionError:
        return []


def parts_of(form: Form, path: Path) -> Iterator[Part]:
    """What a path holds; DataError, without the path: it cannot be read."""
    try:
        yield from form.read(path)
    except BROKEN as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else in_one_line(error)
        raise DataError(f"{form.name}: {reason or type(error).__name__}") from error


def head(path: Path) -> bytes:
    """The first bytes of a file, unpacked; none of a folder or of what cannot be opened."""
    if not path.is_file():  # opening a pipe would wait for ever
        return b""
    try:
        with path.open("rb") as file:
            start = file.read(HEAD)
        return zlib.decompressobj(wbits=31).decompress(start, HEAD) if start.startswith(GZIP) else start
    except (OSError, zlib.error):
        return b""


def opened(path: Path) -> gzip.GzipFile | IO[bytes]:
    """A file for reading, unpacked if its content is gzip's, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path) if packed else path.open("rb")


def read_idx(path: Path) -> Iterator[Part]:
    """An IDX file: three dimensions are images, one or two are labels (QMNIST's labels have eight columns)."""
    with opened(path) as file:
        content = bytearray(file.read())  # writable, as PyTorch wants it
    kind, dimensions = np.dtype(IDX_TYPES[content[2]]), content[3]
    shape = np.frombuffer(content, ">i4", dimensions, offset=4)
    start, wanted = 4 + 4 * dimensions, int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if len(content) - start != wanted:
        raise ValueError(f"{len(content) - start:,} bytes after its header, which says {wanted:,}")
    values = np.frombuffer(content, kind, offset=start).reshape(shape)
    if dimensions == 3:
        yield Part(as_bytes(values), None)
    else:
        yield Part(None, as_bytes(values.reshape(len(values), -1)[:, 0]))


def read_npz(path: Path) -> Iterator[Part]:
    """An npz file with arrays as Keras or others name them; other arrays are not read."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # np.load leaves a broken file open
        names = {name.lower(): name for name in arrays.files}
        for images, labels in PAIRS:
            if {images, labels} <= names.keys():
                yield Part(squares(arrays[names[images]]), as_labels(arrays[names[labels]].ravel()))


def read_csv(path: Path) -> Iterator[Part]:
    """A table, a digit in a row: pixels, and the label in the column `label`, else in the first one."""
    with opened(path) as file:
        first = file.readline().decode("utf-8-sig").strip().lower().replace('"', "").split(",")
    numbered = [str(at) for at in range(len(first))]  # pandas' names of columns without names
    is_row = first != numbered and all(each.strip().isdigit() for each in first[1:])
    is_row &= first[0].strip().isdigit() or first[1:] not in (numbered[1:], numbered[:-1])  # a letter, not `label`
    at = next((first.index(each) for each in ("label", "class") if each in first), 0)
    labels: dict[str, int] = {}  # by their places here, as the table has numbers only
    converters = {} if is_square(len(first)) else {at: lambda label: labels.setdefault(label.strip(' "'), len(labels))}
    with opened(path) as file:
        table = numbers(file, skip=0 if is_row else 1, converters=converters)
    for images, places in labelled(table, at):
        yield Part(images, None if places is None else as_labels(np.array([*labels])[places]))


def read_arff(path: Path) -> Iterator[Part]:
    """OpenML's table for Weka; the label is the attribute `class`, else the last one."""
    names: list[str] = []
    with opened(path) as file:
        for line in file:
            words = line.decode(errors="replace").split()
            if words and words[0].lower() == "@attribute":
                names.append(words[1].strip("'\"").lower())
            elif words and words[0].lower() == "@data":
                break
        table = numbers(file, quote="'")
    yield from labelled(table, names.index("class") if "class" in names else len(names) - 1)


def read_parquet(path: Path) -> Iterator[Part]:
    """A table of PNG files and labels, as Hugging Face has it, or one of 784 columns of pixels and a class."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError("pip install pyarrow to read it") from error
    with parquet.ParquetFile(path) as table:
        names = table.schema_arrow.names
        target = next((each for each in ("label", "class") if each in names), None)
        if target is None or not (len(names) == 2 or is_square(len(names) - 1)):
            return
        if len(names) == 2 and "bytes" not in str(table.schema_arrow):  # no pictures
            return
        parts = [_rows(batch, target) for batch in table.iter_batches(AT_ONCE)]
    yield Part(*map(np.concatenate, zip(*parts, strict=True)))


def _rows(batch: Any, target: str) -> Part:
    """Some rows of a parquet file."""
    labels = as_labels(np.array(batch.column(target).to_pylist()))  # OpenML's are numbers as texts
    (first, *others) = [name for name in batch.schema.names if name != target]
    if not others:
        return Part(np.stack([decoded(each["bytes"], first) for each in batch.column(first).to_pylist()]), labels)
    return Part(squares(np.stack([batch.column(name).to_numpy() for name in (first, *others)], axis=1)), labels)


def read_mat(path: Path) -> Iterator[Part]:
    """A MATLAB file with a column for each digit, like mnist-original.mat."""
    arrays = loadmat(path, variable_names=["data", "label"])
    if arrays.keys() >= {"data", "label"}:
        yield Part(squares(arrays["data"].T), as_bytes(arrays["label"].ravel()))


def read_torch(path: Path) -> Iterator[Part]:
    """torchvision's former processed/training.pt or test.pt. No code in it is run."""
    try:
        content = torch.load(path, weights_only=True)  # noqa: TID251  only weights
    except UnpicklingError:  # its message has many lines
        content = None
    if not isinstance(content, tuple) or [isinstance(each, torch.Tensor) for each in content] != [True, True]:
        raise ValueError("wanted images and labels, and nothing else")
    images, labels = content
    yield Part(squares(images.numpy()), as_bytes(labels.numpy()))


def read_pictures(folder: Path) -> Iterator[Part]:
    """PNG files in folders 0 to 9, by the numbers in their names, which in mnist_png are places in the IDX file."""
    found = [(digit, path) for digit in sorted(DIGITS) for path in (folder / digit).glob("*.png")]
    if not found:
        raise ValueError("no PNG files; JPEG changes pixels, so MNIST cannot be known in it")
    rows = sorted((int("0" + re.sub(r"\D", "", path.stem)), digit, path) for digit, path in found)
    images = np.empty((len(rows), SIDE, SIDE), np.uint8)
    for at, (_, _, path) in enumerate(rows):
        images[at] = decoded(path.read_bytes(), path)
    yield Part(images, np.array([int(digit) for _, digit, _ in rows], np.uint8))


def refuse(why: str) -> Callable[[Path], Iterable[Part]]:
    """What is known and not read."""

    def read(path: Path) -> Iterable[Part]:
        raise ValueError(why)

    return read


def _is_table(path: Path, start: bytes) -> bool:
    return start.split(b"\n", 1)[0].count(b",") in (SIDE * SIDE - 1, SIDE * SIDE)


def _is_arff(path: Path, start: bytes) -> bool:
    return re.match(rb"(\s*%.*\n)*\s*@relation", start, re.IGNORECASE) is not None


def _is_idx(path: Path, start: bytes) -> bool:
    return start[:2] == b"\0\0" and len(start) > 8 and start[2] in IDX_TYPES and start[3] in (1, 2, 3)


def _is_npz(path: Path, start: bytes) -> bool:
    return start.startswith(ZIP) and b".npy" in start[:200]


def _is_torch(path: Path, start: bytes) -> bool:
    return path.name in ("training.pt", "test.pt") and path.is_file()


def _is_pictures(path: Path, start: bytes) -> bool:
    named = path.name in ("training", "train", "testing", "test")
    return named and path.is_dir() and {each.name for each in inside(path)} >= DIGITS


def _is_pickle(path: Path, start: bytes) -> bool:
    return "mnist" in path.name.lower() and ".pkl" in path.name


def _is_closed(path: Path, start: bytes) -> bool:
    named = re.search("mnist|ubyte", path.name.lower())
    return named is not None and path.is_file() and not os.access(path, os.R_OK)


def _is_archive(path: Path, start: bytes) -> bool:
    return "mnist" in path.name.lower() and (start.startswith(ZIP) or start[257:262] == b"ustar")


FORMS = (  # those that are read fastest first
    Form("an IDX file", _is_idx, read_idx),
    Form("an npz file", _is_npz, read_npz),
    Form("a file of torch's", _is_torch, read_torch),
    Form("a MATLAB file", lambda path, start: start.startswith(b"MATLAB 5.0"), read_mat),
    Form("a parquet file", lambda path, start: start.startswith(b"PAR1"), read_parquet),
    Form("a CSV table", _is_table, read_csv),
    Form("an ARFF table", _is_arff, read_arff),
    Form("a folder of pictures", _is_pictures, read_pictures),
    Form("a file", _is_closed, refuse("no permission to read it")),
    Form("an archive", _is_archive, refuse("unpack it")),
    Form(
        "a pickle", _is_pickle, refuse("reading it can run code, and its pixels are divided by 256; take another form")
    ),
)
