"""The model that comes with the reader: file and card belong together, and it reads what the card says."""

import json

import numpy as np
import pytest
from conftest import ROOT

from atomic_files import sha256_of
from digits.pictures.folder import write_pictures
from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader import Reader
from digits_reader.reader import SHIPPED
from digits_reader.score import judge

CARD = json.loads((SHIPPED / "card.json").read_text(encoding="utf-8"))
CHOSEN = CARD["seeds"].index(CARD["chosen_seed"])
FILE = SHIPPED / "model.onnx"


def test_file_and_card_belong_together():
    assert CARD["sha256"] == sha256_of(FILE) and CARD["bytes"] == FILE.stat().st_size <= 500_000
    reader = Reader()
    assert reader.name == CARD["name"] and reader.test_accuracy == CARD["test_accuracy"][CHOSEN]
    assert str(ROOT).encode() not in FILE.read_bytes()


def test_the_readme_shows_what_is_said(command):
    done = command("scripts/predict.py", str(ROOT / "docs" / "photo.jpg"))
    shown = (ROOT / "README.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    assert done.stderr + done.stdout == shown.replace("docs/photo.jpg", str(ROOT / "docs" / "photo.jpg"))


def test_it_reads_a_picture_by_its_name_and_from_bytes(tmp_path):
    (tmp_path / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    for picture in (tmp_path / "7.png", str(tmp_path / "7.png"), (tmp_path / "7.png").read_bytes()):
        answer = Reader().read(picture)
        assert answer.digit == 7 and answer.certain


@pytest.mark.parametrize("kind", ["harder", "marks"])
def test_it_reads_what_its_card_says(tmp_path, kind: str):
    write_pictures(kind, tmp_path, None, None)
    right = [each.is_right for each in judge(Reader(), [str(tmp_path)], number=False)]
    figures = CARD["figures"][kind][CHOSEN]
    assert len(right) == figures["pictures"] and 100 * np.mean(right) == pytest.approx(figures["right"], abs=0.5)
