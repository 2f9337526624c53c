"""Run the lines of docs/engines.md, each engine in an environment of its own, and renew the table: make engines."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import cyclopts
import numpy as np

from atomic_files import write_text
from digits.data.mnist_5k import Mnist5k
from digits.onnx_file import probabilities_of
from digits.run_folder import RunFolder
from plain_errors import plain_errors

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
ENVIRONMENTS = Path("outputs", "engines", "environments")
SECTION = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?```bash\n(.+?)```\n+```python\n(.+?)```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\| engine .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
SIZES = (1, 7, 200)  # of batches
CLOSE = 1e-3  # of probabilities; 8-bit integers only have to give the same digits
SECONDS = 300  # for all batches of a model
RUN = """
import json, sys
import numpy as np

code, path, largest, same = sys.stdin.read(), "model.onnx", 0.0, True
given, wanted = np.load("images.npy"), np.load("wanted.npy")
for size in json.loads(sys.argv[1]):
    for at in range(0, min(len(given), 10 * size), size):
        names = {"path": path, "images": given[at : at + size].copy()}
        exec(code, names)
        found, right = np.asarray(names["probabilities"]), wanted[at : at + size]
        same = same and found.shape == right.shape and bool((found.argmax(1) == right.argmax(1)).all())
        largest = max(largest, float(abs(found - right).max()) if found.shape == right.shape else 1.0)
print(json.dumps([largest, same]))
"""


class Engine(NamedTuple):
    """A section of the page."""

    name: str
    commands: list[str]  # the first installs the engine, others convert model.onnx
    code: str  # `path` and `images` to `probabilities`


def main(*runs: Path) -> None:
    """Give 200 digits to each engine with the models of runs, print the results, and write the table into the page.

    Args:
        runs: folders of finished runs. Of a run that has a model of 8-bit integers too, that is another model.
    """
    folders = [RunFolder(run) for run in runs]
    models = {folder.record().model: folder.onnx for folder in folders}
    models |= {f"{folder.record().model}, int8": folder.int8 for folder in folders if folder.int8.exists()}
    images = Mnist5k().read().test_images[::5].numpy().astype(np.float32) / 255
    rows = ["| engine | " + " | ".join(models) + " |", "| --- |" + " --- |" * len(models)]
    for engine in engines():
        python = environment_of(engine)
        cells = []
        for name, path in models.items():
            cell, why = tried(engine, python, path, images)
            print(f"{engine.name}, {name}: {cell} {why}", flush=True)
            cells.append(cell)
        rows.append(f"| {engine.name} | " + " | ".join(cells) + " |")
    write_text(PAGE, TABLE.sub("\n".join(rows), PAGE.read_text(encoding="utf-8")))


def engines() -> list[Engine]:
    """The engines of the page."""
    sections = SECTION.findall(PAGE.read_text(encoding="utf-8"))
    return [Engine(name, commands.strip().splitlines(), code) for name, commands, code in sections]


def environment_of(engine: Engine) -> Path:
    """The Python of an engine's own environment, made if it is not there."""
    folder = ENVIRONMENTS / re.sub(r"\W+", "_", engine.name)
    mark, install = folder / "installed", engine.commands[0]
    if not mark.exists() or mark.read_text(encoding="utf-8") != install:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip, *words = shlex.split(install)
        subprocess.run([folder / "bin" / pip, *words, "--quiet"], check=True)
        write_text(mark, install)
    return folder.absolute() / "bin" / "python"


def tried(engine: Engine, python: Path, model: Path, images: np.ndarray) -> tuple[str, str]:
    """What the table says of an engine and an ONNX file, and why, for images float32 [200, 1, 28, 28]."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, Path(folder, "model.onnx"))
        np.save(Path(folder, "images.npy"), images)
        np.save(Path(folder, "wanted.npy"), probabilities_of(model, images))
        within: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": SECONDS}
        try:
            for word, *rest in map(shlex.split, engine.commands[1:]):
                if (done := subprocess.run([python.parent / word, *rest], **within)).returncode:
                    return "not converted", last_line(done)
            done = subprocess.run([python, "-c", RUN, json.dumps(SIZES)], input=engine.code, **within)
        except subprocess.TimeoutExpired:
            return f"above {SECONDS} s", ""
        if done.returncode:
            return "refused", last_line(done)
        largest, same = json.loads(done.stdout.splitlines()[-1])
        right = same and (largest <= CLOSE or "int8" in model.name)
        return f"{largest:.0e}" if right and largest else "0" if right else "**wrong**", f"by up to {largest:.2g}"


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that a command has printed."""
    return next(iter((done.stderr or done.stdout).strip().splitlines()[::-1]), f"exit code {done.returncode}")


if __name__ == "__main__":
    with plain_errors():
        cyclopts.run(main)
