"""Import the two libraries that every training needs. speed.py compares the start of train.py with this time."""

import lightning  # noqa: F401
import torch  # noqa: F401
