"""Marching cubes: exact on what is linear, faces outwards, corners on the box."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from nir.errors import InputError
from nir.geometry.meshing import marching_cubes_of

LOWER, UPPER = np.array([-1.0, -2.0, 0.5]), np.array([1.0, 2.0, 2.5])


def test_a_plane_is_found_exactly_and_reaches_the_boxs_corners():
    vertices, _ = marching_cubes_of(
        lambda points: points[:, 0], LOWER, UPPER, resolution=12, level=0.3
    )
    np.testing.assert_allclose(vertices[:, 0], 0.3, atol=1e-6)
    np.testing.assert_allclose(vertices[:, 1:].min(0), LOWER[1:], atol=1e-6)
    np.testing.assert_allclose(vertices[:, 1:].max(0), UPPER[1:], atol=1e-6)


def test_a_ball_is_closed_faces_outwards_and_has_its_volume():
    centre = torch.tensor([0.1, -0.2, 1.5])
    vertices, faces = marching_cubes_of(
        lambda points: 0.7 - (points - centre).norm(dim=-1), LOWER, UPPER, resolution=48, level=0.0
    )
    ball = trimesh.Trimesh(vertices, faces, process=True)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.01)
    np.testing.assert_allclose(np.linalg.norm(vertices - centre.numpy(), axis=1), 0.7, atol=2e-3)


def test_the_size_of_slabs_changes_nothing():
    def bowl(points):
        return points.square().sum(-1)

    one, other = (
        marching_cubes_of(bowl, LOWER, UPPER, resolution=9, level=2.0, points_at_once=count)
        for count in (1, 2**20)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_no_crossing_is_explained():
    with pytest.raises(InputError, match="no surface at level 9"):
        marching_cubes_of(lambda points: points[:, 0], LOWER, UPPER, resolution=8, level=9.0)
