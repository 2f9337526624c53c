"""Classifiers: their outputs, augmentation, optimizer and errors."""

from inspect import signature
from types import SimpleNamespace

import lightning
import pytest
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from digits.config import CONFIGS
from digits.data.mnist_5k import Mnist5k
from digits.former import model_settings
from digits.models.augmentation import Augmentation, RandomAugmentation, thicken
from digits.models.cnn import CNN
from digits.models.ensemble import Ensemble
from digits.models.lenet import LeNet
from digits.models.linear import Linear
from digits.models.muon import Muon, orthogonalized
from digits.models.network import Network
from digits.schema import mistakes_in_node
from digits.training.callbacks import AveragedWeights
from plain_errors import ConfigError, PlainError

MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [list(range(10)), [3, 7]])
def test_forward_gives_one_logit_for_each_class(name, classes):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}"])
    model = instantiate(config.model, classes=classes, _convert_="all").eval()
    images = torch.rand(5, 1, 28, 28)
    logits = model(images)
    assert logits.shape == (5, len(classes)) and logits.dtype == torch.float32
    assert torch.allclose(logits[:2], model(images[:2]), atol=1e-5), "logits depend on the other images of the batch"


def test_a_network_that_is_shown_non_digits_learns_a_low_energy_for_them():
    model = Linear(classes=[3, 7], label_smoothing=0.0, non_digits=True)
    model.trainer = SimpleNamespace(log_every_n_steps=0)
    images, labels = torch.rand(3, 1, 28, 28), torch.tensor([1, 2, 0])
    logits = model(images)
    chances = torch.cat([logits, torch.zeros(3, 1)], dim=1).softmax(dim=1)
    wanted = -torch.stack([chances[0, 1], chances[1, 2], chances[2, 0]]).log().mean()
    assert model.training_step((images, labels), 0).item() == pytest.approx(wanted.item())


def test_a_student_learns_digits_from_the_teachers_answers_and_marks_from_their_labels():
    images, labels = torch.rand(3, 1, 28, 28), torch.tensor([1, 2, 0])
    answers = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.7, 0.3]])
    doubts = torch.tensor([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.7, 0.3, 0.0]])
    for refuses, given, wanted in [
        (True, answers, [[0.1, 0.9, 0], [0, 0, 1], [0.7, 0.3, 0]]),
        (True, doubts, [[0.1, 0.7, 0.2], [0, 0, 1], [0.7, 0.3, 0]]),
        (False, doubts[[0, 2, 2]], [[0.1, 0.7], [0.7, 0.3], [0.7, 0.3]]),
    ]:
        model = Linear(classes=[3, 7], non_digits=refuses, teacher="a run")
        model.trainer, model.answers = SimpleNamespace(log_every_n_steps=0), lambda _, given=given: given
        these = labels if refuses else labels % 2
        logits = model(images)
        chances = torch.cat([logits, torch.zeros(3, 1)], dim=1)[:, : 2 + refuses].log_softmax(dim=1)
        loss = -(torch.tensor(wanted) * chances).sum(dim=1).mean()
        assert model.training_step((images, these), 0).item() == pytest.approx(loss.item())


def test_an_ensemble_refuses_what_all_its_members_have_learned_to_refuse():
    members = [Linear(classes=[3, 7], non_digits=refuses) for refuses in (True, True, False)]
    images = torch.rand(5, 1, 28, 28)

    def joined(some):
        ensemble = Ensemble([3, 7], [member.described() for member in some])
        for copy, member in zip(ensemble.members, some, strict=True):
            copy.load_state_dict(member.state_dict())
        return ensemble

    with torch.no_grad():
        both, mixed = joined(members[:2]), joined(members)
        mean = sum(F.pad(member(images), (0, 1)).softmax(dim=1) for member in members[:2]) / 2
        assert torch.allclose(both.answers_to(images), mean, atol=1e-6) and both.refuses
        mean = sum(member(images).softmax(dim=1) for member in members) / 3
        assert torch.allclose(mixed.answers_to(images), mean, atol=1e-6) and not mixed.refuses


def test_stages_of_a_cnn_set_its_channels_and_pooling():
    model = CNN(classes=[0, 1], stages=[[4, 6], [8]])
    convolutions = [module for module in model.net if isinstance(module, torch.nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convolutions] == [(1, 4), (4, 6), (6, 8)]
    pools = [module.kernel_size for module in model.net if isinstance(module, torch.nn.MaxPool2d)]
    assert pools == [2, 14], "between the stages, and over the whole image at the end"


def test_lenet_refuses_layers_that_need_more_pixels_than_are_left():
    assert LeNet(classes=[0, 1], layers=[[4, 5, 8], [4, 3, 1]]).net[-1].in_features == 4
    with pytest.raises(ConfigError, match="kernel of 2, pooled by 3, but only 3 pixels are left"):
        LeNet(classes=[0, 1], layers=[[4, 5, 8], [4, 2, 3]])


def test_lenet_kernel_as_large_as_the_image_is_a_fully_connected_layer():
    net = LeNet(classes=[0, 1], layers=[[4, 5, 8], [6, 3, 1], [5, 1, 1]]).net
    linear = [module for module in net if isinstance(module, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(4 * 3 * 3, 6), (6, 5), (5, 2)]
    assert net(torch.rand(7, 1, 28, 28)).shape == (7, 2)


def test_orthogonalized_keeps_singular_vectors_and_brings_singular_values_near_1():
    generator = torch.Generator().manual_seed(0)
    for shape in ((20, 60), (60, 20)):
        matrix = torch.randn(shape, generator=generator)
        u, values, v = torch.linalg.svd(matrix, full_matrices=False)
        result = orthogonalized(matrix, iterations=5)
        assert values.max() / values.min() > 3
        found = torch.linalg.svdvals(result)
        assert found.min() > 0.5 and found.max() < 1.5
        assert ((u.T @ result @ v.T).diagonal() > 0.5).all()  # the same singular vectors, in the same order


def test_muon_updates_hidden_weights_and_adamw_the_others():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.Linear(40, 50))
    optimizer = Muon(layers.parameters(), lr=0.01, weight_decay=0.0)
    before = [parameter.detach().clone() for parameter in layers.parameters()]
    optimizer.step(lambda: layers(torch.randn(64, 50)).square().sum().backward())
    moves = [(after - start).detach() / 0.01 for after, start in zip(layers.parameters(), before, strict=True)]
    sizes = [move.square().mean().sqrt().item() for move in moves]
    assert 0.1 < sizes[0] < 0.25, sizes
    assert sizes[1:] == pytest.approx([1, 1, 1], abs=0.01), (
        "bias, last weight and its bias: the first step of AdamW is 1"
    )


def test_running_mean_is_about_the_mean_of_the_last_ninth_of_the_steps():
    mean = torch.tensor(0.0)
    for step in range(1, 2001):
        mean = AveragedWeights.updated(mean, torch.tensor(float(step)), torch.tensor(step))
    assert mean.item() == pytest.approx(1800, rel=0.01), "such a mean is a tenth of the steps behind"


@pytest.mark.parametrize(
    "amounts, lines",
    [
        ({"rotation": 100}, ["model.augmentation.rotation: got 100, wanted less than 90"]),
        ({"rotatoin": 1}, ["model.augmentation.rotatoin: no such key; did you mean model.augmentation.rotation?"]),
        (
            {"shift": True, "zoom": -0.1, "bend": 0.03},
            [
                "model.augmentation.shift: got True, wanted a number",
                "model.augmentation.zoom: got -0.1, wanted greater than or equal to 0",
            ],
        ),
        (5, ["model.augmentation: got 5, wanted a dictionary"]),
        (None, []),
    ],
)
def test_each_wrong_amount_of_augmentation_is_refused_by_its_key(amounts, lines):
    node = {"_target_": "digits.models.linear.Linear", "augmentation": amounts}
    assert list(mistakes_in_node("model", node, given={"classes"})) == lines


def test_hyperparameters_of_an_older_checkpoint_are_upgraded():
    amounts = {"rotation": 10.0, "shift": 0.08, "zoom": 0.15, "shear": 5.0, "thickness": 0.8, "bend": 0.03}
    assert amounts.keys() == Augmentation.__annotations__.keys()
    older = {"classes": [3, 7], "learning_rate": 0.01, "optimizer": "muon", **amounts}
    upgraded = model_settings(older)
    muon = {"_target_": "digits.models.muon.Muon", "momentum": 0.8, "betas": [0.9, 0.95]}
    assert upgraded == {"classes": [3, 7], "learning_rate": 0.01, "optimizer": muon, "augmentation": amounts}
    model = Linear(**upgraded)
    assert (model.augment.shift, model.augment.bend) == (0.08, 0.03)
    assert model_settings(model.hparams) == dict(model.hparams), "what is new stays as it is"


@pytest.mark.parametrize("name", ["Adagrad", "NAdam", "RMSprop"])  # no momentum to move, no fused form
def test_any_optimizer_of_torch_trains_with_one_cycle(name):
    model = Linear(classes=[0, 1], optimizer={"_target_": f"torch.optim.{name}"})
    model.trainer = SimpleNamespace(precision="32-true", estimated_stepping_batches=10)
    assert type(model.configure_optimizers()["optimizer"]).__name__ == name


def test_defaults_of_the_constructor_are_those_of_the_config():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        shared = {**compose("network").model, **compose("optimizer/adamw").model}
    assert shared.pop("_recursive_") is False
    defaults = {key: value.default for key, value in signature(Network).parameters.items()}
    assert {key: value for key, value in shared.items() if key != "augmentation"} == {
        key: value for key, value in defaults.items() if key not in ("classes", "non_digits", "augmentation")
    }
    assert shared["augmentation"] == dict.fromkeys(Augmentation.__annotations__, 0.0)


def test_augmentation_without_amounts_changes_nothing():
    images = torch.rand(8, 1, 28, 28)
    assert torch.allclose(RandomAugmentation()(images), images, atol=1e-5)


def test_augmentation_changes_each_image_differently_and_within_the_bounds():
    images = torch.zeros(500, 1, 28, 28)
    images[:, :, 13:15, 13:15] = 1  # a dot in the middle: only a shift moves it
    moved = RandomAugmentation(rotation=20, shift=0.1, zoom=0.1, shear=5)(images)
    assert moved.min() >= 0 and moved.max() <= 1
    weights = moved.squeeze(1) / moved.sum(dim=(1, 2, 3))[:, None, None]
    centres = (weights.sum(dim=1) * torch.arange(28.0)).sum(dim=1)
    assert centres.unique().numel() > 450
    assert (centres - 13.5).abs().max() <= 0.1 * 28 + 0.1
    assert centres.min() < 11.5 and centres.max() > 15.5


def test_rotation_reaches_its_bound_and_no_more():
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 14, 14:26] = 1  # a ray to the right
    turned = RandomAugmentation(rotation=30)(images).squeeze(1)
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


def test_a_stroke_of_one_pixel_stays_when_strokes_get_thinner():
    images = torch.zeros(1, 1, 28, 28)
    images[:, :, 4:24, 14] = 1
    assert torch.equal(thicken(images, torch.tensor([-1.0])), images)


def test_thickness_differs_from_image_to_image():
    images = torch.zeros(500, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1
    changed = RandomAugmentation(thickness=0.5)(images)
    assert changed.min() >= 0 and changed.max() <= 1
    widths = changed[:, 0, 14].sum(dim=1)
    assert widths.unique().numel() > 450
    assert 3 <= widths.min() < 3.1 and 4.9 < widths.max() <= 5.001


def test_bend_moves_parts_of_an_image_differently_and_within_the_bounds():
    images = torch.zeros(500, 1, 28, 28)
    corners = [(7, 7), (7, 20), (20, 7), (20, 20)]
    for row, column in corners:
        images[:, :, row - 1 : row + 2, column - 1 : column + 2] = 1
    bent = RandomAugmentation(bend=0.05)(images).squeeze(1)
    assert bent.min() >= 0 and bent.max() <= 1.001
    position = torch.arange(28.0)
    moves = []
    for row, column in corners:
        part = torch.zeros(28, 28)
        part[row // 14 * 14 :][:14, column // 14 * 14 :][:, :14] = 1
        weights = bent * part / (bent * part).sum(dim=(1, 2), keepdim=True)
        moves.append((weights.sum(dim=1) * position).sum(dim=1) - column)
    along_x = torch.stack(moves)  # [4, 500]
    assert along_x.unique().numel() > 1800, "each part of each image has its own displacement"
    assert 0.9 < along_x.abs().max() < 0.05 * 28 + 0.5
    between_parts = (along_x[0] - along_x[3]).std()
    assert between_parts > 0.5, "the image is not shifted as a whole"


@pytest.mark.parametrize("along, across", [(1, 0), (0, 1)])
def test_bend_is_smooth_along_both_axes(along, across):
    ramp = (torch.arange(28.0) / 27).expand(28, 28)  # the value of a pixel is its column
    ramp = ramp if along == 1 else ramp.T
    torch.manual_seed(0)
    came_from = 27 * RandomAugmentation(bend=0.05)(ramp.expand(1, 1, 28, 28))[0, 0, 4:-4, 4:-4]
    steps = came_from.diff(dim=along)
    assert steps.min() > 0.2 and steps.max() < 1.8 and steps.std() > 0.05, "columns keep their order"
    assert 0.05 < came_from.diff(dim=across).abs().max() < 0.7


@pytest.mark.parametrize("steps, warmup", [(4, 0.25), (10, 0.1), (2, 0.5), (2, 0.25), (4, 0), (100, 0.25)])
def test_one_cycle_takes_any_number_of_steps(steps, warmup):
    model = Linear(classes=[0, 1], schedule="one_cycle", learning_rate=0.1, warmup=warmup)
    model.trainer = SimpleNamespace(precision="32-true", estimated_stepping_batches=steps)
    configured = model.configure_optimizers()
    schedule, rates = configured["lr_scheduler"]["scheduler"], []
    for _ in range(steps):
        rates += schedule.get_last_lr()
        configured["optimizer"].step()
        schedule.step()
    assert 0.05 <= max(rates) <= 0.1 and min(rates) > 0
    if warmup * steps <= 1:
        assert rates == sorted(rates, reverse=True), "there is no step before the peak"


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
def test_a_loss_of_nan_stops_training_and_is_reported_with_its_step(small):
    class Broken(Linear):
        def on_train_batch_start(self, batch, batch_idx):
            if batch_idx == 7:
                self.net[1].weight.data.fill_(torch.nan)

    with pytest.raises(PlainError, match=r"train/loss is nan at step 7 \(epoch 1\): lower model.learning_rate"):
        fit(Broken(classes=list(range(10))), small)
