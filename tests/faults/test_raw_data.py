"""MNIST's files damaged, swapped, planted, or downloaded from a mirror that fails: never trained on, no code run."""

import gzip
import hashlib
import json
import pickle
import random
import re
import shutil
import signal
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from threading import Thread

import numpy as np
import pytest
from conftest import QUIET, ROOT
from forked import Forked
from test_data import make_mirror

from digits.data.mnist_files import SHA256
from faults.killing import KILLED_AT, TRAIN
from faults.test_bad_files import Marker

pytestmark = pytest.mark.slow
SMALL_MNIST = str(ROOT / "tests/faults/small_mnist.py")
NAMES = list(SHA256)
ONE_STEP = ["model=linear", "data=mnist", "data.folder=data", "data.val_size=10", "data.batch_size=5", *QUIET]
ONE_STEP += ["trainer.fast_dev_run=true"]


class Mirror:
    """A web server with four small files; one way it fails: a status, other bytes, half an answer, or none."""

    def __init__(self, folder):
        self.folder, self.fails, self.asked = folder, None, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request):
        name = request.path.rpartition("/")[2]
        self.asked.append(name)
        content = (self.folder / name).read_bytes()
        if self.fails == "stalls":
            time.sleep(3)
            return
        if self.fails == "other bytes":
            content = bytes(reversed(content))
        if self.fails == "a page":
            content = b"<html>Please log in</html>"
        request.send_response(500 if self.fails == "an error" else 302 if self.fails == "elsewhere" else 200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Location", request.path)
        request.end_headers()
        half = len(content) // 2 if self.fails in ("cut off", "stalls in the middle") else len(content)
        request.wfile.write(content[:half])
        request.wfile.flush()
        if self.fails == "stalls in the middle":
            time.sleep(3)


FAILS = ["stalls", "stalls in the middle", "cut off", "other bytes", "a page", "an error", "elsewhere"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    make_mirror(folder)
    mirror = Mirror(folder)
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


@pytest.fixture
def raw(mirror, tmp_path):
    """MNIST/raw with the right files, unpacked; the mirror works."""
    mirror.fails, mirror.asked = None, []
    raw = tmp_path / "data/MNIST/raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        (raw / name).write_bytes(gzip.decompress((mirror.folder / f"{name}.gz").read_bytes()))
    return raw


def start(mirror, cwd, *killer, number=0):
    """One step of training, in a process of its own."""
    (cwd / "tmp").mkdir(exist_ok=True)
    words = [*killer, SMALL_MNIST, str(mirror.folder), mirror.url, TRAIN, *ONE_STEP, f"run_folder=run{number}"]
    with (cwd / f"printed{number}.txt").open("w") as output, (cwd / f"errors{number}.txt").open("w") as errors:
        return Forked(words, cwd, (output, errors), {"TMPDIR": str(cwd / "tmp")})


def refused(code, cwd, number=0):
    """Whether the run ended with exit 3, one line and no step."""
    errors, printed = ((cwd / f"{name}{number}.txt").read_text() for name in ("errors", "printed"))
    told = [line for line in errors.splitlines() if line and "%|" not in line]  # but for the bars of a download
    assert (code, len(told), "dry run" in printed) == (3, 1, False), errors + printed
    return errors


def trained(code, cwd, mirror, number=0):
    """Whether the run trained on the right files."""
    assert code == 0, (cwd / f"errors{number}.txt").read_text()
    assert "dry run" in (cwd / f"printed{number}.txt").read_text()
    whole = b"".join(gzip.decompress((mirror.folder / f"{name}.gz").read_bytes()) for name in NAMES)
    facts = json.loads((cwd / f"run{number}/run.json").read_text())["data"]
    assert facts["sha256"] == hashlib.sha256(whole).hexdigest()


def flipped(path, chance, first=16):
    content = bytearray(path.read_bytes())
    content[chance.randrange(first, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def head_flipped(path, chance):
    content = bytearray(path.read_bytes())
    content[chance.randrange(8)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut_off(path, chance):
    path.write_bytes(path.read_bytes()[: -chance.randrange(1, 20)])


def longer(path, chance):
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randrange(1, 20)))


def empty(path, chance):
    path.write_bytes(b"")


def zeroed(path, chance):
    path.write_bytes(bytes(path.stat().st_size))


def a_folder(path, chance):
    path.unlink()
    path.mkdir()


def a_page(path, chance):
    path.write_text("<html>404</html>")


def packed_and_flipped(path, chance):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    flipped(path.with_name(f"{path.name}.gz"), chance)


def of_another_set(path, chance):
    content = path.read_bytes()
    path.write_bytes(content[:16] + chance.randbytes(len(content) - 16))


def damaged(damage, name, mirror, raw, cwd, chance):
    """Refused by the name of the file, or downloaded again where its first bytes are of no file of pictures."""
    damage(raw / name, chance)
    code = start(mirror, cwd).wait(120)
    if code == 0:
        assert mirror.asked, "it was not taken for a good one"
        trained(code, cwd, mirror)
    else:
        assert re.search(rf"{name}.*set MNIST_DIR", refused(code, cwd))


def swapped(names, mirror, raw, cwd, chance):
    one, other = (raw / name for name in names)
    one.rename(raw / "x")
    other.rename(one)
    (raw / "x").rename(other)
    trained(start(mirror, cwd).wait(120), cwd, mirror)


def planted(name, alone, mirror, raw, cwd, chance):
    """A file that would write a marker if it were unpickled, beside the right files, or alone."""
    marker = cwd / "marker"
    if alone:
        shutil.rmtree(raw)
    path = cwd / "data/MNIST" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pickle.dumps((Marker(marker), Marker(marker)), 2)
    if path.suffix == ".npz":
        np.savez(path, x_train=np.array([Marker(marker)], dtype=object))
    else:
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    if path.suffix == ".pt":
        shutil.copyfile(path, path.with_name("test.pt"))
    code = start(mirror, cwd).wait(120)
    if code == 0:
        trained(code, cwd, mirror)
    else:
        refused(code, cwd)
    assert code == 0 or alone
    assert not marker.exists()


def failing(fails, mirror, raw, cwd, chance):
    """Nothing is kept of a download that failed, and the next one works."""
    shutil.rmtree(cwd / "data")
    mirror.fails = fails
    assert "could not be downloaded (" in refused(start(mirror, cwd).wait(120), cwd)
    assert not list(cwd.glob("data/**/*ubyte*")) and not list((cwd / "tmp").rglob("*ubyte*"))
    mirror.fails = None
    trained(start(mirror, cwd, number=1).wait(120), cwd, mirror, number=1)


def killed(how, mirror, raw, cwd, chance):
    """The same command downloads what is missing, and half a file does not stay."""
    shutil.rmtree(cwd / "data")
    number, part = (chance.randrange(1, 30), "/MNIST/raw/") if how == "event" else (9_000, "/data/MNIST/raw/")
    code = start(mirror, cwd, KILLED_AT, how, str(number), part, str(mirror.folder)).wait(120)
    assert code == -(signal.SIGKILL if how == "event" else signal.SIGXFSZ)
    trained(start(mirror, cwd, number=1).wait(120), cwd, mirror, number=1)
    assert sorted(path.name for path in raw.iterdir()) == sorted(NAMES)


def eight(mirror, raw, cwd, chance):
    """One of eight processes downloads, and all train."""
    shutil.rmtree(cwd / "data")
    processes = [start(mirror, cwd, number=number) for number in range(8)]
    for number, process in enumerate(processes):
        trained(process.wait(240), cwd, mirror, number=number)
    assert sum("downloading" in (cwd / f"printed{number}.txt").read_text() for number in range(8)) == 1


DAMAGES = [flipped, head_flipped, cut_off, longer, empty, zeroed, a_folder, a_page, packed_and_flipped, of_another_set]
PAIRS = [NAMES[:2], NAMES[2:], NAMES[::2], NAMES[1::2]]
PLANTED = [
    ("processed/training.pt", False),
    ("processed/training.pt", True),
    ("mnist.pkl.gz", True),
    ("mnist.npz", True),
]
FAULTS = [
    *(partial(damaged, *each) for each in product(DAMAGES, NAMES)),
    *(partial(swapped, names) for names in PAIRS),
    *(partial(planted, *each) for each in PLANTED),
    *(partial(failing, fails) for fails in FAILS),
    *(partial(killed, how) for how in ("event", "event", "bytes")),
    *(eight, eight),
]


@pytest.mark.fault(
    "raw data: a byte flipped, cut off, longer, empty, swapped, planted; a mirror that fails; a download killed",
    "exit 3 and what is wrong, or repaired; never trained on; no pickle loaded",
    cases=len(FAULTS),
    short=2,
)
def test_wrong_files_are_never_trained_on(mirror, raw, tmp_path, case):
    FAULTS[case * 41 % len(FAULTS)](mirror, raw, tmp_path, random.Random(case))
