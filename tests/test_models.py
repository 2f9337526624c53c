"""Classifiers: what they answer, how they augment, how they fail."""

import lightning
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from digits.cli import CONFIGS
from digits.data.mnist_5k import Mnist5k
from digits.errors import DigitsError
from digits.models.augmentation import RandomAffine
from digits.models.cnn import CNN
from digits.models.linear import Linear

MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [list(range(10)), [3, 7]])
def test_forward_gives_a_logit_a_class(name, classes):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}"])
    model = instantiate(config.model, classes=classes, _convert_="all").eval()
    images = torch.rand(5, 1, 28, 28)
    logits = model(images)
    assert logits.shape == (5, len(classes)) and logits.dtype == torch.float32
    assert torch.allclose(logits[:2], model(images[:2]), atol=1e-5), "an answer depends on the rest of its batch"


def test_cnn_is_built_as_its_stages_say():
    model = CNN(classes=[0, 1], stages=[[4, 6], [8]])
    convolutions = [module for module in model.net if isinstance(module, torch.nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convolutions] == [(1, 4), (4, 6), (6, 8)]
    assert sum(isinstance(module, torch.nn.MaxPool2d) for module in model.net) == 1


def test_augmentation_of_nothing_changes_nothing():
    images = torch.rand(8, 1, 28, 28)
    assert torch.allclose(RandomAffine(0.0, 0.0, 0.0, 0.0)(images), images, atol=1e-5)


def test_augmentation_gives_each_image_its_own_change_within_its_bounds():
    images = torch.zeros(500, 1, 28, 28)
    images[:, :, 13:15, 13:15] = 1  # a dot in the middle: only a shift moves it
    moved = RandomAffine(rotation=20, shift=0.1, zoom=0.1, shear=5)(images)
    assert moved.min() >= 0 and moved.max() <= 1
    weights = moved.squeeze(1) / moved.sum(dim=(1, 2, 3))[:, None, None]
    centres = (weights.sum(dim=1) * torch.arange(28.0)).sum(dim=1)
    assert centres.unique().numel() > 450
    assert (centres - 13.5).abs().max() <= 0.1 * 28 + 0.1
    assert centres.min() < 11.5 and centres.max() > 15.5


def test_rotation_turns_by_as_much_as_it_says():
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 14, 14:26] = 1  # a ray to the right
    turned = RandomAffine(rotation=30, shift=0.0, zoom=0.0, shear=0.0)(images).squeeze(1)
    weights = turned / turned.sum(dim=(1, 2), keepdim=True)
    position = torch.arange(28.0) - 13.5
    x, y = (weights.sum(dim=1) * position).sum(dim=1), (weights.sum(dim=2) * position).sum(dim=1)
    angles = torch.atan2(y, x).rad2deg() - torch.atan2(torch.tensor(0.5), torch.tensor(6.0)).rad2deg()
    assert 27 < angles.abs().max() < 31 and angles.min() < -20 and angles.max() > 20


def fit(model, data):
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data)


@pytest.fixture(scope="module")
def small():
    data = Mnist5k(val_size=100, batch_size=100)
    data.setup()
    return data


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
def test_loss_that_turns_nan_is_named_with_its_step(small):
    class Spoilt(Linear):
        def on_train_batch_start(self, batch, batch_idx):
            if batch_idx == 7:
                self.net[1].weight.data.fill_(torch.nan)

    with pytest.raises(DigitsError, match=r"train/loss is nan at step 7 \(epoch 0\): lower model.learning_rate"):
        fit(Spoilt(classes=list(range(10))), small)
