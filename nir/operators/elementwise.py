"""Elementwise functions that jets know, each with its first three derivatives.

The value and the first two make a second-order jet; the third is what training through it needs.
Keys are torch's own names, the arguments of the makers are torch's own arguments. At a kink the
derivative is the one that torch's autograd takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Number = float | int


class Elementwise(NamedTuple):
    """A function and its derivatives, each from what is known already; None is zero everywhere.

    value(z), first(z, f), second(z, f, f'), third(z, f, f', f'').
    """

    value: Callable[[Tensor], Tensor]
    first: Callable[[Tensor, Tensor], Tensor]
    second: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    third: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None


def _relu(inplace: bool = False) -> Elementwise:
    return Elementwise(torch.relu, lambda z, f: (z > 0).to(z.dtype))


def _leaky_relu(negative_slope: Number = 0.01, inplace: bool = False) -> Elementwise:
    return Elementwise(
        lambda z: F.leaky_relu(z, negative_slope),
        lambda z, f: (z > 0).to(z.dtype) * (1 - negative_slope) + negative_slope,
    )


def _exponential_unit(alpha: Number, scale: Number) -> Elementwise:
    """scale z above zero, scale alpha (e^z - 1) below."""
    floor = alpha * scale
    return Elementwise(
        lambda z: F.elu(z, alpha) * scale,
        lambda z, f: torch.where(z > 0, scale, f + floor),
        lambda z, f, f1: torch.where(z > 0, 0.0, f1),
        lambda z, f, f1, f2: f2,
    )


def _elu(alpha: Number = 1.0, inplace: bool = False) -> Elementwise:
    return _exponential_unit(alpha, 1.0)


def _selu(inplace: bool = False) -> Elementwise:
    return _exponential_unit(1.6732632423543772, 1.0507009873554805)  # torch.nn.SELU


def _softplus(beta: Number = 1.0, threshold: Number = 20.0) -> Elementwise:
    return Elementwise(
        lambda z: F.softplus(z, beta, threshold),
        lambda z, f: torch.sigmoid(beta * z),
        lambda z, f, f1: beta * f1 * (1 - f1),
        lambda z, f, f1, f2: beta * f2 * (1 - 2 * f1),
    )


def _power(exponent: Number) -> Elementwise:
    """z^n; a factor n (n - 1) ... that vanishes is left out, so that 0^-1 is never met."""
    n = float(exponent)

    def derivative(order: int) -> Callable[..., Tensor] | None:
        factor = math.prod(n - i for i in range(order))
        return (lambda z, *_: factor * z ** (n - order)) if factor else None

    first = derivative(1) or (lambda z, f: torch.zeros_like(z))
    return Elementwise(lambda z: z**n, first, derivative(2), derivative(3))


def _silu(inplace: bool = False) -> Elementwise:
    """z s(z), s the logistic function, s' = s (1 - s), s'' = s' (1 - 2 s)."""

    def second(z: Tensor, f: Tensor, f1: Tensor) -> Tensor:
        s = torch.sigmoid(z)
        return s * (1 - s) * (2 + z * (1 - 2 * s))

    def third(z: Tensor, f: Tensor, f1: Tensor, f2: Tensor) -> Tensor:
        s = torch.sigmoid(z)
        slope = s * (1 - s)
        return 3 * slope * (1 - 2 * s) + z * slope * (1 - 6 * slope)

    def first(z: Tensor, f: Tensor) -> Tensor:
        s = torch.sigmoid(z)
        return s + f * (1 - s)

    return Elementwise(F.silu, first, second, third)


def _sine() -> Elementwise:
    return Elementwise(
        torch.sin,
        lambda z, f: torch.cos(z),
        lambda z, f, f1: -f,
        lambda z, f, f1, f2: -f1,
    )


def _cosine() -> Elementwise:
    return Elementwise(
        torch.cos,
        lambda z, f: -torch.sin(z),
        lambda z, f, f1: -f,
        lambda z, f, f1, f2: -f1,
    )


def _tanh() -> Elementwise:
    return Elementwise(
        torch.tanh,
        lambda z, f: 1 - f * f,
        lambda z, f, f1: -2 * f * f1,
        lambda z, f, f1, f2: -2 * (f1 * f1 + f * f2),
    )


def _sigmoid() -> Elementwise:
    return Elementwise(
        torch.sigmoid,
        lambda z, f: f * (1 - f),
        lambda z, f, f1: f1 * (1 - 2 * f),
        lambda z, f, f1, f2: f2 * (1 - 2 * f) - 2 * f1 * f1,
    )


def _exp() -> Elementwise:
    return Elementwise(torch.exp, lambda z, f: f, lambda z, f, f1: f, lambda z, f, f1, f2: f)


def _log() -> Elementwise:
    return Elementwise(
        torch.log,
        lambda z, f: 1 / z,
        lambda z, f, f1: -f1 * f1,
        lambda z, f, f1, f2: -2 * f1 * f2,
    )


def _sqrt() -> Elementwise:
    return Elementwise(
        torch.sqrt,
        lambda z, f: 0.5 / f,
        lambda z, f, f1: -0.5 * f1 / z,
        lambda z, f, f1, f2: -1.5 * f2 / z,
    )


def _abs() -> Elementwise:
    return Elementwise(torch.abs, lambda z, f: torch.sign(z))


ELEMENTWISE: dict[str, Callable[..., Elementwise]] = {
    "sin": _sine,
    "cos": _cosine,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "rsqrt": lambda: _power(-0.5),
    "reciprocal": lambda: _power(-1),
    "square": lambda: _power(2),
    "pow": _power,
    "abs": _abs,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "silu": _silu,
}
