"""Read digits on pictures, in a terminal, over HTTP or from Python; needs no torch."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digits_reader.reader import Reader

__all__ = ["Reader"]

# Set before ONNX Runtime is imported, which otherwise makes a device id and sends usage data to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    """Import Reader when it is asked for: the help of a command needs no ONNX Runtime."""
    if name != "Reader":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from digits_reader.reader import Reader

    return Reader
