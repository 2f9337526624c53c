"""Each model still learns as it did when the figures in golden.json were made.

`python tests/test_golden.py` makes the file again. Do so only after a change that is meant to change the figures.

With the versions and the processor that made the file, figures are equal to 1e-5. With others, rounding differs, and
the first steps of a convolutional network are so large that it matters. Measured with generic instructions
(ATEN_CPU_CAPABILITY=default), with ONEDNN_MAX_CPU_ISA=SSE41 too, with two threads, and with all of these: networks with
convolutions differ by up to 0.08 in losses and accuracies, other models by up to 2e-7. The bounds leave room for more.
"""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
import pytest
import sklearn
import torch
from conftest import QUIET
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from digits.config import CONFIGS
from digits.training.callbacks import History, SeedEveryEpoch
from digits.training.train import fit, trainer_for

FILE = Path(__file__).with_name("golden.json")
MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
WITH_CONVOLUTIONS = {"cnn", "cnn_augmented", "lenet", "web_cnn"}
SETTINGS = ("data=mnist_5k", "data.train_size=1000", "data.batch_size=64", "seed=0", "trainer.accelerator=cpu")
SETTINGS += (
    "trainer.precision=32-true",
    "trainer.default_root_dir=null",
    "+trainer.enable_checkpointing=false",
)


def made_with() -> dict[str, str]:
    """What the last digits of a figure depend on."""
    processor = torch.cpu.get_capabilities()
    units = (name for name, there in processor.items() if there is True)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "scikit-learn": sklearn.__version__,
        "processor": processor.get("cpu_name", platform.machine()),
        "instructions": " ".join([torch.backends.cpu.get_cpu_capability(), *sorted(units)]),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use one thread: how many there are decides in which order a sum is added up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def figures_of(name: str) -> dict[str, float]:
    """Train a model for two epochs, a closed form in its one pass; losses and accuracies by epoch."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}", *SETTINGS, *QUIET])
    config.trainer.max_epochs = min(config.trainer.max_epochs, 2)
    lightning.seed_everything(config.seed, verbose=False)
    data = instantiate(config.data, _convert_="all")
    data.setup()
    model = instantiate(config.model, classes=data.classes, _convert_="all")
    history = History()
    with one_thread():
        trainer = trainer_for(model, config.trainer, [SeedEveryEpoch(config.seed), history], [])
        fit(trainer, model, data, None)
    names = ("train/loss", "val/loss", "val/accuracy")
    rows = [row.model_dump(by_alias=True, exclude_unset=True) for row in history.rows]
    return {f"{name}, epoch {row['epoch']}": round(row[name], 7) for row in rows for name in names if name in row}


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*run with no optimizer")
@pytest.mark.filterwarnings("ignore:.*treespec, Leaf")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_as_it_did(name):
    golden = json.loads(FILE.read_text())
    here = made_with()
    if here == golden["made_with"]:
        bound, compared = 1e-5, "with the versions and the processor that made golden.json"
    else:
        bound = 0.2 if name in WITH_CONVOLUTIONS else 1e-4
        compared = f"within {bound} only, as golden.json was made with {golden['made_with']} and this is {here}"
    assert figures_of(name) == pytest.approx(golden["figures"][name], abs=bound), compared


def main() -> None:
    """Write golden.json with the figures of this machine."""
    figures = {name: figures_of(name) for name in MODELS}
    FILE.write_text(json.dumps({"made_with": made_with(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
