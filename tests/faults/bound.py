"""Run a script that the permissions of files bind, also where root starts it: bound.py script argument…"""

import ctypes
import os
import runpy
import sys
from pathlib import Path

VERSION_3 = 0x20080522  # of the call, see capset(2)

if __name__ == "__main__":
    if os.geteuid() == 0:
        header, none = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0, os.strerror(ctypes.get_errno())
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
