#!/usr/bin/env bash
# A morphological opening is never larger than what it opens, whatever its structuring element; SciPy's binary_opening
# keeps to that. OpenCV's morphologyEx(MORPH_OPEN) does with sides of odd length only: it erodes and dilates with the
# same anchor, so with a side of even length the result is moved by a pixel. It has pixels that the image has not, and
# a rectangle that contains the element does not survive as it is. MORPH_CLOSE loses pixels likewise. OpenCV 4.12 and 5.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/opened.py" <<'PYTHON'
import cv2, numpy as np
from scipy.ndimage import binary_opening
image = np.zeros((12, 12), np.uint8)
image[4:8, 3:9] = 1  # a rectangle of 4x6 pixels
for shape in ((1, 3), (1, 4), (4, 4)):
    element = np.ones(shape, np.uint8)
    opened = cv2.morphologyEx(image, cv2.MORPH_OPEN, element)
    closed = cv2.morphologyEx(image, cv2.MORPH_CLOSE, element)
    by_scipy = binary_opening(image, element)
    moved = (opened > image).sum(), (closed < image).sum()
    print(shape, "more:", moved[0], "closed less:", moved[1], "SciPy:", (by_scipy > image).sum())
PYTHON
wanted="(1, 3) more: 0 closed less: 0 SciPy: 0
(1, 4) more: 4 closed less: 4 SciPy: 0
(4, 4) more: 9 closed less: 9 SciPy: 0"
for version in 4.12.0.88 5.0.0.93; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "opencv-python-headless==$version" scipy==1.16.3
  said=$("$folder/$version/bin/python" "$folder/opened.py")
  echo "OpenCV $version, SciPy 1.16.3"
  echo "$said"
  [ "$said" = "$wanted" ] || { echo "this has changed"; exit 1; }
done
