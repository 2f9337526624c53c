"""The space of a search: Hydra's sweep notation as Optuna's distributions; and every mistake in `search`."""

from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from plain_errors import ConfigError, in_one_line
from resumable_sweeps.project import Project

Range = CategoricalDistribution | FloatDistribution | IntDistribution
Space = dict[str, Range]


def search_of(
    overrides: list[str], ranges: Mapping[str, str], loader: ConfigLoader | None = None
) -> tuple[list[str], Space]:
    """Split a search's command line.

    Args:
        overrides: a plain override holds for all trials; a key in sweep notation is searched.
        ranges: of the search's own config, in sweep notation by key. Both kinds of override replace them.
        loader: Hydra's; it knows which choices `model=glob(*)` means.

    Returns:
        The plain overrides, and a distribution for each key that is searched.

    Raises:
        ConfigError: a range that cannot be searched, or no range at all.
    """
    parser = OverridesParser.create(loader)
    given = parser.parse_overrides(overrides)
    plain = [str(each.input_line) for each in given if not each.is_sweep_override()]
    swept = [str(each.input_line) for each in given if each.is_sweep_override()]
    keys = {each.key_or_group for each in given}
    mistakes, space = [], {}
    for text in [*(f"{key}={value}" for key, value in ranges.items() if key not in keys), *swept]:
        try:
            override = parser.parse_override(text)
            space[override.get_key_element()] = _distribution(override)
        except (OverrideParseException, ValueError) as error:
            mistakes.append(f"{text}: {in_one_line(error)}")
    if not space and not mistakes:
        mistakes = ["search.space: empty; add a range, like 'model.learning_rate=tag(log, interval(1e-3, 1e-1))'"]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return plain, space


def _distribution(override: Override) -> Range:
    """Choices are kept as the text of an override, so that lists and names work as numbers do."""
    value: Any = override.value()
    if not override.is_sweep_override():
        raise ValueError("wanted values to choose from, like interval(0, 0.5), range(1, 9) or choice(a, b)")
    if override.is_interval_sweep():
        kind = IntDistribution if isinstance(value.start, int) else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    if override.is_range_sweep() and not value.shuffle:
        numbers = sorted(value.range())
        kind = IntDistribution if isinstance(numbers[0], int) else FloatDistribution
        return kind(numbers[0], numbers[-1], step=abs(value.step))
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def probes(plain: list[str], space: Space) -> list[list[str]]:
    """The overrides of the fewest trials that together have each choice and both ends of each range."""
    ends = {
        key: each.choices if isinstance(each, CategoricalDistribution) else (each.low, each.high)
        for key, each in space.items()
    }
    count = max(map(len, ends.values()))
    return [trial_overrides(plain, {key: each[at % len(each)] for key, each in ends.items()}) for at in range(count)]


def trial_overrides(plain: list[str], values: Mapping[str, Any]) -> list[str]:
    """The overrides of one trial."""
    return [*plain, *(f"{key}={value}" for key, value in values.items())]


def suggest(trial: Trial, space: Space) -> None:
    """Choose a value for each key that the trial has none for yet."""
    for key, each in space.items():
        if isinstance(each, CategoricalDistribution):
            trial.suggest_categorical(key, each.choices)
        elif isinstance(each, IntDistribution):
            trial.suggest_int(key, each.low, each.high, step=each.step, log=each.log)
        else:
            trial.suggest_float(key, each.low, each.high, step=each.step, log=each.log)


def rehearse(config: DictConfig, space: Space) -> None:
    """Have the sampler and the pruner of `search` work on a dozen invented trials in memory.

    Optuna finds only during a search that a package is missing, or that a sampler cannot sample a space.

    Raises:
        ConfigError: they cannot be used.
    """
    sampler, pruner = (instantiate(config.search[part], _convert_="all") for part in ("sampler", "pruner"))

    def objective(trial: Trial) -> float:
        suggest(trial, space)
        trial.report(0.5, step=0)
        trial.should_prune()
        return 0.5 + 0.01 * trial.number

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would print the traceback as a warning
    try:
        optuna.create_study(sampler=sampler, pruner=pruner).optimize(objective, n_trials=12)
    except Exception as error:
        names = " with ".join(type(part).__name__ for part in (sampler, pruner) if part)
        raise ConfigError(f"search: {names} cannot search this ({in_one_line(error)})") from error
    finally:
        optuna.logging.set_verbosity(level)


def mistakes_in_search(config: DictConfig, project: Project) -> Iterator[str]:
    """A line for each mistake in the sampler and the pruner of a composed config: key, what it got, what was wanted."""
    for part in ("sampler", "pruner"):
        node = config.search.get(part)
        mistakes = node and [*project.mistakes_in_node(f"search.{part}", node, allowed=(f"optuna.{part}s.",))]
        yield from mistakes or ()
        if not mistakes:
            try:
                instantiate(node, _convert_="all")  # Optuna's annotations do not say which values are good
            except Exception as error:
                yield f"search.{part}: {in_one_line(error.__cause__ or error)}"
