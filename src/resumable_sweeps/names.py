"""Names of jobs and folders, and whether two sweeps or searches are the same."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser


def meaning_of(overrides: list[str]) -> tuple[tuple[str, str], ...]:
    """Overrides as sorted pairs of key and value: neither order nor spelling counts, 1e-3 is 0.001."""
    parsed: list[Any] = OverridesParser.create().parse_overrides(overrides)
    return tuple(sorted((each.get_key_element(), json.dumps(each.value(), default=str)) for each in parsed))


def varied_in(jobs: list[list[str]]) -> dict[str, set[str]]:
    """The values of each key in which jobs differ; if they differ in none, the values of all keys."""
    values: dict[str, set[str]] = {}
    for key, value in (pair for meaning in sorted({meaning_of(job) for job in jobs}) for pair in meaning):
        values.setdefault(key, set()).add(value)
    return {key: found for key, found in values.items() if len(found) > 1} or values


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How facts differ: "key was X and is now Y" for each that does."""
    pairs = {key: (then.get(key), now.get(key)) for key in {**then, **now}}
    return [f"{key} was {before} and is now {after}" for key, (before, after) in pairs.items() if before != after]


def job_name(overrides: list[str], varied: Collection[str]) -> str:
    """A job's own name, experiment and model, and its values of the keys `varied`."""
    pairs = [(each.get_key_element(), each.value()) for each in OverridesParser.create().parse_overrides(overrides)]
    named = {key: str(value) for key, value in pairs if key in ("name", "experiment", "model")}
    swept = [(key, value) for key, value in pairs if key.lstrip("+") in varied and key not in named]
    words = named | {key: f"{key.split('.')[-1]}={short(value)}" for key, value in swept}
    return re.sub(r"[^\w.,=+ -]+", "", " ".join(words.values()))[:100]  # a folder's name, and Hydra can read it


def short(value: Any) -> str:
    """A value of a key: a number to four digits, a list without spaces."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace(", ", ",")


def sweep_name(jobs: list[list[str]]) -> str:
    """Name a sweep's folder after the values that its jobs differ in."""
    swept = varied_in(jobs)
    words = ["-".join([key.split(".")[-1], *sorted(swept[key], key=lambda text: (len(text), text))]) for key in swept]
    return _folder_name("_".join(words), sorted({meaning_of(job) for job in jobs}))


def search_name(choice: str, plain: list[str], space: Mapping[str, Any]) -> str:
    """Name a search's folder after the `choice` in search=…, the overrides of all trials and the ranges.

    The number of trials, the sampler and the pruner do not count.
    """
    settings = [pair for pair in meaning_of(plain) if not pair[0].lstrip("+~").startswith("search.")]
    return _folder_name(choice, [settings, {key: str(space[key]) for key in sorted(space)}])


def _folder_name(readable: str, meaning: Any) -> str:
    readable = re.sub(r"[^\w.-]+", "", readable)[:80].strip("._-")
    return f"{readable}_{hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:8]}"
