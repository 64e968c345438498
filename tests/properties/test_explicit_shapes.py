"""Explicit shapes: templates, voxels, losses of sets and meshes, and deformation by pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from nir.data.shape_views import camera_at
from nir.geometry.surfaces import is_inside
from nir.geometry.templates import edges_of, icosphere, square_patch, subdivided
from nir.geometry.voxels import block_surface, centre_surface, inside_voxels
from nir.networks.pixel2mesh import Pixel2Mesh, Projection, pooled_features
from nir.networks.shape_encoders import ResNet18
from nir.operators.point_sets import (
    chamfer_squared,
    edge_normal_cosines,
    laplacian_coordinates,
    nearest_squared,
)


@pytest.mark.parametrize("subdivisions", [0, 1, 3])
def test_an_icosphere_is_a_closed_sphere_facing_outwards(subdivisions):
    vertices, faces = icosphere(subdivisions)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    assert surface.is_watertight
    assert surface.is_winding_consistent
    assert 0.6 * 4.19 < surface.volume < 4.19
    assert surface.euler_number == 2
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)


def test_subdividing_keeps_the_surface_where_it_is():
    vertices, faces = icosphere(1)
    edges = edges_of(faces)
    finer = trimesh.Trimesh(
        np.concatenate([vertices, vertices[edges].mean(axis=1)]),
        subdivided(faces, edges, len(vertices)),
        process=False,
    )
    assert finer.is_watertight
    assert finer.volume == pytest.approx(trimesh.Trimesh(vertices, faces).volume)


def test_a_patch_covers_the_unit_square():
    points, faces = square_patch(5)
    flat = trimesh.Trimesh(np.pad(points, ((0, 0), (0, 1))), faces, process=False)
    assert flat.area == pytest.approx(1)
    assert (flat.face_normals[:, 2] > 0).all()


def test_blocks_hold_exactly_the_occupied_cells():
    voxels = np.random.default_rng(0).random((6, 6, 6)) < 0.2
    vertices, faces = block_surface(voxels)
    surface = trimesh.Trimesh(vertices, faces, process=False)
    assert surface.volume == pytest.approx(voxels.mean())
    points = np.random.default_rng(1).uniform(-0.55, 0.55, (2000, 3))
    np.testing.assert_array_equal(inside_voxels(voxels, points), is_inside(vertices, faces, points))


def test_a_level_set_through_centres_is_closed_and_in_place():
    voxels = np.zeros((8, 8, 8))
    voxels[2:6, 2:6, 2:6] = 1
    surface = trimesh.Trimesh(*centre_surface(voxels, level=0.5), process=False)
    assert surface.is_watertight
    np.testing.assert_allclose(surface.bounds, [[-0.25] * 3, [0.25] * 3], atol=0.01)
    assert surface.volume > 0
    assert len(centre_surface(np.zeros((4, 4, 4)), level=0.5)[1]) == 0


def test_chamfer_is_zero_for_equal_sets_and_has_gradients_towards_both():
    points = torch.randn(2, 6, 3, requires_grad=True)
    order = torch.randperm(6)
    assert chamfer_squared(points, points[:, order]).max() < 1e-12
    others = torch.randn(2, 9, 3, requires_grad=True)
    chamfer_squared(points, others).sum().backward()
    assert points.grad.abs().sum() > 0
    assert others.grad.abs().sum() > 0


def test_nearest_points_are_those_of_an_exhaustive_search():
    first, second = torch.randn(2, 20, 3), torch.randn(2, 30, 3)
    squared = ((first[:, :, None] - second[:, None]) ** 2).sum(-1)
    found, index = nearest_squared(first, second)
    torch.testing.assert_close(found, squared.amin(2))
    torch.testing.assert_close(index, squared.argmin(2))


def test_laplacian_coordinates_do_not_see_translations():
    vertices, faces = icosphere(1)
    vertices, edges = torch.from_numpy(vertices)[None], torch.from_numpy(edges_of(faces))
    shifted = laplacian_coordinates(vertices + 3, edges)
    torch.testing.assert_close(shifted, laplacian_coordinates(vertices, edges))
    outwards = (laplacian_coordinates(vertices, edges) * vertices).sum(-1)
    assert (outwards > 0).all()


def test_edges_of_a_sphere_are_almost_perpendicular_to_its_normals():
    vertices, faces = icosphere(3)
    vertices = torch.from_numpy(vertices)[None]
    cosines = edge_normal_cosines(vertices, torch.from_numpy(edges_of(faces)), vertices, vertices)
    assert cosines.max() < 0.1


def test_points_are_projected_to_the_pixels_that_show_them():
    camera = camera_at(40.0, 25.0, 64)
    poses = torch.from_numpy(camera.camera_to_world).float()
    focal = torch.tensor([camera.intrinsics.focal_x / 64]).float()
    points = torch.tensor([[[0.1, 0.2, -0.3], [0.0, 0.0, 0.0]]])
    seen = Projection(poses, focal).positions(points)[0].numpy()
    world_to_camera = np.linalg.inv(camera.camera_to_world[0])
    local = points[0].numpy() @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    pixels = local @ camera.intrinsics.matrix.T
    expected = pixels[:, :2] / pixels[:, 2:] / 32 - 1
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_pooled_features_are_those_at_the_pixel():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    centres = torch.tensor([[[-0.75, -0.75], [0.75, -0.25], [3.0, 0.0]]])
    pooled = pooled_features([features], centres)[0, :, 0]
    torch.testing.assert_close(pooled, torch.tensor([0.0, 7.0, 0.0]))


def test_pixel2mesh_grows_fourfold_and_starts_near_its_sphere():
    generator = torch.Generator().manual_seed(0)
    features = ResNet18(width=2, generator=generator).eval()
    network = Pixel2Mesh(
        image_channels=30, width=8, blocks=1, subdivisions=1, radius=0.4, generator=generator
    )
    pose = torch.from_numpy(camera_at(0.0, 20.0, 32).camera_to_world).float()
    stages = network(
        features(torch.rand(1, 3, 32, 32, generator=generator)), Projection(pose, torch.ones(1))
    )
    assert [stage.after.shape[1] for stage in stages] == [42, 162, 642]
    assert network.faces.max() == 641
    radii = stages[-1].after.detach().norm(dim=-1)
    assert (radii - 0.4).abs().max() < 0.2
    surface = trimesh.Trimesh(stages[-1].after[0].detach().numpy(), network.faces, process=False)
    assert surface.is_watertight
