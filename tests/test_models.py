"""Classifiers: what they answer, how they augment, how they fail."""

import lightning
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from digits.cli import CONFIGS
from digits.data.mnist_5k import Mnist5k
from digits.errors import ConfigError, DigitsError
from digits.models.augmentation import RandomChange, thicken
from digits.models.cnn import CNN
from digits.models.lenet import LeNet
from digits.models.linear import Linear
from digits.models.muon import Muon, orthogonalized
from digits.training.callbacks import RunningMean

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
    pools = [module.kernel_size for module in model.net if isinstance(module, torch.nn.MaxPool2d)]
    assert pools == [2, 14], "between the stages, and over all that is left"


def test_lenet_that_takes_more_than_there_is_of_a_picture_says_so():
    assert LeNet(classes=[0, 1], layers=[[4, 5, 8], [4, 3, 1]]).net[-1].in_features == 4
    with pytest.raises(ConfigError, match="kernel of 2, pooled by 3, where 3 pixels are left"):
        LeNet(classes=[0, 1], layers=[[4, 5, 8], [4, 2, 3]])


def test_lenet_kernel_over_all_that_is_left_is_a_hidden_layer():
    net = LeNet(classes=[0, 1], layers=[[4, 5, 8], [6, 3, 1], [5, 1, 1]]).net
    linear = [module for module in net if isinstance(module, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(4 * 3 * 3, 6), (6, 5), (5, 2)]
    assert net(torch.rand(7, 1, 28, 28)).shape == (7, 2)


def test_orthogonalized_keeps_the_directions_and_evens_out_their_lengths():
    generator = torch.Generator().manual_seed(0)
    for shape in ((20, 60), (60, 20)):
        matrix = torch.randn(shape, generator=generator)
        u, lengths, v = torch.linalg.svd(matrix, full_matrices=False)
        evened = orthogonalized(matrix, iterations=5)
        assert lengths.max() / lengths.min() > 3
        found = torch.linalg.svdvals(evened)
        assert found.min() > 0.5 and found.max() < 1.5
        assert ((u.T @ evened @ v.T).diagonal() > 0.5).all()  # the same singular vectors, in the same order


def test_muon_takes_the_hidden_weights_and_leaves_the_rest_to_adamw():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.Linear(40, 50))
    optimizer = Muon(layers.parameters(), lr=0.01, weight_decay=0.0)
    before = [parameter.detach().clone() for parameter in layers.parameters()]
    optimizer.step(lambda: layers(torch.randn(64, 50)).square().sum().backward())
    moves = [(after - start).detach() / 0.01 for after, start in zip(layers.parameters(), before, strict=True)]
    sizes = [move.square().mean().sqrt().item() for move in moves]
    assert 0.1 < sizes[0] < 0.25, sizes
    assert sizes[1:] == pytest.approx([1, 1, 1], abs=0.01), "bias, last weight and its bias: AdamW's first step is 1"


def test_running_mean_is_over_the_last_ninth_of_the_steps():
    mean = torch.tensor(0.0)
    for step in range(1, 2001):
        mean = RunningMean.moved(mean, torch.tensor(float(step)), torch.tensor(step))
    assert mean.item() == pytest.approx(1800, rel=0.01), "a mean over the last ninth lags by a tenth"


def test_augmentation_of_nothing_changes_nothing():
    images = torch.rand(8, 1, 28, 28)
    assert torch.allclose(RandomChange()(images), images, atol=1e-5)


def test_augmentation_gives_each_image_its_own_change_within_its_bounds():
    images = torch.zeros(500, 1, 28, 28)
    images[:, :, 13:15, 13:15] = 1  # a dot in the middle: only a shift moves it
    moved = RandomChange(rotation=20, shift=0.1, zoom=0.1, shear=5)(images)
    assert moved.min() >= 0 and moved.max() <= 1
    weights = moved.squeeze(1) / moved.sum(dim=(1, 2, 3))[:, None, None]
    centres = (weights.sum(dim=1) * torch.arange(28.0)).sum(dim=1)
    assert centres.unique().numel() > 450
    assert (centres - 13.5).abs().max() <= 0.1 * 28 + 0.1
    assert centres.min() < 11.5 and centres.max() > 15.5


def test_rotation_turns_by_as_much_as_it_says():
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 14, 14:26] = 1  # a ray to the right
    turned = RandomChange(rotation=30)(images).squeeze(1)
    weights = turned / turned.sum(dim=(1, 2), keepdim=True)
    position = torch.arange(28.0) - 13.5
    x, y = (weights.sum(dim=1) * position).sum(dim=1), (weights.sum(dim=2) * position).sum(dim=1)
    angles = torch.atan2(y, x).rad2deg() - torch.atan2(torch.tensor(0.5), torch.tensor(6.0)).rad2deg()
    assert 27 < angles.abs().max() < 31 and angles.min() < -20 and angles.max() > 20


def test_strokes_get_thicker_and_thinner_by_a_pixel_on_each_side():
    images = torch.zeros(4, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1  # a stroke four pixels wide
    widths = thicken(images, torch.tensor([-1.0, 0.0, 0.5, 1.0]))[:, 0, 14].sum(dim=1)
    assert widths.tolist() == [2, 4, 5, 6]


def test_a_hairline_stays_when_strokes_get_thinner():
    images = torch.zeros(1, 1, 28, 28)
    images[:, :, 4:24, 14] = 1
    assert torch.equal(thicken(images, torch.tensor([-1.0])), images)


def test_thickness_differs_from_image_to_image():
    images = torch.zeros(500, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1
    changed = RandomChange(thickness=0.5)(images)
    assert changed.min() >= 0 and changed.max() <= 1
    widths = changed[:, 0, 14].sum(dim=1)
    assert widths.unique().numel() > 450
    assert 3 <= widths.min() < 3.1 and 4.9 < widths.max() <= 5.001


def test_bend_pulls_parts_of_an_image_about_within_its_bounds():
    images = torch.zeros(500, 1, 28, 28)
    corners = [(7, 7), (7, 20), (20, 7), (20, 20)]
    for row, column in corners:
        images[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
    bent = RandomChange(bend=0.05)(images).squeeze(1)
    assert bent.min() >= 0 and bent.max() <= 1.001
    position = torch.arange(28.0)
    moves = []
    for row, column in corners:
        part = torch.zeros(28, 28)
        part[row // 14 * 14 :][:14, column // 14 * 14 :][:, :14] = 1
        weights = bent * part / (bent * part).sum(dim=(1, 2), keepdim=True)
        moves.append((weights.sum(dim=1) * position).sum(dim=1) - column)
    along_x = torch.stack(moves)  # [4, 500]
    assert along_x.unique().numel() > 1800, "each part of each image goes its own way"
    assert 0.9 < along_x.abs().max() < 0.05 * 28 + 0.5
    between_parts = (along_x[0] - along_x[3]).std()
    assert between_parts > 0.5, "it is no shift of the whole"


@pytest.mark.parametrize("along, across", [(1, 0), (0, 1)])
def test_bend_is_smooth_along_both_axes(along, across):
    ramp = (torch.arange(28.0) / 27).expand(28, 28)  # its value says where a pixel came from
    ramp = ramp if along == 1 else ramp.T
    torch.manual_seed(0)
    came_from = 27 * RandomChange(bend=0.05)(ramp.expand(1, 1, 28, 28))[0, 0, 4:-4, 4:-4]
    steps = came_from.diff(dim=along)
    assert steps.min() > 0.2 and steps.max() < 1.8 and steps.std() > 0.05, "neighbours stay neighbours"
    assert 0.05 < came_from.diff(dim=across).abs().max() < 0.7


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
