"""Read digits on pictures, in a terminal, over HTTP or from Python; needs no torch."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digits_reader.decode import PictureError
    from digits_reader.pictures import read_picture
    from digits_reader.reader import Reader

# Set before ONNX Runtime is imported, which otherwise makes a device id and sends usage data to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["PictureError", "Reader", "read_picture"]
HOMES = {"PictureError": "decode", "Reader": "reader", "read_picture": "pictures"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and not before: the help of the command `digits` needs none of it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
