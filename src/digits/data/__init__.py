"""Pictures and labels as tensors."""
