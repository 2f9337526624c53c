"""Prove on this machine's GPU that everything works: a table here, and files in outputs/gpu/; ten minutes."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from digits.run_folder import RunFolder
from plain_errors import ConfigError, PlainError, plain_errors
from processes import CONFIGS, ENVIRONMENT, run
from results import save, table

SEARCH = "search=custom search.trials=3 model=linear model.learning_rate=tag(log,interval(1e-3,1e-2))"
Checks = dict[str, Callable[[Path], str]]  # each takes an empty folder and returns its result in words


def checks(where: str) -> Checks:
    """The checks, by name; `where` are overrides that choose device and data."""
    trainings = [f"trainer.precision={each} trainer.max_epochs=1" for each in ("32-true", "16-mixed", "bf16-mixed")]
    for path in sorted(Path(CONFIGS, "model").glob("*.yaml")):
        trainings.append(f"model={path.stem}{'' if 'callbacks: none' in path.read_text() else ' trainer.max_epochs=3'}")
    if torch.cuda.device_count() > 1:
        trainings.append("trainer=ddp trainer.devices=auto trainer.max_epochs=2")
    found: Checks = {each: partial(training, f"{each} {where}") for each in trainings}
    for model in ("cnn", "cnn_augmented"):
        found[f"model={model}, killed and resumed"] = partial(resuming, f"model={model} {where}")
    found["a sweep"] = partial(sweep, f"seed=1,2 trainer.max_epochs=1 {where}", 2)
    found["a search"] = partial(sweep, f"{SEARCH} {where}", 3)
    found["experiment=speedrun"] = partial(speedrun, f"experiment=speedrun {where}")
    return found


def training(overrides: str, folder: Path) -> str:
    """Train, test and export. The export fails if the ONNX file differs from the checkpoint."""
    run(f"train.py {overrides} run_folder={folder}", folder.parent)
    record, metrics = RunFolder(folder).record(), RunFolder(folder).metrics()
    rate = median((epoch.images or 0) / epoch.seconds for epoch in metrics.history)
    return f"{record.precision}: test accuracy {metrics.test_accuracy:.2%}, {rate:,.0f} training images/s, ONNX equal"


def resuming(overrides: str, folder: Path) -> str:
    """Kill a run and resume it. The weights must be those of a run that was not killed."""
    killed, resumed, whole = (folder / name for name in ("killed", "resumed", "whole"))
    overrides += " trainer.deterministic=true trainer.max_epochs=4"
    run(f"train.py {overrides} run_folder={killed}", folder, until="epoch 3 of")
    if (status := RunFolder(killed).record().status) != "running":
        raise PlainError(f"the run was {status} before it could be killed")
    training(f"{overrides} ckpt_path={killed}/checkpoints/last.ckpt", resumed)
    return f"{training(overrides, whole)}, {same_weights(resumed, whole)}"


def same_weights(*folders: Path) -> str:
    """Compare the last checkpoints of two runs bit for bit."""
    paths = [folder / "checkpoints" / "last.ckpt" for folder in folders]
    first, second = (torch.load(path, weights_only=True, map_location="cpu")["state_dict"] for path in paths)
    different = [name for name in first if not torch.equal(first[name], second[name])]
    if different:
        raise PlainError(f"{len(different)} of {len(first)} tensors differ, the first is {different[0]}")
    return f"{len(first)} tensors equal bit for bit"


def sweep(overrides: str, number: int, folder: Path) -> str:
    """Run a sweep or a search. It must leave this number of run folders."""
    run(f"train.py -m {overrides} hydra.sweep.dir={folder}", folder)
    found = len(list(folder.glob("*/run.json")))
    if found != number:
        raise PlainError(f"got {found} run folders, wanted {number}")
    return f"{number} run folders"


def speedrun(overrides: str, folder: Path) -> str:
    """Compare the run that trains for the shortest time with a bare loop. In both, the second training counts."""
    loader = run(f"inside.py loader {overrides}", folder)[-1]
    run(f"train.py -m {overrides} seed=1,2 hydra.sweep.dir={folder}", folder)
    bare = run(f"references.py bare_loop {overrides} seed=2", folder)[-1]
    seconds, accuracy = RunFolder(folder / "1").record().seconds["fit"], RunFolder(folder / "1").metrics().test_accuracy
    return (
        f"{seconds:.2f} s, test accuracy {accuracy:.2%}; bare loop {bare['seconds']:.2f} s, {bare['percent']:.2f} %, "
        f"{bare['gpu_bytes'] / 1e6:,.0f} MB of GPU memory; loader {loader['rate']:,.0f} images/s"
    )


def prove(chosen: Checks) -> None:
    """Run all checks; print and write the results; raise PlainError if one failed."""
    rows = []
    for name, check in chosen.items():
        try:
            with TemporaryDirectory() as folder:
                rows.append({"check": name, "result": check(Path(folder)), "error": ""})
        except Exception as error:
            rows.append({"check": name, "result": "", "error": str(error) or type(error).__name__})
    cells = [(row["check"], row["result"], (row["error"] or "ok").splitlines()[-1]) for row in rows]
    save("gpu", {"rows": rows}, table(("check", "result", "ok"), cells))
    if failed := [row["check"] for row in rows if row["error"]]:
        raise PlainError(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    with plain_errors():
        argparse.ArgumentParser(description=__doc__).parse_args()
        if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
            raise ConfigError("this machine has no GPU that PyTorch can use (CUDA or MPS); nothing was run")
        has_mnist = Path(ENVIRONMENT["MNIST_DIR"], "MNIST", "raw").is_dir()
        prove(checks(f"data={'mnist' if has_mnist else 'mnist_5k'} trainer.accelerator=gpu"))
