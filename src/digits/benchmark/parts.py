"""What is measured: each part runs ours and the reference in turn and says what came out, a row a figure."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any, Literal

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from digits.benchmark.processes import ROOT, Processes
from digits.benchmark.repeated import RepeatedMnist
from digits.cli import CONFIGS
from digits.models.network import MEAN, STD
from digits.training.trainer import keep_freed_memory

# Accuracy against seconds, three seeds each: what trains, % of the test digits, seconds of fit.
RECIPES = {
    "model=lenet trainer.max_epochs=2": (99.4, 6),
    "experiment=best_cnn trainer.max_epochs=4": (99.6, 45),
    "experiment=best_cnn trainer.max_epochs=15": (99.7, 150),
    "experiment=best_cnn": (99.72, 300),
}
SPEEDRUN, PLAIN = "experiment=speedrun", "plain one-epoch recipe"
CNN, BARE, EXAMPLE = "model=cnn", "cnn as a bare loop", "PyTorch's MNIST example"
BYTES = 28 * 28 + 8  # of a digit in memory: its pixels, and its label as int64

FIRST_STEP = """# until the first step
import os, runpy, sys
from digits.models.network import Network
Network.training_step = lambda *_: os._exit(0)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")"""
IMPORTS = "# imports alone\nimport os, torch, lightning; os._exit(0)"

AUGMENTATION = """# each step timed
import json, os, runpy, sys, time
from digits.models.augmentation import RandomAugmentation
from digits.models.network import Network
change, step, took, steps = RandomAugmentation.__call__, Network.training_step, [], []
def timed_change(self, images):
    started = time.perf_counter()
    images = change(self, images)
    took.append(time.perf_counter() - started)
    return images
def timed_step(self, *batch):
    steps.append(time.perf_counter())
    if len(steps) > STEPS:
        whole = [after - before for before, after in zip(steps, steps[1:])]
        os.write(1, f"\\n{json.dumps({'augmentation': took, 'step': whole})}\\n".encode())
        os._exit(0)
    return step(self, *batch)
RandomAugmentation.__call__, Network.training_step = timed_change, timed_step
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")"""


@dataclass(frozen=True)
class Row:
    """A figure and how it is judged.

    Args:
        what: was measured, with its unit.
        ours: every value, in the order they were taken.
        value: what is held against the bound: of pairs, the median of their ratios or differences.
        sign: `≥` or `≤`.
        bound: the target.
        unit: of value and bound.
        against: what the reference is.
        theirs: its values, each taken next to ours at the same place.
    """

    what: str
    ours: list[float]
    value: float
    sign: Literal["≥", "≤"]
    bound: float
    unit: str
    against: str = ""
    theirs: list[float] = field(default_factory=list)


def ratio(over: list[float], under: list[float]) -> float:
    """The median of the ratios of pairs, as both are slower while something else runs."""
    return median(one / other for one, other in zip(over, under, strict=True))


class Bench:
    """The processes of one benchmark and what its picture is drawn from.

    Attributes:
        curves: of each reference, by name, its runs: a dict an epoch with `seconds` and `accuracy` on the test split.
        points: of each recipe of ours, by name, its runs as Processes.train gives them.
    """

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.run = Processes()
        self.small = ["data=mnist_5k", "data.batch_size=256"] if quick else []
        self.curves: dict[str, list[list[dict[str, Any]]]] = defaultdict(list)
        self.points: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def train(self, name: str, *overrides: str) -> None:
        """One more run for a point of the picture."""
        run = self.run.train(*overrides)
        self.points[name].append(run)

    def follow(self, name: str, reference: str, *arguments: str) -> None:
        """One more run of a reference for its curve."""
        curve = self.run.reference(reference, *arguments)
        self.curves[name].append(curve)

    def times(self, full: int) -> range:
        """How often to measure: once where it shall be quick."""
        return range(1, 2 if self.quick else 1 + full)


def speedrun(bench: Bench) -> list[Row]:
    """99 % in a moment, against the plain recipe for it; ten seeds."""
    for seed in bench.times(10):
        bench.train(SPEEDRUN, SPEEDRUN, f"seed={seed}")
        bench.follow(PLAIN, "train_mnist_fast", str(seed))
    ours, theirs = bench.points[SPEEDRUN], bench.curves[PLAIN]
    fit, plain = [run["fit"] for run in ours], [run[-1]["seconds"] for run in theirs]
    accuracy, accuracies = [100 * run["test"] for run in ours], [100 * run[-1]["accuracy"] for run in theirs]
    return [
        Row(f"`{SPEEDRUN}`: test accuracy, %", accuracy, mean(accuracy), "≥", 99, "%", PLAIN, accuracies),
        Row(f"`{SPEEDRUN}`: fit, s", fit, ratio(plain, fit), "≥", 4, "times as fast", PLAIN, plain),
    ]


def example(bench: Bench) -> list[Row]:
    """99 % in a moment, against PyTorch's own example until the end of its first epoch with 99 %."""
    ours = [bench.run.train(SPEEDRUN, "seed=1")]
    bench.follow(EXAMPLE, "pytorch_example")
    (curve,) = bench.curves[EXAMPLE]
    ours.append(bench.run.train(SPEEDRUN, "seed=2"))
    fit, taken = [run["fit"] for run in ours], curve[-1]["seconds"]
    against = f"PyTorch's example, {len(curve)} epochs to {100 * curve[-1]['accuracy']:.2f} %"
    value = taken / median(fit)
    return [Row(f"`{SPEEDRUN}`: fit to 99 %, s", fit, value, "≥", 100, "times as fast", against, [taken])]


def overhead(bench: Bench) -> list[Row]:
    """`model=cnn` as anybody trains it, against a bare loop that takes the same steps; both validate each epoch."""
    for seed in bench.times(5):
        words = [CNN, f"seed={seed}", *bench.small]
        bench.follow(BARE, "bare_loop", *words)
        bench.train(CNN, *words)
    ours, theirs = bench.points[CNN], bench.curves[BARE]
    fit, bare = [run["fit"] for run in ours], [run[-1]["seconds"] for run in theirs]
    return [Row("`model=cnn`: fit, s", fit, ratio(fit, bare), "≤", 1.2, "times as long", "bare loop, same steps", bare)]


def recipes(bench: Bench) -> list[Row]:
    """What accuracy costs: each of RECIPES, three seeds."""
    for seed in bench.times(3):
        for words in RECIPES:
            bench.train(words, *words.split(), f"seed={seed}")
    rows = []
    for name, (least, most) in RECIPES.items():
        accuracy, fit = ([run[key] for run in bench.points[name]] for key in ("test", "fit"))
        percent = [100 * each for each in accuracy]
        rows.append(Row(f"`{name}`: test accuracy, %", percent, mean(percent), "≥", least, "%"))
        rows.append(Row(f"`{name}`: fit, s", fit, median(fit), "≤", most, "s"))
    return rows


def loader(bench: Bench) -> list[Row]:
    """Batches of 256 normalised images, as a network wants them, against torchvision's usual way."""
    keep_freed_memory()  # as a run does
    data = mnist()
    data.setup()
    ready = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    pictures = datasets.MNIST(data.raw.parents[1], transform=ready)
    most = 40 if bench.quick else 235
    ours: list[float] = []
    theirs: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for _ in bench.times(5):
        batches = (data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader())
        ours.append(images_per_second(((images - MEAN) / STD for images, _ in batches), 235))
        for workers, rates in theirs.items():
            per_digit = DataLoader(pictures, batch_size=256, shuffle=True, num_workers=workers)
            rates.append(images_per_second((images for images, _ in per_digit), most))
    workers, best = max(theirs.items(), key=lambda item: median(item[1]))
    against = f"torchvision, {workers} workers"
    return [Row("loader, images/s", ours, ratio(ours, best), "≥", 30, "times as many", against, best)]


def mnist() -> Any:
    """The default data set, its files there; DataError where they are not."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        data = instantiate(compose("train").data, _convert_="all")
    data.prepare_data()
    return data


def images_per_second(batches: Iterable[torch.Tensor], most: int) -> float:
    """From the first batch on, so that starting worker processes does not count."""
    images, started = 0, 0.0
    for number, batch in enumerate(batches):
        if number == 0:
            started = time.perf_counter()
        elif number > most:
            break
        else:
            images += len(batch)
    return images / (time.perf_counter() - started)


def augmentation(bench: Bench) -> list[Row]:
    """What RandomAugmentation takes of a training step of cnn_augmented, from one step's start to the next one's."""
    steps = 12 if bench.quick else 200
    done = bench.run.watched(AUGMENTATION.replace("STEPS", str(steps)), "model=cnn_augmented", *bench.small)
    ours, whole = ([1000 * each for each in done["found"][0][key]] for key in ("augmentation", "step"))
    return [
        Row("augmentation of a batch, ms", ours, 100 * ratio(ours, whole), "≤", 5, "% of it", "the whole step", whole),
    ]


def commands(bench: Bench) -> list[Row]:
    """What needs no training is there at once."""
    rows = []
    for words in (["--help"], ["--cfg", "job"]):
        taken = [bench.run.python(str(ROOT / "train.py"), *words)["seconds"] for _ in range(3 if bench.quick else 11)]
        rows.append(Row(f"`train.py {' '.join(words)}`, s", taken, median(taken), "≤", 0.5, "s"))
    return rows


def start(bench: Bench) -> list[Row]:
    """From the command to the first training step, over what importing torch and lightning costs by itself."""
    ours, imports = [], []
    for _ in bench.times(7):
        imports.append(bench.run.python("-c", IMPORTS)["seconds"])
        ours.append(bench.run.watched(FIRST_STEP, CNN, *bench.small)["seconds"])
    over = median(one - other for one, other in zip(ours, imports, strict=True))
    return [Row("command to first step, s", ours, over, "≤", 1.5, "s more", "importing torch and lightning", imports)]


def onnx(bench: Bench) -> list[Row]:
    """The file of `model=cnn`, one picture at a time, on one thread; what it has learned makes no difference."""
    runs = bench.points.get(CNN) or [bench.run.train(CNN, "data=mnist_5k", "trainer.max_epochs=1")]
    taken = [run["onnx"] for run in runs]
    return [Row("`model.onnx`, one picture, one thread, ms", taken, median(taken), "≤", 0.15, "ms")]


def growth(bench: Bench) -> list[Row]:
    """Ten and a hundred times the digits: seconds a digit of the epochs, and memory beside the digits' own bytes.

    The few digits are gone through eight times, as the first steps of a process are slow. Ten digits validate.
    Memory is the most that the process ever held, from import to report.
    """
    scale = 10 if bench.quick else 1
    epochs = {5_000 // scale: 8, 60_000 // scale: 1, 600_000 // scale: 1}
    microseconds: dict[int, list[float]] = {samples: [] for samples in epochs}
    megabytes: dict[int, list[float]] = {samples: [] for samples in epochs}
    for _ in bench.times(3):
        for samples, passes in epochs.items():
            words = [f"data._target_={RepeatedMnist.__module__}.RepeatedMnist", f"+data.samples={samples}"]
            run = bench.run.train(CNN, *words, "data.val_size=10", f"trainer.max_epochs={passes}")
            microseconds[samples].append(1e6 * run["epochs"] / run["samples"])
            megabytes[samples].append((run["peak"] - samples * BYTES) / 1e6)
    few, *more = epochs
    rows = []
    for what, found in (("training, µs a digit", microseconds), ("memory beside the data, MB", megabytes)):
        for samples in more:
            value, against = ratio(found[samples], found[few]), f"of {few:,}"
            rows.append(Row(f"{what}, of {samples:,}", found[samples], value, "≤", 1.1, "times", against, found[few]))
    return rows


def ddp(bench: Bench) -> list[Row]:
    """Two processes with a thread each, against one with two threads; the same batches, the time of the epochs."""
    ours: list[float] = []
    theirs: list[float] = []
    two = ["trainer=ddp", "trainer.devices=2", "data.batch_size=128"]
    for _ in bench.times(3):
        for taken, words, threads in ((theirs, ["data.batch_size=256"], "2"), (ours, two, "1")):
            data = [*bench.small, *words, "trainer.max_epochs=2"]
            taken.append(bench.run.train(CNN, *data, OMP_NUM_THREADS=threads)["epochs"])
    value, against = ratio(ours, theirs), "one process, two threads"
    return [Row("two processes: epochs, s", ours, value, "≤", 1.15, "times as long", against, theirs)]


ALL = (speedrun, example, overhead, recipes, loader, augmentation, commands, start, onnx, growth, ddp)
PARTS: dict[str, Callable[[Bench], list[Row]]] = {part.__name__: part for part in ALL}
NEED_MNIST = {"speedrun", "example", "recipes", "loader", "growth"}  # even where it shall be quick
