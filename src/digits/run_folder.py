"""The folder of one run: every path in it, and what its files say. No other module spells a name of a file in it."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from atomic_files import delete_unfinished, write_text
from digits.former import upgraded
from digits.record import FORMAT, Metrics, RunRecord
from plain_errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

RECORD: Final = "run.json"
Typed = TypeVar("Typed", bound=BaseModel)


class RunFolder:
    """One run's folder, which need not exist yet.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.record_file = self.path / RECORD
        self.log = self.path / "train.log"
        self.best = self.path / "checkpoints" / "best.ckpt"
        self.last = self.path / "checkpoints" / "last.ckpt"
        self.onnx = self.path / "model.onnx"
        self.int8 = self.path / "model.int8.onnx"
        self.report = self.path / "report"
        self.page = self.report / "index.html"
        self.metrics_file = self.report / "metrics.json"
        self.predictions = self.report / "predictions.csv"
        self.confusion_matrix = self.report / "confusion_matrix.png"
        self.mistakes = self.report / "mistakes.png"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def shown(self) -> Path:
        """The path, relative to the current folder if it lies below it."""
        return self.path.relative_to(Path.cwd()) if self.path.is_relative_to(Path.cwd()) else self.path

    @staticmethod
    def below(folder: Path) -> "list[RunFolder]":
        """The runs in and below a folder, by name."""
        return [RunFolder(file.parent) for file in sorted(folder.rglob(RECORD))]

    @staticmethod
    def newest() -> "RunFolder":
        """Find the run in outputs whose report was finished last, but no job of a sweep, and print what it is.

        Raises:
            ConfigError: there is none.
        """
        single = [run for run in RunFolder.below(Path("outputs")) if not (run.path.parent / "jobs.json").exists()]
        reported = [run for run in single if run.record().reported]
        if not reported:
            raise ConfigError(
                "outputs: no finished run in it, jobs of sweeps left out; name a run's folder, or train one: "
                "python train.py"
            )
        newest = max(reported, key=lambda run: run.record_file.stat().st_mtime)
        record = newest.record()
        accuracy = record.value("val/accuracy")
        figures = [
            record.model,
            record.data.name if record.data else "",
            f"val {100 * accuracy:.2f} %" if accuracy else "",
        ]
        print(f"the newest finished run: {newest} ({', '.join(filter(None, figures))})", file=sys.stderr)
        return newest

    @staticmethod
    def claim(chosen: str | None, model: str) -> "RunFolder":
        """Make a folder for a new run, which no other run has.

        Args:
            chosen: its path; None for one in outputs that is named after the time and the `model`.

        Raises:
            ConfigError: the folder is taken or cannot be made.
        """
        wanted = folder = Path(chosen or f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}_{model}")
        number = 1
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / RECORD).touch(exist_ok=False)  # of two processes, one succeeds
                return RunFolder(folder)
            except FileExistsError as error:
                if chosen or not folder.is_dir():
                    raise ConfigError(
                        f"run_folder: {folder} is taken ({error.strerror}); choose a free name"
                    ) from error
            except OSError as error:
                raise ConfigError(
                    f"run_folder: cannot make {folder} ({error.strerror}); choose a folder that can be written"
                ) from error
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")

    def hold(self) -> None:
        """Keep other processes out while this object lives; delete what a killed one left. ConfigError: one works."""
        self.lock = FileLock(self.path / ".lock")
        try:
            self.lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(f"resume: the run in {self} still runs; wait for its end, or stop it first") from None
        delete_unfinished(self.path)

    def record(self) -> RunRecord:
        """What run.json says; without a file, the record of a run that has not begun.

        Raises:
            ConfigError: the file is not what a run writes.
        """
        if not self.record_file.exists() or not self.record_file.stat().st_size:  # an empty file claims the folder
            return RunRecord()
        record = _read(RunRecord, self.record_file)
        if record.config:
            record.config = upgraded(record.config)
        return record

    def write_record(self, record: RunRecord) -> None:
        """Write run.json. Keys that were never set are left out."""
        write_text(self.record_file, record.model_dump_json(indent=2, by_alias=True, exclude_unset=True))

    def metrics(self) -> Metrics:
        """What report/metrics.json says.

        Raises:
            ConfigError: there is none, or it is not what this version writes.
        """
        if not self.metrics_file.exists():
            raise ConfigError(f"{self.metrics_file}: No such file; wanted the folder of a finished run")
        metrics = _read(Metrics, self.metrics_file)
        if metrics.format != FORMAT:
            raise ConfigError(
                f"{self.metrics_file}: got format {metrics.format}, wanted {FORMAT}; run digits evaluate {self}"
            )
        return metrics

    def write_metrics(self, metrics: Metrics) -> None:
        """Write report/metrics.json."""
        write_text(self.metrics_file, metrics.model_dump_json(indent=2, by_alias=True, exclude_unset=True))

    def config(self) -> "DictConfig":
        """The config that the run was composed of, with this folder as its run_folder.

        A run may lack .hydra, for instance a copy of it. Then the config is that of run.json, which is complete.

        Raises:
            ConfigError: neither file has a config.
        """
        from omegaconf import DictConfig, OmegaConf  # which reading a record does not need

        saved, record = self.path / ".hydra" / "config.yaml", self.record()
        if not saved.exists() and not record.config:
            raise ConfigError(f"{self}: no config in {RECORD}, and no .hydra/config.yaml; wanted the folder of a run")
        known: Any = OmegaConf.to_container(OmegaConf.load(saved)) if saved.exists() else _relocatable(record.config)
        config = OmegaConf.create(upgraded(known))
        assert isinstance(config, DictConfig)
        # in files of former versions both are interpolations that only Hydra resolves
        config.run_folder, config.run_label = str(self.path), record.config.get("run_label")
        return config

    def overrides(self) -> list[str]:
        """The overrides of the run's command; records of former versions lack them."""
        from omegaconf import OmegaConf

        saved = self.path / ".hydra" / "overrides.yaml"
        known: Any = OmegaConf.to_container(OmegaConf.load(saved)) if saved.exists() else []
        return self.record().overrides or known

    def write_config(self, **files: str) -> None:
        """Write .hydra: the texts of its files by name. A copy of the run is complete without them."""
        for name, text in files.items():
            write_text(self.path / ".hydra" / f"{name}.yaml", text)


def _relocatable(config: Any) -> Any:
    """A config of run.json, its paths below the run's folder written as ${run_folder} again."""
    former = f"{config.get('run_folder')}/"

    def written(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: written(each) for key, each in value.items()}
        if isinstance(value, list):
            return [written(each) for each in value]
        if isinstance(value, str) and f"{value}/".startswith(former):
            return "${run_folder}" + value[len(former) - 1 :]
        return value

    return written(config)


def _read(kind: type[Typed], path: Path) -> Typed:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {key}: {first['msg']}; wanted a file that a run wrote") from error
