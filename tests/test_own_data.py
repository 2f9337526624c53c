"""One's own digits, by config alone: pictures in folders, tables, IDX files of other sets."""

import gzip
import json
import re
import shutil

import numpy as np
import pandas
import pytest
import torch
from conftest import QUIET, run_folders
from PIL import Image
from sklearn.datasets import load_digits

from digits.data.folder import Folder
from digits.data.idx import Idx
from digits.data.mnist_5k import Mnist5k
from digits.data.sklearn_digits import SklearnDigits
from digits.data.table import Table
from plain_errors import ConfigError, DataError


@pytest.fixture(scope="module")
def digits():
    """Images uint8 [N, 28, 28] and labels uint8 [N] of 30 digits of each class."""
    splits = Mnist5k().read()
    rows = torch.arange(4000).reshape(10, 400)[:, :30].flatten()
    return splits.train_images[rows, 0].numpy(), splits.train_labels[rows].numpy().astype(np.uint8)


def write_pictures(folder, images, labels, first=0, suffix="png"):
    for at, (image, label) in enumerate(zip(images, labels, strict=True), first):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{at}.{suffix}")


def in_order(images):
    """Images in an order that does not depend on that of files: rows [N, 784]."""
    return np.array(sorted(images.reshape(len(images), -1).tolist()))


# Folders


def test_pictures_in_folders_by_label_are_read_as_they_are(digits, tmp_path):
    write_pictures(tmp_path / "scans", *digits)
    (tmp_path / "scans" / "README.txt").write_text("not a picture")
    data = Folder(folder=str(tmp_path / "scans"), val_size=0.1)
    data.setup()
    facts = data.facts()
    assert facts["name"] == "scans" and facts["classes"] == list(range(10))
    assert facts["train"] + facts["val"] + facts["test"] == 300 and 30 <= facts["test"] <= 90
    every = torch.cat([data.train_images, data.val_images, data.test_images])[:, 0].numpy()
    assert np.array_equal(in_order(every), in_order(digits[0]))
    wanted = {image.tobytes(): label for image, label in zip(*digits, strict=True)}
    assert [wanted[image.numpy().tobytes()] for image in data.test_images[:, 0]] == data.test_labels.tolist()


def test_pictures_may_be_named_by_their_digit(digits, tmp_path):
    for at, (image, label) in enumerate(zip(*digits, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{label}_{at}.bmp")
    by_name = Folder(folder=str(tmp_path)).read()
    write_pictures(tmp_path / "folders", *digits)
    by_folder = Folder(folder=str(tmp_path / "folders")).read()
    assert np.array_equal(in_order(by_name.test_images.numpy()), in_order(by_folder.test_images.numpy()))


def test_a_folder_that_grows_keeps_its_test_pictures(digits, tmp_path):
    images, labels = digits
    some = np.arange(300) % 2 == 0
    write_pictures(tmp_path, images[some], labels[some])
    before = Folder(folder=str(tmp_path)).read()
    write_pictures(tmp_path, images[~some], labels[~some], first=1000)
    after = Folder(folder=str(tmp_path)).read()
    grown = {image.numpy().tobytes() for image in after.test_images}
    assert len(grown) > len(before.test_images) > 10
    assert {image.numpy().tobytes() for image in before.test_images} <= grown
    assert before.sha256 != after.sha256


@pytest.mark.parametrize("names", [("train", "test"), ("training", "testing")], ids=" ".join)
def test_two_folders_are_the_splits(digits, tmp_path, names):
    images, labels = digits
    for name, rows in zip(names, (slice(0, None, 2), slice(1, None, 2)), strict=True):
        write_pictures(tmp_path / name, images[rows], labels[rows])
    data = Folder(folder=str(tmp_path))
    splits = data.read()
    assert np.array_equal(in_order(splits.test_images.numpy()), in_order(images[1::2]))
    assert len(splits.train_labels) == 150 and data.test_split == "the test split that came with the digits"


@pytest.mark.parametrize("transparent", [False, True])
def test_dark_ink_on_light_paper_is_inverted_and_this_is_said(digits, tmp_path, caplog, transparent):
    for at, (image, label) in enumerate(zip(*digits, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        ink = np.dstack([*3 * [np.zeros_like(image)], image]) if transparent else 255 - image
        Image.fromarray(ink).save(tmp_path / str(label) / f"{at}.png")
    with caplog.at_level("INFO"):
        splits = Folder(folder=str(tmp_path)).read()
    every = torch.cat([splits.train_images, splits.test_images])[:, 0].numpy()
    assert np.array_equal(in_order(every), in_order(digits[0]))
    assert "300 pictures, inverted, as most have dark ink on light paper" in caplog.text


def a_folder_of_nothing(folder, images, labels):
    (folder / "7").mkdir()


def one_class(folder, images, labels):
    write_pictures(folder, images[:30], labels[:30])


def damaged(folder, images, labels):
    write_pictures(folder, images, labels)
    for at in (1, 2, 3, 31):
        path = folder / str(labels[at]) / f"{at}.png"
        path.write_bytes(path.read_bytes()[:60])


def large(folder, images, labels):
    write_pictures(folder, images, labels)
    Image.new("L", (640, 480)).save(folder / "3" / "a.jpg")


def blank(folder, images, labels):
    write_pictures(folder, images, labels)
    Image.new("L", (28, 28)).save(folder / "3" / "a.webp")


def no_label(folder, images, labels):
    write_pictures(folder, images, labels)
    (folder / "4").rename(folder / "20260131093012345678901")


def too_many(folder, images, labels):
    write_pictures(folder, images[:63], [f"sign {at}" for at in range(63)])


def names_without_digit(folder, images, labels):
    for at in range(2):
        Image.fromarray(images[at]).save(folder / f"scan_{at}.png")
    Image.fromarray(images[2]).save(folder / "0012.png")
    Image.fromarray(images[3]).save(folder / "0.png")


def one_of_a_class(folder, images, labels):
    write_pictures(folder, images[:61], labels[:61])


def nowhere(folder, images, labels):
    folder.rmdir()


@pytest.mark.parametrize(
    "write, told",
    [
        (nowhere, "mine: no such folder; wanted one of pictures like 7/a.png, data.folder names it"),
        (a_folder_of_nothing, "mine: no pictures; wanted them like 7/a.png or 7_a.png (.bmp, .gif"),
        (one_class, "mine: all digits are of class 0, wanted two classes at least"),
        (
            damaged,
            "mine: 4 of 300 pictures (0/1.png, 0/2.png, 0/3.png …) have to be mended or taken away: 1",
        ),
        (
            large,
            "mine: 1 of 301 pictures (3/a.jpg) have to be mended or taken away: a.jpg has 640x480 pixels, "
            "wanted 28x28; digits prepare FOLDER INTO makes such",
        ),
        (blank, "mine: 1 of 301 pictures (3/a.webp) have to be mended or taken away: a.webp is blank"),
        (no_label, "mine: names of folders: values that are not whole numbers 0 to 255"),
        (too_many, "mine: 63 labels (sign 0, sign 1, sign 10, "),
        (
            names_without_digit,
            "mine: 3 of 4 pictures (0012.png, scan_0.png, scan_1.png) have no label; wanted them like",
        ),
        (
            one_of_a_class,
            "mine: too few digits of class 2 for training: wanted 2 of each, beside the test split (20 %",
        ),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(digits, tmp_path, write, told):
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, *digits)
    with pytest.raises(DataError) as caught:
        Folder(folder=str(folder), val_size=0).setup()
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(told) and "\n" not in str(caught.value)


def test_some_of_the_classes_can_be_chosen(digits, tmp_path):
    write_pictures(tmp_path, *digits)
    data = Folder(folder=str(tmp_path), classes=[7, 3], val_size=0.1)
    data.setup()
    assert data.classes == [7, 3] and set(data.train_labels.tolist()) == {0, 1}


# Tables


def rows(images, labels):
    return np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)


def write_csv(path, images, labels, header=True):
    names = ",".join(["label", *(f"pixel{at}" for at in range(images[0].size))])
    np.savetxt(path, rows(images, labels), "%d", delimiter=",", header=names if header else "", comments="")


@pytest.mark.parametrize("name", ["train.csv", "headless.csv", "packed.csv.gz", "one.npz", "pandas.csv"])
def test_a_table_is_read_whole(digits, tmp_path, name):
    path = tmp_path / name
    if name == "one.npz":
        np.savez(path, images=digits[0], labels=digits[1])
    elif name == "pandas.csv":
        pandas.DataFrame(rows(*digits)).to_csv(path, index=False)
    else:
        write_csv(path, *digits, header=name != "headless.csv")
    data = Table(file=str(path), val_size=0.1)
    data.setup()
    every = torch.cat([data.train_images, data.val_images, data.test_images])[:, 0].numpy()
    assert np.array_equal(in_order(every), in_order(digits[0]))
    assert data.facts()["test_split"] == "20 % of the pictures, chosen by their pixels"
    write_pictures(tmp_path / "pictures", *digits)
    same = Folder(folder=str(tmp_path / "pictures")).read()
    assert np.array_equal(in_order(same.test_images.numpy()), in_order(data.test_images.numpy())), "whatever the form"


@pytest.mark.parametrize("classes", [[*range(10)], [*"0123456789"], [*"ABCDEFGHab"]], ids=["int", "text", "letters"])
def test_a_parquet_table_is_read(digits, tmp_path, pyarrow, classes):
    table = rows(*digits).astype(np.int64)
    columns = {f"pixel{at}": table[:, at + 1] for at in range(784)} | {"label": np.array(classes)[table[:, 0]]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pydict(columns), tmp_path / "digits.parquet")
    data = Table(file=str(tmp_path / "digits.parquet"))
    splits = data.read()
    assert len(splits.train_labels) + len(splits.test_labels) == 300
    assert data.classes == ([*range(10)] if "0" in classes else classes)


@pytest.mark.parametrize("form", ["two files", "one npz file"])
def test_a_table_may_come_with_a_test_split(digits, tmp_path, form):
    images, labels = digits
    if form == "two files":
        write_csv(tmp_path / "a.csv", images[::2], labels[::2])
        write_csv(tmp_path / "b.csv", images[1::2], labels[1::2])
        data = Table(file=str(tmp_path / "a.csv"), test_file=str(tmp_path / "b.csv"))
    else:
        named = {"x_train": images[::2], "y_train": labels[::2], "x_test": images[1::2], "y_test": labels[1::2]}
        np.savez(tmp_path / "a.npz", **named)
        data = Table(file=str(tmp_path / "a.npz"))
    splits = data.read()
    assert (
        np.array_equal(splits.test_images[:, 0], images[1::2])
        and data.test_split == "the test split that came with the digits"
    )


def test_a_table_of_smaller_pictures_is_brought_into_the_form_of_mnist(tmp_path, caplog):
    from_sklearn = SklearnDigits().read()
    small = load_digits()
    write_csv(tmp_path / "small.csv", np.round(small.images * (255 / 16)).astype(np.uint8), small.target)
    with caplog.at_level("INFO"):
        splits = Table(file=str(tmp_path / "small.csv")).read()
    assert torch.equal(splits.test_images, from_sklearn.test_images)
    assert torch.equal(splits.train_labels, from_sklearn.train_labels)
    assert "1,797 pictures, scaled from 8x8 to 28x28" in caplog.text


@pytest.mark.parametrize(
    "content, told",
    [
        ("A,5,6,7,8\nB,5,b,7,8\n", "could not convert string 'b' to uint8 at row 1, column 3"),
        ("A,5,6,7,8\nB,5,6,7,8\n", "too few digits of class A, B for training"),
        ("A,5,6,7,8\n,5,6,7,8\n", "a digit without a label"),
        ("300,1,2,3,4\n1,1,2,3,4\n", "values that are not whole numbers 0 to 255"),
        ("1,1,2,3,300\n2,1,2,3,4\n", "could not convert string '300' to uint8 at row 0, column 5"),
        ("1,1,2,3,4\n2,1,2,3\n", "the number of columns changed from 5 to 4"),
        ("1,1,2\n2,1,2\n", "2 pixels in a picture, wanted a square number like 784"),
        ("1,2,3,4\n1,2,3,4\n", "pictures alone, wanted pictures with labels"),
        ("1,1,2,3,4\n1,5,6,7,8\n", "all digits are of class 1, wanted two classes at least"),
        ("label,a,b,c,d\n", "no rows of numbers"),
        ("", "no rows of numbers"),
    ],
    ids=[
        "letter as pixel",
        "letters",
        "no label",
        "label 300",
        "300",
        "short row",
        "no square",
        "no labels",
        "one class",
        "header alone",
        "empty",
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(tmp_path, content, told):
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        Table(file=str(tmp_path / "mine.csv")).read()
    assert told in str(caught.value) and str(caught.value).startswith(f"{tmp_path}/mine.csv")
    assert "\n" not in str(caught.value)


def test_other_files_than_tables_are_refused_by_name(digits, tmp_path):
    np.savez(tmp_path / "weights.npz", layer=np.zeros(3))
    with pytest.raises(
        DataError, match=r"weights.npz, an npz file: no pictures with labels under a name that is known"
    ):
        Table(file=str(tmp_path / "weights.npz")).read()
    with pytest.raises(DataError, match=r"nothing.csv: no such file; wanted a table of digits"):
        Table(file=str(tmp_path / "nothing.csv")).read()
    np.savez(tmp_path / "long.npz", x=digits[0], y=digits[1][:-1])
    with pytest.raises(DataError, match=r"long.npz: 300 pictures, but 299 labels"):
        Table(file=str(tmp_path / "long.npz")).read()


# IDX files


def idx(values, code=8):
    shape = np.array([code * 256 + values.ndim, *values.shape], ">i4").tobytes()
    return shape + values.astype(">i4" if code == 12 else "u1").tobytes()


def write_idx(folder, prefix, images, labels, test=slice(1, None, 2)):
    folder.mkdir(exist_ok=True)
    for split, part in (("train", slice(0, None, 2)), ("test", test)):
        (folder / f"{prefix}{split}-images-idx3-ubyte").write_bytes(gzip.compress(idx(images[part])))
        (folder / f"{prefix}{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[part])))


def test_emnist_is_turned_upright_and_chosen_among_other_sets(digits, tmp_path):
    images, labels = digits
    write_idx(tmp_path / "e", "emnist-digits-", images.swapaxes(1, 2), labels)
    write_idx(tmp_path / "e", "emnist-letters-", images, labels)
    splits = Idx(folder=str(tmp_path / "e"), only="digits", transpose=True).read()
    assert np.array_equal(splits.train_images[:, 0], images[::2]) and np.array_equal(splits.test_labels, labels[1::2])
    with pytest.raises(
        DataError, match=r"emnist-digits-.* and emnist-letters-.* are of two sets; data.only=… takes a p"
    ):
        Idx(folder=str(tmp_path / "e")).read()
    with pytest.raises(DataError, match=r"e: no IDX files with balanced in their names"):
        Idx(folder=str(tmp_path / "e"), only="balanced").read()


def test_qmnist_has_its_labels_in_the_first_of_eight_columns(digits, tmp_path):
    images, labels = digits
    columns = np.zeros((300, 8), np.int32)
    columns[:, 0], columns[:, 1:] = labels, 100_000
    for split in ("train", "test"):
        (tmp_path / f"qmnist-{split}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"qmnist-{split}-labels-idx2-int").write_bytes(idx(columns, code=12))
    splits = Idx(folder=str(tmp_path)).read()
    assert splits.train_labels.tolist() == labels.tolist()


def test_idx_files_without_a_test_split_get_one_and_a_missing_file_is_named(digits, tmp_path):
    write_idx(tmp_path / "k", "", *digits)
    for path in (tmp_path / "k").glob("test-*"):
        path.unlink()
    assert 5 < len(Idx(folder=str(tmp_path / "k")).read().test_labels) < 60
    shutil.copy(tmp_path / "k" / "train-labels-idx1-ubyte.gz", tmp_path / "k" / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"k: no IDX file of test images, only t.*-ubyte"):
        Idx(folder=str(tmp_path / "k")).read()
    with pytest.raises(DataError, match=r"nowhere: no such folder; wanted one with IDX files, data.folder names it"):
        Idx(folder=str(tmp_path / "nowhere")).read()


# The whole command


def test_pictures_of_other_sizes_are_prepared_for_training(digits, command, tmp_path):
    images, labels = (each[::10] for each in digits)
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "scans" / str(label)).mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(255 - image).resize((140, 140))
        large.save(tmp_path / "scans" / str(label) / f"{at}.{('jpg', 'png', 'webp')[at % 3]}")
    Image.new("L", (64, 64), 255).save(tmp_path / "scans" / "3" / "empty.png")
    Image.fromarray(255 - images[0]).save(tmp_path / "scans" / "0" / "0.bmp")
    done = command("src/digits_command.py", "prepare", "scans", "ready")
    told = "error: scans/0/0.jpg: ready/0/0.png is there already, from another picture of this name\n"
    told += "error: scans/3/empty.png: no ink found on the picture: it looks like empty paper\n"
    assert (done.returncode, done.stderr, done.stdout) == (3, told, "30 of 32 pictures in ready\n")
    names = sorted(f"{label}/{at}.png" for at, label in enumerate(labels))
    assert sorted(str(path.relative_to(tmp_path / "ready")) for path in (tmp_path / "ready").rglob("*.png")) == names
    for name in names[1:]:
        pixels = np.array(Image.open(tmp_path / "ready" / name), float)
        assert pixels.shape == (28, 28) and pixels[0].max() == 0
        assert np.corrcoef(pixels.ravel(), images[int(name[2:-4])].ravel())[0, 1] > 0.5, "as upright, and as large"
    (part,) = Folder(folder=str(tmp_path / "ready")).parts()
    assert part.labels.tolist() == labels.tolist() and part.images.shape == (30, 28, 28)
    again = command("src/digits_command.py", "prepare", "scans", "ready")
    assert (again.returncode, again.stderr) == (2, "error: ready is there already; name a new one\n")
    nowhere = command("src/digits_command.py", "prepare", "scan", "other")
    assert (nowhere.returncode, nowhere.stderr) == (2, "error: scan: no such folder\n")
    assert not (tmp_path / "other").exists()


def test_a_run_on_own_pictures_reads_them(digits, command, tmp_path):
    write_pictures(tmp_path / "scans", *digits)
    small = ("model=cnn", "trainer.max_epochs=6", *QUIET)
    done = command("train.py", "data=folder", "data.folder=scans", *small)
    assert done.returncode == 0, done.stderr
    assert "scans: 300 pictures, as they are" in done.stdout
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["dataset"]["name"] == "scans" and metrics["test/accuracy"] > 0.5


def test_labels_above_9_are_classes_in_a_run_and_its_reader(digits, command, tmp_path):
    images, labels = digits
    write_csv(tmp_path / "letters.csv", images, labels + 10)
    done = command("train.py", "data=table", "data.file=letters.csv", "model=linear", "run_folder=run", *QUIET)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "report" / "metrics.json").read_text())
    assert metrics["dataset"]["classes"] == list(range(10, 20)) == [int(each) for each in metrics["per_class"]]
    Image.fromarray(images[200]).save(tmp_path / "a.png")
    done = command("scripts/predict.py", "run", "a.png")
    assert done.returncode == 0 and any(str(label) in done.stdout for label in range(10, 20)), done.stderr


LETTERS = np.array([*"ABCDEFGHab"])


@pytest.mark.parametrize("name", ["folder", "headless.csv", "pandas.csv", "one.npz"])
def test_labels_may_be_letters(digits, tmp_path, name):
    images, letters = digits[0], LETTERS[digits[1]]
    path = tmp_path / name
    if name == "folder":
        write_pictures(path, images, letters)
    elif name == "one.npz":
        np.savez(path, images=images, labels=letters)
    else:
        table = pandas.DataFrame(images.reshape(300, -1))
        table.insert(0, "label", letters)
        table.to_csv(path, index=False, header=name == "pandas.csv")
    data = Folder(folder=str(path)) if name == "folder" else Table(file=str(path))
    splits = data.read()
    assert data.classes == [*"ABCDEFGHab"]
    wanted = {image.tobytes(): label for image, label in zip(*digits, strict=True)}
    for found, labels in ((splits.train_images, splits.train_labels), (splits.test_images, splits.test_labels)):
        assert [wanted[image.numpy().tobytes()] for image in found[:, 0]] == labels.tolist()
    assert len(splits.train_labels) + len(splits.test_labels) == 300


def test_a_run_on_letters_names_them_everywhere(digits, command, tmp_path):
    chosen = digits[1] < 4
    images, names = digits[0][chosen], np.array(["b", "A", "cat", "$x, y$"])[digits[1][chosen]]
    write_pictures(tmp_path / "scans", images, names)
    done = command("train.py", "data=folder", "data.folder=scans", "model=linear", "run_folder=run", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    assert "scans: the labels are $x, y$, A, b, cat" in done.stdout
    report = tmp_path / "run" / "report"
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["dataset"]["classes"] == ["$x, y$", "A", "b", "cat"] == [*metrics["per_class"]]
    assert metrics["test/accuracy"] > 0.5
    table = pandas.read_csv(report / "predictions.csv")
    assert set(table.label) == {*names} >= {*table.prediction} and table.columns[-1] == "pcat"
    right = (table.label == table.prediction).mean()
    assert right == pytest.approx(metrics["test/accuracy"])
    page = (report / "index.html").read_text()
    assert "to read with it: digits read run" in done.stdout and "digits serve" not in done.stdout + page
    assert '<th scope="row">cat</th>' in page and 'aria-label="what the model looks for in a cat"' in page
    before = (report / "predictions.csv").read_text()
    (report / "predictions.csv").unlink()
    again = command("scripts/evaluate.py", "run")
    assert (again.returncode, again.stderr, (report / "predictions.csv").read_text()) == (0, "", before)
    compared = command("scripts/compare.py", "run")
    assert compared.returncode == 0 and "left out" not in compared.stderr, compared.stderr
    Image.fromarray(images[names == "A"][0]).resize((112, 112)).save(tmp_path / "a.png")
    read = command("scripts/predict.py", "run", "a.png")
    assert (read.returncode, read.stderr) == (0, "") and "if it is one of its classes  (or " in read.stdout
    assert read.stdout[0] in "$Abc"
    for script in ("scripts/serve.py", "scripts/export_site.py"):
        refused = command(script, *["site"] * (script != "scripts/serve.py"), "run")
        told = "run/model.onnx: knows $x, y$, A, b, cat, and the page is for digits; digits read takes this model"
        assert (refused.returncode, refused.stderr) == (4, f"error: {told}\n")


def test_what_is_added_to_digits_is_refused_for_other_classes(digits, tmp_path):
    write_csv(tmp_path / "letters.csv", digits[0], digits[1] + 10)
    with pytest.raises(ConfigError, match=r"data.hands: adds digits 0 to 9, but the labels of .*letters.csv go to 19"):
        Table(file=str(tmp_path / "letters.csv"), val_size=0, hands=10).setup()


def test_a_run_is_tested_on_other_data_and_its_report_stays(quickstart, command):
    before = (quickstart / "report" / "metrics.json").stat()
    done = command("scripts/evaluate.py", quickstart, "data=sklearn_digits")
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(r"(\d+\.\d+) % of 385 digits of sklearn_digits: one fifth of scikit-learn's", done.stdout)
    assert found and float(found[1]) > 50
    assert (quickstart / "report" / "metrics.json").stat().st_mtime_ns == before.st_mtime_ns
    for words, told in (
        (["data=sklearn_digits", "data.classes=[3,7]"], "sklearn_digits: its classes are [3, 7], wanted those that "),
        (["data=mnist_5k", "model=cnn"], "model=cnn: wanted data=… and data.…=… only"),
        (["data=mnist_6k"], "data=mnist_6k: "),
    ):
        refused = command("scripts/evaluate.py", quickstart, *words)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.startswith(f"error: {told}")


@pytest.mark.parametrize(
    "words, told",
    [
        ("data=folder", "data.folder: data/digits: no such file or folder; docs/own-data.md says what it holds"),
        ("data=table", "data.file: data/digits.csv: no such file or folder; docs/own-data.md says what it holds"),
        ("data=idx", "data.folder: data/idx: no such file or folder; docs/own-data.md says what it holds"),
    ],
    ids=["folder", "table", "idx"],
)
def test_data_that_are_not_there_end_the_command_in_one_line(command, tmp_path, words, told):
    done = command("train.py", words, "model=linear")
    assert (done.returncode, done.stderr) == (3, f"error: {told}\n")
    assert not any(tmp_path.iterdir())
