"""Oriented point clouds: points on a surface with normals that point outwards.

They come from a mesh, drawn uniformly by area, or from a file of points with normals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from nir.data.shapes import PointCloud, read_point_cloud, read_shape, to_siren_cube
from nir.errors import InputError
from nir.geometry.surfaces import sample_surface

CLOUD_SUFFIXES = (".xyz", ".npz")


def read_oriented_cloud(path: Path, *, count: int, generator: np.random.Generator) -> PointCloud:
    """Read a cloud (.xyz, .npz), or draw `count` points from a mesh; in SIREN's cube [-1, 1]^3.

    A cloud without normals is an `InputError`, as is whatever `nir.data.shapes` cannot read.
    """
    if path.suffix.lower() in CLOUD_SUFFIXES:
        cloud = read_point_cloud(path)
        if cloud.normals is None:
            raise InputError(f"{path}: has no normals; six numbers a line are needed")
    else:
        shape = read_shape(path)
        cloud = PointCloud(*sample_surface(shape.vertices, shape.faces, count, generator))
    return cloud.moved(to_siren_cube(cloud.points))


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
