#!/usr/bin/env bash
# OpenCV 5.0 draws lines and circles on a float32 image, as OpenCV 4 does, and so most expect it to write text there too.
# OpenCV 4.12 does, with the colour's own value; 5.0's putText, which has a new renderer of fonts, raises:
#   (-215:Assertion failed) img.depth() == CV_8U in function 'putText'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/draw.py" <<'PYTHON'
import cv2, numpy as np
image = np.zeros((60, 120), np.float32)
cv2.line(image, (5, 55), (115, 55), 0.5, 2)
print(cv2.__version__, "line", float(image.max()), end=" ")
try:
    cv2.putText(image, "7", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, 0.75, 2)
    print("text", float(image.max()))
except cv2.error as error:
    print("text", error.err)
PYTHON
said() {
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" install --quiet --disable-pip-version-check "opencv-python-headless==$1"
  "$folder/$1/bin/python" "$folder/draw.py"
}
four=$(said 4.12.0.88)
five=$(said 5.0.0.93)
echo "$four"
echo "$five"
[ "$four" = "4.12.0 line 0.5 text 0.75" ] || { echo "this has changed"; exit 1; }
[ "$five" = "5.0.0 line 0.5 text img.depth() == CV_8U" ] || { echo "this has changed"; exit 1; }
