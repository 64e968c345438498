"""Draw baked planes in one GPU kernel (Triton): a ray stays in registers from plane to plane.

Computes what `rendering.BakedRenderer` computes with PyTorch's operations, which write every
sample of every plane to memory. Triton comes with PyTorch for GPUs; elsewhere nothing imports this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from nir.viewers.planes.textures import picture_size

if TYPE_CHECKING:
    from nir.viewers.planes.rendering import Atlas, BakedRenderer, View

RAYS_A_PROGRAM = 128


def draw(renderer: BakedRenderer, view: View, planes: int, *, least: float) -> Tensor:
    """Colours [rays 3] of a view's rays through the nearest `planes` planes."""
    baked, camera = renderer.baked, renderer.baked.stack.intrinsics
    rays, device = len(view.at_infinity), view.at_infinity.device
    colour = torch.empty(rays, 3, device=device)
    atlases = (renderer.alpha, renderer.base, renderer.coefficients)
    height, width = picture_size(baked.stack, baked.coefficient_shrink)
    grid = [camera.width, camera.height, *baked.tiles.shape[1:3]]
    coarse_grid = [width, height, *baked.coefficient_tiles.shape[1:3]]
    _draw[(triton.cdiv(rays, RAYS_A_PROGRAM),)](
        colour,
        torch.cat([view.at_infinity, view.parallax], dim=1),
        view.basis.contiguous(),
        renderer.about_planes,
        renderer.groups,
        renderer.tiles,
        renderer.coefficient_tiles,
        renderer.alpha.texels,
        renderer.base.texels,
        renderer.coefficients.texels,
        torch.tensor([_layout(atlas) for atlas in atlases], dtype=torch.int32, device=device),
        torch.tensor(grid + coarse_grid, dtype=torch.int32, device=device),
        rays,
        planes,
        TILE=baked.tile,
        BASIS=baked.basis,
        CHANNELS=renderer.coefficients.texels.shape[-1],
        SHRINK=baked.coefficient_shrink,
        LEAST=least,
        RAYS=RAYS_A_PROGRAM,
    )
    return colour


def _layout(atlas: Atlas) -> tuple[int, int, int, int]:
    return atlas.columns, atlas.per_page, atlas.page, atlas.width


@triton.jit
def _own_rays(rays, RAYS: tl.constexpr):
    """Numbers of a program's rays, which of them exist, their light, and zeros."""
    ray = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    light = tl.where(ray < rays, 1.0, 0.0)
    return ray, ray < rays, light, light * 0.0


@triton.jit
def _line(line, exists):
    """A ray's position at infinity and its parallax."""
    far_x = tl.load(line, mask=exists, other=0.0)
    far_y = tl.load(line + 1, mask=exists, other=0.0)
    shift_x = tl.load(line + 2, mask=exists, other=0.0)
    return far_x, far_y, shift_x, tl.load(line + 3, mask=exists, other=0.0)


@triton.jit
def _store(colour, red, green, blue, exists):
    tl.store(colour, red, mask=exists)
    tl.store(colour + 1, green, mask=exists)
    tl.store(colour + 2, blue, mask=exists)


@triton.jit
def _place(x, y, grid, TILE: tl.constexpr):
    """Whether on the picture, the tile's number, and the place in it."""
    width, height = tl.load(grid), tl.load(grid + 1)
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    x = tl.minimum(tl.maximum(x - 0.5, 0.0), width - 1.0)
    y = tl.minimum(tl.maximum(y - 0.5, 0.0), height - 1.0)
    row = tl.minimum((y / TILE).to(tl.int32), tl.load(grid + 2) - 1)
    columns = tl.load(grid + 3)
    column = tl.minimum((x / TILE).to(tl.int32), columns - 1)
    return inside, row * columns + column, x - column * TILE, y - row * TILE


@triton.jit
def _slot(tiles, group, x, y, grid, mask, TILE: tl.constexpr):
    """Slot + 1 of a group's coefficients at a place of its picture, and the place in the tile."""
    inside, tile, x, y = _place(x, y, grid, TILE)
    at = tiles + group * (tl.load(grid + 2) * tl.load(grid + 3)) + tile
    return tl.load(at, mask=mask & inside, other=0), x, y


@triton.jit
def _corner(slot, x, y, layout, TILE: tl.constexpr):
    """Number of the texel above and to the left, the shares of its neighbours, the way down."""
    columns, per_page, width = tl.load(layout), tl.load(layout + 1), tl.load(layout + 3)
    number = slot - 1
    within = number % per_page
    left = tl.minimum(x.to(tl.int32), TILE - 1)
    top = tl.minimum(y.to(tl.int32), TILE - 1)
    row = within // columns * (TILE + 1) + top
    column = within % columns * (TILE + 1) + left
    first = number // per_page * tl.load(layout + 2) + row * width + column
    return first, x - left, y - top, width


@triton.jit
def _bilinear(levels, first, right, below, down, mask, CHANNELS: tl.constexpr):
    """A number between four texels; `down` is the way to the next row."""
    at = levels + first * CHANNELS
    a = tl.load(at, mask=mask, other=0).to(tl.float32)
    b = tl.load(at + CHANNELS, mask=mask, other=0).to(tl.float32)
    at += down * CHANNELS
    c = tl.load(at, mask=mask, other=0).to(tl.float32)
    d = tl.load(at + CHANNELS, mask=mask, other=0).to(tl.float32)
    upper = a + (b - a) * right
    return upper + (c + (d - c) * right - upper) * below


@triton.jit
def _three(levels, first, right, below, down, mask, CHANNELS: tl.constexpr):
    """Three neighbouring numbers: red, green and blue."""
    red = _bilinear(levels, first, right, below, down, mask, CHANNELS)
    green = _bilinear(levels + 1, first, right, below, down, mask, CHANNELS)
    blue = _bilinear(levels + 2, first, right, below, down, mask, CHANNELS)
    return red, green, blue


@triton.jit
def _clamped(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _turning(
    basis, levels, slot, x, y, layout, zero, TILE: tl.constexpr, BASIS: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """The sum of k_n H_n, red, green and blue; `basis` points at each ray's values."""
    red, green, blue = zero, zero, zero
    first, right, below, down = _corner(slot, x, y, layout, TILE)
    for n in tl.static_range(BASIS):
        weight = tl.load(basis + n, mask=slot > 0, other=0.0) / 127
        found = _three(levels + 3 * n, first, right, below, down, slot > 0, CHANNELS)
        red += weight * (found[0] - 127)
        green += weight * (found[1] - 127)
        blue += weight * (found[2] - 127)
    return red, green, blue


@triton.jit
def _draw(
    colour, lines, basis, about, groups, tiles, coefficient_tiles, alpha, base, turns,
    layouts, grid, rays, planes, TILE: tl.constexpr, BASIS: tl.constexpr, CHANNELS: tl.constexpr,
    SHRINK: tl.constexpr, LEAST: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """One program draws `RAYS` rays, near to far, until no light is left in any."""
    ray, exists, light, zero = _own_rays(rays, RAYS)
    far_x, far_y, shift_x, shift_y = _line(lines + 4 * ray, exists)
    own = basis + ray * BASIS
    in_grid = tl.load(grid + 2) * tl.load(grid + 3)
    red, green, blue, turn_red, turn_green, turn_blue = zero, zero, zero, zero, zero, zero
    known = tl.full((RAYS,), -1, tl.int32)
    plane = 0
    while (plane < planes) & (tl.max(light) > LEAST):
        near = tl.load(about + 2 * plane)
        inside, tile, x, y = _place(far_x + near * shift_x, far_y + near * shift_y, grid, TILE)
        entry = tiles + (plane * in_grid + tile) * 2
        slot = tl.load(entry, mask=inside & (light > LEAST), other=0)
        if tl.max(slot) > 0:
            first, right, below, down = _corner(slot, x, y, layouts, TILE)
            weight = light * _bilinear(alpha, first, right, below, down, slot > 0, 1) / 255
            hit = (slot > 0) & (weight > 0)
            group = tl.load(groups + plane).to(tl.int32)
            new = hit & (known != group)
            if (BASIS > 0) & (tl.max(new.to(tl.int32)) > 0):
                near = tl.load(about + 2 * plane + 1) / SHRINK
                u, v = far_x / SHRINK + near * shift_x, far_y / SHRINK + near * shift_y
                turn_slot, u, v = _slot(coefficient_tiles, group, u, v, grid + 4, new, TILE)
                turn = _turning(
                    own, turns, turn_slot, u, v, layouts + 8, zero, TILE, BASIS, CHANNELS
                )
                turn_red = tl.where(new, turn[0], turn_red)
                turn_green = tl.where(new, turn[1], turn_green)
                turn_blue = tl.where(new, turn[2], turn_blue)
                known = tl.where(new, group, known)
            slot = tl.load(entry + 1, mask=hit, other=1)
            first, right, below, down = _corner(slot, x, y, layouts + 4, TILE)
            level = _three(base, first, right, below, down, hit, 3)
            red += tl.where(hit, weight * _clamped(level[0] / 255 + turn_red), 0.0)
            green += tl.where(hit, weight * _clamped(level[1] / 255 + turn_green), 0.0)
            blue += tl.where(hit, weight * _clamped(level[2] / 255 + turn_blue), 0.0)
            light -= tl.where(hit, weight, 0.0)
        plane += 1
    _store(colour + 3 * ray, red, green, blue, exists)
