"""Read digits on pictures, in a terminal, over HTTP or from Python; needs no torch."""

from digits.serving.decode import PictureError
from digits.serving.pictures import read_picture
from digits.serving.reader import Reader

__all__ = ["PictureError", "Reader", "read_picture"]
