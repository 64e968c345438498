"""Networks that make explicit shapes from a code: voxels, points, deformed patches and spheres.

The baselines of Occupancy Networks, each with the encoder that all methods share. Voxel grids are
[shapes, x, y, z] of logits; point sets are [shapes, points, 3] in the unit cube.
"""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.networks.occupancy import start_like_pytorch


class VoxelDecoder(nn.Module):
    """3D-R2N2's decoder for one view: transposed convolutions from 4³ to 32³.

    im2mesh/r2n2/models/decoder.py; width 32 gives its channels 256, 128, 64, 32.
    """

    def __init__(self, *, code_size: int = 256, width: int = 32, generator: Generator) -> None:
        super().__init__()
        channels = (8 * width, 4 * width, 2 * width, width)
        self.first = nn.Linear(code_size, channels[0] * 4**3)
        self.layers = nn.ModuleList(
            nn.ConvTranspose3d(i, o, 3, stride=2, padding=1, output_padding=1)
            for i, o in itertools.pairwise(channels)
        )
        self.last = nn.Conv3d(width, 1, 1)
        start_like_pytorch(self, generator)

    def forward(self, code: Float[Tensor, "shapes c"]) -> Float[Tensor, "shapes x y z"]:
        """Logits of voxels being occupied."""
        x = self.first(code).unflatten(1, (-1, 4, 4, 4))
        for layer in self.layers:
            x = layer(torch.relu(x))
        return self.last(torch.relu(x))[:, 0]


class PointSetDecoder(nn.Module):
    """PSGN's fully connected decoder (im2mesh/psgn/models/decoder.py): 1024 points."""

    def __init__(
        self, *, code_size: int = 256, width: int = 512, points: int = 1024, generator: Generator
    ) -> None:
        super().__init__()
        sizes = [code_size, width, width, width]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(sizes))
        self.last = nn.Linear(width, 3 * points)
        start_like_pytorch(self, generator)

    def forward(self, code: Float[Tensor, "shapes c"]) -> Float[Tensor, "shapes points 3"]:
        """Points on the surface."""
        x = code
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.last(x).unflatten(1, (-1, 3))


class PatchDecoder(nn.Module):
    """AtlasNet: `patches` networks, each bends its own template into space (Groueix et al. 2018).

    template_size: 2 for squares, 3 for a sphere. Each network sees a template's points beside the
    code, with widths w, w/2, w/4 where w = code + template, batch-normalised, and a tanh at the
    end. All are evaluated together.
    """

    def __init__(
        self, *, code_size: int = 1024, patches: int = 25, template_size: int, generator: Generator
    ) -> None:
        super().__init__()
        width = code_size + template_size
        sizes = [width, width, width // 2, width // 4]
        self.patches = patches
        self.layers = nn.ModuleList(
            PatchwiseLinear(patches, i, o, generator=generator)
            for i, o in itertools.pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(patches * size) for size in sizes[1:])
        self.last = PatchwiseLinear(patches, sizes[-1], 3, generator=generator)

    def forward(
        self, code: Float[Tensor, "shapes c"], template: Float[Tensor, "patches points t"]
    ) -> Float[Tensor, "shapes all_points 3"]:
        """Points of all patches, one patch after the other."""
        shapes, points = len(code), template.shape[1]
        codes = code[None, :, None].expand(self.patches, -1, points, -1)
        places = template[:, None].expand(-1, shapes, -1, -1)
        x = torch.cat([places, codes], dim=-1).flatten(1, 2)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.relu(_normalised(norm, layer(x)))
        x = torch.tanh(self.last(x)).unflatten(1, (shapes, points))
        return x.transpose(0, 1).flatten(1, 2)


class PatchwiseLinear(nn.Module):
    """A linear map of its own for each patch; starts as torch's."""

    def __init__(self, patches: int, inputs: int, outputs: int, *, generator: Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        draw = torch.rand(patches, inputs + 1, outputs, generator=generator) * 2 * bound - bound
        self.weight = nn.Parameter(draw[:, :-1].clone())
        self.bias = nn.Parameter(draw[:, -1:].clone())

    def forward(self, x: Float[Tensor, "patches rows i"]) -> Float[Tensor, "patches rows o"]:
        """Apply each patch's map to its rows."""
        return torch.baddbmm(self.bias, x, self.weight)


def _normalised(norm: nn.BatchNorm1d, x: Float[Tensor, "p rows w"]) -> Float[Tensor, "p rows w"]:
    """Batch normalisation of each patch's features over its own rows."""
    patches, rows, width = x.shape
    flat = norm(x.transpose(0, 1).reshape(rows, patches * width))
    return flat.reshape(rows, patches, width).transpose(0, 1)
