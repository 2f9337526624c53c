"""Import what train.py cannot do without. The start of train.py is compared with the time that this takes."""

import lightning  # noqa: F401
import torch  # noqa: F401
