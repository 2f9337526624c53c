"""Read digits on pictures, in a terminal, over HTTP or from Python; needs no torch."""

import os

# Set before ONNX Runtime is imported, which otherwise makes a device id and sends usage data to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
