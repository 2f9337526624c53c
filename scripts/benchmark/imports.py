"""Import the modules that are named. speed.py compares the start of train.py with the time that this takes."""

import sys
from importlib import import_module

for name in sys.argv[1:]:
    if "=" not in name:  # speed.py adds overrides to each command
        import_module(name)
