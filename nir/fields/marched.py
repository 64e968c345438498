"""Scene representation networks: features of points, found on each ray by a learned march.

A **marcher** walks along a ray: it reads the feature at its point and decides how far to go on,
remembering the way. The feature where it ends becomes the ray's one colour; nothing is added up
along the ray, and nothing depends on the viewing direction but the place that is found.
Sitzmann, Zollhöfer and Wetzstein, NeurIPS 2019; vsitzmann/scene-representation-networks.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

LARGEST_GRADIENT = 10.0
"""Of each number of the marcher's memory, in every step (custom_layers.py, Raymarcher)."""


class NormalisedMLP(nn.Module):
    """Linear maps, each followed by layer normalisation and a rectifier.

    `outputs` None leaves it at `layers` such layers; otherwise a linear map follows them. Weights
    start as He et al. have it, biases as PyTorch's (pytorch_prototyping.py, FCBlock).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        layers: int,
        outputs: int | None = None,
        *,
        generator: Generator,
    ) -> None:
        super().__init__()
        sizes = [inputs] + [width] * layers
        parts: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):  # nn.Linear draws numbers, which are not kept
            for into in sizes[:-1]:
                parts += [nn.Linear(into, width), nn.LayerNorm(width), nn.ReLU()]
            if outputs is not None:
                parts.append(nn.Linear(width, outputs))
        self.layers = nn.Sequential(*parts)
        for part in parts:
            if isinstance(part, nn.Linear):
                _fill(part, generator)

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Evaluate the network."""
        return self.layers(x)


@torch.no_grad()
def _fill(linear: nn.Linear, generator: Generator) -> None:
    weight, bias = linear.weight, linear.bias
    weight.copy_(torch.randn(weight.shape, generator=generator) * math.sqrt(2 / weight.shape[1]))
    bound = 1 / math.sqrt(weight.shape[1])
    bias.copy_(torch.empty(bias.shape).uniform_(-bound, bound, generator=generator))


class RecurrentMarcher(nn.Module):
    """An LSTM that reads the feature of a point and says how far along the ray the next one lies.

    The forget gates start open, with biases of one; all other numbers as PyTorch's.
    """

    def __init__(self, features: int, units: int = 16, *, generator: Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.memory = nn.LSTMCell(features, units)
            self.step = nn.Linear(units, 1)
        bound = 1 / math.sqrt(units)
        with torch.no_grad():
            for parameter in self.parameters():
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)
            for bias in (self.memory.bias_ih, self.memory.bias_hh):
                bias[units : 2 * units] = 1.0

    def forward(
        self, feature: Float[Tensor, "rays features"], state: tuple[Tensor, Tensor] | None
    ) -> tuple[Float[Tensor, " rays"], tuple[Tensor, Tensor]]:
        """The length of the next step, in units of the ray's parameter, and the new state."""
        hidden, cell = self.memory(feature, state)
        if hidden.requires_grad:
            hidden.register_hook(lambda g: g.clamp(-LARGEST_GRADIENT, LARGEST_GRADIENT))
        return self.step(hidden)[:, 0], (hidden, cell)


class MarchedField(nn.Module):
    """Features, marcher and colours of one scene (srns.py, SRNsModel with fit_single_srn)."""

    def __init__(
        self, *, width: int = 256, marching_steps: int = 10, units: int = 16, generator: Generator
    ) -> None:
        super().__init__()
        self.marching_steps = marching_steps
        self.features = NormalisedMLP(3, width, 4, generator=generator)
        self.marcher = RecurrentMarcher(width, units, generator=generator)
        self.colour = NormalisedMLP(width, width, 5, 3, generator=generator)

    def forward(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        start: Float[Tensor, " rays"],
    ) -> tuple[Float[Tensor, "rays 3"], Float[Tensor, " rays"]]:
        """Colours (linear, mostly in [0, 1]) and where along the rays they were found.

        start: the ray parameter t at which each march begins; one unit is one |direction|.
        """
        depth, state = start, None
        for _ in range(self.marching_steps):
            feature = self.features(origins + depth[:, None] * directions)
            # The state is carried through all steps, which half precision would blur.
            with torch.autocast(origins.device.type, enabled=False):
                step, state = self.marcher(feature.float(), state)
            depth = depth + step
        found = self.features(origins + depth[:, None] * directions)
        # The code's pictures lie in [-1, 1].
        return 0.5 + 0.5 * self.colour(found).float(), depth
