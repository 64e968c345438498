"""Ensembles: many small networks of one architecture, trained side by side as batched tensors.

A *member* is one network with its own initial weights, frequencies and signal. Weights carry the
member as their first axis, so that a layer of all members is one batched matrix product. An
ensemble is the field of a task like any other, trained by the one training loop: the task sums the
loss over members, which makes every member's gradient, and its whole training, what it would be
alone (the optimisers work element by element). Members are initialised each from its own seed, so
that results do not depend on how members are grouped. Defaults are those of Fourier Features'
Experiments/1d_scatter_plots.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.errors import InputError, unknown_name

Loss = Literal["half_sum", "half_mean", "mean"]


class Ensemble(nn.Module):
    """ReLU networks behind each its own Fourier features, evaluated together.

    wave_vectors: radians per unit ([members, m, d]; 2 pi times the frequencies); None leaves the
    coordinates as they are. amplitudes: [members, m], ones when left out. linear_maps counts all
    layers with weights.
    """

    wave_vectors: Tensor | None
    amplitudes: Tensor | None

    def __init__(
        self,
        *,
        seeds: Sequence[int],
        wave_vectors: Float[Tensor, "members m d"] | None,
        amplitudes: Float[Tensor, "members m"] | None = None,
        dimensions: int = 1,
        outputs: int = 1,
        width: int = 256,
        linear_maps: int = 4,
    ) -> None:
        super().__init__()
        if wave_vectors is not None and len(wave_vectors) != len(seeds):
            raise InputError(
                f"{len(seeds)} seeds for {len(wave_vectors)} sets of frequencies; give one each"
            )
        self.members = len(seeds)
        self.register_buffer("wave_vectors", wave_vectors)
        self.register_buffer("amplitudes", amplitudes)
        self.inputs = dimensions if wave_vectors is None else 2 * wave_vectors.shape[1]
        sizes = [self.inputs, *[width] * (linear_maps - 1), outputs]
        weights = _member_weights(seeds, sizes)
        self.weights = nn.ParameterList(nn.Parameter(w) for w in weights)
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(self.members, 1, size)) for size in sizes[1:]
        )

    def encode(
        self, coordinates: Float[Tensor, "*members points d"]
    ) -> Float[Tensor, "all points features"]:
        """[a sin(k.v), a cos(k.v)] of each member, at shared or own coordinates.

        A fixed data set needs it once, not once a step.
        """
        points = coordinates.expand(self.members, *coordinates.shape[-2:])
        if self.wave_vectors is None:
            return points
        phases = torch.bmm(points, self.wave_vectors.mT)
        encoded = torch.cat([torch.sin(phases), torch.cos(phases)], dim=-1)
        if self.amplitudes is None:
            return encoded
        return encoded * torch.cat([self.amplitudes, self.amplitudes], dim=-1)[:, None, :]

    def evaluate(
        self, encoded: Float[Tensor, "all points features"]
    ) -> Float[Tensor, "all points outputs"]:
        """Apply the networks to encoded coordinates."""
        hidden = encoded
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.relu_(torch.baddbmm(bias, hidden, weight))
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1])

    def forward(
        self, coordinates: Float[Tensor, "*members points d"]
    ) -> Float[Tensor, "all points outputs"]:
        """Values of all members at coordinates [points, d] or [members, points, d]."""
        return self.evaluate(self.encode(coordinates))


def _member_weights(seeds: Sequence[int], sizes: Sequence[int]) -> list[Tensor]:
    """Weights N(0, 1 / fan_in) [members, in, out], each member drawn from its own seed.

    neural_tangents' stax.Dense with W_std = 1, b_std = 0, which the notebook uses (biases zero).
    """
    shapes = list(itertools.pairwise(sizes))
    weights = [torch.empty(len(seeds), *shape) for shape in shapes]
    for member, seed in enumerate(seeds):
        generator = Generator().manual_seed(seed)
        for weight, (fan_in, _) in zip(weights, shapes, strict=True):
            weight[member].normal_(0, 1 / math.sqrt(fan_in), generator=generator)
    return weights


def member_losses(
    predictions: Float[Tensor, "members points c"],
    targets: Float[Tensor, "members points c"],
    loss: Loss = "half_sum",
) -> Float[Tensor, " members"]:
    """1/2 sum, 1/2 mean or mean of the squared error of each member."""
    squared = (predictions - targets).square()
    if loss == "half_sum":
        return squared.sum((1, 2)) / 2
    if loss not in ("half_mean", "mean"):
        raise unknown_name("loss", loss, ("half_sum", "half_mean", "mean"))
    return squared.mean((1, 2)) * (0.5 if loss == "half_mean" else 1.0)
