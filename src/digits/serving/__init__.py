"""Pictures to digits, in a terminal, over HTTP or in a program of one's own; without torch."""

from digits.serving.pictures import PictureError, read_picture
from digits.serving.reader import Reader

__all__ = ["PictureError", "Reader", "read_picture"]
