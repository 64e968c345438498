"""Grids: explicit twins of a field, queried by the same call.

Samples stand at the nodes of a regular grid; a query is interpolated between them and clamped
to the outermost nodes beyond.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

KERNEL_RADIUS = {"nearest": 1, "bilinear": 1, "bicubic": 2, "lanczos": 3}


class PixelGrid(nn.Module):
    """An image as trainable samples on a regular grid over [low, high] in (row, column) order.

    Node i of n along an axis stands at low + i (high - low) / (n - 1).

    interpolation: "nearest", "bilinear", "bicubic" (Keys, a = -1/2) or "lanczos" (a = 3).

    >>> grid = PixelGrid(torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]]), low=0.0, high=1.0)
    >>> grid(torch.tensor([[0.5, 0.5]])).item()
    1.5
    """

    def __init__(
        self,
        samples: Float[Tensor, "height width channels"],
        *,
        low: float,
        high: float | tuple[float, float],
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        self.samples = nn.Parameter(samples.clone())
        self.interpolation = interpolation
        highs = high if isinstance(high, tuple) else (high, high)
        sizes = torch.tensor(samples.shape[:2])
        self.register_buffer("low", torch.tensor([low, low]))
        self.register_buffer("nodes_per_unit", (sizes - 1) / (torch.tensor(highs) - low))
        self.register_buffer("last_node", sizes - 1)

    def forward(self, coordinates: Float[Tensor, "points 2"]) -> Float[Tensor, "points channels"]:
        """Interpolate at `coordinates` (row, column)."""
        position = (coordinates - self.low) * self.nodes_per_unit
        rows, row_weights = self._taps(position[:, 0], self.last_node[0])
        columns, column_weights = self._taps(position[:, 1], self.last_node[1])
        values = self.samples[rows[:, :, None], columns[:, None, :]]
        return torch.einsum("prkc,pr,pk->pc", values, row_weights, column_weights)

    def _taps(self, position: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes that contribute along one axis, and their normalised weights."""
        radius = KERNEL_RADIUS[self.interpolation]
        offsets = torch.arange(1 - radius, radius + 1, device=position.device)
        nodes = position.floor().long()[:, None] + offsets
        weights = _kernel(self.interpolation, position[:, None] - nodes)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return torch.minimum(nodes.clamp(min=0), last), weights


def _kernel(interpolation: str, distance: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
    x = distance.abs()
    if interpolation == "nearest":
        return ((distance >= -0.5) & (distance < 0.5)).to(distance.dtype)
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0)
    if interpolation == "bicubic":
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


class Lattice(nn.Module):
    """A field as one free number a sample and channel, on the regular grid k / n of [0, 1)^d.

    A query reads the nearest sample, so that a query of the grid itself is that sample. Values
    pass through a sigmoid and start at 1/2, as the explicit baselines of Fourier Features'
    notebooks 2d_CT and 3d_MRI are sigmoids of free parameters.
    """

    def __init__(self, shape: tuple[int, ...], channels: int = 1) -> None:
        super().__init__()
        self.samples = nn.Parameter(torch.zeros(*shape, channels))
        self.register_buffer("shape", torch.tensor(shape))

    def forward(self, coordinates: Float[Tensor, "points d"]) -> Float[Tensor, "points channels"]:
        """Read the nearest samples; coordinates follow the order of the axes."""
        index = torch.round(coordinates * self.shape).long() % self.shape
        return torch.sigmoid(self.samples[tuple(index.unbind(-1))])
