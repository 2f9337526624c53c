"""Read the digits on pictures: photographs, drawings, scans; one digit a picture."""

import argparse
import sys
from pathlib import Path

from digits.cli import plain_errors
from digits.errors import ConfigError, DataError


def main() -> None:
    """Parse the command line, then read the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a run's folder, or its model.onnx")
    parser.add_argument("pictures", nargs="+", help="files, folders, patterns like 'scans/*.png', - for standard input")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print a list of objects")
    formats.add_argument("--csv", action="store_true", help="print comma-separated values")
    sheet_help = "also draw each picture, the model's input and all probabilities on one sheet"
    parser.add_argument("--show", type=Path, metavar="SHEET.png", help=sheet_help)
    arguments = parser.parse_args()

    if arguments.show and (arguments.show.suffix != ".png" or arguments.show.exists()):
        raise ConfigError(f"--show: got {arguments.show}, wanted the name of a new .png file")

    from digits.serving.reader import Reader
    from digits.serving.terminal import read_pictures, skipped_files, write_csv, write_json, write_sheet, write_table

    readings = read_pictures(Reader(arguments.model), arguments.pictures)
    (write_json if arguments.json else write_csv if arguments.csv else write_table)(readings)
    if arguments.show and any(reading.answer for reading in readings):
        write_sheet(readings, arguments.show)
    failed = [reading for reading in readings if reading.error]
    for reading in failed:
        print(f"error: {reading.picture}: {reading.error}", file=sys.stderr)
    if skipped := skipped_files(arguments.pictures):
        names = ", ".join(map(str, skipped[:5])) + ", …" * (len(skipped) > 5)
        print(f"skipped, as no picture by its suffix: {len(skipped)} ({names})", file=sys.stderr)
    if failed:
        sys.exit(DataError.exit_code)


if __name__ == "__main__":
    with plain_errors():
        main()
