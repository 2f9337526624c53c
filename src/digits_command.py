"""The command `digits`. Each product that is there adds its own subcommands, and each of them imports what it needs."""

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from cyclopts import App, CycloptsError, Group, Parameter

from plain_errors import ConfigError, plain_errors

PRODUCTS = {"digits_reader": "Read pictures", "digits": "Look after runs"}
SERVING = ("serve", "drawings")  # subcommands that need the extra `serve`


def main(*words: str) -> None:
    """Run a subcommand: `words`, then those of the command line."""
    sys.argv = ["digits", *words, *sys.argv[1:]]
    with plain_errors(_explained):
        shown = Parameter(negative=(), show_default=lambda value: value or None)  # no --no-json, no default of False
        app = App(
            "digits",
            help="Handwritten digits.",
            version=lambda: version("digits"),
            version_flags="--version",
            default_parameter=shown,
        )
        for product, title in PRODUCTS.items():
            group = Group(title)
            for command in import_module(f"{product}.commands").COMMANDS if find_spec(product) else ():
                app.command(command, group=group)
        app(exit_on_error=False, print_error=False, result_action="return_value")


def _explained(error: Exception) -> Exception:
    if isinstance(error, CycloptsError):
        return ConfigError(" ".join(str(error).split()))
    if isinstance(error, ModuleNotFoundError):  # usually because the reader alone is installed
        extra = "serve" if sys.argv[1] in SERVING else "train"
        return ConfigError(f"{error.name} is not installed, and this command needs it: pip install '.[{extra}]'")
    return error


if __name__ == "__main__":
    main()
