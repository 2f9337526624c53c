"""Faults that only a GPU would show, found without one.

Inside a FakeTensorMode, tensors can be on `cuda:0` on any machine. They have shapes and devices but no values, and what
CUDA refuses raises an error: mixing devices, `.numpy()`. Only the backward pass needs a real GPU, so the optimizer gets
gradients without meaning here. `make gpu` runs on a real one.
"""

from types import SimpleNamespace

import pytest
import torch
from conftest import QUIET
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch.accelerators import CPUAccelerator
from torch._subclasses.fake_tensor import FakeTensorMode  # PyTorch's fake tensors have no public name
from torch.utils._python_dispatch import TorchDispatchMode  # nor has the documented way to see each operation

from digits.config import CONFIGS
from digits.data.mnist_5k import Mnist5k
from digits.models import augmentation
from digits.reporting.evaluation import evaluate
from digits.training.callbacks import AveragedWeights
from digits.training.train import fit, trainer_for
from digits.training.trainer import Trainer

MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
CHANGES = [
    "model.augmentation.rotation=10",
    "model.augmentation.thickness=0.5",
    "model.augmentation.bend=0.03",
]  # every kind of augmentation
AUTOCAST = {"32-true": None, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}
# Operations that raise an error on CUDA with trainer.deterministic=true, by the documentation of
# torch.use_deterministic_algorithms. Those with a deterministic form are left out.
NOT_DETERMINISTIC = {
    *("adaptive_avg_pool2d_backward", "_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward"),
    *("fractional_max_pool2d_backward", "max_unpool2d", "max_pool3d_with_indices_backward", "avg_pool3d_backward"),
    *("upsample_bilinear2d_backward", "upsample_bicubic2d_backward", "grid_sampler_2d_backward"),
    *("reflection_pad2d_backward", "nll_loss2d_forward", "_ctc_loss_backward", "put_", "histc", "median", "kthvalue"),
}

# pytest resets the warning filters of digits.training.trainer for each test.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{words}")
    for words in ("GPU available but not used", "does not have many workers", "run with no optimizer", "treespec, Leaf")
]


@pytest.fixture(scope="module")
def data():
    data = Mnist5k(val_size=500, batch_size=64)
    data.setup()
    return data


@pytest.fixture
def fake_cuda(monkeypatch, data):
    """A fake cuda:0, and a data module that puts its images there."""
    device = torch.device("cuda", 0)
    trainer = SimpleNamespace(
        global_rank=0, world_size=1, overfit_batches=0, strategy=SimpleNamespace(root_device=device)
    )
    monkeypatch.setattr(data, "trainer", trainer)
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda loss: True)  # there is no value to look at
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    augmentation.basis_fields.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield device
    augmentation.basis_fields.cache_clear()


def model_of(name, *overrides):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}", "data=mnist_5k", *overrides])
    return instantiate(config.model, classes=list(range(10)), _convert_="all"), config


NETWORKS = [name for name in MODELS if "callbacks: none" not in (CONFIGS / "model" / f"{name}.yaml").read_text()]


class Step(torch.nn.Module):
    """A step of a model as a module, so that functional_call can replace the parameters by other tensors."""

    def __init__(self, model, step):
        super().__init__()
        self.model, self.step = model, step

    def forward(self, *arguments):
        return getattr(self.model, self.step)(*arguments)


@pytest.fixture
def network(request):
    """A model and a Trainer that log nothing, made outside of the fake mode, which cannot make them."""
    model, _ = model_of(request.param, *CHANGES)
    trainer = Trainer(accelerator="cpu", max_epochs=-1, max_steps=100, logger=False, enable_checkpointing=False)
    trainer.log_every_n_steps = 0
    model.trainer = trainer
    model.log = lambda *_, **__: None
    yield model
    del trainer


@pytest.mark.parametrize("precision", AUTOCAST)
@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_training_and_validation_step_of_a_network_run_on_cuda(network, precision, data, fake_cuda, monkeypatch):
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    state = {f"model.{name}": torch.empty_like(each, device=fake_cuda) for name, each in tensors.items()}
    network.accuracy.to(fake_cuda)
    monkeypatch.setattr(Trainer, "precision", precision)
    dtype = AUTOCAST[precision]
    autocast = torch.autocast("cuda", dtype, enabled=dtype is not None)

    def step(name, loader):
        # a loader would also draw a seed, which is a value
        batch = loader.dataset.__getitems__(next(iter(loader.batch_sampler)))
        batch = data.on_after_batch_transfer(batch, 0)
        assert {each.device for each in batch} == {fake_cuda}
        with autocast:
            return torch.func.functional_call(Step(network, name), state, (batch, 0))

    loss = step("training_step", data.train_dataloader())
    assert loss.device == fake_cuda and loss.shape == ()
    step("validation_step", data.val_dataloader())

    parameters = [torch.nn.Parameter(state[f"model.{name}"]) for name, _ in network.named_parameters()]
    network.parameters = lambda: parameters
    configured = network.configure_optimizers()
    optimizer = configured["optimizer"] if isinstance(configured, dict) else configured
    for parameter in parameters:
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    assert {each.device for each in parameters} == {fake_cuda}


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(NETWORKS)))
def test_a_closed_form_is_fitted_on_the_cpu_even_with_a_gpu(name, data, monkeypatch):
    """scikit-learn takes CPU tensors only. CUDA is only said to be there, so using it would fail."""
    monkeypatch.setattr("digits.training.hardware.CUDAAccelerator.is_available", lambda: True)
    model, config = model_of(name, "data.train_size=500", "trainer.accelerator=gpu", *QUIET)
    config.trainer.default_root_dir = None
    trainer = trainer_for(model, config.trainer, [], [])
    assert isinstance(trainer.accelerator, CPUAccelerator)
    fit(trainer, model, data, None)
    assert trainer.callback_metrics["val/accuracy"] > 0.5


def test_a_checkpoint_is_tested_on_the_cpu_even_with_a_gpu(data, monkeypatch):
    """On a GPU, TF32 would make its logits differ from those of the ONNX file."""
    monkeypatch.setattr("digits.training.hardware.CUDAAccelerator.is_available", lambda: True)
    model, _ = model_of("cnn")
    found = evaluate(model, data, {"accelerator": "gpu", "enable_progress_bar": False})
    assert found.logits.device.type == "cpu" and len(found.logits) == 1000


class Operations(TorchDispatchMode):
    """Collects the name of each operation, those of the backward pass too."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("network", NETWORKS, indirect=True)
def test_every_operation_of_a_training_step_has_a_deterministic_form_on_cuda(network):
    batch = torch.rand(8, 1, 28, 28), torch.arange(8)
    with Operations() as seen:
        network.training_step(batch, 0).backward()
    assert {"nll_loss_forward", "grid_sampler_2d"} <= seen.names, "a training step with augmentation"
    assert not seen.names & NOT_DETERMINISTIC


def test_the_mean_of_the_weights_is_on_the_device_of_the_weights(monkeypatch):
    model, _ = model_of("linear")
    device = torch.device("meta")  # stands for a GPU
    average = AveragedWeights()
    average.setup(SimpleNamespace(strategy=SimpleNamespace(root_device=device)), model, "fit")
    assert {each.device for each in average._average_model.parameters()} == {device}
