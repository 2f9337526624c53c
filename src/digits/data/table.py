"""One's own digits in a table: CSV, npz, parquet, and what else digits.data.forms reads."""

from pathlib import Path
from typing import Any

from digits.data.forms import FORMS, Form, head, parts_of, read_csv
from digits.data.own import OwnDigits
from digits.data.parts import Part
from digits.ranges import Text
from plain_errors import DataError

CSV = Form("a CSV table", lambda path, start: True, read_csv)
NOT_TEXT = "wanted whole numbers 0 to 255 as pixels"


class Table(OwnDigits):
    """A row for each digit: a label, and the pixels of a square picture.

    Args:
        file: the table; an npz file may hold both splits.
        test_file: the table of the test split; None to choose some of the digits of `file`.
    """

    def __init__(self, file: Text, test_file: Text | None = None, **options: Any) -> None:
        super().__init__(file, **options)
        self.files = [Path(each).expanduser() for each in (file, test_file) if each]

    def parts(self) -> list[Part]:
        """Read the files."""
        found = [_parts_in(path) for path in self.files]
        if len(found) == 2 and [len(parts) for parts in found] != [1, 1]:
            raise DataError(f"{self.files[0]}: holds a test split already; leave data.test_file out")
        return [part for parts in found for part in parts]


def _parts_in(path: Path) -> list[Part]:
    """What a file holds, one part or two; DataError: it cannot be read."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; wanted a table of digits, data.file or data.test_file names it")
    start = head(path)
    form = next((form for form in FORMS if form.fits(path, start)), CSV)
    try:
        parts = list(parts_of(form, path))
    except DataError as error:
        why = f"; {NOT_TEXT}" if form.read is read_csv else ""
        raise DataError(f"{path}, {error}{why}") from error
    if len(parts) not in (1, 2):
        raise DataError(
            f"{path}, {form.name}: no pictures with labels under a name that is known; see docs/own-data.md"
        )
    return parts
