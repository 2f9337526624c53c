"""An optimizer that needs fewer steps than AdamW to train a convolutional network."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from digits.ranges import Fraction


class Muon(torch.optim.AdamW):
    """Muon for the weights of hidden layers; AdamW for the last layer, biases and normalisation.

    K. Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024. Its steps are scaled to the size of
    AdamW's (J. Liu et al., "Muon is scalable for LLM training", 2025), so both can have the same learning rate and
    weight decay. PyTorch's own Muon refuses the weights of convolutions.

    Args:
        parameters: of the network, in its order: the last one with two or more dimensions is the last layer's weight.
        momentum: share of the old gradients of hidden weights that each step keeps.
        options: those of AdamW.
    """

    def __init__(self, parameters: Iterable[Parameter], momentum: Fraction = 0.8, **options: Any) -> None:
        parameters, self.momentum = list(parameters), momentum
        super().__init__(parameters, **options)
        self.hidden = [parameter for parameter in parameters if parameter.ndim > 1][:-1]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; `closure`, if given, computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rate, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        for weight in self.hidden:
            if weight.grad is None:
                continue
            state = self.state[weight]
            state["step"] = torch.tensor(0.0)  # AdamW needs it in each state it loads
            average = state.setdefault("momentum", torch.zeros_like(weight)).mul_(self.momentum).add_(weight.grad)
            update = orthogonalized(weight.grad.add_(average, alpha=self.momentum).flatten(1))
            size = 0.2 * max(update.shape) ** 0.5  # gives a root mean square of 0.2, as steps of AdamW usually have
            weight.mul_(1 - rate * decay).add_(update.view_as(weight), alpha=-rate * size)
            weight.grad = None  # so AdamW skips this weight
        super().step()
        return loss


def multiplies_bf16(device: str) -> bool:
    """Whether a kind of device has units for bfloat16. A CPU without them takes 20 to 50 times as long as in float32.

    Args:
        device: `cpu`, `cuda` or another kind.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu = torch.cpu.get_capabilities()
    return device == "cpu" and bool(cpu.get("amx_bf16") or cpu.get("avx512_bf16"))


def orthogonalized(matrix: Tensor, iterations: int = 2) -> Tensor:
    """The matrix with all its singular values brought near 1, by the Newton-Schulz iteration.

    A GPU with units for bfloat16 computes it in that, as the iteration does not need more digits. A CPU with such units
    takes half as long in float32, at every size of matrix that a network here has.

    Args:
        matrix: floating point [rows, columns].
        iterations: more of them bring the values nearer to 1, but did not raise validation accuracy here.

    Returns:
        Matrix of the same shape and dtype.
    """
    tall = len(matrix) > matrix.shape[1]
    on_gpu = matrix.device.type != "cpu"
    x = matrix.to(torch.bfloat16 if on_gpu and multiplies_bf16(matrix.device.type) else torch.float32)
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):  # with Jordan's polynomial of degree 5, whose steep slope at 0 raises small values fast
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)
