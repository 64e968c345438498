"""Surfaces: triangle meshes as arrays, and what can be asked of them at points of space.

A surface is (vertices, faces); a face lists its corners counter-clockwise seen from outside, so
that normals point outwards. The *winding number* of a point is 1 inside a closed surface and 0
outside; where the surface has holes it passes smoothly between them (Jacobson et al. 2013), which
is why *inside* is defined here as |winding number| > 1/2 and needs no watertight mesh. Signed
distances are positive outside. Random points take an explicit numpy generator.
"""

from __future__ import annotations

import igl
import numpy as np
from jaxtyping import Bool, Float, Integer

from nir.errors import InputError

INSIDE = 0.5
"""Winding numbers above this, in absolute value, are inside: a part that is inside out counts."""


def winding_numbers(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    points: Float[np.ndarray, "points 3"],
) -> Float[np.ndarray, " points"]:
    """Generalised winding numbers, to about 0.005 (Barill et al. 2018, as in libigl).

    The solid angle of the surface seen from each point, over 4 pi. No face gives 0 everywhere.

    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    >>> winding_numbers(corners, tetrahedron, np.array([[0.2, 0.2, 0.2], [1, 1, 1]])).round(2) + 0.0
    array([1., 0.])
    """
    if len(points) == 0 or len(faces) == 0:
        return np.zeros(len(points))
    # libigl computes these in single precision, so the surface must lie about the origin.
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centre, size = (low + high) / 2, float((high - low).max()) or 1.0
    return igl.fast_winding_number(
        _doubles((vertices - centre) / size), _whole(faces), _doubles((points - centre) / size)
    )


def is_inside(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    points: Float[np.ndarray, "points 3"],
) -> Bool[np.ndarray, " points"]:
    """Which points lie inside the surface, watertight or not."""
    return np.abs(winding_numbers(vertices, faces, points)) > INSIDE


def nearest_on_surface(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    points: Float[np.ndarray, "points 3"],
) -> tuple[
    Float[np.ndarray, " points"], Integer[np.ndarray, " points"], Float[np.ndarray, "points 3"]
]:
    """Distance to the surface, the face that is nearest, and the point on it."""
    _require_faces(faces)
    if len(points) == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, 3))
    squared, nearest, on_surface = igl.point_mesh_squared_distance(
        _doubles(points), _doubles(vertices), _whole(faces)
    )
    return np.sqrt(np.maximum(squared, 0)), nearest.astype(np.int64), on_surface


def signed_distances(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    points: Float[np.ndarray, "points 3"],
) -> Float[np.ndarray, " points"]:
    """Distances to the surface, negative inside; exact up to rounding, the sign by winding."""
    distances, _, _ = nearest_on_surface(vertices, faces, points)
    return np.where(is_inside(vertices, faces, points), -distances, distances)


def face_normals(
    vertices: Float[np.ndarray, "vertices 3"], faces: Integer[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "faces 3"], Float[np.ndarray, " faces"]]:
    """Unit normals (zero for faces without area) and areas."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    cross = np.cross(second - first, third - first)
    length = np.linalg.norm(cross, axis=1)
    return cross / np.where(length > 0, length, 1)[:, None], length / 2


def sample_surface(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    count: int,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "points 3"]]:
    """Points uniform by area on the surface, and the normals of their faces."""
    _require_faces(faces)
    normals, areas = face_normals(vertices, faces)
    ends = np.cumsum(areas)
    if not ends[-1] > 0:
        raise InputError("a surface without area: nothing can be sampled on it")
    chosen = np.searchsorted(ends, generator.uniform(0, ends[-1], count), side="right")
    chosen = np.minimum(chosen, len(faces) - 1)
    first, second, third = (vertices[faces[chosen, corner]] for corner in range(3))
    # The square root makes the density uniform: towards the first corner a triangle narrows.
    across, along = np.sqrt(generator.random((count, 1))), generator.random((count, 1))
    points = (1 - across) * first + across * ((1 - along) * second + along * third)
    return points, normals[chosen]


def _require_faces(faces: np.ndarray) -> None:
    if len(faces) == 0:
        raise InputError("a surface without faces: nothing can be measured from it")


def _doubles(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64)


def _whole(faces: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(faces, dtype=np.int64)
