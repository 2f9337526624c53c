"""List, export or delete the drawings that people saved on the page."""

import argparse
from contextlib import closing
from pathlib import Path

from plain_errors import DataError, plain_errors


def main() -> None:
    """Parse the command line, then do the action it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("data/drawings.sqlite"), help="default: %(default)s")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="print a line for each: id, label, the model's answer, time")
    export = actions.add_parser("export", help="write each as a PNG of 28x28, ink white, in a folder for its label")
    export.add_argument("folder", type=Path)
    delete = actions.add_parser("delete", help="delete some for good")
    delete.add_argument("ids", nargs="+", metavar="id")
    arguments = parser.parse_args()

    from PIL import Image

    from atomic_files import atomic_path
    from digits_reader.drawings import Drawings

    with closing(Drawings(arguments.file, "rw" if arguments.action == "delete" else "ro")) as file:
        if arguments.action == "list":
            for each in file.all():
                print(f"{each.id}  {each.label}  {each.model} answered {each.answer}  {each.time}")
        elif arguments.action == "export":
            drawings = file.all()
            for each in drawings:
                with atomic_path(arguments.folder / str(each.label) / f"{each.id}.png") as path:
                    Image.frombytes("L", (28, 28), each.image).save(path, "PNG")
            print(f"{len(drawings)} drawings in {arguments.folder}")
        else:
            unknown = [id for id in arguments.ids if not file.delete(id)]
            if unknown:
                deleted = len(arguments.ids) - len(unknown)
                raise DataError(f"no drawing with id {', '.join(unknown)}; deleted {deleted}")


if __name__ == "__main__":
    with plain_errors():
        main()
