"""Resume a run in its own folder, with the config it was started with."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from atomic_files import write_text
from digits.run_folder import RunFolder
from plain_errors import ConfigError, PlainError

FIXED = ("model.", "data.", "search.", "trainer.precision")  # what the run's weights depend on


def resumed(folder: RunFolder, overrides: list[str]) -> DictConfig:
    """The config of a run that is continued, with the other overrides of the command applied to it.

    Args:
        folder: of the run.
        overrides: of the command; one of them is `resume=…`.

    Raises:
        ConfigError: there is no such run, it has finished, or an override would change what it trains.
    """
    missing = [str(path.relative_to(folder.path)) for path in (folder.record_file, folder.last) if not path.exists()]
    if missing:
        raise ConfigError(f"resume: {folder} has no {', '.join(missing)}; wanted the folder of a run that was stopped")
    if folder.record().status == "finished":
        raise ConfigError(
            f"resume: the run in {folder} has finished; to train longer, begin a run with a larger trainer.max_epochs, "
            f"or, if its schedule is constant, with ckpt_path={folder.last} as well"
        )
    config = folder.config()
    for override in OverridesParser.create().parse_overrides(others(overrides)):
        key = override.get_key_element()
        if key.startswith((*FIXED, "+", "~")) or "." not in key:
            raise ConfigError(f"{override.input_line}: cannot be changed when {folder} is resumed; leave it out")
        OmegaConf.update(config, key, override.value(), force_add=False)
    config.ckpt_path, config.resume = str(folder.last), str(folder.path)
    return config


def others(overrides: list[str]) -> list[str]:
    """The overrides but `resume`: together with the run's own they repeat it."""
    return [each for each in overrides if not each.startswith("resume=")]


@contextmanager
def left_as_it_was(folder: RunFolder) -> Iterator[None]:
    """Put the files back that a resume has written, if it is refused before it has trained: another may go on."""
    written = folder.last.stat().st_mtime_ns
    texts = {path: path.read_text() for path in [folder.record_file, *folder.path.glob(".hydra/*.yaml")]}
    try:
        yield
    except (PlainError, InstantiationException):
        if folder.last.stat().st_mtime_ns == written:
            for path, text in texts.items():
                write_text(path, text)
        raise
