"""Make an optimizer from plain settings, which a checkpoint can hold."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from digits.schema import located, mistakes_in_node, parameters_of
from plain_errors import in_one_line

ADAMW = {"_target_": "torch.optim.AdamW", "betas": [0.9, 0.99]}
OF_THE_MODEL = {"lr": "learning_rate", "weight_decay": "weight_decay"}


def optimizer_of(
    parameters: Iterable[Parameter], settings: dict[str, Any], lr: float, weight_decay: float, fused: bool = False
) -> Optimizer:
    """An optimizer of these parameters.

    Args:
        parameters: those of the network, in its order.
        settings: `_target_`, the dotted name of a class; the other keys are its arguments.
        lr: learning rate.
        weight_decay: as the class defines it.
        fused: whether to compute all parameters in one operation, if the class can.

    Raises:
        TypeError, ValueError: the class does not take these settings.
    """
    kind = located(settings["_target_"])
    options = {key: value for key, value in settings.items() if key != "_target_"}
    if "fused" in parameters_of(kind):
        options = {"fused": fused, **options}
    return kind(parameters, lr=lr, weight_decay=weight_decay, **options)


def mistakes_in_optimizer(settings: dict[str, Any]) -> list[str]:
    """A line for each mistake in the settings of an optimizer: key, what it got, what was wanted."""
    path = "model.optimizer"
    mistakes = [f"{path}.{key}: take model.{name}" for key, name in OF_THE_MODEL.items() if key in settings]
    mistakes += mistakes_in_node(path, settings, {"params", "parameters"}, allowed=("digits.", "torch.optim."))
    if mistakes:
        return mistakes
    try:
        optimizer_of([Parameter(torch.zeros(1))], settings, lr=0.1, weight_decay=0.1)
    except (TypeError, ValueError) as error:
        return [f"{path}: {in_one_line(error)}"]
    return []
