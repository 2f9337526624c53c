"""Handwritten digits with PyTorch Lightning and Hydra."""

import os

# Set before ONNX Runtime and MLflow are imported, which otherwise keep an id in the user's folders and report usage.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
