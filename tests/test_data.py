"""Data sets: splits, batches, files and the download."""

import gc
import gzip
import hashlib
import json
import shutil
import socket
from concurrent.futures import ProcessPoolExecutor
from http.client import BadStatusLine
from pathlib import Path
from threading import Thread
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import QUIET, run_folders
from lightning import Callback
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets

from digits.data import mnist
from digits.data.batches import EpochBatches
from digits.data.by_content import chosen_by_content
from digits.data.datamodule import DigitsData
from digits.data.hands import draw_hands, read_ways
from digits.data.mnist import Mnist
from digits.data.mnist_5k import Mnist5k
from digits.data.mnist_files import SHA256, MnistFiles
from digits.data.mnist_form import in_mnist_form
from digits.data.non_digits import draw_non_digits
from digits.data.sklearn_digits import SklearnDigits
from digits.models.linear import Linear
from digits.training.trainer import Trainer
from plain_errors import ConfigError, DataError


@pytest.mark.parametrize("samples, batch_size, ranks", [(100, 10, 1), (101, 10, 1), (101, 8, 2), (7, 1, 2), (9, 64, 4)])
def test_each_sample_is_in_one_batch_and_batches_are_of_nearly_equal_size(samples, batch_size, ranks):
    of_ranks = [list(EpochBatches(samples, batch_size, 5, rank, ranks)) for rank in range(ranks)]
    assert len({len(batches) for batches in of_ranks}) == 1, (
        "a rank with fewer steps would make the others wait for ever"
    )
    sizes = [len(batch) for batches in of_ranks for batch in batches]
    assert max(sizes) - min(sizes) <= 2 and min(sizes) >= 1
    indices = torch.cat([batch for batches in of_ranks for batch in batches])
    assert indices.sort().values.tolist() == list(range(samples))


def test_the_order_depends_on_seed_and_epoch_only():
    def order(seed, epoch):
        batches = EpochBatches(1000, 100, seed)
        batches.set_epoch(epoch)
        return torch.cat(list(batches)).tolist()

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_splits_are_stratified_disjoint_and_chosen_by_the_seed():
    def setup(seed):
        data = Mnist5k(val_size=500, seed=seed)
        data.setup()
        return data

    data, again, other = setup(1), setup(1), setup(2)
    assert data.val_labels.bincount().tolist() == [50] * 10
    assert data.test_labels.bincount().tolist() == [100] * 10
    assert torch.equal(data.val_images, again.val_images) and not torch.equal(data.val_images, other.val_images)
    assert torch.equal(data.test_images, other.test_images), "the test split does not depend on the seed"
    pictures = torch.cat([data.train_images, data.val_images, data.test_images]).flatten(1)
    assert len(pictures) == 5000
    assert pictures.unique(dim=0).shape[0] >= 4990, "no image is in two splits"


def test_images_are_in_0_to_1_and_labels_are_positions_in_classes():
    data = Mnist5k(classes=[7, 3], batch_size=50, val_size=100)
    data.setup()
    images, labels = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape[1:] == (1, 28, 28) and images.dtype == torch.float32
    assert images.min() == 0 and images.max() == 1
    assert set(labels.tolist()) == {0, 1} and labels.dtype == torch.int64
    sevens = Mnist5k(val_size=100)
    sevens.setup()
    wanted = sevens.test_images[sevens.test_labels == 7]
    assert torch.equal(data.test_images[data.test_labels == 0], wanted), "position 0 is the 7"


@pytest.mark.parametrize(
    "options, line",
    [
        ({"val_size": 3995}, "data.val_size: got 3995, wanted 10 to 3990 of the 4000 images"),
        ({"val_size": 5}, "data.val_size: got 5, wanted 10 to"),
        ({"val_size": 0.001}, "data.val_size: got 0.001, wanted 10 to 3990 of the 4000 images"),
        ({"val_size": 500, "train_size": 4000}, "data.train_size: got 4000, wanted 10 to"),
    ],
)
def test_sizes_that_do_not_fit_the_data_are_refused(options, line):
    with pytest.raises(ConfigError, match=line.replace("(", r"\(")):
        Mnist5k(**options).setup()


def test_train_size_is_stratified_and_can_be_all_that_is_left():
    data = Mnist5k(val_size=500, train_size=100)
    data.setup()
    assert data.train_labels.bincount().tolist() == [10] * 10
    data = Mnist5k(val_size=500, train_size=3500)
    data.setup()
    assert len(data.train_labels) == 3500


def test_the_size_for_validation_can_be_a_share():
    data = Mnist5k(val_size=0.1)
    data.setup()
    assert data.val_labels.bincount().tolist() == [40] * 10 and len(data.train_labels) == 3600


@pytest.mark.parametrize(
    "settings, lines",
    [
        ({"val_size": 500, "train_size": 10_000}, ["data.train_size: got 10000, wanted 10 to 3490, or null for all"]),
        ({"val_size": 3995, "train_size": 10}, ["data.val_size: got 3995, wanted 10 to 3990 of the 4000 images"]),
        ({"val_size": 500, "train_size": 3500}, []),
        ({"val_size": 500, "train_size": None}, []),
        ({"val_size": 0.25, "train_size": 3000}, []),
        ({"val_size": 0.25, "train_size": 3001}, ["data.train_size: got 3001, wanted 10 to 2990, or null for all"]),
        ({"val_size": 500, "train_size": 10_000, "classes": [3, 7]}, []),
    ],
)
def test_sizes_are_compared_with_the_known_number_of_images_before_any_file_is_read(settings, lines):
    found = Mnist5k.mistakes_in(settings)
    assert [got[: len(line)] for got, line in zip(found, lines, strict=True)] == lines
    assert Mnist.mistakes_in(settings) == DigitsData.mistakes_in(settings) == []


@pytest.mark.parametrize("of", [Mnist5k, SklearnDigits])
def test_the_known_number_of_images_is_that_of_the_files(of):
    assert len(of().read().train_labels) == of.train_total


# The digits of scikit-learn


def test_the_digits_of_scikit_learn_have_the_form_of_mnist_and_are_all_there():
    splits, theirs = SklearnDigits().read(), load_digits()
    images = torch.cat([splits.train_images, splits.test_images])[:, 0].numpy()
    labels = torch.cat([splits.train_labels, splits.test_labels])
    assert labels.bincount().tolist() == np.bincount(theirs.target).tolist()
    assert splits.test_labels.bincount().min() >= 25, "enough of each digit"
    sides = [max(np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (0, 1)) for image in images]
    assert set(sides) == {20}
    for along in np.mgrid[:28, :28]:
        middles = (along * images.astype(float)).sum(axis=(1, 2)) / images.sum(axis=(1, 2), dtype=float)
        assert np.abs(middles - 14).max() <= 0.5


@pytest.mark.parametrize("shape", [(60, 30), (3, 200), (28, 28), (1, 1)], ids=str)
def test_a_picture_of_any_size_gets_the_form_of_mnist(shape):
    image = np.zeros((300, 300), np.uint8)
    image[50 : 50 + shape[0], 70 : 70 + shape[1]] = 255
    formed = in_mnist_form(image)
    rows, columns = (np.flatnonzero(formed.any(axis=axis)) for axis in (1, 0))
    wanted = [max(1, round(side * 20 / max(shape))) for side in shape]
    assert formed.shape == (28, 28) and [len(rows), len(columns)] == wanted
    assert abs(rows.mean() - 14) <= 0.5 and abs(columns.mean() - 14) <= 0.5
    assert formed.max() == 255
    assert not in_mnist_form(np.zeros((9, 9), np.uint8)).any()


def test_the_heavy_end_of_a_digit_does_not_push_it_out_of_the_picture():
    image = np.ones((100, 5), np.uint8)
    image[90:] = 255
    assert in_mnist_form(image)[0].any() and np.flatnonzero(in_mnist_form(image).any(axis=1)).tolist() == [*range(20)]


def test_the_test_split_by_content_stays_when_digits_are_added_or_shuffled():
    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28), np.uint8)
    chosen, order = chosen_by_content(images, 0.2), np.random.default_rng(1).permutation(2000)
    assert 320 < chosen.sum() < 480
    assert np.array_equal(chosen_by_content(images[:500], 0.2), chosen[:500])
    assert np.array_equal(chosen_by_content(images[order], 0.2), chosen[order])
    assert not chosen_by_content(images, 0).any() and chosen_by_content(images, 1).all()


def test_a_small_model_learns_the_digits_of_scikit_learn(command, tmp_path):
    done = command("train.py", "experiment=quickstart", "data=sklearn_digits", *QUIET)
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert [metrics["dataset"][key] for key in ("name", "train", "val", "test")] == ["sklearn_digits", 1262, 150, 385]
    assert metrics["test/accuracy"] > 0.96


# Digits drawn by program


def test_hands_come_from_the_seed_and_are_as_many_of_each_digit():
    images, labels = draw_hands(500, list(range(10)), seed=3)
    again, _ = draw_hands(500, list(range(10)), seed=3)
    other, _ = draw_hands(500, list(range(10)), seed=4)
    assert torch.equal(images, again) and not torch.equal(images, other)
    assert images.shape == (500, 1, 28, 28) and images.dtype == torch.uint8
    assert labels.bincount().tolist() == [50] * 10 and labels.dtype == torch.int64
    assert images.flatten(1).unique(dim=0).shape[0] == 500, "no two are the same"


def test_hands_have_the_form_of_mnist():
    images, _ = draw_hands(500, list(range(10)), seed=0)
    images = images[:, 0].numpy() / 255
    assert images.min() == 0 and images.max() == 1
    assert (images.max(axis=(1, 2)) > 0.5).all(), "each has ink that can be seen"
    sides = [max(np.ptp(np.flatnonzero((image > 0.2).any(axis=axis))) + 1 for axis in (0, 1)) for image in images]
    assert np.median(sides) == 20 and np.mean(np.abs(np.array(sides) - 20) <= 1) > 0.9
    ys, xs = np.mgrid[:28, :28]
    for along in (xs, ys):
        middles = (along * images).sum(axis=(1, 2)) / images.sum(axis=(1, 2))
        assert np.mean(np.abs(middles - 14) <= 1) > 0.9


def test_each_digit_is_drawn_in_several_ways():
    assert all(len(ways) >= 5 for ways in read_ways("hands").values())


def test_the_letters_that_are_no_digits_leave_out_those_that_look_like_one():
    assert len(read_ways("letters")) >= 40 and not set(read_ways("letters")) & set("bgiIloOqSsZz")


def test_hands_are_added_to_the_training_split_only():
    alone, joined = Mnist5k(val_size=500, train_size=1000), Mnist5k(val_size=500, train_size=1000, hands=200)
    alone.setup()
    joined.setup()
    assert joined.train_images[:-200].equal(alone.train_images) and len(joined.train_labels) == 1200
    assert joined.train_images[-200:].equal(draw_hands(200, list(range(10)), 0)[0])
    assert joined.val_images.equal(alone.val_images) and joined.test_images.equal(alone.test_images)
    assert (joined.facts()["train"], joined.facts()["hands"], alone.facts()["hands"]) == (1200, 200, 0)
    pair = Mnist5k(classes=[7, 3], val_size=100, hands=50)
    pair.setup()
    assert pair.train_labels[-50:].bincount().tolist() == [25, 25] and pair.facts()["hands"] == 50
    assert pair.train_images[-50:].equal(draw_hands(50, [7, 3], 0)[0]), "position 0 is the 7"


def test_non_digits_come_from_the_seed_and_have_the_form_of_mnist():
    images = draw_non_digits(240, seed=3)
    assert images.shape == (240, 1, 28, 28) and images.dtype == torch.uint8
    assert images.equal(draw_non_digits(240, seed=3)) and not images.equal(draw_non_digits(240, seed=4))
    assert len(images.unique(dim=0)) == 240
    assert (images.amax(dim=(1, 2, 3)) > 60).all(), "each has ink that can be seen"
    inked = images[:, 0].numpy() > 40
    sides = [max(np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (0, 1)) for image in inked]
    assert np.median(sides) == 20 and np.max(sides) <= 22


def test_non_digits_are_added_to_the_training_split_only():
    alone, joined = Mnist5k(val_size=500, train_size=1000), Mnist5k(val_size=500, train_size=1000, non_digits=200)
    alone.setup()
    joined.setup()
    assert joined.train_images[:-200].equal(alone.train_images) and joined.train_labels[:-200].equal(alone.train_labels)
    assert joined.train_images[-200:].equal(draw_non_digits(200, 0)) and (joined.train_labels[-200:] == 10).all()
    assert joined.val_images.equal(alone.val_images) and joined.test_images.equal(alone.test_images)
    assert (joined.facts()["train"], joined.facts()["non_digits"], alone.facts()["non_digits"]) == (1200, 200, 0)


def test_a_run_trains_on_hands_and_says_so(command, tmp_path):
    small = ("experiment=quickstart", "model=linear", "trainer.max_epochs=1", *QUIET)
    done = command("train.py", *small, "data.hands=50")
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    dataset = json.loads((folder / "report" / "metrics.json").read_text())["dataset"]
    assert (dataset["train"], dataset["hands"], dataset["test"]) == (3550, 50, 1000)
    assert json.loads((folder / "run.json").read_text())["config"]["data"]["hands"] == 50


def test_a_sheet_shows_the_hands(command, tmp_path):
    assert command("src/digits_command.py", "draw", "hands", "drawn").returncode == 0
    with Image.open(tmp_path / "drawn" / "hands.png") as sheet:
        assert sheet.size == (24 * 56, 10 * 56)


class Seen(Callback):
    """The labels of each batch, by epoch."""

    def __init__(self):
        self.epochs = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epochs.append([])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.epochs[-1].append(batch[1].tolist())


@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
@pytest.mark.parametrize("options, equal", [({"overfit_batches": 3}, True), ({"limit_train_batches": 3}, False)])
def test_overfit_batches_are_the_same_in_each_epoch_and_not_shuffled(options, equal):
    data, seen = Mnist5k(val_size=500, batch_size=20), Seen()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_epochs=2, callbacks=[seen], enable_model_summary=False, **quiet, **options)
    trainer.fit(Linear(classes=list(range(10))), data)
    first, second = seen.epochs
    assert len(first) == len(second) == 3 and (first == second) == equal
    batches = EpochBatches(3500, 20)
    assert (first == [data.train_labels[indices].tolist() for indices in list(batches)[:3]]) == equal


# The full set of MNIST_DIR, and damaged copies of it


@pytest.fixture
def copied(mnist_dir, tmp_path):
    """MNIST/raw with the four original files, whatever form MNIST_DIR holds."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, values in MnistFiles(Path(mnist_dir)).pieces.items():
        header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
        (raw / name).write_bytes(header + values.tobytes())
    return raw


def test_full_set_is_the_same_as_torchvision_reads(mnist_dir, copied):
    data = Mnist(folder=mnist_dir)
    data.setup()
    assert data.facts() | {"sha256": ""} == {
        "name": "mnist",
        "sha256": "",
        "train": 55000,
        "drawings": 0,
        "hands": 0,
        "non_digits": 0,
        "val": 5000,
        "test": 10000,
        "test_split": "official test split",
        "classes": list(range(10)),
    }
    theirs = datasets.MNIST(copied.parents[1], train=False)
    assert torch.equal(data.test_images[:, 0], theirs.data) and torch.equal(data.test_labels, theirs.targets)


def test_a_truncated_file_is_refused(copied):
    path = copied / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    damage = "train-images-idx3-ubyte, an IDX file: 47,039,999 bytes after its header, which says 47,040,000"
    with pytest.raises(DataError, match=rf"lacks MNIST's training images \(found .*{damage}\): set MNIST_DIR"):
        Mnist(folder=copied.parents[1]).setup()


def test_a_file_with_one_changed_byte_is_refused(copied):
    path = copied / "t10k-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte, labels that are not MNIST's: of another set, or dam"):
        Mnist(folder=copied.parents[1]).setup()


def test_swapped_names_do_not_matter(copied):
    images, labels = copied / "t10k-images-idx3-ubyte", copied / "t10k-labels-idx1-ubyte"
    images.rename(copied / "x")
    labels.rename(images)
    (copied / "x").rename(labels)
    data = Mnist(folder=copied.parents[1])
    data.setup()
    assert data.test_images.shape == (10000, 1, 28, 28) and data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_a_processed_file_beside_the_raw_files_is_not_read(copied):
    planted = copied.parent / "processed"
    planted.mkdir()
    torch.save((torch.zeros(3, 28, 28), torch.zeros(3)), planted / "training.pt")
    data = Mnist(folder=copied.parents[1])
    data.setup()
    assert len(data.train_labels) == 55000


# The download: the code of torchvision, with a folder as its mirror


def make_mirror(folder: Path) -> dict[str, str]:
    """Four small IDX files, gzipped; return their SHA-256 by name."""
    found = {}
    for name in SHA256:
        is_train = name.startswith("train")
        if "images" in name:
            content = np.array([2051, 20, 28, 28], ">i4").tobytes() + bytes([is_train]) * 20 * 784
        else:
            digits = range(10) if is_train else reversed(range(10))
            content = np.array([2049, 20], ">i4").tobytes() + bytes(digits) * 2
        with gzip.open(folder / f"{name}.gz", "wb") as file:
            file.write(content)
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def download_from(mirror: Path, folder: Path, counter: Path) -> None:
    """Prepare `folder` in another process, with `mirror` in place of the internet."""

    def fetch(url, download_root, filename, md5=None):
        with counter.open("a") as file:
            file.write("x")
        shutil.copy(mirror / filename, Path(download_root) / filename)
        with gzip.open(mirror / filename) as packed:
            (Path(download_root) / filename.removesuffix(".gz")).write_bytes(packed.read())

    datasets.mnist.download_and_extract_archive = fetch
    Mnist(folder=str(folder), val_size=10).prepare_data()


def test_of_several_processes_on_an_empty_folder_one_downloads(tmp_path, monkeypatch):
    mirror, folder, counter = tmp_path / "mirror", tmp_path / "data", tmp_path / "count"
    mirror.mkdir()
    monkeypatch.setattr(mnist, "_lock_of", lambda folder: tmp_path / "lock")
    for name, sha256 in make_mirror(mirror).items():
        monkeypatch.setitem(SHA256, name, sha256)
    with ProcessPoolExecutor(4) as pool:
        for done in [pool.submit(download_from, mirror, folder, counter) for _ in range(4)]:
            done.result(timeout=120)
    assert len(counter.read_text()) == 4, "each of the four files is downloaded once"
    data = Mnist(folder=str(folder), val_size=10)
    data.setup()
    assert len(data.train_labels) == 10
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert sorted(path.name for path in left) == sorted(SHA256), "no lock and no temporary file is left"


@pytest.mark.parametrize("error", [URLError("[Errno -2] Name or service not known"), BadStatusLine("no web server")])
def test_the_error_without_files_and_network_says_why_and_both_things_to_do(tmp_path, monkeypatch, error):
    def unreachable(url, download_root, filename, md5=None):
        raise error

    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", unreachable)
    with pytest.raises(
        DataError, match=r"could not be downloaded \(.* (known|server)\): .*MNIST_DIR=.*data=mnist_5k"
    ) as caught:
        Mnist(folder=str(tmp_path)).prepare_data()
    assert "\n" not in str(caught.value)


def answering(listener: socket.socket, reply: bytes) -> None:
    """Give each request the same reply; without one, never answer."""
    waiting = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed
            return
        waiting.append(connection)
        if reply:
            connection.recv(4096)
            connection.sendall(reply)
            connection.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that the thread still holds
@pytest.mark.parametrize(
    "reply, reason",
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", r"HTTP Error 403: Forbidden"),
        (b"", r"timed out"),
        (None, r"\[Errno \d+\] Connection refused"),
    ],
)
def test_a_download_that_fails_says_why_and_soon(tmp_path, monkeypatch, reply, reason):
    monkeypatch.setattr(mnist, "PATIENCE", 0.2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
        if reply is None:
            listener.close()
        else:
            Thread(target=answering, args=(listener, reply), daemon=True).start()
        with pytest.raises(DataError, match=rf"could not be downloaded \({reason}\): set MNIST_DIR") as caught:
            Mnist(folder=str(tmp_path)).prepare_data()
        listener.close()
    assert "\n" not in str(caught.value)
    assert socket.getdefaulttimeout() is None
    del caught
    gc.collect()  # closes the socket that torchvision's error holds; Python 3.13 warns of it, else in another test


# Folders that people made themselves


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A folder with four small files as .gz, whose SHA-256 are those wanted; there is no network."""
    (tmp_path / "packed").mkdir()
    for name, sha256 in make_mirror(tmp_path / "packed").items():
        monkeypatch.setitem(SHA256, name, sha256)
    monkeypatch.setattr(Mnist, "_download", lambda self: pytest.fail("the files are there"))
    return tmp_path / "packed"


@pytest.mark.parametrize("packing", ["gz", "unpacked"])
@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])
def test_files_are_found_as_people_keep_them(packed, tmp_path, monkeypatch, packing, place, spelling):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "mine" / place
    folder.mkdir(parents=True)
    for path in packed.iterdir():
        name = path.name.replace("-idx", spelling)
        if packing == "gz":
            shutil.copy(path, folder / name)
        else:
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    before = sorted(tmp_path.rglob("*"))
    data = Mnist(folder="~/mine", val_size=10)
    data.prepare_data()
    data.setup()
    assert len(data.train_labels) == 10
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_a_damaged_gz_file_is_refused(packed):
    path = packed / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz, an IDX file: .*end-of-stream"):
        Mnist(folder=str(packed), val_size=10).setup()
