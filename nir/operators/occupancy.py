"""Empty space: a grid that knows where a density field is nought, so that nobody asks there.

The grid is made from the density itself, after training. Rendering with it
(`operators.volume.render_rays`) evaluates a field only in occupied cells, and along each ray only
until nothing behind can be seen any more; what is skipped counts as density 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from nir.errors import InputError
from nir.geometry.rays import Rays

Density = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]


@dataclass(frozen=True)
class OccupancyGrid:
    """Which cells of the box from `lower` to `upper` hold anything; outside it nothing does.

    corner_density: the density, not negative, at the corners of the cells.
    """

    lower: Float[Tensor, " 3"]
    upper: Float[Tensor, " 3"]
    cells: Bool[Tensor, "x y z"]
    corner_density: Float[Tensor, "corners_x corners_y corners_z"]

    @classmethod
    def from_density(
        cls,
        density: Density,
        lower: Float[Tensor, " 3"],
        upper: Float[Tensor, " 3"],
        *,
        resolution: int = 128,
        absorbed_at_most: float = 1e-2,
        points_at_once: int = 2**17,
    ) -> OccupancyGrid:
        """Evaluate a density field on a grid.

        A first, four times coarser grid finds the part of the box that holds anything; there the
        field is asked at the corners and the centres of `resolution`³ cells. A cell is occupied
        where any of these points, in it or in a neighbour, is denser than a haze that would fill
        the whole box and absorb `absorbed_at_most` of the light that crosses it.
        """
        if not bool((lower < upper).all()):
            raise InputError(f"box from {lower.tolist()} to {upper.tolist()}: it has no inside")
        limit = absorbed_at_most / float(torch.linalg.vector_norm(upper - lower))
        coarser = max(8, resolution // 4)
        first = cls(lower, upper, *_asked(density, lower, upper, coarser, limit, points_at_once))
        if not bool(first.cells.any()):
            return first
        lower, upper = _box_of_cells(first.cells, lower, upper)
        return cls(lower, upper, *_asked(density, lower, upper, resolution, limit, points_at_once))

    @property
    def occupied_share(self) -> float:
        """The share of the cells that hold something."""
        return float(self.cells.float().mean())

    def contains(self, points: Float[Tensor, "*batch 3"]) -> Bool[Tensor, "*batch"]:
        """Whether points lie in occupied cells."""
        size = torch.tensor(self.cells.shape, device=points.device)
        within = (points - self.lower) / (self.upper - self.lower) * size
        inside = ((within >= 0) & (within < size)).all(-1)
        x, y, z = torch.minimum(within.long().clamp_min(0), size - 1).unbind(-1)
        return inside & self.cells[x, y, z]

    def density_at(self, points: Float[Tensor, "rays samples 3"]) -> Float[Tensor, "rays samples"]:
        """The density as the grid remembers it: linear between corners, nought outside."""
        # grid_sample's axes are reversed: its first coordinate runs along the last axis.
        within = 2 * (points - self.lower) / (self.upper - self.lower) - 1
        found = F.grid_sample(
            self.corner_density[None, None], within.flip(-1)[None, None], align_corners=True
        )
        inside = (within.abs() <= 1).all(-1)
        return found[0, 0, 0] * inside

    def to(self, device: torch.device | str) -> OccupancyGrid:
        """The same grid on another device."""
        parts = (self.lower, self.upper, self.cells, self.corner_density)
        return OccupancyGrid(*(part.to(device) for part in parts))


class OccupancyGrids(NamedTuple):
    """A grid for each pass of NeRF: what one field holds, the other may know to be empty."""

    coarse: OccupancyGrid
    fine: OccupancyGrid


def box_of_rays(
    rays: Rays, near: float, far: float
) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """The smallest box along the axes that holds all rays between near and far, slightly grown."""
    ends = torch.tensor([near, far], dtype=rays.origins.dtype, device=rays.origins.device)
    points = rays.points(ends.expand(*rays.shape, 2)).reshape(-1, 3)
    lower, upper = points.amin(0), points.amax(0)
    margin = 1e-3 * (upper - lower) + 1e-6
    return lower - margin, upper + margin


def _asked(
    density: Density,
    lower: Tensor,
    upper: Tensor,
    resolution: int,
    limit: float,
    points_at_once: int,
) -> tuple[Bool[Tensor, "x y z"], Float[Tensor, "corners_x corners_y corners_z"]]:
    """Occupied cells, and the density at their corners."""
    corners = _lattice(lower, upper, resolution + 1, 0.0)
    centres = _lattice(lower, upper, resolution, 0.5)
    at_corners = _on_lattice(density, corners, points_at_once)
    at_centres = _on_lattice(density, centres, points_at_once)
    holding = (at_centres > limit) | _grown(at_corners > limit, 2, padding=0)
    return _grown(holding, 3), at_corners


def _box_of_cells(
    cells: Bool[Tensor, "x y z"], lower: Tensor, upper: Tensor
) -> tuple[Float[Tensor, " 3"], Float[Tensor, " 3"]]:
    """The box around all occupied cells."""
    size = torch.tensor(cells.shape, device=lower.device)
    marked = cells.nonzero()
    edge = (upper - lower) / size
    return lower + marked.amin(0) * edge, lower + (marked.amax(0) + 1) * edge


def _lattice(lower: Tensor, upper: Tensor, count: int, offset: float) -> list[Tensor]:
    """Coordinates of a regular lattice, an axis each: cell corners (0) or cell centres (0.5)."""
    steps = torch.arange(count, dtype=lower.dtype, device=lower.device) + offset
    cells = count if offset else count - 1
    return [lower[axis] + (upper[axis] - lower[axis]) * steps / cells for axis in range(3)]


@torch.no_grad()
def _on_lattice(
    density: Density, axes: list[Tensor], points_at_once: int
) -> Float[Tensor, "x y z"]:
    """The density, not negative, at all points of a lattice."""
    shape = [len(axis) for axis in axes]
    slab = max(1, points_at_once // (shape[1] * shape[2]))
    found = []
    for xs in axes[0].split(slab):
        grid = torch.meshgrid(xs, axes[1], axes[2], indexing="ij")
        points = torch.stack(grid, dim=-1).reshape(-1, 3)
        found.append(torch.relu(density(points)).reshape(len(xs), *shape[1:]))
    return torch.cat(found)


def _grown(cells: Bool[Tensor, "x y z"], width: int, padding: int = 1) -> Bool[Tensor, "a b c"]:
    """Maximum over windows of `width` cells: 3 with padding marks the neighbours of the marked."""
    pooled = F.max_pool3d(cells[None, None].float(), width, stride=1, padding=padding)
    return pooled[0, 0] > 0
