"""Multi-resolution meshing: a level set on a fine grid, asked only near the surface (MISE).

A *cell* lies between eight *corners* of a grid. A coarse grid is asked at every corner; cells whose
corners lie on both sides are *active* and are halved, again and again (Occupancy Networks section
3.3). Where halving finds the surface leaving an active cell through a side, the neighbour becomes
active too, so that every piece of surface that the coarse grid meets is followed to its end: the
mesh is that of the whole fine grid, corner for corner. What slips between the corners of the coarse
grid altogether is missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from skimage.measure import marching_cubes
from torch import Tensor

Function = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]
OUTSIDE = -1e6
"""What is taken as the value beyond the box, so that surfaces close there (generation.py)."""

_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
_CLOSURE = np.array(list(itertools.product((0, 1, 2), repeat=3)))
_NEIGHBOURS = np.array(list(itertools.product((-1, 0, 1), repeat=3)))


@dataclass(frozen=True)
class ExtractedSurface:
    """Triangles, counter-clockwise seen from outside, and how often the function was asked."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"]
    evaluations: int


def multiresolution_surface(
    function: Function,
    lower: Float[np.ndarray, " 3"],
    upper: Float[np.ndarray, " 3"],
    *,
    level: float,
    start_cells: int = 32,
    doublings: int = 2,
    closed: bool = True,
    device: torch.device | str = "cpu",
    points_at_once: int = 100_000,
) -> ExtractedSurface:
    """The surface where `function` is `level`, inside where it is more; no faces if there is none.

    The final grid has start_cells * 2**doublings cells along each axis (the paper: 32 and 2, so
    128); corners lie exactly where a grid of that size has them. closed: the surface is closed
    where it meets the box. Memory: the function is asked `points_at_once` points at a time (the
    paper's 100,000), and the grid is held at 5 bytes a corner.
    """
    cells = start_cells * 2**doublings
    axes = [
        torch.linspace(float(a), float(b), cells + 1, device=device)
        for a, b in zip(lower, upper, strict=True)
    ]
    grid = _Grid(function, axes, level, points_at_once)
    values, exact = grid.everywhere(start_cells)
    for _ in range(doublings):
        values, exact = grid.halved(values, exact)
    if closed:
        values = np.pad(values, 1, constant_values=OUTSIDE)
    if not values.min() < level < values.max():
        nothing = np.zeros((0, 3))
        return ExtractedSurface(nothing, nothing.astype(np.int64), grid.evaluations)
    vertices, faces, _, _ = marching_cubes(values, level, gradient_direction="ascent")
    if closed:
        vertices = np.clip(vertices - 1, 0, cells)
    spacing = (np.asarray(upper, dtype=float) - lower) / cells
    return ExtractedSurface(vertices * spacing + lower, faces.astype(np.int64), grid.evaluations)


def halvings_of(cells: int, *, start_at_least: int = 32) -> tuple[int, int]:
    """Start grid and doublings that end at `cells`, from the coarsest start that is fine enough.

    >>> halvings_of(256), halvings_of(40)
    ((32, 3), (40, 0))
    """
    doublings = 0
    while cells % 2 == 0 and cells // 2 >= start_at_least:
        cells, doublings = cells // 2, doublings + 1
    return cells, doublings


class _Grid:
    """A function on grids of ever smaller cells, all of them part of the finest."""

    def __init__(
        self, function: Function, axes: list[Tensor], level: float, points_at_once: int
    ) -> None:
        self.function = function
        self.axes = axes
        self.level = level
        self.points_at_once = points_at_once
        self.evaluations = 0

    def everywhere(
        self, cells: int
    ) -> tuple[Float[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"]]:
        """Values at all corners of a grid, every one exact."""
        shape = (cells + 1,) * 3
        values = np.empty(shape, dtype=np.float32)
        self._ask(values, np.arange(values.size))
        return values, np.ones(shape, dtype=bool)

    def halved(
        self, values: Float[np.ndarray, "x y z"], exact: Bool[np.ndarray, "x y z"]
    ) -> tuple[Float[np.ndarray, "x2 y2 z2"], Bool[np.ndarray, "x2 y2 z2"]]:
        """Values on a grid of half the cell size, exact in active cells.

        Elsewhere they are those of the nearest lower corner: on the right side of the level.
        """
        cells = len(values) - 1
        done = np.zeros((cells,) * 3, dtype=bool)
        active = np.argwhere(_mixed_cells(values > self.level))
        fine, known = _repeated(values), np.zeros((2 * cells + 1,) * 3, dtype=bool)
        known[::2, ::2, ::2] = exact
        while len(active):
            done[tuple(active.T)] = True
            asked = _flat(2 * active[:, None] + _CLOSURE, fine.shape)
            asked = np.unique(asked[~known.reshape(-1)[asked]])
            self._ask(fine, asked)
            known.reshape(-1)[asked] = True
            active = self._reached_from(active, done, fine)
        return fine, known

    def _reached_from(
        self,
        active: Int[np.ndarray, "cells 3"],
        done: Bool[np.ndarray, "x y z"],
        fine: Float[np.ndarray, "x2 y2 z2"],
    ) -> Int[np.ndarray, "found 3"]:
        """Cells beside `active` ones that the surface enters, as their finer corners tell."""
        beside = (active[:, None] + _NEIGHBOURS).reshape(-1, 3)
        beside = beside[((beside >= 0) & (beside < len(done))).all(axis=1)]
        flat = np.unique(_flat(beside, done.shape))
        flat = flat[~done.reshape(-1)[flat]]
        beside = np.stack(np.unravel_index(flat, done.shape), axis=-1)
        inside = fine.reshape(-1)[_flat(2 * beside[:, None] + _CLOSURE, fine.shape)] > self.level
        return beside[inside.any(axis=1) & ~inside.all(axis=1)]

    @torch.no_grad()
    def _ask(self, values: Float[np.ndarray, "x y z"], chosen: Int[np.ndarray, " points"]) -> None:
        """Evaluate the function at some corners of a grid and keep the values there."""
        stride = (len(self.axes[0]) - 1) // (len(values) - 1)
        flat = values.reshape(-1)
        for start in range(0, len(chosen), self.points_at_once):
            part = chosen[start : start + self.points_at_once]
            places = torch.from_numpy(np.stack(np.unravel_index(part, values.shape)) * stride)
            places = places.to(self.axes[0].device)
            points = torch.stack([a[i] for a, i in zip(self.axes, places, strict=True)], dim=-1)
            flat[part] = self.function(points).float().cpu().numpy()
        self.evaluations += len(chosen)


def _mixed_cells(inside: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "a b c"]:
    """Cells with corners on both sides."""
    ends = (slice(None, -1), slice(1, None))
    corners = [inside[ends[x], ends[y], ends[z]] for x, y, z in _CORNERS]
    return np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)


def _repeated(values: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x2 y2 z2"]:
    """Each corner's value for itself and the finer corner above it, along every axis."""
    index = np.arange(2 * len(values) - 1) // 2
    return np.ascontiguousarray(values[np.ix_(index, index, index)])


def _flat(places: Int[np.ndarray, "*batch 3"], shape: tuple[int, ...]) -> Int[np.ndarray, "*batch"]:
    return np.ravel_multi_index(tuple(np.moveaxis(places, -1, 0)), shape)
