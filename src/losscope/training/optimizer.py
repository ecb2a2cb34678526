"""Adam and SGD of torch.optim, by the same fused kernels.

Without its hooks and groups, around which a step of torch.optim's classes takes half as long again as the kernel does on
a small head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch's defaults


class Adam:
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015; weight decay as an L2 term of the gradient."""

    def __init__(self, parameters: Sequence[Tensor], *, lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = [parameter.detach() for parameter in parameters]
        self.lr, self.weight_decay = lr, weight_decay
        self.averages = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update in place; a gradient for each parameter."""
        torch._foreach_add_(self.steps, 1)
        torch._fused_adam_(
            self.parameters,
            list(gradients),
            self.averages,
            self.squares,
            [],
            self.steps,
            lr=self.lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self, prefix: str) -> dict[str, Tensor]:
        """What the next step depends on, under torch.optim's names."""
        return {
            f"{prefix}{place}.{name}": part for name, parts in self._named().items() for place, part in enumerate(parts)
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Go on from `state()` of an equal optimizer."""
        for name, parts in self._named().items():
            for place, part in enumerate(parts):
                part.copy_(state[f"{prefix}{place}.{name}"])

    def _named(self) -> dict[str, list[Tensor]]:
        return {"exp_avg": self.averages, "exp_avg_sq": self.squares, "step": self.steps}


class SGD:
    """Plain gradient descent; weight decay as an L2 term of the gradient."""

    def __init__(self, parameters: Sequence[Tensor], *, lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = [parameter.detach() for parameter in parameters]
        self.lr, self.weight_decay = lr, weight_decay

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update in place; a gradient for each parameter."""
        torch._fused_sgd_(
            self.parameters,
            list(gradients),
            [],
            lr=self.lr,
            weight_decay=self.weight_decay,
            momentum=0.0,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    def state(self, prefix: str) -> dict[str, Tensor]:
        """There is none."""
        return {}

    def load(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Nothing to go on from."""


OPTIMIZERS: dict[str, type[Adam] | type[SGD]] = {"adam": Adam, "sgd": SGD}
