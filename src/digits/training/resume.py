"""Resume a run in its own folder, with the config it was started with."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from atomic_files import write_text
from digits.former import upgraded
from digits.record import read_record
from plain_errors import ConfigError

FIXED = ("model.", "data.", "search.", "trainer.precision")  # what the run's weights depend on


def resume(config: DictConfig) -> None:
    """Replace a config, composed for `resume=RUN`, by the config of that run.

    The other overrides are applied to that config.

    Raises:
        ConfigError: there is no such run, it has finished, or an override would change what it trains.
    """
    folder = Path(config.resume)
    last = folder / "checkpoints" / "last.ckpt"
    saved, hydra = folder / ".hydra" / "config.yaml", folder / ".hydra" / "hydra.yaml"
    missing = [str(path.relative_to(folder)) for path in (saved, hydra, last) if not path.exists()]
    if missing:
        raise ConfigError(f"resume: {folder} has no {', '.join(missing)}; wanted the folder of a run that was stopped")
    if read_record(folder).status == "finished":
        raise ConfigError(
            f"resume: the run in {folder} has finished; to train longer, begin a run with a larger trainer.max_epochs, "
            f"or, if its schedule is constant, with ckpt_path={last} as well"
        )
    first = OmegaConf.load(hydra).hydra
    given = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    with read_write(config), open_dict(config):
        plain: Any = OmegaConf.to_container(OmegaConf.load(saved))  # interpolations stay as they are written
        config.update(upgraded(plain))
        for override in given:
            key = override.get_key_element()
            if key == "resume":
                continue
            if key.startswith((*FIXED, "+", "~")) or "." not in key:
                raise ConfigError(f"{override.input_line}: cannot be changed when {folder} is resumed; leave it out")
            OmegaConf.update(config, key, override.value(), force_add=False)
        config.ckpt_path, config.resume = str(last), str(folder)
        config.hydra.run.dir = str(folder)
        config.hydra.runtime.choices, config.hydra.job.name = first.runtime.choices, first.job.name
        settings = [override.input_line for override in given if override.get_key_element() != "resume"]
        config.hydra.overrides.task = [*first.overrides.task, *settings]  # these repeat the run; `resume` would not


class Before:
    """The files of a run that a resume changes before it trains, as they were."""

    def __init__(self, folder: Path) -> None:
        self.last = folder / "checkpoints" / "last.ckpt"
        self.written = self.last.stat().st_mtime_ns
        self.texts = {path: path.read_text() for path in [*folder.glob("run.json"), *folder.glob(".hydra/*.yaml")]}

    def restore(self) -> None:
        """Put them back, unless the run has gone on meanwhile."""
        if self.last.stat().st_mtime_ns == self.written:
            for path, text in self.texts.items():
                write_text(path, text)


def save_config(config: DictConfig) -> None:
    """Write what Hydra writes at the start of a run, and keep Hydra from it.

    Hydra empties the files first. Other ranks read them at that moment, and a full disk would leave them empty.
    """
    with read_write(config.hydra):
        config.hydra.runtime.output_dir = str(Path(config.hydra.run.dir).absolute())
    settings = [str(key) for key in config if key != "hydra"]
    parts = {"config": OmegaConf.masked_copy(config, settings), "hydra": OmegaConf.masked_copy(config, "hydra")}
    parts["overrides"] = config.hydra.overrides.task
    for name, part in parts.items():
        write_text(Path(config.hydra.run.dir, ".hydra", f"{name}.yaml"), OmegaConf.to_yaml(part))
    with read_write(config.hydra):
        config.hydra.output_subdir = None
