"""Picture files that are damaged or were never any, for the reader and the server."""

import struct
import zlib

from hypothesis import strategies as st

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of

FILES = [
    encoded(picture_of(scene, digit, 0).resize((64, 64)), kind)
    for digit, scene in enumerate(("canvas", "marker"))
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
]
SIZES = (0, 1, 7, 8, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def png(width: int, height: int, bits: int, colours: int, pixels: bytes) -> bytes:
    """A PNG file with any header."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    file = b"\x89PNG\r\n\x1a\n"
    for kind, data in parts:
        file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return file


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A picture file with some bytes changed, removed, doubled, inserted or copied from another file."""
    content = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content))) if draw(st.booleans()) else draw(st.integers(0, min(64, len(content))))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(("flip", "write", "cut", "end", "double", "insert", "splice"))):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "write":
                order = draw(st.sampled_from(("big", "little")))
                content[at : at + 4] = draw(st.sampled_from(SIZES)).to_bytes(4, order)
            case "cut":
                del content[at : at + length]
            case "end":
                del content[at:]
            case "double":
                content[at:at] = content[at : at + length]
            case "insert":
                content[at:at] = draw(st.binary(max_size=64))
            case "splice":
                content[at:] = draw(st.sampled_from(FILES))[at:]
    return bytes(content)


generated = st.builds(
    png, *2 * [st.sampled_from(SIZES)], st.sampled_from((0, 1, 8, 16, 255)), st.integers(0, 7), st.binary(max_size=2000)
)

pictures = mutated() | generated | st.binary(max_size=200)
