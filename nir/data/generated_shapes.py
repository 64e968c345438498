"""Generated shapes: meshes with fine detail, computed from formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

CELLS = 72  # along each axis


def write_carved_ball(path: Path, *, turned: bool = False) -> None:
    """Write a ball whose surface is carved by a gyroid: closed, of one piece, fine detail.

    The gyroid consists of waves along the axes, which favours encodings with frequencies there.
    turned: the same by 45 degrees about z and then about x (Fourier Features' turn of lego).
    """
    from skimage.measure import marching_cubes

    axis = np.linspace(-1.1, 1.1, CELLS)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    k = 14.0
    gyroid = (
        np.sin(k * x) * np.cos(k * y)
        + np.sin(k * y) * np.cos(k * z)
        + np.sin(k * z) * np.cos(k * x)
    )
    ball = np.sqrt(x * x + y * y + z * z) - 0.85 + 0.08 * gyroid
    spacing = axis[1] - axis[0]
    vertices, faces, _, _ = marching_cubes(ball, 0.0, spacing=(spacing,) * 3)
    mesh = trimesh.Trimesh(vertices + axis[0], faces[:, ::-1], process=True)
    if mesh.volume < 0:
        mesh.invert()
    if turned:
        mesh.apply_transform(trimesh.transformations.euler_matrix(np.pi / 4, 0, np.pi / 4, "szyx"))
    path.write_bytes(mesh.export(file_type="ply"))
