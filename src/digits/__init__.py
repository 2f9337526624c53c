"""Handwritten digits with PyTorch Lightning and Hydra."""

import os

# Set before ONNX Runtime is imported, which otherwise makes a device id and sends usage data to Microsoft.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
