"""Multi-resolution meshing gives the dense grid's mesh for a fraction of the evaluations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from nir.geometry.meshing import marching_cubes_of
from nir.geometry.multiresolution import multiresolution_surface
from nir.geometry.refinement import refined, simplified

LOWER, UPPER = np.full(3, -0.55), np.full(3, 0.55)


def ball(points):
    return 0.4 - points.norm(dim=-1)


def torus(points):
    ring = points[:, :2].norm(dim=-1) - 0.3
    return 0.11 - torch.stack([ring, points[:, 2]], dim=-1).norm(dim=-1)


def bumpy(points):
    return 0.35 - points.norm(dim=-1) + 0.03 * torch.sin(25 * points).prod(dim=-1)


def two_balls(points):
    shift = torch.tensor([0.21, 0.1, 0.0])
    return 0.17 - torch.minimum((points - shift).norm(dim=-1), (points + shift).norm(dim=-1))


def thin_rod(points):
    """Thinner than a coarse cell: most coarse cells that it crosses have no corner inside."""
    across = (points[:, 1:] - torch.tensor([0.003, 0.002])).norm(dim=-1)
    return torch.minimum(0.02 - across, 0.45 - points[:, 0].abs())


def agrees_with_the_dense_grid(field, *, cells, start_cells, doublings):
    dense = marching_cubes_of(field, LOWER, UPPER, resolution=cells + 1, level=0.0)
    found = multiresolution_surface(
        field,
        LOWER,
        UPPER,
        level=0.0,
        start_cells=start_cells,
        doublings=doublings,
        closed=False,
    )
    np.testing.assert_array_equal(found.faces, dense[1])
    np.testing.assert_array_equal(found.vertices, dense[0])
    return found


@pytest.mark.parametrize("field", [ball, torus, bumpy, two_balls, thin_rod])
def test_the_mesh_is_that_of_the_dense_grid(field):
    agrees_with_the_dense_grid(field, cells=64, start_cells=16, doublings=2)


@pytest.mark.slow
@pytest.mark.parametrize("field", [ball, torus, bumpy, two_balls])
def test_at_256_cells_a_tenth_of_the_evaluations_suffices(field):
    found = agrees_with_the_dense_grid(field, cells=256, start_cells=32, doublings=3)
    assert found.evaluations <= 257**3 / 10


def test_at_128_cells_a_seventh_of_the_evaluations_suffices():
    found = agrees_with_the_dense_grid(torus, cells=128, start_cells=32, doublings=2)
    assert found.evaluations <= 129**3 / 7


def test_no_more_points_are_asked_at_once_than_allowed():
    largest = 0

    def watched(points):
        nonlocal largest
        largest = max(largest, len(points))
        return ball(points)

    multiresolution_surface(watched, LOWER, UPPER, level=0.0, start_cells=8, points_at_once=500)
    assert largest == 500


def test_a_surface_that_leaves_the_box_is_closed_at_its_sides():
    found = multiresolution_surface(
        lambda p: 0.6 - p.norm(dim=-1), LOWER, UPPER, level=0.0, start_cells=8
    )
    surface = trimesh.Trimesh(found.vertices, found.faces)
    assert surface.is_watertight
    assert np.abs(found.vertices).max() <= 0.55
    assert surface.volume > 0


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_function_without_a_surface_gives_no_faces(sign):
    found = multiresolution_surface(
        lambda p: torch.full((len(p),), sign), LOWER, UPPER, level=0.0, start_cells=4, closed=False
    )
    assert found.faces.shape == (0, 3)


def test_simplification_keeps_the_shape_and_closes_nothing_open():
    found = multiresolution_surface(ball, LOWER, UPPER, level=0.0, start_cells=16, doublings=1)
    vertices, faces = simplified(found.vertices, found.faces, faces_at_most=500)
    surface = trimesh.Trimesh(vertices, faces)
    assert len(faces) <= 500
    assert surface.is_watertight
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 0.4, atol=0.01)


def test_refinement_moves_vertices_onto_the_level_set():
    found = multiresolution_surface(ball, LOWER, UPPER, level=0.0, start_cells=8, doublings=0)
    coarse = np.linalg.norm(found.vertices, axis=1)
    moved = refined(
        found.vertices * 1.03,
        found.faces,
        lambda p: torch.sigmoid(20 * ball(p)),
        level=0.5,
        generator=torch.Generator().manual_seed(0),
        learning_rate=1e-3,
        normal_weight=1e-4,
    )
    before = np.abs(1.03 * coarse - 0.4).mean()
    assert np.abs(np.linalg.norm(moved, axis=1) - 0.4).mean() < 0.5 * before
