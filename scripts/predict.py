"""Read the digits on pictures: photographs, drawings, scans; one digit a picture, or numbers."""

import argparse
import sys
from pathlib import Path

from digits.run_folder import RunFolder
from plain_errors import ConfigError, DataError, plain_errors


def main() -> None:
    """Parse the command line, then read the pictures."""
    parser = argparse.ArgumentParser(usage="%(prog)s [options] [model] picture ...", description=__doc__)
    picture_help = "files, folders, patterns like 'scans/*.png', - for standard input; before them a run's folder or "
    picture_help += "its model.onnx (default: the newest run in outputs)"
    parser.add_argument("pictures", nargs="+", metavar="picture", help=picture_help)
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print a list of objects")
    formats.add_argument("--csv", action="store_true", help="print comma-separated values")
    parser.add_argument("--number", action="store_true", help="read several digits, line by line; they must not touch")
    sheet_help = "also draw each picture, the model's input and all probabilities on one sheet"
    parser.add_argument("--show", type=Path, metavar="SHEET.png", help=sheet_help)
    arguments = parser.parse_intermixed_args()
    if arguments.show and (arguments.show.suffix != ".png" or arguments.show.exists()):
        raise ConfigError(f"--show: got {arguments.show}, wanted the name of a new .png file")
    if arguments.show and arguments.number:
        raise ConfigError("--show: not with --number, wanted one of them")

    from digits_reader import terminal
    from digits_reader.reader import Reader

    model, pictures = Path(arguments.pictures[0]), arguments.pictures[1:]
    if not (model.suffix or model.exists() or arguments.pictures[0] == "-" or set("*?[") & set(arguments.pictures[0])):
        raise ConfigError(f"{model}: no such run, folder or picture")
    if model.suffix != ".onnx" and not any((model / name).exists() for name in ("run.json", "model.onnx")):
        model, pictures = RunFolder.newest().path, arguments.pictures
    elif not pictures:
        raise ConfigError(f"{model}: a model and no picture; name pictures after it")
    readings = (terminal.read_numbers if arguments.number else terminal.read_pictures)(Reader(model), pictures)
    (terminal.write_json if arguments.json else terminal.write_csv if arguments.csv else terminal.write_table)(readings)
    if arguments.show and any(reading.answer for reading in readings):
        terminal.write_sheet(readings, arguments.show)
    failed = [reading for reading in readings if reading.error]
    for reading in failed:
        print(f"error: {reading.picture}: {reading.error}", file=sys.stderr)
    if skipped := terminal.skipped_files(pictures):
        names = ", ".join(map(str, skipped[:5])) + ", …" * (len(skipped) > 5)
        print(f"skipped, as the suffix is not a picture's: {len(skipped)} ({names})", file=sys.stderr)
    if failed:
        sys.exit(DataError.exit_code)


if __name__ == "__main__":
    with plain_errors():
        main()
