"""The network that finds ink: the scenes it learns from, its training, and the file that the reader has."""

import subprocess
import sys
import time

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT

from digits.ink.__main__ import export
from digits.ink.network import DIVISOR, InkNet
from digits.ink.scenes import SIDE, draw_scene
from digits_reader.photo import NETWORK


def test_scenes_show_what_their_maps_say():
    """The same random numbers give the same scene; ink differs from the paper round it, on most of them."""
    contrasts, empty = [], 0
    for number in range(60):
        picture, ink = draw_scene(np.random.default_rng([9, number]))
        again, _ = draw_scene(np.random.default_rng([9, number]))
        assert np.array_equal(picture, again)
        assert (picture.shape, ink.shape) == ((SIDE, SIDE, 3), (SIDE, SIDE)) and picture.dtype == ink.dtype == np.uint8
        if not (ink > 200).any():
            empty += 1
            continue
        rows, columns = np.nonzero(ink > 200)
        place = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        grey, where = picture[place].mean(axis=2), ink[place]
        if (where == 0).any():
            contrasts.append(abs(np.median(grey[where > 200]) - np.median(grey[where == 0])))
    assert 0 < empty < 15 and np.median(contrasts) > 20


def test_the_file_gives_what_the_network_gives_at_any_size(tmp_path):
    torch.manual_seed(0)
    net = InkNet()
    net.train()(torch.rand(4, 3, 64, 64))  # statistics for its batch norms
    export(net, tmp_path / "ink.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "ink.onnx", providers=["CPUExecutionProvider"])
    for height, width in ((DIVISOR * 2, DIVISOR * 5), (192, 144)):
        pictures = torch.rand(1, 3, height, width)
        with torch.inference_mode():
            wanted = net.eval()(pictures).numpy()
        (found,) = session.run(["logits"], {"pictures": pictures.numpy()})
        assert found.shape == (1, 1, height, width)
        assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()  # the file's weights have 16 bits


@pytest.mark.slow
def test_a_killed_training_goes_on_and_writes_the_file(tmp_path):
    command = [sys.executable, "-m", "digits.ink", "new.onnx", "--scenes=192", "--epochs=4"]
    folder = tmp_path / "outputs/ink/192_4_0"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (folder / "last.ckpt").exists():
            assert first.poll() is None
            time.sleep(0.05)
        first.kill()
    assert not (tmp_path / "new.onnx").exists()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Restored all states" in done.stdout + done.stderr and "new.onnx: " in done.stdout
    assert not folder.exists(), "the next call trains anew"
    assert onnxruntime.InferenceSession(tmp_path / "new.onnx").get_inputs()[0].name == "pictures"


def test_the_readers_file_is_small_and_holds_no_paths():
    content = NETWORK.read_bytes()
    assert len(content) < 200_000 and str(ROOT).encode() not in content
