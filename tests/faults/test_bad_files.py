"""Checkpoints and model files that are damaged, or that somebody else made: named, and none of their code is run."""

import json
import pickle
import random
import shutil
import signal
import zipfile
from warnings import catch_warnings

import numpy as np
import onnx
import pytest
import torch
from conftest import QUIET, run_command
from onnx import TensorProto, helper
from PIL import Image

from faults.killing import EPOCHS, RUN, TRAIN, kill_at, sha256_of_weights

pytestmark = pytest.mark.slow


# Damaged


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a run that was killed in its third epoch."""
    cwd = tmp_path_factory.mktemp("killed")
    saves_of_the_second_epoch = 20  # events, or a few less
    assert kill_at(cwd, "event", saves_of_the_second_epoch, TRAIN, *RUN) == -signal.SIGKILL
    return cwd / "run"


def cut_off(content, chance):
    return content[: chance.randrange(len(content))]


def zeroed(content, chance):
    """From some place on, as after a power cut, or all of it."""
    kept = chance.choice([0, chance.randrange(len(content))])
    return content[:kept] + bytes(len(content) - kept)


def flipped(content, chance):
    spoilt = bytearray(content)
    spoilt[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def same(one, other):
    """Whether two values of checkpoints are equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def is_as_good(damaged, good):
    """Whether a flipped bit lies where it does no harm, between the parts of the file."""
    try:
        return same(torch.load(damaged, weights_only=True), torch.load(good, weights_only=True))
    except Exception:  # damaged bytes make torch raise almost anything
        return False


@pytest.mark.fault(
    "newest checkpoint cut off, zeroed or with a bit flipped; then resume=",
    "it is named and the one before it used, to the same weights; where none is good, exit 4",
    cases=30,
    short=2,
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(killed, whole, tmp_path, case):
    chance, run = random.Random(case), tmp_path / "run"
    shutil.copytree(killed, run)
    none_is_good = case % 5 == 2
    damage = cut_off if none_is_good else [cut_off, zeroed, flipped][case % 3]
    for name in ("last.ckpt", "best.ckpt") if none_is_good else ("last.ckpt",):
        path = run / "checkpoints" / name
        path.write_bytes(damage(path.read_bytes(), chance))
    harmless = is_as_good(run / "checkpoints/last.ckpt", killed / "checkpoints/last.ckpt")
    done = run_command("train.py", "resume=run", *QUIET, cwd=tmp_path)
    if none_is_good:
        assert (done.returncode, done.stderr.count("\n")) == (4, 1)
        assert done.stderr.startswith("error: run/checkpoints/last.ckpt: not a whole checkpoint")
        return
    assert (done.returncode, done.stderr) == (0, "")
    if not harmless:
        assert "run/checkpoints/last.ckpt: not a whole checkpoint" in done.stdout
        assert "the run goes on from run/checkpoints/best.ckpt" in done.stdout
    assert sha256_of_weights(run) == sha256_of_weights(whole)
    history = json.loads((run / "report/metrics.json").read_text())["history"]
    assert [row["epoch"] for row in history] == list(range(EPOCHS))


# Not ours


class Marker:
    """In place of an attack: loading it as a pickle writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def with_values(**values):
    """A checkpoint of ours with other values."""
    return lambda path, ours, marker: torch.save(ours | values, path)


def with_marker(place):
    """A checkpoint of ours with a marker in it."""

    def forge(path, ours, marker):
        inner = ours[place] if isinstance(ours[place], dict) else {}
        torch.save(ours | {place: inner | {"marker": Marker(marker)}}, path)

    return forge


def pickled(protocol):
    return lambda path, ours, marker: path.write_bytes(pickle.dumps(Marker(marker), protocol))


def legacy(path, ours, marker):
    torch.save(ours | {"marker": Marker(marker)}, path, _use_new_zipfile_serialization=False)


def objects(path, ours, marker):
    """An .npz with pickled objects."""
    with path.open("wb") as file:
        np.savez(file, weights=np.array([Marker(marker)], dtype=object))


def scripted(path, ours, marker):
    with catch_warnings(action="ignore"):  # it is deprecated
        torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), path)


def zipped(path, ours, marker):
    """A zip file with the right names and another pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Marker(marker), 2))
        file.writestr("archive/version", "3\n")


def importing(path, ours, marker):
    """One that would import marker.py, which lies where the command starts."""
    names = {"name": "marker"}
    torch.save(ours | {"model_class": "digits.models.classifier.import_module", "hyper_parameters": names}, path)


def called(name, /, **hyper_parameters):
    return with_values(model_class=name, hyper_parameters=hyper_parameters)


def reshaped(path, ours, marker):
    torch.save(ours | {"state_dict": {key: tensor.reshape(-1) for key, tensor in ours["state_dict"].items()}}, path)


def fewer(path, ours, marker):
    torch.save(ours | {"state_dict": dict(list(ours["state_dict"].items())[:-1])}, path)


def half(path, ours, marker):
    torch.save(ours, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CHECKPOINTS = [
    *(pickled(protocol) for protocol in (0, 2, 4, 5)),
    *(with_marker(place) for place in ("hyper_parameters", "state_dict", "callbacks", "loops", "optimizer_states")),
    *(legacy, objects, scripted, zipped, importing, reshaped, fewer, half),
    called("os.system", command="touch marker"),
    called("builtins.exec", source="open('marker', 'w')"),
    called("digits.models.optimizer.located", name="marker.function"),
    called("digits.models.nothing.CNN"),
    called("digits.models.cnn.CNN", classes=7),
    called("digits.models.cnn.CNN", classes=list(range(10)), stages="marker"),
    called("digits.models.cnn.CNN", classes=list(range(10)), stages=[[]]),
    with_values(model_class=["digits.models.cnn.CNN"]),
    with_values(hyper_parameters=["marker"]),
    with_values(state_dict="marker"),
    with_values(state_dict={"sharpness": 1}),
]
RESUMED = [with_values(loops={}), with_values(state_dict={"sharpness": "marker"}), with_values(callbacks=[]), legacy]


def outside(path, proto, folder):
    """Weights from a file outside the model's folder, which is there and long enough."""
    (weights,) = [each for each in proto.graph.initializer if len(each.dims) == 4][:1]
    size = len(weights.raw_data)
    place = folder / "outside.bin"
    place.write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": str(path), "offset": "0", "length": str(size)}.items():
        weights.external_data.add(key=key, value=value)
    return proto


def other_outputs(proto):
    del proto.graph.output[1]
    return proto


def other_inputs(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 29
    return proto


def without_metadata(proto):
    del proto.metadata_props[:]
    return proto


def unknown_operator(proto):
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "Marker", "marker"
    proto.opset_import.append(helper.make_opsetid("marker", 1))
    return proto


def classes(text):
    def forge(proto):
        helper.set_model_props(proto, {each.key: each.value for each in proto.metadata_props} | {"classes": text})
        return proto

    return forge


MODELS = [
    lambda proto, folder: outside("../outside.bin", proto, folder),
    lambda proto, folder: outside(folder / "outside.bin", proto, folder),
    *(lambda proto, folder, forge=forge: forge(proto) for forge in (other_outputs, other_inputs, without_metadata)),
    lambda proto, folder: unknown_operator(proto),
    lambda proto, folder: classes("[1, 2]")(proto),
    lambda proto, folder: classes("__import__('marker')")(proto),
]
FORGED = [
    *(("best.ckpt", forge) for forge in CHECKPOINTS),
    *(("last.ckpt", forge) for forge in RESUMED),
    *(("model.onnx", forge) for forge in MODELS),
]


@pytest.mark.fault(
    "checkpoints and model files that are not ours: code in them, other shapes, cut off, data elsewhere",
    "exit 4 and one line, and no code was run",
    cases=len(FORGED),
    short=2,
)
def test_a_file_that_is_not_ours_is_refused_and_runs_nothing(quickstart, tmp_path, case):
    name, forge = FORGED[(case * 13) % len(FORGED)]
    run, marker = tmp_path / "run", tmp_path / "marker"
    shutil.copytree(quickstart, run)
    (tmp_path / "marker.py").write_text(f"open({str(marker)!r}, 'w')\nfunction = dict\n")
    report = (run / "report/metrics.json").read_bytes()
    if name == "model.onnx":
        proto = forge(onnx.load(run / name), tmp_path)
        (run / name).write_bytes(proto.SerializeToString())
        Image.new("L", (28, 28), 255).save(tmp_path / "7.png")
        done = run_command("src/digits_command.py", "read", "run", "7.png", cwd=tmp_path)
    else:
        ours = torch.load(run / "checkpoints" / name, weights_only=True)
        forge(run / "checkpoints" / name, ours, marker)
        if name == "best.ckpt":
            done = run_command("scripts/evaluate.py", "run", cwd=tmp_path)
        else:
            words = ["experiment=quickstart", "trainer.max_epochs=2", "run_folder=new", *QUIET]
            done = run_command("train.py", *words, "ckpt_path=run/checkpoints/last.ckpt", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), f"{case}: {done.stderr}"
    assert done.stderr.startswith(f"error: run/{'' if name == 'model.onnx' else 'checkpoints/'}{name}: ")
    assert not marker.exists() and (run / "report/metrics.json").read_bytes() == report
