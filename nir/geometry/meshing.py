"""Meshing: the level set of a function on a box, as triangles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.measure import marching_cubes
from torch import Tensor

from nir.errors import InputError


class NoSurfaceError(InputError):
    """The function does not cross the level inside the box."""


def marching_cubes_of(
    function: Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]],
    lower: Float[np.ndarray, " 3"],
    upper: Float[np.ndarray, " 3"],
    *,
    resolution: int,
    level: float,
    device: torch.device | str = "cpu",
    points_at_once: int = 2**17,
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    """Vertices and faces of the surface where `function` is `level`, inside where it is more.

    The function is asked at `resolution` points along each axis; the first and the last lie
    exactly on the box. Faces are seen counter-clockwise from outside. A `NoSurfaceError` where the
    function does not cross the level.
    """
    axes = [
        torch.linspace(float(a), float(b), resolution, device=device)
        for a, b in zip(lower, upper, strict=True)
    ]
    values = _on_lattice(function, axes, points_at_once)
    if not values.min() < level < values.max():
        raise NoSurfaceError(
            f"no surface at level {level:g}: values lie between {values.min():g} and "
            f"{values.max():g}; choose a level between, or train longer"
        )
    spacing = (np.asarray(upper, dtype=float) - lower) / (resolution - 1)
    vertices, faces, _, _ = marching_cubes(values, level, gradient_direction="ascent")
    return vertices * spacing + lower, faces


@torch.no_grad()
def _on_lattice(
    function: Callable[[Tensor], Tensor], axes: list[Tensor], points_at_once: int
) -> Float[np.ndarray, "x y z"]:
    shape = [len(axis) for axis in axes]
    slab = max(1, points_at_once // (shape[1] * shape[2]))
    parts = []
    for xs in axes[0].split(slab):
        points = torch.stack(torch.meshgrid(xs, axes[1], axes[2], indexing="ij"), dim=-1)
        parts.append(function(points.reshape(-1, 3)).reshape(points.shape[:-1]).float().cpu())
    return torch.cat(parts).numpy()
