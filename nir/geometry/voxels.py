"""Voxels as surfaces: blocks as they are, or the level set between their centres."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from skimage.measure import marching_cubes

Surface = tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]


def block_surface(voxels: Bool[np.ndarray, "x y z"]) -> Surface:
    """The boundary of occupied cells of the cube of side 1 about the origin, two triangles a side.

    >>> vertices, faces = block_surface(np.ones((1, 1, 1), dtype=bool))
    >>> len(vertices), len(faces), float(vertices.min()), float(vertices.max())
    (8, 12, -0.5, 0.5)
    """
    corners = []
    padded = np.pad(voxels, 1)
    for axis in range(3):
        for side in (0, 1):
            beside = np.roll(padded, 1 - 2 * side, axis=axis)
            cells = np.argwhere(padded & ~beside) - 1
            corners.append(cells[:, None] + _side_of_cell(axis, side))
    quads = np.concatenate(corners)
    if len(quads) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    vertices, places = np.unique(quads.reshape(-1, 3), axis=0, return_inverse=True)
    places = places.reshape(-1, 4)
    faces = np.concatenate([places[:, [0, 1, 2]], places[:, [0, 2, 3]]])
    return vertices / np.array(voxels.shape) - 0.5, faces.astype(np.int64)


def _side_of_cell(axis: int, side: int) -> Int[np.ndarray, "4 3"]:
    """Corners of a unit cell's side, counter-clockwise seen from outside."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    square = square if side else square[::-1]
    return np.roll(np.concatenate([np.full((4, 1), side), square], axis=1), axis, axis=1)


def centre_surface(values: Float[np.ndarray, "x y z"], *, level: float) -> Surface:
    """Marching cubes through values at the cells' centres, inside where more; closed outside.

    Cells are those of the cube of side 1 about the origin. No faces where nothing crosses.
    """
    padded = np.pad(values, 1, constant_values=-1e6)
    if not padded.max() > level:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    vertices, faces, _, _ = marching_cubes(padded, level, gradient_direction="ascent")
    return (vertices - 0.5) / np.array(values.shape) - 0.5, faces.astype(np.int64)


def inside_voxels(
    voxels: Bool[np.ndarray, "x y z"], points: Float[np.ndarray, "points 3"]
) -> Bool[np.ndarray, " points"]:
    """Which points lie in occupied cells; nothing does outside of the cube."""
    cells = np.floor((points + 0.5) * np.array(voxels.shape)).astype(np.int64)
    within = ((cells >= 0) & (cells < np.array(voxels.shape))).all(axis=1)
    inside = np.zeros(len(points), dtype=bool)
    inside[within] = voxels[tuple(cells[within].T)]
    return inside
