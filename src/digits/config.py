"""Is this config good? Every mistake in it at once, before data are read or a folder exists.

Hydra finds the keys that do not exist. Types and ranges are read off the constructors that the config names, so
a classifier of your own is checked without a line of schema.
"""

import copy
import inspect
from collections.abc import Iterator, Set
from difflib import get_close_matches
from importlib import import_module
from typing import Any, get_type_hints

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

ALLOWED_TARGETS = ("digits.", "lightning.", "torch.", "torchmetrics.")  # _target_ runs code, so not just any
FROM_DATA = {"classes"}  # what the model is given by the data, not by the config


def mistakes_in(config: DictConfig) -> list[str]:
    """Check a composed config, Hydra's part included.

    Returns:
        A line for each mistake: key, what it got, what it wanted.
    """
    from digits.models.closed_form import ClosedForm
    from digits.ranges import Seed
    from digits.training.trainer import (  # torch, which composing a config does without
        hardware_mistakes,
        is_distributed,
    )

    try:
        plain = resolved(config)
    except OmegaConfBaseException as error:
        return [f"{error.full_key or 'config'}: {in_one_line(error)}"]
    mistakes = [*_check_value("seed", plain["seed"], Seed)]
    mistakes += _check_value("ckpt_path", plain["ckpt_path"], str | None)
    mistakes += _check_node("data", plain["data"])
    mistakes += _check_node("model", plain["model"], FROM_DATA)
    in_trainer = [*_check_node("trainer", plain["trainer"])]
    mistakes += in_trainer or hardware_mistakes(plain["trainer"])
    model = None if mistakes else _located(plain["model"]["_target_"])
    if isinstance(model, type) and issubclass(model, ClosedForm):
        if is_distributed(plain["trainer"]):
            mistakes.append(
                "trainer.devices: this model is worked out in one pass on one device; take trainer.devices=1"
            )
        if (plain.get("sweep") or {}).get("metric") == "val/loss":
            mistakes.append(
                "sweep.metric: got val/loss, which this model logs before it is calibrated; take val/accuracy"
            )
    for group in ("callbacks", "logger"):
        for name, node in (plain[group] or {}).items():
            mistakes += _check_node(f"{group}.{name}", node)
    if plain.get("sweep"):
        mistakes += _check_search(plain)
    return [mistake for mistake in mistakes if not _is_copied(config, mistake)]


def mistakes_in_overrides(overrides: list[str]) -> list[str]:
    """Check a job's command line where Hydra could not compose it; Hydra must be initialized.

    Hydra stops at the first override it cannot apply. Here each is tried on top of those that work, so that all
    the mistakes are told, those in the values of the others too.
    """
    good: list[str] = []
    mistakes = []
    for override in sorted(overrides, key=lambda text: "." in text.partition("=")[0]):  # groups first
        try:
            compose("train", [*good, override])
            good.append(override)
        except (HydraException, OmegaConfBaseException) as error:
            mistakes.append(override_mistake(override, error))
    return mistakes + mistakes_in(compose("train", good, return_hydra_config=True))


def jobs_of(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job of a grid: `seed=1,2` is two; of a search, of trials that show all it may try.

    Hydra must be initialized.
    """
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    if any(each.key_or_group == "sweep" and each.value() and not each.is_sweep_override() for each in parsed):
        from digits.sweeping.space import probes, search_of  # Optuna, which nothing else needs

        try:
            return probes(*search_of(overrides))
        except MissingConfigException:  # sweep=… itself is wrong
            return [[str(each.input_line) for each in parsed if not each.is_sweep_override()]]
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def _is_copied(config: DictConfig, mistake: str) -> bool:
    """Whether a mistake lies in a ${…}, and so is told where the value comes from."""
    parent, _, key = mistake.partition(":")[0].rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and key in node and OmegaConf.is_interpolation(node, key)


def resolved(config: DictConfig, run_folder: str = "outputs") -> dict[str, Any]:
    """The task's part with all ${…} filled in; there may be no run folder yet, so a name stands for it."""
    HydraConfig.instance().set_config(copy.deepcopy(config))
    task = copy.deepcopy(config)
    with open_dict(task):
        del task["hydra"]
    task.run_folder = run_folder
    plain = OmegaConf.to_container(task, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _check_search(config: dict[str, Any]) -> Iterator[str]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    search = config["sweep"]
    yield from _check_node("sweep", search, {"folder"})
    for part in ("sampler", "pruner"):
        if not isinstance(search.get(part), dict):
            continue
        mistakes = list(_check_node(f"sweep.{part}", search[part], allowed=(f"optuna.{part}s.",)))
        try:
            yield from mistakes
            _ = mistakes or instantiate(search[part], _convert_="all")  # Optuna's annotations do not say what is good
        except Exception as error:
            yield f"sweep.{part}: {in_one_line(error.__cause__ or error)}"
    try:
        _ = search.get("storage") and create_engine(search["storage"])  # connects to nothing yet
    except (ImportError, SQLAlchemyError) as error:
        yield f"sweep.storage: got {search['storage']}, which no database here understands ({in_one_line(error)})"
    if not config["data"].get("val_size", 1):
        yield "data.val_size: got 0, wanted some validation digits for a search to go by"
    if config["trainer"].get("fast_dev_run"):
        yield "trainer.fast_dev_run: a dry run comes to no value for a search to go by; leave this out"


def _check_node(
    path: str,
    node: dict[str, Any] | None,
    given: Set[str] = frozenset(),
    allowed: tuple[str, ...] = ALLOWED_TARGETS,
) -> Iterator[str]:
    """Hold what a config says under `path` against the constructor that its _target_ names."""
    name = (node or {}).get("_target_")
    if node is None or not isinstance(name, str) or not name.startswith(allowed):
        yield f"{path}._target_: got {name}, wanted a class of {', '.join(t + '*' for t in allowed)}"
        return
    try:
        parameters = _parameters(_located(name))
    except (ImportError, AttributeError) as error:
        yield f"{path}._target_: got {name}, which cannot be imported ({error})"
        return
    for key, value in node.items():
        if key in parameters and not (isinstance(value, dict) and "_target_" in value):
            yield from _check_value(f"{path}.{key}", value, parameters[key].annotation)
        elif key not in parameters and key not in ("_target_", "_convert_"):
            yield f"{path}.{key}: no such key{_nearest(key, parameters, path)}"
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in node and key not in given:
            yield f"{path}.{key}: missing, and {name} wants it"


def _located(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def _parameters(target: Any) -> dict[str, inspect.Parameter]:
    """What a class or function takes, by name; a class that passes **options on takes its bases' too."""
    inits = (
        [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
        if inspect.isclass(target)
        else [target]
    )
    found: dict[str, inspect.Parameter] = {}
    for init in inits:
        try:
            hints = get_type_hints(init, include_extras=True)
        except NameError:  # annotated with what is imported for type checkers only
            hints = {}
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and parameter.name != "self":
                # a base's own need is the subclass's to fill: only the first constructor's are required
                default = parameter.default if init is inits[0] else None
                typed = parameter.replace(annotation=hints.get(parameter.name, Any), default=default)
                found.setdefault(parameter.name, typed)
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def _check_value(path: str, value: Any, annotation: Any) -> Iterator[str]:
    adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        reasons = [detail["msg"] for detail in error.errors()]
        for theirs, ours in (("Input should be ", ""), ("Value error, ", ""), ("a valid i", "an i"), ("valid ", "")):
            reasons = [reason.replace(theirs, ours) for reason in reasons]
        yield f"{path}: got {value!r}, wanted {' or '.join(dict.fromkeys(reasons))}"


def override_mistake(override: str, error: Exception) -> str:
    """One line for an override that Hydra cannot apply, with the nearest names that exist."""
    key, _, value = override.partition("=")
    if isinstance(error, OverrideParseException):
        return f"{override}: cannot be read ({in_one_line(error)})"
    if override == "hydra/launcher=joblib":
        return f"{override}: not installed; pip install -e .[joblib] installs it"
    if isinstance(error, MissingConfigException) and error.options:
        return f"{override}: no such choice{_nearest(value, error.options)}"
    parent, wrong = getattr(error.__cause__, "parent_node", None), getattr(error.__cause__, "key", None)
    if isinstance(parent, DictConfig) and wrong is not None:
        return f"{key}: no such key{_nearest(str(wrong), parent, parent._get_full_key(None))}"
    return f"{override}: {in_one_line(error)}"


def _nearest(wrong: str, valid: Any, path: str = "") -> str:
    names = sorted(str(name) for name in valid if not str(name).startswith("_"))
    near = get_close_matches(wrong, names, n=2)
    if near:
        return "; did you mean " + " or ".join(f"{path}.{name}" if path else name for name in near) + "?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


def in_one_line(error: BaseException) -> str:
    """The message of a library's error, which may have several lines."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
