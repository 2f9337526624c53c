"""Data sets: files to tensors, splits and batches."""
