"""Bases over viewing directions: how a colour may turn with the view (NeX, section 3.3).

A basis maps unit vectors v in the reference camera's axes (x right, y down, z forward) to `count`
numbers. `count` 0 is the colour that does not turn. Fixed bases take the first `count` functions
of a family by degree, without the constant, which the base colour already is; all of them stay
within about [-1, 1], as the learned ones do:

================  ==========================================================================
`spherical`       real spherical harmonics about +z, semi-normalised (Schmidt)
`hemispherical`   the same of cos t' = 2 cos t - 1: the half before the camera (Gautron 2004)
`fourier`         cos and sin of pi (a v_x + b v_y), integers a and b
`jacobi`          r^m P_k^(0,m)(2 r^2 - 1) times cos, sin of m phi, on the disc of (v_x, v_y)
`taylor`          monomials of v_x and v_y
================  ==========================================================================

What the paper means by Jacobi's functions could not be established; here they are the disc's
(Zernike's), which Jacobi's polynomials make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.encodings import nex_encoding
from nir.errors import unknown_name
from nir.networks.mlp import MLP


class LearnedBasis(nn.Module):
    """H_n(v) = tanh(network(encoding(v_x, v_y))): one network for the whole scene (NeX, 3.3)."""

    def __init__(
        self,
        count: int = 8,  # nex-code: -basis_out
        *,
        octaves: int = 3,  # nex-code: 12 features of (v_x, v_y)
        width: int = 64,
        hidden_layers: int = 1,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.count = count
        self.encoding = nex_encoding(2, octaves=octaves)
        self.mlp = MLP(
            self.encoding.features,
            count,
            width=width,
            hidden_layers=hidden_layers,
            activation="leaky_relu",
            output_activation="tanh",
            initialisation="pytorch",
            generator=generator,
        )

    def forward(self, directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch basis"]:
        """Values at unit directions in the reference camera's axes."""
        with torch.autocast(directions.device.type, enabled=False):
            return self.mlp(self.encoding(directions[..., :2]))


class NoBasis(nn.Module):
    """No function at all: colours that do not depend on the view."""

    count = 0

    def forward(self, directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 0"]:
        """Nothing."""
        return directions[..., :0]


class FixedBasis(nn.Module):
    """The first `count` functions of a family in the table above; nothing is trained."""

    def __init__(self, name: str, count: int) -> None:
        super().__init__()
        if name not in FAMILIES:
            raise unknown_name("basis", name, ("learned", *FAMILIES))
        self.name, self.count = name, count

    def forward(self, directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch basis"]:
        """Values at unit directions in the reference camera's axes."""
        return torch.stack(list(islice(FAMILIES[self.name](directions), self.count)), dim=-1)


def basis_for(
    name: str, count: int, *, octaves: int, width: int, generator: Generator
) -> nn.Module:
    """The basis of that name with `count` functions; octaves and width are the learned one's."""
    if count == 0:
        return NoBasis()
    if name == "learned":
        return LearnedBasis(count, octaves=octaves, width=width, generator=generator)
    return FixedBasis(name, count)


Functions = Iterator[Tensor]
"""Values [...] of one function after the other, without end."""


def _spherical(directions: Tensor) -> Functions:
    across, down, forward = directions.unbind(-1)
    return _harmonics(forward, torch.atan2(down, across))


def _hemispherical(directions: Tensor) -> Functions:
    across, down, forward = directions.unbind(-1)
    return _harmonics(2 * forward.clamp_min(0) - 1, torch.atan2(down, across))


def _harmonics(cosine: Tensor, azimuth: Tensor) -> Functions:
    """Semi-normalised harmonics, degree after degree: m = 0, then cos and sin for m = 1 ... l."""
    sine = torch.sqrt((1 - cosine * cosine).clamp_min(0))
    # Associated Legendre functions P_l^m of the last two degrees, without the sign (-1)^m.
    before, last = [torch.zeros_like(cosine)], [torch.ones_like(cosine)]
    degree = 0
    while True:
        degree += 1
        rising = [
            ((2 * degree - 1) * cosine * last[m] - (degree + m - 1) * before[m]) / (degree - m)
            for m in range(degree)
        ]
        rising.append((2 * degree - 1) * sine * last[degree - 1])
        before, last = [*last, torch.zeros_like(cosine)], rising
        yield last[0]
        for m in range(1, degree + 1):
            scale = math.sqrt(2 * math.factorial(degree - m) / math.factorial(degree + m))
            yield scale * last[m] * torch.cos(m * azimuth)
            yield scale * last[m] * torch.sin(m * azimuth)


def _fourier(directions: Tensor) -> Functions:
    across, down = math.pi * directions[..., 0], math.pi * directions[..., 1]
    largest = 0
    while True:
        largest += 1
        # One wave vector of each pair of opposite ones, ring after ring.
        ring = [(largest, b) for b in range(-largest + 1, largest + 1)]
        ring += [(a, largest) for a in range(-largest, largest)]
        for a, b in sorted(ring, key=lambda wave: (wave[0] ** 2 + wave[1] ** 2, wave)):
            yield torch.cos(a * across + b * down)
            yield torch.sin(a * across + b * down)


def _jacobi(directions: Tensor) -> Functions:
    radius = torch.linalg.vector_norm(directions[..., :2], dim=-1)
    azimuth = torch.atan2(directions[..., 1], directions[..., 0])
    degree = 0
    while True:
        degree += 1
        for m in range(degree % 2, degree + 1, 2):
            radial = radius**m * jacobi_polynomial((degree - m) // 2, m, 2 * radius**2 - 1)
            yield radial * torch.cos(m * azimuth)
            if m:
                yield radial * torch.sin(m * azimuth)


def jacobi_polynomial(
    degree: int, beta: int, x: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """P_k^(0, beta)(x), by the three-term recurrence (DLMF 18.9.1).

    >>> jacobi_polynomial(2, 0, torch.tensor([0.5]))  # Legendre's (3 x^2 - 1) / 2
    tensor([-0.1250])
    """
    before, last = torch.zeros_like(x), torch.ones_like(x)
    for k in range(degree):
        if k == 0:
            before, last = last, 0.5 * (beta + 2) * x - 0.5 * beta
            continue
        total = 2 * k + beta
        numerator = (total + 1) * ((total + 2) * total * x - beta**2) * last
        numerator = numerator - 2 * k * (k + beta) * (total + 2) * before
        before, last = last, numerator / (2 * (k + 1) * (k + 1 + beta) * total)
    return last


def _taylor(directions: Tensor) -> Functions:
    across, down = directions[..., 0], directions[..., 1]
    degree = 0
    while True:
        degree += 1
        for power in range(degree + 1):
            yield across ** (degree - power) * down**power


FAMILIES: dict[str, Callable[[Tensor], Functions]] = {
    "spherical": _spherical,
    "hemispherical": _hemispherical,
    "fourier": _fourier,
    "jacobi": _jacobi,
    "taylor": _taylor,
}
