"""Oriented point clouds: points on a surface with normals that point outwards.

They come from a mesh, drawn uniformly by area, or from a text file `x y z nx ny nz` (.xyz). The
normalisation is SIREN's: the mean goes to the origin, then one affine map for all three axes
brings the smallest and the largest of all coordinates to -1 and 1 (vsitzmann/siren:dataio.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from nir.errors import InputError


@dataclass(frozen=True)
class OrientedCloud:
    """Points and unit normals."""

    points: Float[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"]

    def in_siren_cube(self) -> OrientedCloud:
        """The cloud in [-1, 1]^3, aspect kept."""
        centred = self.points - self.points.mean(axis=0)
        low, high = centred.min(), centred.max()
        return OrientedCloud((centred - low) / (high - low) * 2 - 1, self.normals)

    def drawn(self, count: int, generator: np.random.Generator) -> OrientedCloud:
        """`count` random points of the cloud, each at most once if there are enough."""
        chosen = generator.choice(len(self.points), count, replace=count > len(self.points))
        return OrientedCloud(self.points[chosen], self.normals[chosen])


def read_oriented_cloud(path: Path, *, count: int, seed: int = 0) -> OrientedCloud:
    """Read a cloud, or draw `count` points from a mesh (PLY, OBJ, OFF, STL).

    Files without points, normals or faces are `InputError`s.
    """
    if path.suffix.lower() == ".xyz":
        return _read_xyz(path)
    try:
        mesh = trimesh.load(path, force="mesh", process=False)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"{path}: is not a mesh that can be read ({error})") from error
    if len(mesh.faces) == 0:
        raise InputError(f"{path}: has no faces; give a mesh, or an .xyz file with normals")
    return cloud_of_mesh(mesh, count=count, seed=seed)


def cloud_of_mesh(mesh: trimesh.Trimesh, *, count: int, seed: int) -> OrientedCloud:
    """Draw points uniformly by area, with the normals of their faces."""
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return OrientedCloud(
        np.asarray(points, dtype=np.float64), np.asarray(mesh.face_normals[faces], np.float64)
    )


def _read_xyz(path: Path) -> OrientedCloud:
    try:
        numbers = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a table of numbers ({error})") from error
    if numbers.shape[1] != 6 or not np.isfinite(numbers).all():
        raise InputError(f"{path}: six finite numbers a line are expected: x y z and the normal")
    length = np.linalg.norm(numbers[:, 3:], axis=1, keepdims=True)
    if (length == 0).any():
        raise InputError(f"{path}: has normals of length zero; remove these points")
    return OrientedCloud(numbers[:, :3], numbers[:, 3:] / length)


def trefoil_knot(
    *, tube_radius: float = 0.55, around: int = 240, across: int = 48
) -> trimesh.Trimesh:
    """A closed tube about a trefoil knot; its size is about 7 units.

    The frame about the curve comes from one point far above it, so that it closes by itself.
    """
    t = np.arange(around) * 2 * np.pi / around
    spine = np.stack(
        [np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], axis=1
    )
    tangent = np.roll(spine, -1, axis=0) - np.roll(spine, 1, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.cross(tangent, spine - np.array([0.0, 0.0, 20.0]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    angle = np.arange(across) * 2 * np.pi / across
    ring = (
        np.cos(angle)[None, :, None] * first[:, None]
        + np.sin(angle)[None, :, None] * second[:, None]
    )
    vertices = (spine[:, None] + tube_radius * ring).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    here, beside = i * across + j, i * across + (j + 1) % across
    ahead, diagonal = (k % (around * across) for k in (here + across, beside + across))
    faces = np.concatenate(
        [np.stack([here, ahead, beside], -1), np.stack([beside, ahead, diagonal], -1)]
    ).reshape(-1, 3)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    return mesh if mesh.volume > 0 else trimesh.Trimesh(vertices, faces[:, ::-1], process=False)
