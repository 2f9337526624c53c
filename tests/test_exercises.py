"""The classic exercises: their predictions, and the accuracies they are known for."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import QUIET
from sklearn.decomposition import PCA
from sklearn.svm import SVC

from digits.data.mnist import Mnist
from digits.data.mnist_5k import Mnist5k
from digits.models.pixel_similarity import PixelSimilarity
from digits.models.svm import SVM
from digits.reporting.evaluation import Evaluation
from digits.training.checkpoints import load_model
from digits.training.export import export_onnx

EXERCISES = "experiment=three_vs_seven,pixel_similarity,book_mlp,workshop_svm,web_cnn"


def split(classes=None):
    data = Mnist5k(classes=classes, val_size=500)
    data.setup()
    return data, data.train_images.float() / 255, data.test_images.float() / 255


@pytest.mark.parametrize("distance, order", [("l1", 1), ("l2", 2)])
def test_pixel_similarity_predicts_the_class_of_the_nearest_mean(distance, order):
    data, train, test = split([3, 7])
    model = PixelSimilarity(classes=[3, 7], distance=distance)
    model.solve(train, data.train_labels)
    means = torch.stack([train[data.train_labels == label].flatten(1).mean(dim=0) for label in (0, 1)])
    wanted = torch.cdist(test.flatten(1), means, p=order).argmin(dim=1)
    assert torch.equal(model.scores(test).argmax(dim=1), wanted)
    assert torch.allclose(model.class_images().flatten(1), means, atol=1e-5)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly"])
@pytest.mark.parametrize("classes, components", [(None, 50), ([3, 7], 0.8), ([1, 5, 9], None)])
def test_svm_predicts_as_scikit_learn(kernel, classes, components):
    data, train, test = split(classes)
    model = SVM(classes=data.classes, kernel=kernel, components=components, C=2.0)
    model.solve(train, data.train_labels)
    features, asked = (images.flatten(1).double().numpy() for images in (train, test))
    if components is not None:
        pca = PCA(components, svd_solver="covariance_eigh").fit(features)
        features, asked = pca.transform(features), pca.transform(asked)
    machine = SVC(kernel=kernel, C=2.0, break_ties=len(data.classes) > 2).fit(features, data.train_labels.numpy())
    assert (model.scores(test).argmax(dim=1).numpy() == machine.predict(asked)).all()


def test_onnx_file_of_an_svm_predicts_as_scikit_learn_on_all_test_digits(mnist_dir, tmp_path):
    data = Mnist(folder=mnist_dir, train_size=5000)
    data.setup()
    train, test = data.train_images.float() / 255, data.test_images.float() / 255
    model = SVM(classes=data.classes, components=50)
    model.solve(train, data.train_labels)
    pca = PCA(50, svd_solver="covariance_eigh").fit(train.flatten(1).double().numpy())
    machine = SVC(C=5.0, break_ties=True).fit(
        pca.transform(train.flatten(1).double().numpy()), data.train_labels.numpy()
    )
    wanted = machine.predict(pca.transform(test.flatten(1).double().numpy()))
    logits = torch.cat([model(batch) for batch in test.split(1000)])
    export_onnx(Evaluation(model, data.test_images, data.test_labels, logits), tmp_path / "svm.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "svm.onnx")
    found = [session.run(["logits"], {"images": batch.numpy()})[0].argmax(axis=1) for batch in test.split(1000)]
    assert (np.concatenate(found) == wanted).all()


def test_all_exercises_run_in_one_sweep(command, tmp_path):
    done = command("train.py", "-m", EXERCISES, "data=mnist_5k", "data.train_size=600", "trainer.max_epochs=1", *QUIET)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = {}
    for path in tmp_path.glob("outputs/sweeps/*/*/report/metrics.json"):
        metrics = json.loads(path.read_text())
        found[json.loads((path.parents[1] / "run.json").read_text())["experiment"]] = metrics
    assert found.keys() == set(EXERCISES.removeprefix("experiment=").split(","))
    assert all(metrics["onnx"]["argmax_agreement"] == 1 for metrics in found.values())
    assert found["three_vs_seven"]["per_class"].keys() == {"3", "7"}
    assert found["three_vs_seven"]["test/accuracy"] > 0.9
    unchanged, *changed = found["three_vs_seven"]["robustness"]
    assert unchanged["accuracy"] == pytest.approx(found["three_vs_seven"]["test/accuracy"]) and len(changed) == 9
    assert 0.55 < found["pixel_similarity"]["test/accuracy"] < 0.8
    assert found["workshop_svm"]["test/accuracy"] > 0.85
    (three,) = tmp_path.glob("outputs/sweeps/*/0")
    page = (three / "report" / "index.html").read_text()
    assert "What the model looks for" in page and 'title="what the model looks for in a 7"' in page
    with (three / "report" / "predictions.csv").open() as file:
        assert {line.split(",")[1] for line in file.readlines()[1:]} == {"3", "7"}
    model = load_model(three / "checkpoints" / "best.ckpt")
    assert model.hparams["classes"] == [3, 7] and model.means.abs().sum() > 0


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["model=svm", "data.train_size=100", "model.components=200"], "model.components: got 200, wanted at most 100"),
        (["model=linear", "data.train_size=4000"], "data.train_size: got 4000, wanted 10 to"),
    ],
)
def test_settings_that_need_more_data_than_there_are_are_refused(command, overrides, line):
    done = command("train.py", "data=mnist_5k", *overrides, *QUIET)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].removeprefix("error: ").startswith(line)


def accuracies(cwd):
    """Test accuracy of the finished jobs of the one sweep in `cwd`, in their order."""
    jobs = sorted(cwd.glob("outputs/sweeps/*/*/report/metrics.json"), key=lambda path: int(path.parts[-3]))
    found = [json.loads(path.read_text()) for path in jobs]
    assert all(metrics["dataset"]["test_split"] == "official test split" for metrics in found)
    assert all(metrics["onnx"]["argmax_agreement"] == 1 for metrics in found)
    return [metrics["test/accuracy"] for metrics in found]


def test_pixel_similarity_reaches_its_accuracies_on_the_official_test_split(mnist_dir, command, tmp_path):
    done = command("train.py", "-m", "experiment=pixel_similarity,three_vs_seven", "model.distance=l1,l2", *QUIET)
    assert done.returncode == 0, done.stderr
    assert [round(100 * accuracy, 2) for accuracy in accuracies(tmp_path)] == [66.85, 82.03, 95.14, 96.61]


def test_workshop_svm_reaches_its_accuracy_on_the_official_test_split(mnist_dir, command, tmp_path):
    done = command("train.py", "-m", "experiment=workshop_svm", *QUIET)
    assert done.returncode == 0, done.stderr
    assert accuracies(tmp_path)[0] >= 0.964


@pytest.mark.long
def test_workshop_svm_reaches_its_accuracies_on_the_official_test_split(mnist_dir, command, tmp_path):
    jobs = ("data.train_size=10000,null", "model.components=0.8,50")
    done = command("train.py", "-m", "experiment=workshop_svm", *jobs, *QUIET)
    assert done.returncode == 0, done.stderr
    workshop, *_, everything = accuracies(tmp_path)
    assert workshop >= 0.964 and everything >= 0.985


@pytest.mark.parametrize("epochs, least", [(4, 0.955), pytest.param(8, 0.965, marks=pytest.mark.long)])
def test_book_mlp_comes_near_its_accuracy_in_some_of_its_epochs(mnist_dir, command, tmp_path, epochs, least):
    done = command("train.py", "-m", "experiment=book_mlp", f"trainer.max_epochs={epochs}", *QUIET)
    assert done.returncode == 0, done.stderr
    assert accuracies(tmp_path)[0] >= least
