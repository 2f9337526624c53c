"""Checkpoints: safe to read, hard to break, carried over."""

import pickle
from types import SimpleNamespace
from warnings import catch_warnings

import pytest
import torch
from conftest import QUIET, run_folders
from torch.nn.functional import cross_entropy

from atomic_files import atomic_path, write_text
from digits.data.mnist_5k import Mnist5k
from digits.models.cnn import CNN
from digits.models.linear import Linear
from digits.models.mlp import MLP
from digits.training.callbacks import AveragedWeights
from digits.training.checkpoints import BestCheckpoint, check_resumable, load_model, read_checkpoint
from digits.training.trainer import Trainer
from plain_errors import ModelFileError


@pytest.fixture
def best(quickstart):
    return quickstart / "checkpoints" / "best.ckpt"


def test_checkpoint_alone_rebuilds_its_model(best):
    model = load_model(best)
    assert isinstance(model, CNN) and not model.training
    assert model.hparams["stages"] == [[32], [64], [128]]
    assert model.hparams["classes"] == list(range(10))


def test_malicious_pickle_is_not_executed(best, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    checkpoint = torch.load(best, weights_only=True)
    checkpoint["hyper_parameters"]["evil"] = Evil()
    zipped, plain = tmp_path / "zipped.ckpt", tmp_path / "plain.ckpt"
    torch.save(checkpoint, zipped)
    plain.write_bytes(pickle.dumps(Evil()))
    for path in (zipped, plain):
        with pytest.raises(ModelFileError, match="not a whole checkpoint of plain tensors and values"):
            read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_missing_cut_off_foreign_or_of_another_model(best, tmp_path):
    with pytest.raises(ModelFileError, match=r"none.ckpt: No such file"):
        read_checkpoint(tmp_path / "none.ckpt")
    for size in (0, 100, best.stat().st_size // 2, best.stat().st_size - 100):
        cut = tmp_path / "cut.ckpt"
        cut.write_bytes(best.read_bytes()[:size])
        with pytest.raises(ModelFileError, match="not a whole checkpoint"):
            read_checkpoint(cut)
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(ModelFileError, match="not a checkpoint of this project"):
        read_checkpoint(foreign)
    with pytest.raises(ModelFileError, match=r"of another model \(digits.models.cnn.CNN: .*wanted one of Linear"):
        check_resumable(best, Linear(classes=list(range(10))), [])
    outside = torch.load(best, weights_only=True) | {"model_class": "os.system"}
    torch.save(outside, foreign)
    with pytest.raises(ModelFileError, match=r"wanted one of digits\.models"):
        load_model(foreign)
    outside |= {"model_class": "digits.models.linear.Linear"}
    torch.save(outside, foreign)
    with pytest.raises(ModelFileError, match="does not fit its model"):
        load_model(foreign)


def calibrated_again(checkpoint):
    """The sharpness in a checkpoint, and the one that its weights ask for on the quickstart's validation digits."""
    model, data = load_model(checkpoint), Mnist5k(val_size=500)
    data.setup()
    found = model.sharpness.item()
    with torch.no_grad():
        scores = model.scores(data.val_images / 255)
    model.calibrate(scores, data.val_labels, smoothing=1 / 500)
    return found, model, scores, data.val_labels


def test_checkpoint_holds_its_calibration_which_changes_no_prediction(best):
    sharpness, model, scores, labels = calibrated_again(best)
    assert sharpness == pytest.approx(model.sharpness.item(), rel=0.02) and abs(sharpness - 1) > 0.05
    logits = model.calibrated(scores)
    assert cross_entropy(logits, labels) < cross_entropy(scores, labels)
    assert torch.equal(logits.argsort(), scores.argsort())


def test_mean_of_the_weights_is_calibrated_by_itself_and_not_by_a_mean(tmp_path):
    best = BestCheckpoint(dirpath=tmp_path, filename="best", monitor="val/accuracy", mode="max")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", precision="32-true", callbacks=[AveragedWeights(), best], max_epochs=2, **quiet
    )
    with catch_warnings(action="ignore"):
        trainer.fit(MLP(classes=list(range(10)), hidden=[64]), Mnist5k(val_size=500))
    sharpness, again, *_ = calibrated_again(tmp_path / "best.ckpt")
    assert sharpness == pytest.approx(again.sharpness.item(), rel=1e-3)


def test_a_model_without_a_mistake_is_not_as_sure_as_can_be():
    model = Linear(classes=[0, 1])
    labels = torch.arange(100) % 2
    model.calibrate(torch.eye(2)[labels], labels, smoothing=1 / 100)
    assert 0.98 < model.calibrated(torch.eye(2)).softmax(dim=1).max() < 0.999


def test_checkpoint_older_than_the_calibration_is_loaded_and_resumed(quickstart, tmp_path):
    older = torch.load(quickstart / "checkpoints" / "last.ckpt", weights_only=True)
    del older["state_dict"]["sharpness"]
    torch.save(older, tmp_path / "older.ckpt")
    assert load_model(tmp_path / "older.ckpt").sharpness == 1
    model = CNN(**older["hyper_parameters"])
    check_resumable(tmp_path / "older.ckpt", model, [])
    assert model.load_state_dict(older["state_dict"]).missing_keys == []


def test_best_so_far_is_carried_into_the_folder_of_the_resumed_run(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "best.ckpt").write_text("the best so far")
    callback = BestCheckpoint(dirpath=new, filename="best", monitor="val/accuracy", mode="max")
    state = {"best_model_path": str(old / "best.ckpt"), "best_model_score": torch.tensor(0.9)}
    callback.load_state_dict(state)
    assert (new / "best.ckpt").read_text() == "the best so far"
    alone = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=bool))
    assert not callback.check_monitor_top_k(alone, torch.tensor(0.8))
    assert callback.check_monitor_top_k(alone, torch.tensor(0.95))
    assert callback.best_model_path == str(new / "best.ckpt")


def test_atomic_path_leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        write_text(tmp_path / "folder", "new")
    assert raised.value.filename == str(tmp_path / "folder") and raised.value.filename2 is None


@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
@pytest.mark.filterwarnings("ignore:.*across ranks is zero")
@pytest.mark.parametrize(
    "val_size, options, step",
    [
        (0, {"max_epochs": 2}, 2 * 40),
        (500, {"max_epochs": 2, "limit_val_batches": 0}, 2 * 35),
        (500, {"max_steps": 20}, 20),
        (500, {"max_epochs": 3, "check_val_every_n_epoch": 10}, 3 * 35),
    ],
)
def test_fit_without_validation_keeps_its_last_state(tmp_path, val_size, options, step):
    best = BestCheckpoint(dirpath=tmp_path, filename="best", monitor="val/accuracy", mode="max", save_last=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", callbacks=[best], num_sanity_val_steps=0, **quiet, **options)
    trainer.fit(Linear(classes=list(range(10))), Mnist5k(val_size=val_size, batch_size=100))
    assert read_checkpoint(tmp_path / "best.ckpt")["global_step"] == step
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == step


def test_run_without_validation_images_is_tested_and_reported(command, tmp_path):
    done = command("train.py", "data=mnist_5k", "model=linear", "data.val_size=0", "trainer.max_epochs=1", *QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no epoch was validated: the last state is kept as best.ckpt" in done.stdout
    (run,) = run_folders(tmp_path)
    assert (run / "report" / "index.html").exists()


def test_run_that_diverges_fails_in_one_line_and_keeps_no_best(command, tmp_path):
    done = command(
        "train.py",
        *("data=mnist_5k", "model=mlp", "model.schedule=constant", "model.learning_rate=1e30", *QUIET),
    )
    assert done.returncode == 1
    assert "train/loss is" in done.stderr and "at step" in done.stderr and "(epoch 1)" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    (run,) = run_folders(tmp_path)
    assert not (run / "checkpoints" / "best.ckpt").exists()
