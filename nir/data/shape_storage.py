"""Shapes in few bytes, as lists: voxels, points, triangles.

Each function takes a surface in DeepSDF's ball and a number of bytes, keeps the most that fits, and
returns what can be restored from it with the bytes that were used. Coordinates have 16 bits.
"""

from __future__ import annotations

import numpy as np
import trimesh
from jaxtyping import Float
from skimage.measure import marching_cubes

from nir.data.shapes import Shape
from nir.geometry.refinement import simplified

HALF_SIDE = 1.0
"""Of the cube that voxels fill."""


def stored_as_voxels(shape: Shape, budget: int) -> tuple[trimesh.Trimesh, int]:
    """One bit a cell, whether its centre is inside; the surface between cells by marching cubes."""
    side = int((8 * budget) ** (1 / 3) + 1e-9)
    axis = ((np.arange(side) + 0.5) / side * 2 - 1) * HALF_SIDE
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.pad(shape.is_inside(centres).reshape((side,) * 3).astype(np.float32), 1)
    size = -(-(side**3) // 8)
    if not inside.any():
        return trimesh.Trimesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), process=False), size
    vertices, faces, _, _ = marching_cubes(inside, 0.5, gradient_direction="ascent")
    vertices = ((vertices - 0.5) / side * 2 - 1) * HALF_SIDE
    return trimesh.Trimesh(vertices, faces, process=False), size


def stored_as_points(shape: Shape, budget: int) -> tuple[Float[np.ndarray, "points 3"], int]:
    """Three numbers a point, uniform by area."""
    count = budget // 6
    points, _ = shape.sample(count, np.random.default_rng(0))
    return points.astype(np.float16).astype(np.float32), 6 * count


def stored_as_mesh(shape: Shape, budget: int) -> tuple[trimesh.Trimesh, int]:
    """Three numbers a vertex and three indices a face, edges collapsed until it fits."""
    vertices, faces = shape.vertices, shape.faces
    while mesh_bytes(len(vertices), len(faces)) > budget:
        per_face = mesh_bytes(len(vertices), len(faces)) / len(faces)
        asked = min(int(budget / per_face), len(faces) - 2)
        left = simplified(shape.vertices, shape.faces, faces_at_most=asked)
        if len(left[1]) >= len(faces):
            break  # no more edges can be collapsed; the bytes that are told are true
        vertices, faces = left
    rounded = vertices.astype(np.float16).astype(np.float64)
    return trimesh.Trimesh(rounded, faces, process=False), mesh_bytes(len(vertices), len(faces))


def mesh_bytes(vertices: int, faces: int) -> int:
    """Bytes of a mesh whose coordinates have 16 bits and whose indices 16, or 32 if need be.

    >>> mesh_bytes(8, 12)
    120
    """
    return 6 * vertices + 3 * faces * (2 if vertices <= 2**16 else 4)
