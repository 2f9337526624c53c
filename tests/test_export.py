"""A file that differs from its checkpoint is not exported; a file of several runs, a file of small numbers."""

import json
import re
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import QUIET, run_folders
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from onnxruntime.quantization import quantize_dynamic

from digits.commands import export
from digits.config import CONFIGS
from digits.models.mlp import MLP
from digits.onnx_file import IR_VERSION, OPSET
from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits.reporting.evaluation import Evaluation
from digits.run_folder import RunFolder
from digits.training.export import export_onnx, export_variant
from digits.training.int8 import export_int8
from digits.training.variants import with_uint8_input
from digits_reader.reader import Reader
from plain_errors import ModelFileError, PlainError

CLASSES = [3, 7]


@pytest.fixture
def evaluation():
    return evaluated(MLP(classes=CLASSES, hidden=[16]).eval())


def evaluated(model):
    images = torch.randint(0, 256, (300, 1, 28, 28), dtype=torch.uint8)
    with torch.no_grad():
        logits = model(images.float() / 255)
    return Evaluation(model, images, torch.zeros(300, dtype=torch.int64), logits)


def test_equal_file_is_written(evaluation, tmp_path):
    facts = export_onnx(evaluation, tmp_path / "model.onnx", {"classes": CLASSES})
    assert facts.max_abs_diff <= 1e-4 and facts.argmax_agreement == 1.0 and facts.samples == 300


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet", "cnn", "pixel_similarity"])
def test_a_file_is_as_plain_as_other_engines_want_it(name, tmp_path):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}"]).model
    evaluation = evaluated(instantiate(config, classes=CLASSES, _convert_="all").eval())
    path = tmp_path / "model.onnx"
    export_onnx(evaluation, path, {"classes": CLASSES})
    proto = onnx.load(path)
    assert proto.ir_version == IR_VERSION and [each.version for each in proto.opset_import] == [OPSET]
    assert {"logits", "probabilities"} <= {node.name for node in proto.graph.node}
    assert not [each for node in proto.graph.node for each in node.attribute if each.name == "allowzero"]
    assert "Unsqueeze" not in {node.op_type for node in proto.graph.node}
    quantize_dynamic(path, tmp_path / "dynamic.onnx")  # what people try first
    images = evaluation.images[:7].numpy() / np.float32(255)
    _, probabilities = onnxruntime.InferenceSession(tmp_path / "dynamic.onnx").run(None, {"images": images})
    assert np.abs(probabilities - evaluation.probabilities[:7].numpy()).max() < 0.2


@pytest.mark.parametrize("spoil", ["a little", "argmax", "nan"])
def test_differing_file_is_not_written(evaluation, tmp_path, spoil):
    if spoil == "a little":
        evaluation.logits[123] += 3e-4
    elif spoil == "argmax":
        evaluation.logits[123] = evaluation.logits[123].flip(0)
    else:
        evaluation.logits[123] = torch.nan
    with pytest.raises(PlainError, match=r"model\.onnx differs from the checkpoint"):
        export_onnx(evaluation, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []


def probabilities_of(run):
    return np.loadtxt(run / "report" / "predictions.csv", delimiter=",", skiprows=1)[:, 4:]


@pytest.fixture
def other(command, tmp_path):
    """A run of another model, which has validated other digits than the quickstart."""
    done = command("train.py", "data=mnist_5k", "model=linear", "seed=1", "trainer.max_epochs=1", *QUIET)
    assert done.returncode == 0, done.stderr
    return run_folders(tmp_path)[0]


def test_an_ensemble_is_a_run_like_any_other(quickstart, other, command, tmp_path):
    done = command("scripts/export.py", "--ensemble", quickstart, other)
    (folder,) = tmp_path.glob("outputs/*/*_ensemble")
    metrics, members = RunFolder(folder).metrics(), [RunFolder(run).metrics() for run in (quickstart, other)]
    own, best = (f"{100 * each.test_accuracy:.2f} %" for each in (metrics, members[0]))
    worse = f"worse than its best member: {own} of the test digits are read right, {best} by {quickstart} alone"
    assert members[0].test_accuracy > metrics.test_accuracy > members[1].test_accuracy, "or there is nothing to warn of"
    assert (done.returncode, done.stderr) == (0, f"warning: {worse}\n")
    assert metrics.onnx.samples == 1000 and metrics.onnx.argmax_agreement == 1
    assert metrics.val_accuracy is None, "each member has learned from validation digits of the other"
    assert metrics.fit_seconds == pytest.approx(sum(member.fit_seconds for member in members))
    assert metrics.parameters == sum(member.parameters for member in members)
    mean = (probabilities_of(quickstart) + probabilities_of(other)) / 2
    assert probabilities_of(folder) == pytest.approx(mean, abs=2e-6)

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    logits, probabilities = session.run(None, {"images": np.random.default_rng(0).random((9, 1, 28, 28), np.float32)})
    assert np.exp(logits) == pytest.approx(probabilities, abs=1e-6)
    names = json.loads(session.get_modelmeta().custom_metadata_map["members"])
    assert [name.split(" (")[0] for name in names] == [str(quickstart), str(other)]

    (folder / "report" / "index.html").unlink()
    again = command("scripts/evaluate.py", folder)
    assert (again.returncode, again.stderr) == (0, "")
    page = (folder / "report" / "index.html").read_text()
    for run, member in zip((quickstart, other), members, strict=True):
        figures = "".join(f"<td>{100 * share:.2f}</td>" for share in (member.val_accuracy, member.test_accuracy))
        assert f"{run}</th>{figures}" in page
    assert worse in page and "train.log" not in page
    links = re.findall(r'href="([^#"]+)"', page)
    assert links and all((folder / "report" / link).exists() for link in links)
    assert RunFolder(folder).metrics().test_accuracy == metrics.test_accuracy
    compared = command("scripts/compare.py", "outputs", quickstart)
    assert compared.returncode == 0 and "ensemble" in compared.stdout and "left out" not in compared.stderr
    (tmp_path / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    read = command("scripts/predict.py", folder, "7.png")
    assert (read.returncode, read.stderr, read.stdout.split()[0]) == (0, "", "7")
    named = command("scripts/export.py", "--ensemble", quickstart, other, "--into", "two")
    assert named.returncode == 0 and probabilities_of(tmp_path / "two") == pytest.approx(mean, abs=2e-6)


def test_members_of_other_digits_and_single_members_are_refused(quickstart, command, tmp_path):
    small = ["data=mnist_5k", "data.classes=[3,7]", "data.val_size=50", "model=linear", "trainer.max_epochs=1"]
    assert command("train.py", *small, *QUIET).returncode == 0
    (pair,) = run_folders(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for members, reason in (
        ([quickstart, pair], f"{pair}: its data have test 200, and those of {quickstart} 1000; wanted"),
        ([pair], f"--ensemble: got {pair}; wanted two different runs or more"),
        ([pair, "nowhere"], "nowhere: not begun, wanted the folder of a finished run with a report"),
        ([pair, quickstart, "--into", pair], f"--into: {pair} exists; wanted a new folder"),
    ):
        done = command("scripts/export.py", "--ensemble", *members)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1) and reason in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    done = command("scripts/export.py", quickstart, "--into", "elsewhere")
    assert done.returncode == 2 and "--into is for --ensemble" in done.stderr


@pytest.fixture
def copied(quickstart, tmp_path):
    return shutil.copytree(quickstart, tmp_path / "run")


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
def test_int8_reads_as_well_and_says_how_it_differs(copied, command, tmp_path, capsys):
    export(copied, int8=True)
    printed = capsys.readouterr().out
    small = copied / "model.int8.onnx"
    assert small.stat().st_size < 0.4 * (copied / "model.onnx").stat().st_size
    metadata = onnxruntime.InferenceSession(small).get_modelmeta().custom_metadata_map
    metrics = RunFolder(copied).metrics()
    assert float(metadata["val_accuracy"]) >= metrics.val_accuracy - 0.01
    assert f"test_accuracy {float(metadata['test_accuracy']):.4g}" in printed
    assert metadata["checkpoint_sha256"] == metrics.checkpoint_sha256
    found = [Reader(path) for path in (copied, small)]
    assert [reader.name for reader in found] == ["cnn", "cnn int8"]
    proto = onnx.load(small)
    assert {each.domain for each in proto.opset_import} <= {"", "com.microsoft"} and proto.ir_version == IR_VERSION
    images = np.random.default_rng(0).random((50, 1, 28, 28), np.float32)
    one, other = (reader.outputs(images)[1] for reader in found)
    assert 0 < np.abs(one - other).max() < 0.3
    (tmp_path / "7.png").write_bytes(encoded(picture_of("canvas", 7, 0)))
    read = command("scripts/predict.py", small, "7.png")
    assert (read.returncode, read.stderr, read.stdout.split()[0]) == (0, "", "7")


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
def test_forms_for_other_devices_are_compared_and_written_beside_the_model(copied, command, capsys):
    export(copied, fixed_batch=7, uint8_input=True, float16=True)
    printed = capsys.readouterr().out
    assert f"model.batch7.onnx: {(copied / 'model.batch7.onnx').stat().st_size:,} bytes; compared with" in printed
    assert "on 994 test digits" in printed, "142 batches of 7"
    pixels = np.random.default_rng(0).integers(0, 256, (7, 1, 28, 28), np.uint8)
    images = pixels / np.float32(255)
    wanted = onnxruntime.InferenceSession(copied / "model.onnx").run(None, {"images": images})
    for name, given, limit in (("batch7", images, 1e-5), ("uint8", pixels, 1e-5), ("float16", images, 0.05)):
        session = onnxruntime.InferenceSession(copied / f"model.{name}.onnx")
        (image,), metadata = session.get_inputs(), session.get_modelmeta().custom_metadata_map
        found = session.run(None, {"images": given})
        assert max(np.abs(one - other).max() for one, other in zip(found, wanted, strict=True)) < limit
        assert (image.shape[0] == 7) == (name == "batch7") and (image.type == "tensor(uint8)") == (name == "uint8")
        assert image.type.removeprefix("tensor(").startswith(metadata["input"].split()[1].removesuffix("32"))
        proto = onnx.load(copied / f"model.{name}.onnx")
        onnx.checker.check_model(proto, full_check=True)
        assert proto.ir_version == IR_VERSION and [each.version for each in proto.opset_import] == [OPSET]
    half = (copied / "model.float16.onnx").stat().st_size / (copied / "model.onnx").stat().st_size
    assert 0.4 < half < 0.6
    for name in ("batch7", "uint8"):
        with pytest.raises(ModelFileError, match=rf"model.{name}.onnx: not a model.onnx that a run wrote \(it takes t"):
            Reader(copied / f"model.{name}.onnx")
    refused = command("scripts/export.py", copied, "--fixed-batch", "0")
    assert (refused.returncode, refused.stderr) == (2, "error: --fixed-batch: got 0, wanted at least 1\n")


def test_a_changed_form_that_differs_is_not_written(evaluation, tmp_path):
    export_onnx(evaluation, tmp_path / "model.onnx", {"classes": CLASSES})
    inverted = 255 - evaluation.images.numpy()
    with pytest.raises(PlainError, match=r"model.uint8.onnx differs from the checkpoint: by up to "):
        export_variant(evaluation, tmp_path / "model.onnx", "uint8", with_uint8_input, images=inverted)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
def test_int8_that_reads_worse_is_not_written(copied, monkeypatch):
    monkeypatch.setattr("digits.training.int8.BOUND", -0.5)
    with pytest.raises(ModelFileError, match=r"in int8 it reads \d.* of the validation digits, not 9"):
        export_int8(RunFolder(copied))
    assert not list(copied.glob("*int8*"))
