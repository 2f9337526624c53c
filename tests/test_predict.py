"""Pictures read in a terminal, and drawings looked after and learned from."""

import csv
import io
import json
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import QUIET, ROOT, Command, run_folders
from drawn import encoded, picture_of
from PIL import Image

from digits.data.drawings import read_drawings
from digits.data.mnist_5k import Mnist5k
from digits.errors import DataError
from digits.serving.drawings import Drawing, Drawings


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture of each digit 0 to 4, one that is none, and one that is no picture by its name."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for digit in range(5):
        place = folder / "more" if digit > 2 else folder
        (place / f"{digit}.png").write_bytes(encoded(picture_of("canvas", digit, 0)))
    (folder / "broken.JPG").write_bytes(b"\xff\xd8\xff")
    (folder / "notes.txt").write_text("5")
    return folder


def test_json_names_every_picture_and_what_it_shows(command: Command, quickstart: Path, pictures: Path):
    done = command("scripts/predict.py", str(quickstart), "pictures", "--json")
    told = {Path(each["picture"]).stem: each for each in json.loads(done.stdout)}
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: pictures/broken.JPG: not a picture")
    assert sorted(told) == ["0", "1", "2", "3", "4", "broken"]
    assert told["broken"].keys() == {"picture", "error"}
    assert told["3"].keys() == {"picture", "digit", "confidence", "runner_up", "probabilities"}
    assert [told[str(digit)]["digit"] for digit in range(5)] == list(range(5))


def test_csv_and_table(command: Command, quickstart: Path, pictures: Path):
    done = command("scripts/predict.py", str(quickstart / "model.onnx"), "pictures/[0-9].png", "pictures/more", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0, done.stderr
    assert [row["digit"] for row in rows] == [Path(row["picture"]).stem for row in rows] == list("01234")
    done = command("scripts/predict.py", str(quickstart), "pictures/2.png")
    assert done.stdout.split()[0] == "2" and done.stdout.endswith("pictures/2.png\n")


def test_standard_input_and_sheet(quickstart: Path, pictures: Path, tmp_path: Path):
    with (pictures / "2.png").open("rb") as picture:
        words = [sys.executable, ROOT / "scripts" / "predict.py", quickstart, "-", pictures, "--show", "out/sheet.png"]
        done = subprocess.run(words, stdin=picture, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stdout.splitlines()[0].split()[0] == "2"
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.width == 4 * 330 and sheet.height == 2 * 120
        assert len(sheet.getcolors(1 << 20) or []) > 20


def test_a_sheet_never_replaces_a_file(command: Command, quickstart: Path, pictures: Path):
    before = (pictures / "0.png").read_bytes()
    for sheet in ("pictures/0.png", "sheet.jpg"):
        done = command("scripts/predict.py", str(quickstart), "--show", sheet, "pictures/1.png")
        assert done.returncode == 2
        assert done.stderr == f"error: --show: got {sheet}, wanted the name of a new .png file\n"
    assert (pictures / "0.png").read_bytes() == before


def test_output_may_be_cut_off(quickstart: Path, pictures: Path):
    words = [sys.executable, ROOT / "scripts" / "predict.py", quickstart, *[pictures / "1.png"] * 300, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_empty_folder_is_told(command: Command, quickstart: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    done = command("scripts/predict.py", str(quickstart), "empty")
    assert done.returncode == 3 and done.stderr == "error: empty: no picture in this folder\n"


@pytest.mark.parametrize("name", ["nothing.png", "nothing/*.png"])
def test_what_is_not_there_is_told(command: Command, quickstart: Path, name: str):
    done = command("scripts/predict.py", str(quickstart), name)
    assert done.returncode == 3 and done.stderr == f"error: {name}: No such file or directory\n"


def test_no_model(command: Command, pictures: Path):
    done = command("scripts/predict.py", "pictures/1.png", "pictures/2.png")
    assert done.returncode == 4 and done.stderr.startswith("error: pictures/1.png: not a model.onnx that a run wrote")


def test_a_thousand_small_pictures_take_seconds(command: Command, quickstart: Path, tmp_path: Path):
    for number, image in enumerate(Mnist5k().read().test_images.numpy()[:, 0]):
        Image.fromarray(image).save(tmp_path / f"{number:03}.png")
    started = time.monotonic()
    done = command("scripts/predict.py", str(quickstart), "*.png", "--csv")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1001
    assert time.monotonic() - started < 20  # 3 seconds where nothing else runs


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A file of thirty drawings: real digits, ten of them 3s."""
    source, path = Mnist5k().read(), tmp_path / "drawings.sqlite"
    with closing(Drawings(path, create=True)) as drawings:
        for at in range(30):
            image, label = source.train_images[at * 130], int(source.train_labels[at * 130])
            id, day = str(uuid.UUID(int=at)), f"2026-01-{at + 1:02}"
            drawings.keep(Drawing(id, image.numpy().tobytes(), label, "cnn", 0, day))
    return path


def test_drawings_are_listed_exported_and_deleted(command: Command, given: Path, tmp_path: Path):
    script = ("scripts/drawings.py", "--file", str(given))
    lines = command(*script, "list").stdout.splitlines()
    assert len(lines) == 30 and lines[0].endswith("cnn said 0  2026-01-01")
    done = command(*script, "export", "out")
    images, labels = read_drawings(given)
    assert done.stdout == "30 drawings in out\n"
    exported = tmp_path / "out" / str(int(labels[7])) / f"{uuid.UUID(int=7)}.png"
    assert np.array_equal(np.asarray(Image.open(exported)), images[7, 0].numpy())
    gone, unknown = str(uuid.UUID(int=7)), str(uuid.uuid4())
    done = command(*script, "delete", gone, unknown)
    assert done.returncode == 3 and unknown in done.stderr and gone not in done.stderr
    left = command(*script, "list").stdout
    assert gone not in left and len(left.splitlines()) == 29
    assert images[7].numpy().tobytes() not in given.read_bytes()


def test_drawings_join_training_alone(given: Path):
    alone, joined = Mnist5k(val_size=500), Mnist5k(val_size=500, drawings=str(given))
    alone.setup()
    joined.setup()
    images, labels = read_drawings(given)
    assert joined.train_images[-30:].equal(images) and joined.train_labels[-30:].equal(labels)
    assert joined.train_images[:-30].equal(alone.train_images)
    assert joined.val_images.equal(alone.val_images) and joined.test_images.equal(alone.test_images)
    assert joined.facts()["drawings"] == 30 and alone.facts()["drawings"] == 0
    threes = Mnist5k(classes=[3, 7], val_size=100, drawings=str(given))
    threes.setup()
    assert threes.facts()["drawings"] == int(((labels == 3) | (labels == 7)).sum())


def test_a_run_learns_from_drawings(command: Command, given: Path, tmp_path: Path):
    small = ("experiment=quickstart", "model=linear", "trainer.max_epochs=1", *QUIET)
    done = command("train.py", *small, f"data.drawings={given}")
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    dataset = json.loads((folder / "report" / "metrics.json").read_text())["dataset"]
    assert (dataset["train"], dataset["drawings"]) == (3530, 30)


def test_files_that_hold_no_drawings(command: Command, tmp_path: Path):
    done = command("train.py", "experiment=quickstart", "data.drawings=nothing.sqlite", *QUIET)
    assert done.returncode == 3 and "nothing.sqlite: no such file" in done.stderr
    assert not (tmp_path / "nothing.sqlite").exists()
    (tmp_path / "text").write_text("nothing of the kind\n" * 100)
    with pytest.raises(DataError, match="file is not a database"):
        read_drawings(tmp_path / "text")
