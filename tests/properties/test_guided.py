"""Guided rendering: one pass, sampled where a grid remembers that the field is dense."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import orbit
from nir.geometry.rays import Rays, rays_of_image
from nir.operators.guided import guided_depths, render_image_guided, render_rays_guided
from nir.operators.occupancy import OccupancyGrid, box_of_rays
from nir.operators.volume import RenderSettings, render_image

SETTINGS = RenderSettings()


class SoftBall:
    """A ball whose density rises over a tenth of a unit, coloured by position; it counts."""

    def __init__(self) -> None:
        self.asked = 0

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return 60 * torch.sigmoid((0.8 - points.norm(dim=-1)) * 60)

    def __call__(self, points: torch.Tensor, view_directions: torch.Tensor):
        self.asked += points[..., 0].numel()
        return 0.5 + 0.5 * torch.sin(7 * points), self.density(points)


@pytest.fixture
def rays() -> Rays:
    cameras = Cameras(orbit(4, radius=4.0, elevation_degrees=30.0), Intrinsics.centred(32, 32, 40))
    return rays_of_image(cameras, 0)


def grid_of(field: SoftBall, rays: Rays, resolution: int = 64) -> OccupancyGrid:
    return OccupancyGrid.from_density(
        field.density, *box_of_rays(rays, SETTINGS.near, SETTINGS.far), resolution=resolution
    )


def test_the_picture_is_that_of_many_samples_for_a_tenth_of_two_passes(rays):
    field = SoftBall()
    grid = grid_of(field, rays)
    exact = render_image(field, None, rays, dataclasses.replace(SETTINGS, coarse_samples=2000))
    field.asked = 0
    render_image(field, field, rays, SETTINGS)
    asked_by_both, field.asked = field.asked, 0
    guided = render_image_guided(field, rays, SETTINGS, grid)
    assert asked_by_both > 8 * field.asked
    error = (guided.colour - exact.colour).square().mean().sqrt()
    assert error < 2.5e-3  # 52 dB
    hit = exact.opacity > 0.99
    depth_error = (guided.depth - exact.depth).abs()[hit]
    assert depth_error.max() < 0.05


def test_more_guided_samples_bring_it_nearer(rays):
    field = SoftBall()
    grid = grid_of(field, rays)
    exact = render_image(field, None, rays, dataclasses.replace(SETTINGS, coarse_samples=4000))
    errors = []
    few = dataclasses.replace(SETTINGS, coarse_samples=8)
    for count in (4, 16, 256):
        found = render_image_guided(field, rays, few, grid, guided=count)
        errors.append(float((found.colour - exact.colour).square().mean()))
    assert errors[0] > 1.5 * errors[1]
    assert errors[1] > 1.5 * errors[2]


def test_depths_are_even_ones_and_those_near_the_surface(rays):
    field = SoftBall()
    flat = rays.flat()
    through_the_middle = len(flat) // 2 + 16
    depths = guided_depths(flat, SETTINGS, grid_of(field, rays))
    assert depths.shape == (len(flat), 64 + 32)
    assert (depths.diff(dim=-1) >= 0).all()
    assert depths.min() >= SETTINGS.near
    assert depths.max() <= SETTINGS.far
    along = flat.points(depths)[through_the_middle].norm(dim=-1)
    assert ((along - 0.8).abs() < 0.15).sum() > 30


def test_a_ray_that_meets_nothing_asks_for_its_last_sample_alone_and_sees_the_background(rays):
    field = SoftBall()
    grid, flat = grid_of(field, rays), rays.flat()
    beside = Rays(flat.origins + 50, flat.directions, flat.view_directions)
    field.asked = 0
    rendering = render_rays_guided(field, beside, SETTINGS, grid)
    assert field.asked == len(flat)
    torch.testing.assert_close(rendering.colour, torch.ones(len(flat), 3))


def test_the_grid_remembers_density_linearly_between_its_corners():
    def density(points: torch.Tensor) -> torch.Tensor:
        return 2 + points @ torch.tensor([1.0, -0.5, 0.25])

    lower, upper = torch.tensor([-1.0, -2.0, 0.0]), torch.tensor([1.0, 1.0, 3.0])
    grid = OccupancyGrid.from_density(density, lower, upper, resolution=8)
    generator = torch.Generator().manual_seed(0)
    points = lower + (upper - lower) * torch.rand(5, 7, 3, generator=generator)
    torch.testing.assert_close(grid.density_at(points), density(points), rtol=1e-4, atol=1e-4)
    assert (grid.density_at(points + 10) == 0).all()


def test_negative_density_is_remembered_as_none():
    grid = OccupancyGrid.from_density(
        lambda points: points[..., 0], torch.full((3,), -1.0), torch.full((3,), 1.0), resolution=8
    )
    assert grid.corner_density.min() == 0


def test_even_depths_in_disparity_stay_so(rays):
    settings = dataclasses.replace(SETTINGS, linear_in_disparity=True)
    depths = guided_depths(rays.flat(), settings, grid_of(SoftBall(), rays), guided=0)
    steps = (1 / depths).diff(dim=-1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-3, atol=1e-5)
