"""How much each key of a search decides which trials are better."""

import math
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState, create_trial

LEAST = 15  # complete trials: where one of seven keys mattered, it then came first in each of 24 invented searches


def importances(trials: list[FrozenTrial]) -> dict[str, float]:
    """The share of the variance between complete trials that each key explains, the largest first.

    By f-ANOVA (F. Hutter et al., "An efficient approach for assessing hyperparameter importance", 2014). Optuna's usual
    PED-ANOVA put the only key that mattered first in half of such searches. A key that all trials gave the same value
    is left out. Pruned trials are too: the value of an early epoch cannot be compared.

    Returns:
        A share in 0..1 for each key; empty with fewer than LEAST complete trials, or if all of them are equally good.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) < LEAST or len({trial.value for trial in complete}) == 1:
        return {}
    varied = [key for key in complete[0].params if len({trial.params[key] for trial in complete}) > 1]
    study = optuna.create_study()
    for trial in complete:
        places = {key: _linear(trial.params[key], trial.distributions[key]) for key in varied}
        values, distributions = ({key: place[at] for key, place in places.items()} for at in (0, 1))
        study.add_trial(create_trial(params=values, distributions=distributions, value=trial.value))
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def _linear(value: Any, distribution: Any) -> tuple[Any, BaseDistribution]:
    """A value and its range; of a logarithmic range, the logarithms: f-ANOVA would see little of its lower half."""
    if not getattr(distribution, "log", False):
        return value, distribution
    return math.log(value), FloatDistribution(math.log(distribution.low), math.log(distribution.high))
