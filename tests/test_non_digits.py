"""Pictures that show no digit are refused, and digits are not."""

import json

import numpy as np
import pytest
from conftest import QUIET, run_command, run_folders, with_metadata

from digits.pictures.folder import write_pictures
from digits.pictures.ink import encoded
from digits.pictures.marks import KINDS, LETTERS, picture_of
from digits_reader.decode import PictureError
from digits_reader.pictures import SeveralDigitsError, read_picture
from digits_reader.reader import Reader
from digits_reader.score import judge


def refused(reader, folder, each=0):
    """Whether each of the drawn pictures that show no digit is refused."""
    write_pictures("marks", folder, each or None, None)
    return {name: [one.is_right for one in judge(reader, [f"{folder}/no_{name}_*"], number=False)] for name in KINDS}


def test_a_thousand_pictures_are_the_same_each_time_and_can_be_read():
    assert sum(number for _, number in KINDS.values()) == 1000
    assert len(LETTERS) == 46 and not set(LETTERS) & set("olIOSZ")
    pictures, again = ([encoded(picture_of(kind, at)) for kind in KINDS for at in range(3)] for _ in range(2))
    assert pictures == again and len(set(pictures)) == 21
    kinds = [kind for kind in KINDS for _ in range(3)]
    images = [image for pair in zip(kinds, pictures, strict=True) if (image := image_of(*pair)) is not None]
    assert len(images) > 12 and (np.stack(images).max(axis=(1, 2, 3)) > 0.5).all()


def image_of(kind, picture):
    """A picture prepared; None if it has several digits, or specks and smudges without a stroke, and this is said."""
    try:
        return read_picture(picture)
    except SeveralDigitsError:
        return None
    except PictureError as error:
        assert kind in ("specks", "smudges", "shapes") and error.code == "no_ink"
        return None


def test_what_has_less_energy_than_the_threshold_is_refused(quickstart, tmp_path):
    assert not any(refused(Reader(quickstart), tmp_path / "marks", 20)["written"]), "it was not taught to refuse"
    strict = Reader(with_metadata(quickstart, tmp_path / "strict", least_energy="1000"))
    assert all(refused(strict, tmp_path / "marks", 20)["written"])


def test_an_answer_that_is_less_likely_than_not_is_refused(quickstart, tmp_path):
    reader = Reader(with_metadata(quickstart, tmp_path / "taught", least_energy="-1000"))
    faint = np.linspace(0, 1, 300, dtype=np.float32)[:, None, None, None]
    answers = reader.answers(faint * np.random.default_rng(0).random((300, 1, 28, 28), np.float32))
    assert {each.certain for each in answers} == {True, False}
    assert all(each.certain == (each.confidence >= 0.5) for each in answers)


@pytest.mark.slow
def test_a_run_that_is_shown_non_digits_says_what_it_refuses(tmp_path):
    small = ("experiment=quickstart", "data.non_digits=1000", "trainer.max_epochs=2", *QUIET)
    done = run_command("train.py", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["dataset"]["non_digits"] == 1000 and metrics["test/accuracy"] > 0.8
    reader = Reader(folder)
    assert reader.least_energy == metrics["least_energy"]
    assert np.mean(refused(reader, tmp_path / "marks", 30)["scribbles"]) > 0.5
    page = (folder / "report" / "index.html").read_text()
    assert f"<td><b>{100 * metrics['refusals'][2]['test_refused']:.2f}</b></td>" in page
    assert "of the test digits, as no digit" in done.stdout


@pytest.mark.long
def test_non_digits_are_refused_and_test_digits_are_not(mnist_dir, tmp_path):
    done = run_command("train.py", "experiment=reader", *QUIET, cwd=tmp_path, timeout=1800)
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    (chosen,) = [row for row in metrics["refusals"] if row["least_energy"] == metrics["least_energy"]]
    assert chosen["test_refused"] <= 0.01 and metrics["test/accuracy"] >= 0.995
    reader = Reader(folder)
    assert np.mean([each for kind in refused(reader, tmp_path / "marks").values() for each in kind]) >= 0.9
