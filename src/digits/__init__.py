"""Handwritten digits with PyTorch Lightning and Hydra."""
