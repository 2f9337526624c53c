"""One run: fit, keep the best checkpoint, test it once, export it, report it."""
