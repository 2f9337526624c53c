"""The settings that a run's result depends on, by dotted keys, and how a value is shown."""

from collections.abc import Mapping
from typing import Any

# Settings of the Trainer that say where and how it runs, and do not change the result.
WITHOUT_EFFECT = {"accelerator", "devices", "strategy", "num_nodes", "default_root_dir", "profiler"}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a run's result depends on, except seed and callbacks, with dotted keys.

    Args:
        config: as composed, resolved.
    """
    trainer = {key: value for key, value in config["trainer"].items() if has_effect(f"trainer.{key}")}
    data = {key: value for key, value in config["data"].items() if key not in ("seed", "folder")}
    return flat({"model": config["model"], "trainer": trainer, "data": data, "monitor": config["monitor"]})


def has_effect(key: str) -> bool:
    """Whether a run's result may depend on this dotted key or group of configs."""
    node, _, name = key.rpartition(".")
    is_without = node == "trainer" and (name in WITHOUT_EFFECT or name.startswith(("enable_", "log_")))
    return not (is_without or key.partition(".")[0] in ("logger", "hydra"))


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with dotted keys by the names that people know: `optimizer: Muon` for `model.optimizer._target_: …`."""
    found = {}
    for key, value in settings.items():
        node, _, name = key.removeprefix("model.").rpartition(".")
        if name == "_target_":
            found[node or "model"] = value.rpartition(".")[2]
        elif not name.startswith("_"):  # what Hydra is told
            found[key.removeprefix("model.")] = value
    return found


def short(value: Any) -> str:
    """A value of a key: a number to four digits, a list without spaces."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(", ", ",")
