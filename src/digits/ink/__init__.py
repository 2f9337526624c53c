"""A small network that finds the ink of handwriting on a photograph, and the drawn photographs it learns from."""
