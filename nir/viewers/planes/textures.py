"""Textures: what a field of planes says at its texels, before anything is left out.

All values stand at texel centres. Alpha and base colour are rounded to 8 bits at once; coefficients
stay halves until their ranges are known, and may have a coarser picture: a coefficient's texel
covers `coefficient_shrink` texels of the planes along each side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from nir.errors import InputError
from nir.geometry.cameras import Cameras
from nir.geometry.rays import Rays, rays_of_image
from nir.operators.planes import PlaneStack, weights_of_alpha

Basis = Callable[[Tensor], Tensor]
"""Unit viewing directions [n 3] in the reference camera's axes -> values [n basis]."""

RAYS_AT_ONCE = 2**14

COEFFICIENT_SHRINKS = (1, 2, 4)
"""So many texels of a plane along each side may share a texel of coefficients."""


@dataclass(frozen=True, kw_only=True)
class PlaneTextures:
    """A stack of planes as 8-bit pictures; the colour of a plane is that of its group.

    A plane's colour towards direction v is base_colour + Σ_n coefficients_n · H_n(v), clamped to
    [0, 1]; coefficients are taken where the ray meets the group's first plane (`fields.planes`).
    H = mixing applied to the field's own basis; None: they are the same.
    """

    stack: PlaneStack
    alpha: UInt8[np.ndarray, "planes height width"]
    base_colour: UInt8[np.ndarray, "groups height width 3"]
    coefficients: Float16[np.ndarray, "groups basis rows columns 3"]
    coefficient_shrink: int = 1
    mixing: Float[np.ndarray, "field_basis basis"] | None = None

    def __post_init__(self) -> None:
        size = (self.stack.intrinsics.height, self.stack.intrinsics.width)
        coarser = tuple(-(-side // self.coefficient_shrink) for side in size)
        shapes = {
            "alpha": (self.alpha.shape, (self.stack.planes, *size)),
            "base_colour": (self.base_colour.shape, (self.stack.groups, *size, 3)),
            "coefficients": (
                self.coefficients.shape,
                (self.stack.groups, self.basis, *coarser, 3),
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
        """Size of the plain layout: all planes whole, the field's own basis, a byte a number."""
        of_field = self.basis if self.mixing is None else len(self.mixing)
        return self.alpha.size + self.base_colour.size * (1 + of_field)


def to_8_bits(values: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Values in [0, 1] as the nearest of 256 levels."""
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def mixed(basis: Basis, mixing: Float[np.ndarray, "field_basis basis"] | None) -> Basis:
    """A basis of linear combinations of another's functions; `mixing` None: the same."""
    if mixing is None:
        return basis
    matrix = torch.from_numpy(mixing)
    return lambda directions: basis(directions) @ matrix.to(directions)


def grid_of_directions(
    limits: tuple[float, float], size: int, *, device: torch.device | str = "cpu"
) -> Float[Tensor, "rows columns 3"]:
    """Unit directions, (v_x, v_y) from -limits to +limits; v_z follows from unit length, forwards.

    Rows go along v_y.
    """
    across = torch.linspace(-limits[0], limits[0], size, device=device)
    down = torch.linspace(-limits[1], limits[1], size, device=device)
    y, x = torch.meshgrid(down, across, indexing="ij")
    z = (1 - x * x - y * y).clamp_min(0).sqrt()
    return torch.nn.functional.normalize(torch.stack([x, y, z], -1), dim=-1)


@dataclass(frozen=True)
class LargestWeights:
    """The most that anything in a tile contributes to any pixel of some views.

    planes: of a plane's alpha and base colour. groups: of a group's coefficients, which rays take
    where they meet the group's first plane, by the shrink of their picture.
    """

    planes: Float[np.ndarray, "planes rows columns"]
    groups: dict[int, np.ndarray]


@torch.no_grad()
def largest_weights(
    textures: PlaneTextures,
    views: Cameras,
    *,
    tile: int,
    device: torch.device,
    shrinks: tuple[int, ...] = COEFFICIENT_SHRINKS,
) -> LargestWeights:
    """Render the alpha of all views and note, for every tile, its largest weight.

    A tile is `tile` x `tile` cells between texel centres, for coefficients those of their own
    picture.
    """
    stack = textures.stack
    grids = {shrink: tile_grid(picture_size(stack, shrink), tile) for shrink in {1, *shrinks}}
    of_planes = torch.zeros(stack.planes, math.prod(grids[1]), device=device)
    of_groups = {
        shrink: torch.zeros(stack.groups, math.prod(grids[shrink]), device=device)
        for shrink in shrinks
    }
    alpha = torch.from_numpy(textures.alpha).to(device)
    for rays in _all_rays(views, device):
        positions = stack.positions(rays)
        pairs = zip(alpha, positions, strict=True)
        weights = weights_of_alpha(torch.stack([_bilinear(plane, at) for plane, at in pairs]))
        of_planes.scatter_reduce_(1, _tile_index(positions, stack, tile), weights, "amax")
        weights = weights.unflatten(0, (stack.groups, -1)).amax(1)
        firsts = positions[:: stack.planes_per_group]
        for shrink, of_group in of_groups.items():
            of_group.scatter_reduce_(1, _tile_index(firsts, stack, tile, shrink), weights, "amax")
    return LargestWeights(
        of_planes.unflatten(1, grids[1]).cpu().numpy(),
        {s: of_group.unflatten(1, grids[s]).cpu().numpy() for s, of_group in of_groups.items()},
    )


def _all_rays(views: Cameras, device: torch.device) -> Iterator[Rays]:
    for view in range(len(views)):
        rays = rays_of_image(views, view, device=device).flat()
        for first in range(0, len(rays), RAYS_AT_ONCE):
            yield rays[first : first + RAYS_AT_ONCE]


def picture_size(stack: PlaneStack, shrink: int = 1) -> tuple[int, int]:
    """Height and width of a plane's picture, `shrink` texels along each side made one."""
    camera = stack.intrinsics
    return -(-camera.height // shrink), -(-camera.width // shrink)


def tile_grid(size: tuple[int, int], tile: int) -> tuple[int, int]:
    """Rows and columns of tiles that cover all texel centres of a picture (height, width)."""
    rows, columns = (max(1, -(-(side - 1) // tile)) for side in size)
    return rows, columns


def _tile_index(
    positions: Float[Tensor, "planes rays 2"], stack: PlaneStack, tile: int, shrink: int = 1
) -> Tensor:
    """Number of the tile, row after row, that each position (clamped to the picture) lies in."""
    rows, columns = tile_grid(picture_size(stack, shrink), tile)
    last = positions.new_tensor([columns - 1, rows - 1])
    cell = ((positions / shrink - 0.5) / tile).floor().clamp_min(0)
    cell = torch.minimum(cell, last).long()
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
