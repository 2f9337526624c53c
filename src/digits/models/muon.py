"""An optimizer that gets more out of each step of a convolutional network than AdamW."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

MOMENTUM = 0.8  # of the gradients of hidden weights


class Muon(torch.optim.AdamW):
    """Muon for the weights of hidden layers; AdamW for the last layer, biases and normalisation.

    K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024. Its steps are as large as AdamW's
    (J. Liu et al., "Muon is scalable for LLM training", 2025), so one learning rate and weight decay serve both.
    PyTorch's own Muon refuses convolutions.

    Args:
        parameters: of the network, in its order: the last with two dimensions or more is the last layer's weight.
        options: those of AdamW.
    """

    def __init__(self, parameters: Iterable[Parameter], **options: Any) -> None:
        parameters = list(parameters)
        super().__init__(parameters, **options)
        self.hidden = [parameter for parameter in parameters if parameter.ndim > 1][:-1]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; `closure`, if there is one, works out the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rate, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        for weight in self.hidden:
            if weight.grad is None:
                continue
            state = self.state[weight]
            state["step"] = torch.tensor(0.0)  # AdamW wants one in each state it loads
            average = state.setdefault("momentum", torch.zeros_like(weight)).mul_(MOMENTUM).add_(weight.grad)
            update = orthogonalized(weight.grad.add_(average, alpha=MOMENTUM).flatten(1))
            size = 0.2 * max(update.shape) ** 0.5  # a root mean square of 0.2, as AdamW's usual steps have
            weight.mul_(1 - rate * decay).add_(update.view_as(weight), alpha=-rate * size)
            weight.grad = None  # AdamW passes it by
        super().step()
        return loss


def orthogonalized(matrix: Tensor, iterations: int = 2) -> Tensor:
    """All singular values brought near 1, by Newton and Schulz's iteration in bfloat16.

    Args:
        matrix: floating point [rows, columns].
        iterations: more bring them nearer; here, validation accuracy gains nothing by it.
    """
    turned = len(matrix) > matrix.shape[1]
    x = matrix.bfloat16().T if turned else matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):  # the quintic that Jordan took for its slope at 0
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if turned else x).to(matrix.dtype)
