"""Draw baked planes with PyTorch: what the browser's shader does, on a CPU or a GPU.

Planes are gone through near to far. Only positions in a kept tile are sampled, and only while
light still arrives; the same `LEAST_TRANSMITTANCE` stands in the shader.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.rays import Rays, rays_of_image
from nir.operators.planes import PlaneStack
from nir.viewers.planes.baked import COEFFICIENT_ZERO, BakedPlanes, BasisTable
from nir.viewers.planes.textures import Basis, mixed, picture_size, tile_grid

LEAST_TRANSMITTANCE = 1 / 512
"""A ray ends when less light is left than half a level of 8 bits."""

PLANES_AT_ONCE = 16
RAYS_AT_ONCE = {"cpu": 2**14, "cuda": 2**18}


@dataclass(frozen=True)
class Atlas:
    """Slots of (tile + 1)² texels on pages, as a list of texels."""

    texels: Tensor
    """[texels] or [texels channels], 8 bits."""
    width: int
    page: int
    """Texels of one page."""
    columns: int
    per_page: int
    firsts: Tensor
    """The first texel of each slot."""

    @classmethod
    def of_pages(cls, pages: Tensor, side: int) -> Atlas:
        """From [pages height width ...]."""
        count, height, width = pages.shape[:3]
        columns, rows = width // side, height // side
        slots = torch.arange(count * rows * columns, device=pages.device)
        page, within = slots // (rows * columns), slots % (rows * columns)
        corners = within // columns * (side * width) + within % columns * side
        return cls(
            texels=pages.flatten(0, 2),
            width=width,
            page=height * width,
            columns=columns,
            per_page=rows * columns,
            firsts=page * (height * width) + corners,
        )

    def sample(self, slots: Tensor, local: Tensor, side: int) -> Tensor:
        """Bilinear levels [n ...] at positions `local` [n 2], counted in texel centres."""
        corner = local.floor().clamp_(0, side - 2)
        across, down = (local - corner).unbind(-1)
        column, row = corner.long().unbind(-1)
        first = self.firsts.index_select(0, slots) + row * self.width + column
        if self.texels.ndim == 2:
            across, down = across[:, None], down[:, None]
        top = torch.lerp(self._at(first), self._at(first + 1), across)
        first = first + self.width
        return torch.lerp(top, torch.lerp(self._at(first), self._at(first + 1), across), down)

    def _at(self, index: Tensor) -> Tensor:
        return self.texels.index_select(0, index).float()


class BakedRenderer:
    """Draws views of baked planes on one device.

    basis: None looks the basis up in its table (fully baked); the field's own basis is evaluated
    for every ray instead, as where the basis network runs live. fused: one kernel for all planes;
    None uses it on a GPU where Triton is.
    """

    def __init__(
        self,
        baked: BakedPlanes,
        *,
        device: torch.device | str,
        basis: Basis | None = None,
        fused: bool | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.fused = has_triton(self.device) if fused is None else fused
        self.baked, self.side = baked, baked.tile + 1
        self.basis = mixed(basis, baked.mixing) if basis else self._look_up
        self.tiles = self._tensor(baked.tiles.astype(np.int32))
        self.alpha_slots, self.base_slots = self.tiles.long().flatten(0, 2).T.contiguous()
        tiles_of_plane = baked.tiles[0, ..., 0].size if len(baked.tiles) else 0
        self.first_tiles = torch.arange(len(baked.tiles), device=self.device) * tiles_of_plane
        self.coefficient_tiles = self._tensor(
            baked.coefficient_tiles.astype(np.int32).reshape(baked.stack.groups, -1)
        )
        self.alpha = self._atlas(baked.alpha_pages)
        self.base = self._atlas(baked.base_pages)
        texels = np.moveaxis(baked.coefficient_pages, 1, 3)
        self.coefficients = self._atlas(texels.reshape(*texels.shape[:3], 4 * texels.shape[3]))
        depths = np.stack([baked.depths, baked.first_depths], axis=1)
        self.about_planes = self._tensor(1 / depths).float()
        self.inverse_depths = self.about_planes[:, 0].contiguous()
        firsts = baked.stack.depths[:: baked.stack.planes_per_group]
        self.inverse_depths_of_groups = self._tensor(1 / firsts).float()
        self.groups = self._tensor(baked.groups)
        self.scales = self._tensor(baked.coefficient_scales).float()
        self.table = self._tensor(basis_values(baked.basis_table)).float()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _atlas(self, pages: np.ndarray) -> Atlas:
        return Atlas.of_pages(self._tensor(pages), self.side)

    @torch.no_grad()
    def render(
        self,
        camera_to_world: Float[np.ndarray, "4 4"],
        image: Intrinsics,
        *,
        planes: int | None = None,
        basis_functions: int | None = None,
        rays_at_once: int | None = None,
    ) -> Float[Tensor, "height width 3"]:
        """The view of a camera, in [0, 1] on black, on the renderer's device.

        planes: so many of the nearest are drawn (None: all). basis_functions: so many of the basis
        are used (None: all; 0: base colours alone).
        """
        rays = rays_of_image(Cameras(camera_to_world[None], image), 0, device=self.device).flat()
        size = rays_at_once or (2**22 if self.fused else RAYS_AT_ONCE[self.device.type])
        parts = [
            self._render(rays[first : first + size], planes, basis_functions)
            for first in range(0, len(rays), size)
        ]
        return torch.cat(parts).reshape(image.height, image.width, 3)

    def _render(self, rays: Rays, planes: int | None, basis_functions: int | None) -> Tensor:
        stack = self.baked.stack
        origins, directions = stack.in_reference_axes(rays)
        basis = self.basis(F.normalize(directions, dim=-1))
        if basis_functions is not None:
            basis = basis * (torch.arange(basis.shape[1], device=self.device) < basis_functions)
        count = len(self.inverse_depths) if planes is None else planes
        view = View.of_rays(stack, origins, directions, basis * self.scales)
        if self.fused:
            from nir.viewers.planes import fused

            return fused.draw(self, view, count, least=LEAST_TRANSMITTANCE)
        colour, light = torch.zeros_like(origins), torch.ones_like(origins[:, 0])
        for first in range(0, count, PLANES_AT_ONCE):
            block = slice(first, min(first + PLANES_AT_ONCE, count))
            light = self._add(block, view, colour, light)
            if not (light > LEAST_TRANSMITTANCE).any():
                break
        return colour

    def _add(self, block: slice, view: View, colour: Tensor, light: Tensor) -> Tensor:
        """Add a block of planes to `colour` in place; returns what light is left behind it."""
        tile, local, inside = self._places(view.positions(self.inverse_depths[block, None]))
        tile = (tile + self.first_tiles[block, None]).flatten()
        arrives = (inside & (light > LEAST_TRANSMITTANCE)).flatten()
        here = (self.alpha_slots.index_select(0, tile) * arrives).nonzero()[:, 0]
        tile, local = tile.index_select(0, here), local.flatten(0, 1).index_select(0, here)
        alpha = light.new_zeros(len(arrives))
        slots = self.alpha_slots.index_select(0, tile) - 1
        alpha[here] = self.alpha.sample(slots, local, self.side) / 255
        alpha = alpha.view_as(inside)
        until = light * torch.cumprod(1 - alpha, dim=0)
        before = torch.cat([light[None], until[:-1]])
        weights = (alpha * before * (before > LEAST_TRANSMITTANCE)).flatten().index_select(0, here)
        seen = weights.nonzero()[:, 0]
        here, tile, local = (of_all.index_select(0, seen) for of_all in (here, tile, local))
        slots = self.base_slots.index_select(0, tile) - 1
        shown = self.base.sample(slots, local, self.side) / 255
        plane, ray = here // len(light), here % len(light)
        if self.baked.basis:
            shown = (shown + self._turning(block, view, plane, ray)).clamp_(0, 1)
        colour.index_add_(0, ray, weights.index_select(0, seen)[:, None] * shown)
        return until[-1]

    def _turning(self, block: slice, view: View, plane: Tensor, ray: Tensor) -> Tensor:
        """Σ_n k_n H_n of samples [n 3], computed once for every ray in every group."""
        first, last = self.baked.groups[[block.start, block.stop - 1]]
        rays = len(view.basis)
        of_sample = (self.groups[block] - first).index_select(0, plane) * rays + ray
        asked = torch.zeros((last - first + 1) * rays, device=self.device, dtype=torch.bool)
        asked[of_sample] = True
        once = asked.nonzero()[:, 0]
        turned = self._turning_of_groups(once // rays + first, once % rays, view)
        place = torch.zeros_like(asked, dtype=torch.long)
        place[once] = torch.arange(len(once), device=self.device)
        return turned.index_select(0, place.index_select(0, of_sample))

    def _turning_of_groups(self, group: Tensor, ray: Tensor, view: View) -> Tensor:
        """The same where each ray meets the first plane of its group."""
        inverse_depths = self.inverse_depths_of_groups.index_select(0, group)
        index, local, inside = self._places(
            view.positions(inverse_depths, ray), self.baked.coefficient_shrink
        )
        slots = self.coefficient_tiles[group, index].long() * inside
        here = slots.nonzero()[:, 0]
        slots, local = slots.index_select(0, here) - 1, local.index_select(0, here)
        levels = self.coefficients.sample(slots, local, self.side)
        levels = levels[:, : 3 * self.baked.basis].unflatten(1, (-1, 3))
        coefficients = (levels - COEFFICIENT_ZERO) / COEFFICIENT_ZERO
        basis = view.basis.index_select(0, ray.index_select(0, here))
        turned = local.new_zeros(len(group), 3)
        turned[here] = (coefficients * basis[:, :, None]).sum(1)
        return turned

    def _places(
        self, positions: Float[Tensor, "*n 2"], shrink: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Number of the tile [*n], place in it [*n 2], and whether on the picture at all [*n].

        Of a picture whose texels each cover `shrink` texels of the planes along each side.
        """
        tile, positions = self.baked.tile, positions / shrink
        height, width = picture_size(self.baked.stack, shrink)
        rows, columns = tile_grid((height, width), tile)
        size = positions.new_tensor([width, height])
        inside = ((positions >= 0) & (positions <= size)).all(-1)
        centred = torch.minimum((positions - 0.5).clamp_min(0), size - 1)
        last = positions.new_tensor([columns - 1, rows - 1])
        cell = torch.minimum((centred / tile).floor(), last)
        index = (cell[..., 1] * columns + cell[..., 0]).long()
        return index, centred - cell * tile, inside

    def _look_up(self, directions: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays basis"]:
        """Bilinear lookup in the basis table; beyond its limits the nearest entry."""
        limits = directions.new_tensor(self.baked.basis_table.limits)
        grid = directions[None, None, :, :2] / limits
        found = F.grid_sample(self.table[None], grid, padding_mode="border", align_corners=True)
        return found[0, :, 0].T


def has_triton(device: torch.device) -> bool:
    """Whether the fused kernel can run there."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


class View(NamedTuple):
    """Rays as lines over the planes: positions are at_infinity + parallax / depth [rays 2]."""

    at_infinity: Tensor
    parallax: Tensor
    basis: Tensor
    """[rays basis], times the scale of each coefficient."""

    @classmethod
    def of_rays(cls, stack: PlaneStack, origins: Tensor, directions: Tensor, basis: Tensor) -> View:
        """From rays in the reference camera's axes."""
        camera = stack.intrinsics
        focal = origins.new_tensor([camera.focal_x, camera.focal_y])
        centre = origins.new_tensor([camera.centre_x, camera.centre_y])
        slopes = directions[:, :2] / directions[:, 2:]
        parallax = focal * (origins[:, :2] - origins[:, 2:] * slopes)
        return cls(focal * slopes + centre, parallax, basis)

    def positions(self, inverse_depths: Tensor, rays: Tensor | None = None) -> Tensor:
        """Of the chosen rays (None: all), on planes of inverse depths that broadcast to them."""
        lines = (self.at_infinity, self.parallax)
        if rays is not None:
            lines = tuple(of_all.index_select(0, rays) for of_all in lines)
        return torch.addcmul(lines[0], inverse_depths[..., None], lines[1])


def basis_values(table: BasisTable) -> Float[np.ndarray, "basis rows columns"]:
    """The numbers that the table's levels stand for."""
    low, high = table.low[:, None, None], table.high[:, None, None]
    return low + (high - low) * (table.levels / 255)
