"""Write the page with its models as a static site, which reads digits in the browser without a server."""

import argparse
import shlex
from pathlib import Path

from digits.cli import plain_errors


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="the folder to write; an earlier export is replaced")
    parser.add_argument("models", nargs="+", type=Path, help="runs or their model.onnx, the default first")
    parser.add_argument(
        "--runtime", type=Path, metavar="DIST", help="onnxruntime-web's dist folder (default: npm fetches it)"
    )
    arguments = parser.parse_args()

    from digits.serving.site import export_site

    print(export_site(arguments.site, arguments.models, arguments.runtime))
    site = shlex.quote(str(arguments.site))
    print(f"{arguments.site}: to try it, python -m http.server --bind 127.0.0.1 --directory {site}")


if __name__ == "__main__":
    with plain_errors():
        main()
