"""What a search searches: Hydra's sweep notation, read as Optuna's distributions."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from digits.errors import ConfigError

Space = dict[str, BaseDistribution]


def search_of(overrides: list[str]) -> tuple[list[str], Space]:
    """Take a search's command line apart; Hydra must be initialized.

    Args:
        overrides: with a `sweep=…` among them. A plain one holds for all trials, one in sweep notation is searched;
            either takes the place of what the config of that name says of its key.

    Returns:
        The plain overrides, and a distribution for each key that is searched.

    Raises:
        ConfigError: a range that is none.
    """
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    given = parser.parse_overrides(overrides)
    plain = [each for each in given if not each.is_sweep_override()]
    choice = [str(each.input_line) for each in plain if each.key_or_group == "sweep"]
    written: dict[str, Any] = compose("train", choice).sweep.space
    mistakes, space = [], {}
    swept = [f"{key}={text}" for key, text in written.items() if key not in {each.key_or_group for each in given}]
    for text in [*swept, *(str(each.input_line) for each in given if each.is_sweep_override())]:
        try:
            override = parser.parse_override(text)
            if not override.is_sweep_override():
                raise ValueError("wanted values to choose from, like interval(0, 0.5), range(1, 9) or choice(a, b)")
            space[override.get_key_element()] = _distribution(override)
        except (OverrideParseException, ValueError) as error:
            mistakes.append(f"{text}: {' '.join(str(error).split())}")
    if not space and not mistakes:
        mistakes = ["sweep.space: empty; say what to search, like 'model.learning_rate=tag(log, interval(1e-3, 1e-1))'"]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return [str(each.input_line) for each in plain], space


def probes(plain: list[str], space: Space) -> list[list[str]]:
    """The overrides of so many trials that each choice and both ends of each range are among them."""
    values = {key: _extremes(distribution) for key, distribution in space.items()}
    most = max(map(len, values.values()))
    return [trial_overrides(plain, {key: of[at % len(of)] for key, of in values.items()}) for at in range(most)]


def trial_overrides(plain: list[str], values: Mapping[str, Any]) -> list[str]:
    """What one trial is told."""
    return [*plain, *(f"{key}={value}" for key, value in values.items())]


def search_name(choice: str, plain: list[str], space: Space) -> str:
    """Name a search after what it searches; how many trials, by what sampler and where kept is not in the name."""
    told = sorted(text for text in plain if not text.startswith("sweep."))
    searched = {key: str(space[key]) for key in sorted(space)}
    return f"{choice}_{hashlib.sha256(json.dumps([told, searched]).encode()).hexdigest()[:8]}"


def _distribution(override: Override) -> BaseDistribution:
    """Choices are kept as the text of an override, so that lists and names are as good as numbers."""
    value: Any = override.value()
    if override.is_interval_sweep():
        kind = IntDistribution if isinstance(value.start, int) else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    if override.is_range_sweep() and not value.shuffle:
        numbers = sorted(value.range())
        kind = IntDistribution if isinstance(numbers[0], int) else FloatDistribution
        return kind(numbers[0], numbers[-1], step=abs(value.step))
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _extremes(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]
