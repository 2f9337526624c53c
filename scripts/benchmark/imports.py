"""Imports what train.py cannot do without, and says so: parts.py takes this time off."""

import lightning  # noqa: F401
import torch  # noqa: F401

print("imported")
