"""Look after the drawings people gave on the page: list them, export them as pictures, delete some."""

import argparse
import sys
from pathlib import Path

from digits.cli import plain_errors
from digits.errors import DataError


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("data/drawings.sqlite"), help="where they are (%(default)s)")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="a line each: id, what it is, what which model said, when")
    export = actions.add_parser("export", help="write each as a PNG of 28x28, ink white, into a folder a digit")
    export.add_argument("folder", type=Path)
    delete = actions.add_parser("delete", help="forget some for good")
    delete.add_argument("ids", nargs="+", metavar="id")
    arguments = parser.parse_args()

    from PIL import Image

    from digits.files import atomic_path
    from digits.serving.drawings import Drawings

    drawings = Drawings(arguments.file)
    if arguments.action == "list":
        for each in drawings.all():
            print(f"{each.id}  {each.label}  {each.model} said {each.answer}  {each.time}")
    elif arguments.action == "export":
        for each in drawings.all():
            with atomic_path(arguments.folder / str(each.label) / f"{each.id}.png") as path:
                Image.frombytes("L", (28, 28), each.image).save(path, "PNG")
        print(f"{len(drawings.all())} drawings in {arguments.folder}")
    else:
        unknown = [id for id in arguments.ids if not drawings.forget(id)]
        if unknown:
            deleted = len(arguments.ids) - len(unknown)
            print(f"error: no drawing of id {', '.join(unknown)}; {deleted} deleted", file=sys.stderr)
            sys.exit(DataError.exit_code)


if __name__ == "__main__":
    with plain_errors():
        main()
