"""Auto-decoders: one network for many shapes, each with a code that is learned beside it.

DeepSDF's decoder (section 4; networks/deep_sdf_decoder.py) takes a code and a point and gives a
number, positive outside. Points are [shapes points 3], codes [shapes code]: what the layers make of
a code is computed once a shape, not once a point.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F


class WeightNormalised(nn.Module):
    """A linear map whose weight is g v / |v|, row by row (Salimans and Kingma 2016).

    >>> layer = WeightNormalised(3, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(layer.weight().norm(dim=1), layer.gain[:, 0]))
    True
    """

    def __init__(self, inputs: int, outputs: int, *, generator: Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)  # torch.nn.Linear's default, which the released code keeps
        direction = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator)
        self.direction = nn.Parameter(direction)
        self.gain = nn.Parameter(direction.norm(dim=1, keepdim=True))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound, generator=generator))

    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weight that is applied."""
        return self.direction * (self.gain / self.direction.norm(dim=1, keepdim=True))


class DeepSdfDecoder(nn.Module):
    """From a code and points to signed distances, or to any number with their sign.

    layers: hidden ones, all weight-normalised, with ReLU and dropout. The whole input enters
    again, beside the output of the layer before, at layer `skip` (counted from 0), which is so
    much narrower. bounded: a tanh at the end, as the released code always applies.
    """

    def __init__(
        self,
        code_size: int,
        *,
        width: int = 512,
        layers: int = 8,
        skip: int = 4,
        dropout: float = 0.2,
        bounded: bool = True,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.code_size, self.skip, self.dropout, self.bounded = code_size, skip, dropout, bounded
        inputs = code_size + 3
        self.hidden = nn.ModuleList()
        for number in range(layers):
            ahead = inputs if number == 0 else width
            behind = width - inputs if number + 1 == skip else width
            self.hidden.append(WeightNormalised(ahead, behind, generator=generator))
        bound = 1 / math.sqrt(width)
        self.last_weight = nn.Parameter(
            torch.empty(1, width).uniform_(-bound, bound, generator=generator)
        )
        self.last_bias = nn.Parameter(torch.empty(1).uniform_(-bound, bound, generator=generator))

    def forward(
        self, codes: Float[Tensor, "shapes code"], points: Float[Tensor, "shapes points 3"]
    ) -> Float[Tensor, "shapes points"]:
        """Evaluate; dropout only while the module is in training mode, with torch's generator."""
        x = points
        for number, layer in enumerate(self.hidden):
            weight = layer.weight()
            if number in (0, self.skip):
                x = self._with_code(weight, layer.bias, codes, points, None if number == 0 else x)
            else:
                x = F.linear(x, weight, layer.bias)
            x = torch.relu(x)
            if self.training and self.dropout > 0:
                x = F.dropout(x, self.dropout)
        value = F.linear(x, self.last_weight, self.last_bias)[..., 0]
        return torch.tanh(value) if self.bounded else value

    def _with_code(
        self, weight: Tensor, bias: Tensor, codes: Tensor, points: Tensor, before: Tensor | None
    ) -> Tensor:
        """W [before, code, point] + b, the code's part computed once a shape."""
        start = 0 if before is None else before.shape[-1]
        of_code = F.linear(codes, weight[:, start : start + self.code_size], bias)
        found = F.linear(points, weight[:, start + self.code_size :]) + of_code[:, None]
        return found if before is None else found + F.linear(before, weight[:, :start])


class AutoDecoder(nn.Module):
    """A decoder and the codes of the shapes it is trained on; codes start as N(0, deviation²)."""

    def __init__(
        self, decoder: DeepSdfDecoder, shapes: int, *, deviation: float, generator: Generator
    ) -> None:
        super().__init__()
        self.decoder = decoder
        start = torch.randn(shapes, decoder.code_size, generator=generator)
        self.codes = nn.Parameter(deviation * start)

    def forward(
        self, shapes: Tensor, points: Float[Tensor, "shapes points 3"]
    ) -> Float[Tensor, "shapes points"]:
        """Evaluate trained shapes, given by their indices."""
        return self.decoder(self.codes[shapes], points)

    @torch.no_grad()
    def bound_codes(self, bound: float) -> None:
        """Shorten codes longer than `bound` (the released code: max_norm of the embedding)."""
        length = self.codes.norm(dim=1, keepdim=True)
        self.codes.mul_(torch.clamp(bound / length.clamp_min(1e-12), max=1.0))
