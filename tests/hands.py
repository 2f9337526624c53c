"""A sheet of the digits that data.hands adds to training: `python tests/hands.py SHEET.png --seed 1`."""

import argparse
from pathlib import Path

from PIL import Image

from digits.data.hands import draw_hands
from plain_errors import plain_errors


def sheet_of_hands(columns: int = 24, seed: int = 0) -> Image.Image:
    """Show digits as `draw_hands` draws them, black on white, a row for each digit."""
    images, _ = draw_hands(10 * columns, list(range(10)), seed)
    rows = images.view(columns, 10, 28, 28).permute(1, 2, 0, 3).reshape(280, columns * 28)
    sheet = Image.fromarray(255 - rows.numpy())
    return sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.BICUBIC)


def main() -> None:
    """Parse the command line, then write the picture."""
    parser = argparse.ArgumentParser(description="Draw a sheet of the digits that data.hands adds to training.")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
    sheet_of_hands(seed=arguments.seed).save(arguments.picture, "PNG")


if __name__ == "__main__":
    with plain_errors():
        main()
