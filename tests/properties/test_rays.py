"""Rays: they hit the pixel they came from, and NDC keeps the points they pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nir.errors import InputError
from nir.geometry import paths, similarity
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.rays import (
    depth_from_ndc,
    ndc_rays,
    random_pixels,
    rays_of_batch,
    rays_of_image,
)

INTRINSICS = Intrinsics(12, 9, 11.0, 13.0, 5.5, 4.0)


def some_cameras(count: int = 3) -> Cameras:
    random = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=random).as_matrix()
    poses[:, :3, 3] = random.normal(size=(count, 3))
    return Cameras(poses, INTRINSICS)


def wall_of_cameras() -> Cameras:
    random = np.random.default_rng(1)
    positions = random.uniform(-0.3, 0.3, (6, 3))
    target, up = np.array([0.0, 0.0, -6.0]), np.array([0.0, 1.0, 0.0])
    poses = np.stack([paths.look_at(position, target, up) for position in positions])
    return similarity.recentred(Cameras(poses, Intrinsics.centred(12, 9, 11.0)))[0]


def test_a_ray_projects_to_the_pixel_it_came_from_at_its_own_depth():
    cameras = some_cameras()
    for view in range(len(cameras)):
        rays = rays_of_image(cameras, view, dtype=torch.float64).flat()
        depths = torch.full((len(rays), 1), 2.5, dtype=torch.float64)
        points = rays.points(depths)[:, 0].numpy()
        pixels, depth = cameras[view].project(points)
        columns, rows = np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5)
        np.testing.assert_allclose(pixels[0], np.stack([columns.ravel(), rows.ravel()], 1))
        np.testing.assert_allclose(depth, 2.5)


def test_view_directions_have_unit_length():
    rays = rays_of_image(some_cameras(), 1)
    torch.testing.assert_close(rays.view_directions.norm(dim=-1), torch.ones(9, 12))


def test_a_batch_of_pixels_gives_the_rays_of_their_images():
    cameras = some_cameras()
    pixels = random_pixels(
        50, views=3, width=12, height=9, generator=torch.Generator().manual_seed(0)
    )
    poses = torch.as_tensor(cameras.camera_to_world, dtype=torch.float32)
    batch = rays_of_batch(poses, INTRINSICS, pixels)
    for index in range(50):
        image = rays_of_image(cameras, int(pixels.views[index]))
        place = (int(pixels.rows[index]), int(pixels.columns[index]))
        torch.testing.assert_close(batch.directions[index], image.directions[place])
        torch.testing.assert_close(batch.origins[index], image.origins[place])


def test_random_pixels_repeat_with_their_generator_and_cover_the_image():
    def draw(seed: int, **options):
        generator = torch.Generator().manual_seed(seed)
        return random_pixels(3000, views=4, width=12, height=9, generator=generator, **options)

    assert torch.equal(draw(1).rows, draw(1).rows)
    assert len(torch.unique(draw(1).views * 108 + draw(1).rows * 12 + draw(1).columns)) > 420
    assert len(draw(2, one_view=True).views.unique()) == 1
    middle = draw(3, centre_share=0.5)
    assert (int(middle.columns.min()), int(middle.columns.max())) == (3, 8)
    with pytest.raises(InputError, match="centre share"):
        draw(3, centre_share=0.0)


def test_ndc_maps_the_near_plane_to_minus_one_and_infinity_to_one():
    cameras = wall_of_cameras()
    rays = ndc_rays(rays_of_image(cameras, 2, dtype=torch.float64), cameras.intrinsics)
    ends = rays.points(torch.tensor([0.0, 1.0], dtype=torch.float64).expand(9, 12, 2))
    torch.testing.assert_close(ends[..., 0, 2], torch.full((9, 12), -1.0, dtype=torch.float64))
    torch.testing.assert_close(ends[..., 1, 2], torch.full((9, 12), 1.0, dtype=torch.float64))


def test_ndc_rays_pass_the_same_points_at_the_depth_that_depth_from_ndc_tells():
    cameras = wall_of_cameras()
    world = rays_of_image(cameras, 4, dtype=torch.float64).flat()
    inside = ndc_rays(world, cameras.intrinsics)
    parameters = torch.linspace(0, 0.98, 17, dtype=torch.float64)
    for parameter in parameters:
        along = parameter.expand(len(world))
        depths = depth_from_ndc(along, world)
        x, y, z = world.points(depths[:, None])[:, 0].unbind(-1)
        expected = torch.stack([-11 / 6 * x / z, -11 / 4.5 * y / z, 1 + 2 / z], dim=-1)
        torch.testing.assert_close(inside.points(along[:, None])[:, 0], expected)


def test_depth_at_infinity_is_finite():
    cameras = wall_of_cameras()
    rays = rays_of_image(cameras, 0)
    depths = depth_from_ndc(torch.ones(9, 12), rays)
    assert torch.isfinite(depths).all()
    assert (depths > 1e5).all()
