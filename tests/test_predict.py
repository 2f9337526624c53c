"""Reading pictures in a terminal; listing, exporting, deleting saved drawings and training on them."""

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import QUIET, ROOT, Command, run_folders, with_metadata
from PIL import Image

from digits.data.drawings import read_drawings
from digits.data.mnist_5k import Mnist5k
from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.drawings import Drawing, Drawings
from digits_reader.reader import Answer, DigitProbability
from digits_reader.terminal import Reading, write_table
from plain_errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture of each digit 0 to 4, a damaged picture and a text file."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for digit in range(5):
        place = folder / "more" if digit > 2 else folder
        (place / f"{digit}.png").write_bytes(encoded(picture_of("canvas", digit, 0)))
    (folder / "broken.JPG").write_bytes(b"\xff\xd8\xff")
    (folder / "notes.txt").write_text("5")
    return folder


def test_json_lists_each_picture_with_its_answer_or_error(command: Command, quickstart: Path, pictures: Path):
    done = command("scripts/predict.py", str(quickstart), "pictures", "--json")
    results = {Path(each["picture"]).stem: each for each in json.loads(done.stdout)}
    assert done.returncode == 3
    assert done.stderr.startswith("error: pictures/broken.JPG: a JPEG file that is damaged")
    assert done.stderr.splitlines()[1:] == ["skipped, as the suffix is not a picture's: 1 (pictures/notes.txt)"]
    assert sorted(results) == ["0", "1", "2", "3", "4", "broken"]
    assert results["broken"].keys() == {"picture", "error"}
    assert results["3"].keys() == {"picture", "digit", "confidence", "runner_up", "probabilities", "certain", "reason"}
    assert all(results[str(digit)]["certain"] is results[str(digit)]["reason"] is None for digit in range(5))
    assert [results[str(digit)]["digit"] for digit in range(5)] == list(range(5))


def test_names_of_pictures_are_those_that_can_be_decoded(command: Command, quickstart: Path, tmp_path: Path):
    seven = picture_of("canvas", 7, 0)
    (tmp_path / "scans").mkdir()
    for suffix in ("jfif", "jpe", "avif", "apng", "png"):
        seven.save(tmp_path / f"scans/7.{suffix}")
    done = command("scripts/predict.py", str(quickstart), "scans", "--csv")
    assert [line.split(",")[1] for line in done.stdout.splitlines()[1:]] == ["7"] * 5 and done.stderr == ""


def test_further_pages_are_said_and_a_checkpoint_is_no_picture(command: Command, quickstart: Path, tmp_path: Path):
    seven = picture_of("canvas", 7, 0)
    seven.save(tmp_path / "scan.tif", save_all=True, append_images=[seven, seven])
    done = command("scripts/predict.py", str(quickstart), "scan.tif")
    assert done.stdout.startswith("7 ") and done.stderr == "scan.tif: read the first of 3 pages\n"
    refused = command("scripts/predict.py", str(quickstart / "checkpoints/best.ckpt"), "scan.tif")
    assert (
        refused.returncode == 2 and refused.stderr.count("\n") == 1 and "a checkpoint, wanted a run" in refused.stderr
    )


def test_the_runtime_leaves_no_device_id_and_sends_nothing(quickstart: Path, pictures: Path, tmp_path: Path):
    # Nothing of what names a CI, where the runtime is silent; a proxy that is not there, so this test sends nothing.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "https_proxy": "http://127.0.0.1:9"}
    words = [sys.executable, ROOT / "scripts/predict.py", quickstart, pictures / "2.png"]
    (tmp_path / "home").mkdir()
    subprocess.run(words, check=True, env=environment)
    assert not list((tmp_path / "home").iterdir())
    subprocess.run(words, check=True, env=environment | {"ORT_DISABLE_TELEMETRY": "0"})
    assert list((tmp_path / "home").rglob("deviceid"))  # else this test would see nothing


def test_csv_and_table_give_a_line_for_each_picture(command: Command, quickstart: Path, pictures: Path):
    done = command("scripts/predict.py", str(quickstart / "model.onnx"), "pictures/[0-9].png", "pictures/more", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert done.returncode == 0, done.stderr
    assert [row["digit"] for row in rows] == [Path(row["picture"]).stem for row in rows] == list("01234")
    done = command("scripts/predict.py", str(quickstart), "pictures/2.png")
    assert re.fullmatch(r"2 +\d+\.\d\d %(, unsure)?, if it is a digit  \(or \d, .* %\)  pictures/2.png\n", done.stdout)
    assert {row["certain"] for row in rows} == {""}, "the model has not learned to tell"


@pytest.mark.parametrize(
    ("probability", "certain", "line"),
    [
        (0.9, True, "4   90.00 %  (or 9, 5.00 %)  x.png"),
        (0.52, True, "4   52.00 %, unsure  (or 9, 5.00 %)  x.png"),
        (0.52, None, "4   52.00 %, unsure, if it is a digit  (or 9, 5.00 %)  x.png"),
        (0.52, False, "?  no digit I know (perhaps 4)  x.png"),
    ],
)
def test_a_low_probability_is_worded_as_doubt(capsys, probability: float, certain: bool | None, line: str):
    ranked = [DigitProbability(4, probability), DigitProbability(9, 0.05)]
    write_table([Reading("x.png", Answer(4, probability, 9, ranked, certain, None))])
    assert capsys.readouterr().out == f"{line}\n"


def test_what_looks_like_no_digit_is_said_in_each_format(command: Command, quickstart: Path, pictures: Path):
    doubtful = with_metadata(quickstart, pictures.parent / "doubtful", least_energy="1000")
    words = ("scripts/predict.py", str(doubtful), "pictures/2.png")
    assert command(*words).stdout == "?  no digit I know (perhaps 2)  pictures/2.png\n"
    (answer,) = json.loads(command(*words, "--json").stdout)
    assert (answer["digit"], answer["certain"]) == (2, False)
    taught = with_metadata(quickstart, pictures.parent / "taught", least_energy="-1000")
    (known,) = json.loads(command(words[0], str(taught), "pictures/2.png", "--json").stdout)
    assert (known["digit"], known["certain"], known["reason"]) == (2, True, None)
    assert answer["reason"] == "it looks like no digit that this model knows"
    (row,) = csv.DictReader(io.StringIO(command(*words, "--csv").stdout))
    assert (row["digit"], row["certain"]) == ("2", "False")
    done = command("src/digits_command.py", "score", str(doubtful), "pictures/more")
    assert [line.split() for line in done.stdout.rstrip().splitlines()] == [
        ["pictures", "right,", "%", "refused,", "%", "wrong,", "%"],
        ["all", "2", "100.00", "100.00", "0.00"],
    ]


def test_numbers_are_read_and_one_digit_is_wanted_without_the_option(
    command: Command, quickstart: Path, tmp_path: Path
):
    row = Image.new("RGB", (560, 280), "white")
    for place, digit in enumerate((4, 2)):
        row.paste(picture_of("canvas", digit, 0), (280 * place, 0))
    row.save(tmp_path / "number.png")
    done = command("scripts/predict.py", "--number", str(quickstart), "number.png")
    assert done.returncode == 0 and done.stdout.startswith("42 "), done.stderr
    assert done.stdout.endswith(" %, if these are digits  number.png\n")
    done = command("scripts/predict.py", "--number", "--json", str(quickstart), "number.png")
    (result,) = json.loads(done.stdout)
    assert result["number"] == "42" and [each["digit"] for each in result["lines"][0]["digits"]] == [4, 2]
    done = command("scripts/predict.py", str(quickstart), "number.png")
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("error: number.png: several digits on the picture, wanted one; digits read --number")
    done = command("scripts/predict.py", "--number", "--show", "sheet.png", str(quickstart), "number.png")
    assert done.returncode == 2 and done.stderr == "error: --show: not with --number, wanted one of them\n"


def test_standard_input_is_read_and_a_sheet_is_drawn(quickstart: Path, pictures: Path, tmp_path: Path):
    with (pictures / "2.png").open("rb") as picture:
        words = [sys.executable, ROOT / "scripts" / "predict.py", quickstart, "-", pictures, "--show", "out/sheet.png"]
        done = subprocess.run(words, stdin=picture, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stdout.splitlines()[0].split()[0] == "2"
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.width == 4 * 330 and sheet.height == 2 * 120
        assert len(sheet.getcolors(1 << 20) or []) > 20


def test_a_sheet_never_replaces_a_file(command: Command, quickstart: Path, pictures: Path):
    before = (pictures / "0.png").read_bytes()
    for sheet, there in (("pictures/0.png", ", which is there already"), ("sheet.jpg", "")):
        done = command("scripts/predict.py", str(quickstart), "--show", sheet, "pictures/1.png")
        assert done.returncode == 2
        assert done.stderr == f"error: --show: got {sheet}{there}, wanted the name of a new .png file\n"
    assert (pictures / "0.png").read_bytes() == before


def test_a_closed_pipe_ends_the_command_without_a_message(quickstart: Path, pictures: Path):
    words = [sys.executable, ROOT / "scripts" / "predict.py", quickstart, *[pictures / "1.png"] * 300, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_empty_folder_is_an_error(command: Command, quickstart: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    done = command("scripts/predict.py", str(quickstart), "empty")
    assert done.returncode == 3 and done.stderr == "error: empty: no picture in this folder\n"


@pytest.mark.parametrize("name", ["nothing.png", "nothing/*.png"])
def test_a_missing_picture_is_an_error(command: Command, quickstart: Path, name: str):
    done = command("scripts/predict.py", str(quickstart), name)
    assert done.returncode == 3 and done.stderr == f"error: {name}: No such file or directory\n"


@pytest.mark.parametrize("name", ["outputs/nothing", "nothing"])
def test_a_missing_run_is_an_error_and_not_the_newest_one(command: Command, quickstart: Path, tmp_path: Path, name):
    (tmp_path / "outputs").mkdir(exist_ok=True)
    (tmp_path / "outputs" / "run").symlink_to(quickstart)
    done = command("scripts/predict.py", name, "nothing.png")
    assert (done.returncode, done.stderr) == (2, f"error: {name}: no such run, folder or picture\n")


def test_a_picture_given_as_model_is_an_error(command: Command, pictures: Path):
    (pictures / "1.png").rename(pictures / "1.onnx")
    done = command("scripts/predict.py", "pictures/1.onnx", "pictures/2.png")
    assert done.returncode == 4 and done.stderr.startswith("error: pictures/1.onnx: not a model.onnx that a run wrote")


def test_without_a_run_the_newest_one_reads_or_the_one_that_comes_with_digits(
    command: Command, quickstart: Path, pictures: Path, tmp_path: Path
):
    two = ("scripts/predict.py", "pictures/1.png", "pictures/2.png")
    done = command(*two)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "2"]
    assert done.stderr.startswith("model: reader, which comes with digits: reads ")
    shutil.copytree(quickstart, tmp_path / "outputs" / "run")
    done = command(*two)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "2"]
    assert re.fullmatch(
        r"newest model: cnn, outputs/run/model.onnx: reads 9\d.\d\d % of the test split of mnist_5k\n", done.stderr
    )
    done = command("scripts/predict.py", "outputs/run")
    assert done.returncode == 2 and done.stderr.startswith("error: outputs/run: a model and no picture")
    done = command("scripts/export_site.py", "site", "--runtime", "none")
    assert done.returncode == 2 and done.stderr.startswith("newest model: cnn, outputs/run/model.onnx: reads 9")


def test_a_thousand_small_pictures_take_seconds(command: Command, quickstart: Path, tmp_path: Path):
    for number, image in enumerate(Mnist5k().read().test_images.numpy()[:, 0]):
        Image.fromarray(image).save(tmp_path / f"{number:03}.png")
    started = time.monotonic()
    done = command("scripts/predict.py", str(quickstart), "*.png", "--csv")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1001
    assert time.monotonic() - started < 20  # 3 seconds where nothing else runs


def test_a_folder_named_by_digits_is_scored_by_set(command: Command, quickstart: Path, tmp_path: Path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for digit, name in ((3, "3_ann1"), (4, "4_ann2"), (5, "5-bob"), (6, "2_bob")):
        (folder / f"{name}.png").write_bytes(encoded(picture_of("canvas", digit, 0)))
    Image.new("RGB", (50, 50), "white").save(folder / "7_ann.png")
    score = ("src/digits_command.py", "score")
    done = command(*score, str(quickstart), "mine")
    assert done.returncode == 0, done.stderr
    _, ann, bob, total, wrong, empty = done.stdout.splitlines()
    assert (ann.split(), bob.split()) == (
        ["ann", "3", "66.67", "33.33", "0.00"],
        ["bob", "2", "50.00", "0.00", "50.00"],
    )
    assert total.split() == ["all", "5", "60.00", "20.00", "20.00"]
    assert wrong.startswith("mine/2_bob.png: 6, ") and empty.startswith("mine/7_ann.png: no ink found")
    (folder / "seven.png").write_bytes(b"")
    done = command(*score, str(quickstart), "mine")
    assert done.returncode == 3 and done.stderr.startswith("error: mine/seven.png: wanted pictures whose names begin")
    (folder / "seven.png").unlink()
    done = command(*score, "mine")
    assert done.returncode == 0 and done.stderr.startswith("model: reader, which comes with digits")


def thirty() -> list[Drawing]:
    """Real digits, three of each."""
    source = Mnist5k().read()
    images, labels = source.train_images[: 30 * 130 : 130], source.train_labels[: 30 * 130 : 130].tolist()
    days = [f"2026-01-{day:02}" for day in range(1, 31)]
    return [
        Drawing(
            str(uuid.uuid5(uuid.NAMESPACE_OID, str(at))), images[at].numpy().tobytes(), labels[at], "cnn", 0, days[at]
        )
        for at in range(30)
    ]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder of thirty drawings."""
    drawings = Drawings(tmp_path / "drawings")
    assert all(drawings.add(drawing) for drawing in thirty())
    return tmp_path / "drawings"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["predict.py", "RUN", "pictures/1.png"], 0),
        (["predict.py", "nothing.onnx", "pictures/1.png"], 4),
        (["drawings.py", "--file", "drawings", "list"], 0),
        (["drawings.py", "--file", "drawings", "delete", "unknown"], 3),
        (["serve.py", "nothing.onnx"], 4),  # after all imports of a server that starts
        (["serve.py", "--port", "99999"], 2),
        (["export_site.py", "site", "nothing.onnx"], 4),
    ],
)
def test_serving_imports_neither_hydra_nor_torch(
    command: Command, quickstart: Path, pictures: Path, saved: Path, words: list[str], code: int
):
    script, *arguments = [str(quickstart) if word == "RUN" else word for word in words]
    done = command(f"scripts/{script}", *arguments, PYTHONPROFILEIMPORTTIME="1")  # Python lists its imports on stderr
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert done.returncode == code and "digits_command" in imported
    assert not {name.partition(".")[0] for name in imported} & {"hydra", "omegaconf", "torch", "lightning"}
    assert not {name for name in imported if name.startswith("digits.")}, "what import_module takes is not listed"


def test_drawings_are_listed_copied_and_deleted(command: Command, saved: Path, tmp_path: Path):
    script = ("scripts/drawings.py", "--file", str(saved))
    lines = command(*script, "list").stdout.splitlines()
    assert len(lines) == 30 and lines[0].endswith("cnn answered 0  2026-01-01")
    done = command(*script, "export", "out")
    assert done.stdout == "30 drawings in out\n" and Drawings(tmp_path / "out").all() == thirty()
    seventh = thirty()[7]
    path = tmp_path / "out" / str(seventh.label) / f"{seventh.id}.png"
    assert np.asarray(Image.open(path)).tobytes() == seventh.image
    unknown = str(uuid.uuid4())
    done = command(*script, "delete", seventh.id[:8], unknown, "", "0")
    assert (done.returncode, done.stderr) == (
        3,
        f"error: no single drawing: {unknown} (0 drawings),  (0 drawings), 0 (2 drawings); "
        "wanted ids, or enough of their start; deleted 1\n",
    )
    listed = command(*script, "list").stdout
    assert seventh.id not in listed and len(listed.splitlines()) == 29
    for words in (["list", "more"], ["export"], ["export", "a", "b"], ["delete"], ["erase"]):
        done = command(*script, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), words


def test_what_is_exported_is_scored_and_nothing_is_called_so(
    command: Command, quickstart: Path, saved: Path, tmp_path: Path
):
    assert command("scripts/drawings.py", "--file", str(saved), "export", "out").returncode == 0
    done = command("src/digits_command.py", "score", str(quickstart), "out")
    assert done.returncode == 0, done.stderr
    _, count, right, *_ = done.stdout.splitlines()[1].split()
    assert count == "30" and float(right) > 80, "by the folder, not by how an id begins"
    for path in saved.glob("*/*.png"):
        path.unlink()
    done = command("scripts/drawings.py", "--file", str(saved), "list")
    assert done.returncode == 0 and done.stdout.startswith(f"{saved}: no drawings; ")


def test_the_file_of_an_older_version_becomes_a_folder(command: Command, tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as store:
        store.execute("CREATE TABLE drawings (id, image, label, model, answer, time)")
        store.executemany("INSERT INTO drawings VALUES (?, ?, ?, ?, ?, ?)", map(astuple, reversed(thirty())))
        store.commit()
    done = command("scripts/drawings.py", "--file", "old.sqlite", "list")
    assert done.returncode == 3 and done.stderr.endswith("digits drawings --file old.sqlite export old\n")
    for _ in range(2):
        done = command("scripts/drawings.py", "--file", "old.sqlite", "export", "old")
        assert (done.returncode, done.stdout) == (0, "30 drawings in old\n")
        assert Drawings(tmp_path / "old").all() == thirty()
    (tmp_path / "text").write_text("nothing of the kind\n" * 100)
    done = command("scripts/drawings.py", "--file", "text", "export", "old")
    assert done.returncode == 3 and done.stderr.startswith("error: text: file is not a database; wanted")


def test_a_repeated_id_adds_nothing_whoever_sends_it(tmp_path: Path):
    two = [Drawings(tmp_path / "new" / "drawings") for _ in range(2)]
    first = thirty()[0]
    with ThreadPoolExecutor(8) as people:
        tries = [replace(first, label=label) for label in range(10) for _ in range(4)]
        added = list(people.map(lambda each: two[each.label % 2].add(each), tries))
    assert sum(added) == 1 and two[0].all() == [tries[added.index(True)]]


def test_what_cannot_be_written_or_read_is_an_error(saved: Path, tmp_path: Path):
    (tmp_path / "text").write_text("text")
    with pytest.raises(DataError, match="text/drawings: Not a directory; wanted a folder that can be written"):
        Drawings(tmp_path / "text" / "drawings").add(thirty()[0])
    with pytest.raises(DataError, match="gone: no such folder"):
        Drawings(tmp_path / "gone").all()
    (saved / "7" / "more.png").write_bytes(b"no picture")
    for read in (Drawings(saved).all, partial(read_drawings, saved)):
        with pytest.raises(DataError, match=r"7/more\.png: not a "):
            read()
    Image.new("L", (27, 28)).save(saved / "7" / "more.png")
    with pytest.raises(DataError, match="27x28 pixels, wanted 28x28"):
        read_drawings(saved)


def test_drawings_are_read_by_digit_and_name(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(saved.parent))
    images, labels = read_drawings(Path("~/drawings"))
    expected = sorted(thirty(), key=lambda drawing: (drawing.label, drawing.id))
    assert labels.tolist() == [drawing.label for drawing in expected]
    assert images.numpy().tobytes() == b"".join(drawing.image for drawing in expected)


def test_drawings_are_added_to_the_training_set_only(saved: Path):
    alone, joined = Mnist5k(val_size=500), Mnist5k(val_size=500, drawings=str(saved))
    alone.setup()
    joined.setup()
    images, labels = read_drawings(saved)
    assert joined.train_images[-30:].equal(images) and joined.train_labels[-30:].equal(labels)
    assert joined.train_images[:-30].equal(alone.train_images)
    assert joined.val_images.equal(alone.val_images) and joined.test_images.equal(alone.test_images)
    assert joined.facts()["drawings"] == 30 and alone.facts()["drawings"] == 0
    threes = Mnist5k(classes=[3, 7], val_size=100, drawings=str(saved))
    threes.setup()
    assert threes.facts()["drawings"] == int(((labels == 3) | (labels == 7)).sum())


def test_a_run_trains_on_drawings(command: Command, saved: Path, tmp_path: Path):
    small = ("experiment=quickstart", "model=linear", "trainer.max_epochs=1", *QUIET)
    done = command("train.py", *small, f"data.drawings={saved}")
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    dataset = json.loads((folder / "report" / "metrics.json").read_text())["dataset"]
    assert (dataset["train"], dataset["drawings"]) == (3530, 30)


def test_a_missing_folder_of_drawings_is_an_error(command: Command, tmp_path: Path):
    for name in ("nothing", "file"):
        (tmp_path / "file").write_text("an older version's")
        done = command("train.py", "experiment=quickstart", f"data.drawings={name}", *QUIET)
        assert done.returncode == 3 and f"{name}: no such folder; wanted one of drawings like 7/name.png" in done.stderr
