"""What can be chosen in configs/, in the words of its files: their first lines for --help, all for `digits explain`."""

from pathlib import Path

import yaml

from plain_errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
FOR_PROGRAMS = ("# @package", "# yaml-language-server")


def listed() -> str:
    """The groups, and a line for each of their choices with the first line of its file."""
    groups = sorted(path for path in CONFIGS.iterdir() if path.is_dir() and path.name != "hydra")
    lines = []
    for group in groups:
        words = {file.stem: _text(file).splitlines()[0] for file in sorted(group.glob("*.yaml"))}
        lines += [group.name, *(f"  {name:<18}{first.removeprefix('# ')}" for name, first in words.items())]
    return "\n".join(lines)


def explained(what: str) -> str:
    """The text of the files that a choice is made of, with their comments.

    Args:
        what: a choice like model=cnn; empty for the keys that belong to no group.

    Raises:
        ConfigError: there is no such choice, or no configs: only a checkout has them.
    """
    if not CONFIGS.is_dir():
        raise ConfigError(f"{CONFIGS}: no such folder; the configs are in a checkout: pip install -e '.[train]' there")
    file = CONFIGS / f"{what.replace('=', '/') or 'train'}.yaml"
    if not file.is_file():
        raise ConfigError(f"{what}: no such choice; wanted one like model=cnn; python train.py --help lists them")
    files = dict.fromkeys(_parts(file) if what else [file])
    return "\n\n".join(f"# --- configs/{each.relative_to(CONFIGS)}\n{_text(each)}" for each in files)


def _text(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith(FOR_PROGRAMS))


def _parts(file: Path) -> list[Path]:
    """The files that a file's defaults name, and then the file itself."""
    parts = []
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []):
        name = "/".join(entry.popitem()).removeprefix("override ") if isinstance(entry, dict) else entry
        parts += _parts(CONFIGS / f"{name[1:]}.yaml" if name[0] == "/" else file.with_name(f"{name}.yaml"))
    return [*parts, file]
