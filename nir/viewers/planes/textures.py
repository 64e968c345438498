"""Textures: what a field of planes says at its texels, before anything is left out.

All values stand at texel centres. Alpha and base colour are rounded to 8 bits at once; coefficients
stay halves until their ranges are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from nir.errors import InputError
from nir.geometry.cameras import Cameras
from nir.geometry.rays import rays_of_image
from nir.operators.planes import PlaneStack, weights_of_alpha

Basis = Callable[[Tensor], Tensor]
"""Unit viewing directions [n 3] in the reference camera's axes -> values [n basis]."""

RAYS_AT_ONCE = 2**14


@dataclass(frozen=True, kw_only=True)
class PlaneTextures:
    """A stack of planes as 8-bit pictures; the colour of a plane is that of its group.

    A plane's colour towards direction v is base_colour + Σ_n coefficients_n · H_n(v), clamped to
    [0, 1]; coefficients are taken where the ray meets the group's first plane (`fields_planes`).
    """

    stack: PlaneStack
    alpha: UInt8[np.ndarray, "planes height width"]
    base_colour: UInt8[np.ndarray, "groups height width 3"]
    coefficients: Float16[np.ndarray, "groups basis height width 3"]

    def __post_init__(self) -> None:
        size = (self.stack.intrinsics.height, self.stack.intrinsics.width)
        shapes = {
            "alpha": (self.alpha.shape, (self.stack.planes, *size)),
            "base_colour": (self.base_colour.shape, (self.stack.groups, *size, 3)),
            "coefficients": (
                self.coefficients.shape,
                (self.stack.groups, self.basis, *size, 3),
            ),
        }
        for name, (given, expected) in shapes.items():
            if given != expected:
                raise InputError(f"{name} of shape {given}: the stack of planes needs {expected}")

    @property
    def basis(self) -> int:
        """How many basis functions there are."""
        return self.coefficients.shape[1]

    @property
    def plain_bytes(self) -> int:
        """Size of the plain layout: all planes whole, one byte a number."""
        return self.alpha.size + self.base_colour.size + self.coefficients.size


def to_8_bits(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Values in [0, 1] as the nearest of 256 levels."""
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class LargestWeights:
    """The most that anything in a tile contributes to any pixel of some views.

    planes: of a plane's alpha and base colour. groups: of a group's coefficients, which rays take
    where they meet the group's first plane.
    """

    planes: Float[np.ndarray, "planes rows columns"]
    groups: Float[np.ndarray, "groups rows columns"]


@torch.no_grad()
def largest_weights(
    textures: PlaneTextures, views: Cameras, *, tile: int, device: torch.device
) -> LargestWeights:
    """Render the alpha of all views and note, for every tile, its largest weight.

    A tile is `tile` x `tile` cells between texel centres.
    """
    stack = textures.stack
    rows, columns = tile_grid(stack, tile)
    of_planes = torch.zeros(stack.planes, rows * columns, device=device)
    of_groups = torch.zeros(stack.groups, rows * columns, device=device)
    alpha = torch.from_numpy(textures.alpha).to(device)
    for view in range(len(views)):
        rays = rays_of_image(views, view, device=device).flat()
        for first in range(0, len(rays), RAYS_AT_ONCE):
            positions = stack.positions(rays[first : first + RAYS_AT_ONCE])
            sampled = torch.stack(
                [_bilinear(plane, at) for plane, at in zip(alpha, positions, strict=True)]
            )
            weights = weights_of_alpha(sampled)
            index = tile_index(positions, stack, tile)
            of_planes.scatter_reduce_(1, index, weights, "amax")
            weights = weights.unflatten(0, (stack.groups, -1)).amax(1)
            of_groups.scatter_reduce_(1, index[:: stack.planes_per_group], weights, "amax")
    return LargestWeights(
        of_planes.unflatten(1, (rows, columns)).cpu().numpy(),
        of_groups.unflatten(1, (rows, columns)).cpu().numpy(),
    )


def tile_grid(stack: PlaneStack, tile: int) -> tuple[int, int]:
    """Rows and columns of tiles that cover all texel centres of a plane."""
    camera = stack.intrinsics
    return max(1, -(-(camera.height - 1) // tile)), max(1, -(-(camera.width - 1) // tile))


def tile_index(positions: Float[Tensor, "planes rays 2"], stack: PlaneStack, tile: int) -> Tensor:
    """Number of the tile, row after row, that each position (clamped to the picture) lies in."""
    rows, columns = tile_grid(stack, tile)
    last = positions.new_tensor([columns - 1, rows - 1])
    cell = torch.minimum(((positions - 0.5) / tile).floor().clamp_min(0), last).long()
    return cell[..., 1] * columns + cell[..., 0]


def _bilinear(picture: Tensor, positions: Tensor) -> Tensor:
    """Samples [rays] of an 8-bit picture in [0, 1]; 0 beside it."""
    size = positions.new_tensor([picture.shape[1], picture.shape[0]])
    grid = positions * (2 / size) - 1
    inside = (grid.abs().amax(-1) <= 1).to(grid.dtype)
    sampled = torch.nn.functional.grid_sample(
        picture[None, None].to(grid.dtype) / 255,
        grid[None, None],
        padding_mode="border",
        align_corners=False,
    )
    return sampled[0, 0, 0] * inside
