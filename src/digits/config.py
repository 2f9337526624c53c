"""Find every mistake in a composed config at once, before data are read or a folder is made.

Hydra finds the keys that do not exist. digits.schema checks the values of each part against its constructor.
"""

import argparse
import copy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from digits.choices import CONFIGS
from digits.former import former_line, upgraded
from digits.ranges import Seed, Text
from digits.run_folder import RunFolder
from digits.schema import foreign_targets, located, mistakes_in_node, mistakes_in_values, nearest
from digits.secrets import masked, secret_mistake
from digits.settings import flat
from digits.training.ranks import is_distributed
from plain_errors import ConfigError, DataError, ModelFileError, PlainError, each_once, in_one_line

COMPOSING = (HydraException, OmegaConfBaseException)  # errors of composing a config; one more: NULL_GROUP
EXTRAS = {"MLflow": "mlflow", "MLFlowLogger": "mlflow", "WandbLogger": "wandb"}
NOT_INSTALLED = "{choice}: not installed; pip install -e '.[{extra}]' installs it"
TOP_LEVEL: dict[str, Any] = {"seed": Seed, **dict.fromkeys(("resume", "ckpt_path", "name"), Text | None)}
TOP_LEVEL |= {"tags": list[str], "monitor": Text, **dict.fromkeys(("run_folder", "run_label"), Text | None)}
GROUPS = ("data", "model", "trainer", "callbacks", "logger")
USUAL = {  # what other projects call a key
    "epochs": "trainer.max_epochs",
    "lr": "model.learning_rate",
    "gpus": "trainer.devices",
    "max_steps": "+trainer.max_steps",
}
CHDIR = "hydra.job.chdir: got true, but paths are relative to the folder that the command starts in; leave this out"
TWO_FLAGS = "Only one of --run, --multirun"  # the start of another one
NULL_GROUP = "Config group override must be"  # the start of a ValueError that Hydra raises


def check(config: DictConfig) -> None:
    """Refuse a composed config with all its mistakes.

    Raises:
        ConfigError: there are some.
        DataError, ModelFileError: a file that it names is absent, and nothing else is wrong.
    """
    if lines := "\n".join(dict.fromkeys(mistakes_in(config))):
        absent = {str(error): error for error in _absent(config)}
        raise absent.get(lines, ConfigError(lines))


def mistakes_in(config: DictConfig) -> list[str]:
    """A line for each mistake in a composed config, Hydra's part included: key, what it got, what was wanted."""
    try:
        plain = resolved(config)
    except OmegaConfBaseException as error:
        return [f"{error.full_key or 'config'}: {in_one_line(error)}"]
    if removed := [key for key in (*TOP_LEVEL, "data", "model", "trainer") if key not in plain]:
        return [f"~{key}: each run needs this key; leave it out" for key in removed]
    given = flat({**plain, "hydra": None})
    mistakes = [line for key, value in given.items() if (line := former_line(f"{key}={value}"))]
    plain = upgraded(plain)
    mistakes += mistakes_in_values({key: plain[key] for key in TOP_LEVEL}, TOP_LEVEL)
    of_data = [*mistakes_in_node("data", plain["data"])]
    mistakes += of_data or located(plain["data"]["_target_"]).mistakes_in(plain["data"])
    of_model = [*mistakes_in_node("model", plain["model"], given={"classes"})]
    mistakes += of_model or located(plain["model"]["_target_"]).mistakes_in(plain["model"])
    mistakes += _mistakes_in_trainer(plain, knows_model=not of_data and not of_model)
    for group in ("callbacks", "logger"):
        for name, node in (plain.get(group) or {}).items():
            mistakes += [*mistakes_in_node(f"{group}.{name}", node)] or _missing_package(f"{group}={name}", node)
    told = {line.partition(":")[0] for line in mistakes}
    foreign = (line for group in GROUPS for line in foreign_targets(group, plain.get(group)))
    mistakes += [line for line in foreign if line.partition(":")[0] not in told]
    mistakes += _mistakes_in_needs(plain)
    written: Any = OmegaConf.to_container(config)
    mistakes += [line for key, value in flat(written | {"hydra": None}).items() if (line := secret_mistake(key, value))]
    for name, node in plain.items():
        if name not in GROUPS and isinstance(node, dict) and "_target_" in node:
            mistakes += mistakes_in_node(name, node)
    mistakes = [mistake for mistake in mistakes if not _is_interpolated(config, mistake)]
    hydra: Any = config.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else {})
    mistakes += [CHDIR] if OmegaConf.select(hydra, "job.chdir") else []
    return mistakes + [str(error) for error in _absent(config)]


def mistakes_in_overrides(overrides: list[str]) -> list[str]:
    """Find every mistake in the overrides of a job that Hydra cannot compose; Hydra must be initialized.

    Hydra stops at the first override that it cannot apply. This tries each override together with the good ones
    before it, and then checks the values of all good ones.
    """
    good: list[str] = []
    mistakes = []
    for override in sorted(overrides, key=_is_value):  # choices of groups first: they bring the keys of the values
        try:
            compose("train", [*good, override])
            good.append(override)
        except (*COMPOSING, ValueError) as error:
            mistakes.append(_override_mistake(override, error))
    return mistakes + mistakes_in(compose("train", good, return_hydra_config=True))


def composed(overrides: list[str]) -> DictConfig:
    """Compose and check the config of a command that is not Hydra's.

    Raises:
        ConfigError, DataError, ModelFileError: as check; or an override cannot be composed.
    """
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            config = compose("train", overrides, return_hydra_config=True)  # which check looks into
        except (*COMPOSING, ValueError) as error:
            raise ConfigError("\n".join(mistakes_in_overrides(overrides))) from error
        check(config)
    return config


def explained(error: Exception) -> Exception:
    """Turn an error of Hydra's into one that names every mistake in the overrides, not only the first."""
    error = refusal(error)
    if str(error).startswith(TWO_FLAGS):
        return ConfigError("--cfg and --info show one run; leave out -m and the values to sweep over")
    if not isinstance(error, COMPOSING) and not str(error).startswith(NULL_GROUP):
        return error
    overrides, multirun = _command_line()
    GlobalHydra.instance().clear()  # Hydra may still be initialized
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            jobs = _samples(overrides) if multirun else [overrides]
            mistakes = each_once([(job, mistakes_in_overrides(job)) for job in jobs])
    except OverrideParseException as unreadable:
        mistakes = [_override_mistake(str(unreadable.override), unreadable)]
    except HydraException as other:
        mistakes = [in_one_line(other)]
    plain = ConfigError("\n".join(mistakes) or in_one_line(error))
    plain.__cause__ = error
    return plain


def refusal(error: Exception) -> Exception:
    """What a constructor raised, if Hydra has wrapped it; else the error itself."""
    if not isinstance(error, InstantiationException):
        return error
    if isinstance(error.__cause__, PlainError | OSError):
        return error.__cause__
    _, known, key = str(error).rpartition("full_key: ")
    refused = ConfigError(f"{key if known else 'config'}: {in_one_line(error.__cause__ or error)}")
    refused.__cause__ = error
    return refused


def resolved(config: DictConfig) -> dict[str, Any]:
    """A composed config without Hydra's part, all interpolations resolved."""
    task = copy.deepcopy(config)
    with open_dict(task):
        task.pop("hydra", None)
    task.run_folder = "outputs"  # stands for the run's folder, which may not exist yet
    plain = OmegaConf.to_container(task, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _mistakes_in_trainer(plain: dict[str, Any], knows_model: bool) -> list[str]:
    from digits.training.hardware import hardware_mistakes  # imports torch, which is slow

    mistakes = [*mistakes_in_node("trainer", plain["trainer"])] or hardware_mistakes(plain["trainer"])
    if mistakes or not knows_model:
        return mistakes
    if getattr(located(plain["model"]["_target_"]), "fitted_once", False):
        if is_distributed(plain["trainer"]):
            mistakes.append("trainer.devices: this model is fitted in one pass on one device; take trainer.devices=1")
        if plain["data"].get("non_digits"):
            mistakes.append("data.non_digits: this model is fitted to digits only; take data.non_digits=0")
    return mistakes


def _mistakes_in_needs(plain: dict[str, Any]) -> list[str]:
    """Settings that every run needs, and settings that would have no effect."""
    callbacks = plain.get("callbacks") or {}
    mistakes = []
    if plain["trainer"].get("enable_checkpointing") is False:
        mistakes.append("trainer.enable_checkpointing: got false, but a run keeps its best checkpoint; leave this out")
    for key in ("limit_train_batches", "max_steps"):
        if plain["trainer"].get(key) == 0:
            mistakes.append(f"trainer.{key}: got 0, wanted something to train on; leave this out")
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches"):
        if isinstance(value := plain["trainer"].get(key), int | float) and value < 0:
            mistakes.append(f"trainer.{key}: got {value}, wanted at least 0")
    for name, node in callbacks.items():
        if isinstance(node, dict) and str(node.get("_target_")).endswith(".StochasticWeightAveraging"):
            mistakes.append(
                f"callbacks.{name}: its average is made after the last validation, so it is never the best checkpoint; "
                "take _target_=digits.training.callbacks.AveragedWeights"
            )
    return mistakes


def _absent(config: DictConfig) -> list[PlainError]:
    """An error for each file or folder that a config names and that is not there."""
    files = ["data.file", "data.test_file", "data.folder"]
    if config.data.get("_target_") == "digits.data.mnist.Mnist":
        files.remove("data.folder")  # it is downloaded to one that is absent
    keys = ("ckpt_path", "model.teacher", "data.drawings", *files)
    values = {key: OmegaConf.select(config, key, throw_on_resolution_failure=False) for key in keys}
    given = {key: Path(value).expanduser() for key, value in values.items() if value and isinstance(value, str)}
    errors: list[PlainError] = []
    if (path := given.get("ckpt_path")) and not path.is_file():
        wanted = f"wanted a checkpoint, like {RunFolder('RUN').last}"
        errors.append(ModelFileError(f"ckpt_path: {path}: no such file; {wanted}"))
    if (path := given.get("model.teacher")) and not RunFolder(path).best.is_file():
        errors.append(ModelFileError(f"model.teacher: {path} has no best.ckpt; wanted the folder of a finished run"))
    if (path := given.get("data.drawings")) and not path.is_dir():
        errors.append(DataError(f"data.drawings: {path}: no such folder; wanted one of drawings like 7/name.png"))
    for key in files:
        if (path := given.get(key)) and not path.exists():
            errors.append(DataError(f"{key}: {path}: no such file or folder; docs/own-data.md says what it holds"))
    return errors


def _missing_package(choice: str, node: dict[str, Any]) -> list[str]:
    """One line if a logger's package is an extra that is not installed."""
    package = EXTRAS.get(node["_target_"].rpartition(".")[2])
    return [NOT_INSTALLED.format(choice=choice, extra=package)] if package and not find_spec(package) else []


def _is_interpolated(config: DictConfig, mistake: str) -> bool:
    """Whether a mistake lies in a ${…}. It is then reported at the key where the value comes from."""
    parent, _, key = mistake.partition(":")[0].rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    is_value = isinstance(node, DictConfig) and key in node and key != "_target_"  # no name may hide in another key
    return is_value and OmegaConf.is_interpolation(node, key)


def _is_value(override: str) -> bool:
    key = override.partition("=")[0]
    return "." in key and key != "hydra.searchpath"


def _command_line() -> tuple[list[str], bool]:
    """The overrides of this command, and whether it has -m. Hydra's own parser has no public name."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    for flags in (("--config-path", "-cp"), ("--config-name", "-cn"), ("--cfg", "-c"), ("--package", "-p")):
        parser.add_argument(*flags)
    words, _ = parser.parse_known_intermixed_args(sys.argv[1:])
    folder = [f"hydra.searchpath=[file://{Path(words.config_dir).absolute()}]"] if words.config_dir else []
    return [*folder, *words.overrides], words.multirun


def _samples(overrides: list[str]) -> list[list[str]]:
    """A few commands without sweeps that together have each value, and both ends of each range, of one with -m."""
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    texts = [_swept(each) if each.is_sweep_override() else [str(each.input_line)] for each in parsed]
    return [[each[at % len(each)] for each in texts] for at in range(max(map(len, texts), default=1))]


def _swept(override: Override) -> list[str]:
    interval: Any = override.value()
    ends = (interval.start, interval.end) if override.is_interval_sweep() else override.sweep_string_iterator()
    return [f"{override.get_key_element()}={value}" for value in ends]


def _override_mistake(override: str, error: Exception) -> str:
    """One line for an override that Hydra cannot apply, with the nearest names that exist."""
    key, equals, secret = override.partition("=")
    value = masked(secret, key)
    override, reason = f"{key}{equals}{value}", in_one_line(error)
    if value != secret:
        reason = reason.replace(secret, value)  # the parser's message repeats what it cannot read
    if new := former_line(override):
        return new
    if str(error).startswith(NULL_GROUP):
        return f"{override}: a group cannot be null; take ~{key}"
    if isinstance(error, OverrideParseException):
        needs_quotes = value and set(value) & set("=~'\" @") and value[0] not in "[{"
        how = f"; quote the value: '{key}=\"{value}\"'" if needs_quotes else ""
        return f"{override}: cannot be read ({reason}){how}"
    if "Could not override 'optimizer'" in reason:
        return "optimizer: this model's YAML names none; leave it out, or add /optimizer: adamw to a network's defaults"
    if override in ("hydra/launcher=joblib", "hydra/launcher=slurm"):
        return NOT_INSTALLED.format(choice=override, extra=value)
    if isinstance(error, MissingConfigException) and error.options:
        near, names = nearest(value, error.options), ", ".join(sorted(error.options))
        return f"{override}: no such choice{near}{f' There are {names}' if near.endswith('?') else ''}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and isinstance(cause.parent_node, DictConfig):
        parent = str(cause.full_key or "").rpartition(".")[0]
        if usual := USUAL.get(str(cause.key)) or _only_key(cause.parent_node, str(cause.key)):
            return f"{key}: no such key; take {usual}={value}"
        return f"{key}: no such key{nearest(str(cause.key), cause.parent_node, parent)}"
    return f"{override}: {reason}"


def _only_key(node: DictConfig, name: str) -> str | None:
    """The key in a part of a config that ends in `.name`, if there is one only: weight_decay is model.weight_decay."""
    plain: Any = OmegaConf.to_container(node)
    keys = [key for key in flat(plain | {"hydra": None}) if key.endswith(f".{name}")]
    return keys[0] if len(keys) == 1 else None
