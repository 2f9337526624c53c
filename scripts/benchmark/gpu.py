"""Prove on this machine's GPU that everything works: a table here and in outputs/gpu/<date>_<time>; ten minutes."""

import argparse
import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from digits.cli import plain_errors
from digits.errors import ConfigError, DigitsError
from processes import CONFIGS, ENVIRONMENT, results, run, train
from table import table, write

SEARCH = "search=custom search.trials=3 model=linear model.learning_rate=tag(log,interval(1e-3,1e-2))"
MODELS = {path.stem: "closed_form" in path.read_text() for path in sorted(Path(CONFIGS, "model").glob("*.yaml"))}
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed", "auto")
DETERMINISTIC = "trainer.deterministic=true trainer.max_epochs=4"


class Proof:
    """What is proved; each method raises DigitsError where it does not hold, else returns what was seen.

    Args:
        accelerator: gpu; cpu in tests.
        data: of the runs, as in configs/data.
        folder: of the runs, an absolute path.
    """

    def __init__(self, accelerator: str, data: str, folder: Path) -> None:
        self.on, self.data, self.folder = f"trainer.accelerator={accelerator}", f"data={data}", folder

    def rows(self) -> dict[str, Callable[[], str]]:
        """What is proved, by name."""
        rows: dict[str, Callable[[], str]] = {f"model={name}": partial(self.model, name) for name in MODELS}
        rows |= {f"trainer.precision={precision}": partial(self.precision, precision) for precision in PRECISIONS}
        rows |= {f"model={name} twice": partial(self.deterministic, name) for name in ("cnn_augmented", "cnn")}
        return rows | {
            "killed and resumed": partial(self.resume, "cnn"),
            "two jobs": partial(self.several, "jobs", "model=cnn seed=1,2 trainer.max_epochs=1", 2),
            "a search": partial(self.several, "search", SEARCH, 3),
            "trainer=ddp": self.ddp,
            "loader": self.loader,
            "experiment=speedrun": self.speedrun,
        }

    def train(self, name: str, overrides: str) -> dict[str, Any]:
        """Train in a folder of this name; what its JSON files say, once the ONNX file is known to be right."""
        found = train(f"{overrides} {self.data} {self.on}", self.folder / name)
        if found["onnx"]["argmax_agreement"] != 1:
            raise DigitsError(f"model.onnx agrees with the checkpoint on {found['onnx']['argmax_agreement']:.2%}")
        return found

    def model(self, name: str) -> str:
        """It trains, is tested, and its ONNX file equals the checkpoint."""
        found = self.train(name, f"model={name}" + ("" if MODELS[name] else " trainer.max_epochs=3"))
        rate = median(row["images"] / row["seconds"] for row in found["history"])
        return f"{found['test/accuracy']:.2%} of the test digits, {rate:,.0f} training images/s, ONNX equal"

    def precision(self, precision: str) -> str:
        """The same for one precision."""
        found = self.train(precision, f"model=cnn trainer.max_epochs=1 trainer.precision={precision}")
        return f"{found['precision']}: {found['test/accuracy']:.2%} of the test digits, ONNX equal"

    def deterministic(self, name: str) -> str:
        """Two runs end in the same weights."""
        for run_name in ("first", "second"):
            self.train(f"{name}_{run_name}", f"model={name} {DETERMINISTIC}")
        return self.same_weights(f"{name}_first", f"{name}_second")

    def resume(self, name: str) -> str:
        """A run that was killed and resumed ends in the weights of one that was not."""
        words, killed = f"model={name} {DETERMINISTIC}", self.folder / "killed"
        run(f"train.py {words} {self.data} {self.on} hydra.run.dir={killed}", self.folder, until="Epoch 2/")
        status = json.loads((killed / "run.json").read_text())["status"]
        if status != "running":
            raise DigitsError(f"the run was {status} before it could be killed")
        self.train("resumed", f"{words} ckpt_path={killed}/checkpoints/last.ckpt")
        self.train("undisturbed", words)
        return self.same_weights("resumed", "undisturbed")

    def same_weights(self, one: str, other: str) -> str:
        """Of the last checkpoints of two runs, bit for bit."""
        from torch import equal, load

        paths = (self.folder / name / "checkpoints" / "last.ckpt" for name in (one, other))
        first, second = (load(path, weights_only=True, map_location="cpu")["state_dict"] for path in paths)
        different = [name for name in first if not equal(first[name], second[name])]
        if different:
            raise DigitsError(f"{len(different)} of {len(first)} tensors differ, the first is {different[0]}")
        return f"{len(first)} tensors equal bit for bit"

    def several(self, name: str, words: str, number: int) -> str:
        """A sweep or a search ends well, with this many run folders."""
        run(f"train.py -m {words} {self.data} {self.on} hydra.sweep.dir={self.folder}/{name}", self.folder)
        found = len(list(self.folder.glob(f"{name}/*/run.json")))
        if found != number:
            raise DigitsError(f"got {found} run folders, wanted {number}")
        return f"{number} run folders"

    def ddp(self) -> str:
        """All cards train one model."""
        import torch

        if torch.cuda.device_count() < 2:
            return "one card: not run"
        found = self.train("ddp", "model=cnn trainer=ddp trainer.devices=auto trainer.max_epochs=2")
        return f"{torch.cuda.device_count()} cards: {found['test/accuracy']:.2%} of the test digits"

    def loader(self) -> str:
        """Batches from the device."""
        (found,) = run(f"inside.py loader {self.data} {self.on}", self.folder)
        return f"{found['rate']:,.0f} images/s"

    def speedrun(self) -> str:
        """Seconds of fit to 99 %, and of a bare loop: each the second training in its process."""
        words = f"experiment=speedrun {self.data} {self.on}"
        run(f"train.py -m {words} seed=1,2 hydra.sweep.dir={self.folder}/speedrun", self.folder)
        ours, bare = (
            results(self.folder / "speedrun" / "1"),
            run(f"references/bare_loop.py {words} seed=2", self.folder)[-1],
        )
        memory = f", {bare['gpu_bytes'] / 1e6:,.0f} MB of GPU memory" if bare["gpu_bytes"] else ""
        texts = [f"{ours['seconds']['fit']:.2f} s, {ours['test/accuracy']:.2%} of the test digits"]
        texts += [f"bare loop {bare['seconds']:.2f} s, {bare['percent']:.2f} %{memory}"]
        return "; ".join(texts)


def main() -> None:
    """Read the command line and do it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    import torch  # --help does without

    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ConfigError("this machine has no GPU that PyTorch can use (CUDA or MPS); nothing was run")
    data = "mnist" if Path(ENVIRONMENT["MNIST_DIR"], "MNIST", "raw").is_dir() else "mnist_5k"
    with TemporaryDirectory() as folder:
        prove(Proof("gpu", data, Path(folder)).rows(), Path(f"outputs/gpu/{datetime.now():%Y-%m-%d_%H-%M-%S}"))


def prove(rows: dict[str, Callable[[], str]], folder: Path) -> None:
    """Run the rows one after the other, print them as a table and write it into `folder`.

    Raises:
        DigitsError: a row failed.
    """
    from machine import in_words, machine

    found: list[dict[str, str]] = []
    record = machine() | {"rows": found}
    for what, row in rows.items():
        try:
            found.append({"what": what, "result": row(), "error": ""})
        except Exception as error:  # one that fails leaves the others their turn
            found.append({"what": what, "result": "", "error": str(error) or type(error).__name__})
        cells = [(row["what"], row["result"], (row["error"] or "ok").splitlines()[-1]) for row in found]
        text = f"{in_words(record)}\n\n{table(('what', 'result', 'ok'), cells)}"
        write(folder, "gpu", record, text)
    print(text, f"written to {folder}", sep="\n", flush=True)
    failed = [row["what"] for row in found if row["error"]]
    if failed:
        raise DigitsError(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    with plain_errors():
        main()
