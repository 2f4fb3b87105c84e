"""Muon for convolutions: every step moves a weight by an orthogonal matrix, and keeps the weight's norm.

The momentum of a weight, seen as a matrix [out, in·height·width], is replaced by its nearest
(semi-)orthogonal matrix, found by a Newton–Schulz iteration (K. Jordan and others, 2024; coefficients of
the quintic as published there). The norm of a weight that is followed by
batch normalisation has no effect, so it is reset to its initial value after every step: the learning rate is
then the angle by which the weight turns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Approximately the nearest (semi-)orthogonal matrix: singular values are between 0.7 and 1.2."""
    a, b, c = QUINTIC
    x = matrix.to(torch.bfloat16)
    x = x / (x.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = (x.T if tall else x).to(matrix.dtype)
    return result


@torch.no_grad()
def turn(
    weight: Tensor, gradient: Tensor, *, velocity: Tensor, length: float, lr: float, momentum: float
) -> None:
    """One step of one weight, in place: `velocity` is its momentum, `length` its constant norm."""
    velocity.mul_(momentum).add_(gradient)
    push = gradient.add(velocity, alpha=momentum)
    direction = orthogonalise(push.reshape(len(push), -1)).view_as(push)
    weight.add_(direction, alpha=-lr * length / float(direction.norm() + 1e-7))
    weight.mul_(length / float(weight.norm() + 1e-7))


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; for convolutions that are followed by a normalisation."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            for weight in group["params"]:
                velocity = torch.zeros_like(weight, requires_grad=False)
                self.state[weight] = {"velocity": velocity, "length": float(weight.detach().norm())}

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    turn(
                        weight, weight.grad, **self.state[weight], lr=group["lr"], momentum=group["momentum"]
                    )
