"""NeRF's network: from encoded positions and viewing directions to raw colour and density.

*Raw* means before the sigmoid of colours and the rectifier of densities. The **trunk** sees the
position alone; density comes from it directly, colour through the **view branch**, which sees the
direction too. NeRF section 3 and appendix A; bmild/nerf:run_nerf_helpers.py, init_nerf_model.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F


class RadianceNetwork(nn.Module):
    """Eight layers with a skip connection, then one layer that sees the viewing direction.

    After layer `skip` (counted from 0) the encoded position is put in front of the activations
    again. `direction_features` 0 leaves the view branch out: colour and density are one linear map
    of the trunk. At 63 and 27 features and 256 units there are 595,844 parameters.

    initialisation: "glorot_uniform" with zero biases is Keras' default (the released results);
    "pytorch" that of nerf-pytorch.
    """

    def __init__(
        self,
        position_features: int,
        direction_features: int,
        *,
        width: int = 256,
        depth: int = 8,
        skip: int = 4,
        initialisation: str = "glorot_uniform",
        generator: Generator,
    ) -> None:
        super().__init__()
        self.position_features = position_features
        self.skip = skip
        inputs = [position_features] + [width] * (depth - 1)
        if skip + 1 < depth:
            inputs[skip + 1] += position_features
        self.trunk = nn.ModuleList(nn.Linear(count, width) for count in inputs)
        self.has_view_branch = direction_features > 0
        if self.has_view_branch:
            self.density = nn.Linear(width, 1)
            self.feature = nn.Linear(width, width)
            self.view = nn.Linear(width + direction_features, width // 2)
            self.colour = nn.Linear(width // 2, 3)
        else:
            self.output = nn.Linear(width, 4)
        self.initialise(initialisation, generator)

    @torch.no_grad()
    def initialise(self, name: str, generator: Generator) -> None:
        """Fill all parameters anew; everything random comes from `generator` (on the CPU)."""
        for module in self.modules():
            if not isinstance(module, nn.Linear):
                continue
            fan_in, fan_out = module.in_features, module.out_features
            is_glorot = name == "glorot_uniform"
            bound = math.sqrt(6 / (fan_in + fan_out)) if is_glorot else 1 / math.sqrt(fan_in)
            for parameter in (module.weight, module.bias):
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)
            if is_glorot:
                module.bias.zero_()

    def forward(
        self,
        positions: Float[Tensor, "*batch features"],
        directions: Float[Tensor, "#*batch others"] | None,
    ) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
        """Raw colour and raw density; directions may broadcast ([rays 1 ...] for one a ray)."""
        hidden = self._trunk(positions)
        if not self.has_view_branch:
            output = self.output(hidden)
            return output[..., :3], output[..., 3]
        return self._colour(hidden, directions), self.density(hidden)[..., 0]

    def density_of(self, positions: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch"]:
        """Raw density alone, which no direction changes."""
        hidden = self._trunk(positions)
        return self.density(hidden)[..., 0] if self.has_view_branch else self.output(hidden)[..., 3]

    def _trunk(self, positions: Tensor) -> Tensor:
        hidden = F.relu(self.trunk[0](positions))
        for depth, layer in enumerate(self.trunk[1:], start=1):
            if depth == self.skip + 1:
                hidden = torch.cat([positions, hidden], dim=-1)
            hidden = F.relu(layer(hidden))
        return hidden

    def _colour(self, hidden: Tensor, directions: Tensor) -> Tensor:
        """The view branch, with two products saved that are the same function.

        The feature layer is linear and read by the view layer alone, so both are one matrix; and
        a ray's direction is multiplied once a ray, not once a sample.
        """
        width = self.feature.out_features
        of_feature, of_direction = self.view.weight[:, :width], self.view.weight[:, width:]
        weight = of_feature @ self.feature.weight
        bias = F.linear(self.feature.bias, of_feature, self.view.bias)
        per_ray = F.linear(directions, of_direction)
        return self.colour(F.relu(F.linear(hidden, weight, bias) + per_ray))
