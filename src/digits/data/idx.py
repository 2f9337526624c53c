"""Sets in IDX files other than MNIST: EMNIST, QMNIST, Kuzushiji-MNIST, Fashion-MNIST."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from digits.data.forms import Form, forms_in, head, parts_of, read_idx
from digits.data.own import OwnDigits
from digits.data.parts import Part
from digits.ranges import Text
from plain_errors import DataError

Files = dict[tuple[str, str], tuple[Form, Path]]  # by split, and by what they hold: images or labels


class Idx(OwnDigits):
    """A file of images and one of labels for each split; what has test or t10k in its name is the test split.

    Args:
        folder: the folder with the files, unpacked or gzip.
        only: a part of the names of the files to read, where a folder holds several sets, as EMNIST's does.
        transpose: swap rows and columns, as EMNIST's files need.
    """

    def __init__(self, folder: Text, only: Text | None = None, transpose: bool = False, **options: Any) -> None:
        super().__init__(folder, **options)
        self.only, self.transpose = only or "", transpose

    def parts(self) -> list[Part]:
        """Read the files of each split."""
        files = self._files()
        parts = []
        for split in ("training", "test") if any(split == "test" for split, _ in files) else ("training",):
            images, labels = (self._read(files, split, kind) for kind in ("images", "labels"))
            assert images.images is not None
            upright = np.swapaxes(images.images, 1, 2) if self.transpose else images.images
            parts.append(Part(upright, labels.labels))
        return parts

    def _read(self, files: Files, split: str, kind: str) -> Part:
        if (split, kind) not in files:
            raise DataError(f"{self.source}: no IDX file of {split} {kind}, only {_listed(files.values())}")
        form, path = files[split, kind]
        try:
            (part,) = parts_of(form, path)
        except DataError as error:
            raise DataError(f"{path}, {error}") from error
        return part

    def _files(self) -> Files:
        """The files by split and by what they hold; DataError: there are none, or those of several sets."""
        if not self.source.is_dir():
            raise DataError(f"{self.source}: no such folder; wanted one with IDX files, data.folder names it")
        files: Files = {}
        for form, path in forms_in([self.source]):  # what is unpacked comes first
            if form.read is not read_idx or self.only not in path.name:
                continue
            split = "test" if re.search("test|t10k", path.name.lower()) else "training"
            _, before = files.setdefault((split, "images" if head(path)[3] == 3 else "labels"), (form, path))
            if before.name != path.name.removesuffix(".gz") and before != path:
                raise DataError(
                    f"{self.source}: {before.name} and {path.name} are of two sets; data.only=… takes a part of the "
                    "names of one"
                )
        if not files:
            raise DataError(f"{self.source}: no IDX files{f' with {self.only} in their names' if self.only else ''}")
        return files


def _listed(files: Iterable[tuple[Form, Path]]) -> str:
    return ", ".join(path.name for _, path in files)
