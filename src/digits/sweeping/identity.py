"""Is this the same sweep or search? What makes two equal, what has changed, and how their folder is named."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from digits.record import flat, settings_of

Meaning = tuple[tuple[str, str], ...]


def meaning_of(overrides: list[str]) -> Meaning:
    """Overrides as sorted pairs of key and value: neither order nor spelling counts, 1e-3 is 0.001."""
    parsed: list[Any] = OverridesParser.create().parse_overrides(overrides)
    return tuple(sorted((each.get_key_element(), json.dumps(each.value(), default=str)) for each in parsed))


def facts_of(config: Mapping[str, Any], searched: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the result of a job or of a search follows from, with dotted keys.

    Args:
        config: as composed, resolved.
        searched: the range of each key that a search varies.
    """
    folder = config["run_folder"]
    callbacks = {name: node for name, node in (config["callbacks"] or {}).items() if name != "pruning"}
    facts = settings_of(config) | flat({"seed": config["seed"], "callbacks": callbacks})
    for key, value in facts.items():
        if isinstance(value, str) and value.startswith(f"{folder}/"):  # each job has a folder of its own
            facts[key] = value.replace(folder, "${run_folder}", 1)
    if config.get("search"):
        facts["search.metric"] = config["search"]["metric"]
    return facts | {key.lstrip("+"): f"searched in {range_}" for key, range_ in (searched or {}).items()}


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How the facts differ: "key was X and is now Y" for each that does."""
    return [
        f"{key} was {then.get(key)} and is now {now.get(key)}"
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    ]


def sweep_name(jobs: list[list[str]]) -> str:
    """Name a sweep's folder after the values that its jobs differ in."""
    meanings = sorted({meaning_of(job) for job in jobs})
    values: dict[str, set[str]] = {}
    for key, value in (pair for meaning in meanings for pair in meaning):
        values.setdefault(key, set()).add(value)
    swept = {key: found for key, found in values.items() if len(found) > 1} or values
    words = ["-".join([key.split(".")[-1], *sorted(swept[key], key=lambda text: (len(text), text))]) for key in swept]
    return _folder_name("_".join(words), meanings)


def search_name(choice: str, plain: list[str], space: Mapping[str, Any]) -> str:
    """Name a search's folder after its config; the number of trials, sampler, pruner and storage do not count.

    Args:
        choice: the name in search=…
        plain: the overrides that hold for all trials.
        space: the range of each key that is searched.
    """
    settings = [pair for pair in meaning_of(plain) if not pair[0].lstrip("+~").startswith("search.")]
    return _folder_name(choice, [settings, {key: str(space[key]) for key in sorted(space)}])


def renamed(override: str) -> str | None:
    """One line on an override of the former key `sweep`; None for any other override."""
    found = re.fullmatch(r"([+~]*)sweep(|[.=].*)", override, re.DOTALL)
    if not found:
        return None
    rest = "=custom" if found[2] == "=search" else found[2]
    return f"{override}: sweep is now called search; take {found[1]}search{rest}"


def _folder_name(readable: str, meaning: Any) -> str:
    readable = re.sub(r"[^\w.-]+", "", readable)[:80].strip("._-")
    return f"{readable}_{hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:8]}"
