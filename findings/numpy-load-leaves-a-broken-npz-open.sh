#!/usr/bin/env bash
# numpy.load(path) of a file that begins as an npz does and ends too soon raises BadZipFile and leaves the file open:
# it gives up closing it before NpzFile, which would, is made. Python closes it when it frees the error, and warns. On
# Windows the file cannot be deleted until then. A file that the caller opened is closed by the caller. NumPy 2.1 to 2.4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/broken.py" <<'PYTHON'
import sys, zipfile
from pathlib import Path
import numpy as np
path = Path(sys.argv[1])
np.savez(path, x=np.zeros(1000))
path.write_bytes(path.read_bytes()[:4000])
try:
    np.load(path)
except zipfile.BadZipFile as error:
    links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    print("open after the error:", path.resolve() in links)
PYTHON
for version in 2.1.3 2.4.6; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "numpy==$version"
  said=$("$folder/$version/bin/python" "$folder/broken.py" "$folder/x.npz")
  echo "NumPy $version: $said"
  [ "$said" = "open after the error: True" ] || { echo "this has changed"; exit 1; }
done
