"""Write the page and models as a static site: it reads digits in the browser, without a server of its own."""

import argparse
import shlex
from pathlib import Path

from digits.run_folder import RunFolder
from plain_errors import plain_errors


def main() -> None:
    """Parse the command line, then write the site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="the folder to write; an earlier export is replaced")
    parser.add_argument("models", nargs="*", type=Path, help="runs or their model.onnx (default: the newest run)")
    runtime_help = "dist folder of an unpacked onnxruntime-web (default: fetch it with npm)"
    parser.add_argument("--runtime", type=Path, metavar="DIST", help=runtime_help)
    arguments = parser.parse_args()

    from digits_reader.site import RUNTIME, export_site

    export_site(arguments.site, arguments.models or [RunFolder.newest().path], arguments.runtime)
    print(f"{arguments.site}: written, with {RUNTIME} from {arguments.runtime or 'npm'}")
    print(f"to try it: python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(arguments.site))}")


if __name__ == "__main__":
    with plain_errors():
        main()
