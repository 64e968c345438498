"""Volume rendering: light is conserved, walls are opaque, memory is bounded, nothing is NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.errors import InputError
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import orbit
from nir.geometry.rays import Rays, rays_of_image
from nir.operators import volume
from nir.operators.occupancy import OccupancyGrid, OccupancyGrids, box_of_rays
from nir.operators.volume import RenderSettings, composite, render_image, render_rays


def random_rays(rays: int = 20, samples: int = 32, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(0)
    depths = 2 + 4 * torch.rand(rays, samples, generator=generator, dtype=dtype)
    depths = depths.sort(dim=-1).values
    rgb = torch.rand(rays, samples, 3, generator=generator, dtype=dtype)
    density = 3 * torch.randn(rays, samples, generator=generator, dtype=dtype)
    directions = torch.randn(rays, 3, generator=generator, dtype=dtype)
    return rgb, density, depths, directions


def ball(points: torch.Tensor, view_directions: torch.Tensor):
    """A ball of radius 1 about the origin with a coloured, slightly shiny surface."""
    density = 2000 * (1 - points.norm(dim=-1))
    shine = 0.1 * (view_directions * points).sum(-1, keepdim=True)
    return (0.5 + 0.4 * torch.sin(3 * points) + shine).clamp(0, 1), density


def camera_around(size: int = 24) -> Cameras:
    """Cameras in whose images the ball fills 22 %, about as objects do in NeRF's scenes."""
    poses = orbit(3, radius=4.0, elevation_degrees=25.0)
    return Cameras(poses, Intrinsics.from_field_of_view(size, size, 0.9))


def test_weights_sum_to_an_opacity_of_at_most_one():
    rendering = composite(*random_rays())
    torch.testing.assert_close(rendering.weights.sum(-1), rendering.opacity)
    assert (rendering.weights >= 0).all()
    assert (rendering.opacity <= 1 + 1e-12).all()


def test_weights_and_the_light_that_is_left_sum_to_one():
    _, density, depths, directions = random_rays()
    lengths = volume.interval_lengths(depths, directions, last=0.3)
    weights = volume.weights_from_density(density, lengths)
    left = torch.exp(-(torch.relu(density) * lengths).sum(-1))
    torch.testing.assert_close(weights.sum(-1) + left, torch.ones_like(left))


def test_transmittance_is_the_product_of_what_earlier_samples_let_through():
    _, density, depths, directions = random_rays()
    lengths = volume.interval_lengths(depths, directions)
    alpha = volume.alpha_from_density(density, lengths)
    product = torch.cumprod(1 - alpha, dim=-1)[:, :-1]
    transmittance = volume.transmittance_from_density(density, lengths)
    torch.testing.assert_close(transmittance[:, 1:], product, atol=1e-12, rtol=0)
    assert (transmittance[:, 0] == 1).all()


def test_a_dense_wall_is_opaque_and_lies_at_its_depth():
    depths = torch.linspace(2, 6, 101).expand(4, 101)
    density = torch.where(depths >= 3.0, 1e4, 0.0)
    rgb = torch.rand(4, 101, 3, generator=torch.Generator().manual_seed(0))
    directions = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    rendering = composite(rgb, density, depths, directions, background=1.0)
    torch.testing.assert_close(rendering.opacity, torch.ones(4))
    torch.testing.assert_close(rendering.depth, torch.full((4,), 3.0), atol=0.05, rtol=0)
    torch.testing.assert_close(rendering.disparity, 1 / rendering.depth)
    torch.testing.assert_close(rendering.colour, rgb[:, 25])


def test_an_empty_ray_shows_the_background_and_no_disparity():
    rgb, density, depths, directions = random_rays()
    white = composite(rgb, -density.abs(), depths, directions, background=1.0)
    torch.testing.assert_close(white.colour, torch.ones_like(white.colour))
    assert (white.opacity == 0).all()
    assert (white.disparity == 0).all()
    black = composite(rgb, -density.abs(), depths, directions)
    assert (black.colour == 0).all()


def test_splitting_intervals_of_constant_density_leaves_the_colour_unchanged():
    rgb, density, depths, directions = random_rays()
    middle = 0.5 * (depths + torch.cat([depths[:, 1:], depths[:, -1:] + 1], -1))

    def twice(values: torch.Tensor) -> torch.Tensor:
        return values.repeat_interleave(2, dim=1)

    split = torch.stack([depths, middle], dim=-1).flatten(1)
    whole = composite(rgb, density, depths, directions, background=1.0)
    halves = composite(twice(rgb), twice(density), split, directions, background=1.0)
    torch.testing.assert_close(halves.colour, whole.colour)
    torch.testing.assert_close(halves.opacity, whole.opacity)


def test_longer_directions_with_shorter_steps_are_the_same_ray():
    rgb, density, depths, directions = random_rays()
    once = composite(rgb, density, depths, directions)
    scaled = composite(rgb, density, depths / 3, 3 * directions)
    torch.testing.assert_close(once.colour, scaled.colour)


@pytest.mark.parametrize("level", [-1e4, -1.0, 0.0, 1e-12, 1.0, 1e4, 1e30])
def test_values_and_gradients_are_finite_at_any_density(level):
    rgb, _, depths, directions = random_rays(dtype=torch.float32)
    density = torch.full_like(depths, level).requires_grad_()
    rgb = rgb.requires_grad_()
    rendering = composite(rgb, density, depths, directions, background=1.0)
    total = rendering.colour.sum() + rendering.depth.sum() + rendering.opacity.sum()
    (total + rendering.disparity.sum()).backward()
    assert torch.isfinite(total)
    assert torch.isfinite(density.grad).all()
    assert torch.isfinite(rgb.grad).all()


def test_rendering_a_ball_twice_finds_its_surface():
    rays = rays_of_image(camera_around(25), 0).flat()
    rendering = render_rays(ball, ball, rays, RenderSettings())
    middle = 25 * 12 + 12
    # Density grows as 2000 s at depth s in the ball: light gets sqrt(pi / 4000) deep on average.
    assert float(rendering.final.depth[middle]) == pytest.approx(3.0280, abs=0.002)
    assert rendering.coarse.depths.shape == (625, 64)
    assert rendering.final.depths.shape == (625, 192)
    corner = rendering.final.colour[0]
    torch.testing.assert_close(corner, torch.ones(3))


def test_without_a_generator_rendering_is_deterministic_and_without_noise():
    rays = rays_of_image(camera_around(), 1).flat()
    noisy = RenderSettings(raw_noise_std=1e3)
    first, second = (render_rays(ball, None, rays, noisy).final.colour for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first, render_rays(ball, None, rays, RenderSettings()).final.colour)


def test_a_generator_jitters_samples_and_makes_noise_that_repeats():
    rays = rays_of_image(camera_around(), 1).flat()

    def render(seed: int, noise: float) -> volume.HierarchicalRendering:
        generator = torch.Generator().manual_seed(seed)
        return render_rays(
            ball, None, rays, RenderSettings(raw_noise_std=noise), generator=generator
        )

    assert torch.equal(render(1, 1.0).final.colour, render(1, 1.0).final.colour)
    assert not torch.equal(render(1, 0.0).coarse.depths, render(2, 0.0).coarse.depths)
    assert not torch.equal(render(1, 0.0).coarse.weights, render(1, 100.0).coarse.weights)


def test_one_pass_is_enough_when_no_fine_samples_are_asked():
    rays = rays_of_image(camera_around(), 1).flat()
    rendering = render_rays(ball, None, rays, RenderSettings(coarse_samples=32, fine_samples=0))
    assert rendering.fine is None
    assert rendering.final is rendering.coarse


def test_near_must_be_less_than_far():
    with pytest.raises(InputError, match="near"):
        RenderSettings(near=2.0, far=2.0)


def test_an_image_does_not_depend_on_the_size_of_its_chunks():
    rays = rays_of_image(camera_around(), 2)
    whole = render_image(ball, None, rays, RenderSettings())
    pieces = render_image(ball, None, rays, RenderSettings(), rays_at_once=37)
    assert whole.colour.shape == (24, 24, 3)
    torch.testing.assert_close(whole.colour, pieces.colour)
    torch.testing.assert_close(whole.depth, pieces.depth)


def memory_for(samples: int, error: Exception):
    """The ball on a machine whose memory holds that many samples at once."""
    asked: list[int] = []

    def field(points: torch.Tensor, view_directions: torch.Tensor):
        asked.append(points[..., 0].numel())
        if asked[-1] > samples:
            raise error
        return ball(points, view_directions)

    return field, asked


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("full"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
        RuntimeError("err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_chunks_are_halved_until_they_fit_in_memory(error):
    rays = rays_of_image(camera_around(), 2)
    field, asked = memory_for(192 * 50, error)
    image = render_image(field, None, rays, RenderSettings())
    torch.testing.assert_close(
        image.colour, render_image(ball, None, rays, RenderSettings()).colour
    )
    failures = sum(samples > 192 * 50 for samples in asked)
    assert failures <= 5  # once found, the size is kept


def test_other_errors_and_memory_for_not_even_one_ray_are_not_hidden():
    rays = rays_of_image(camera_around(4), 2)
    field, _ = memory_for(10, torch.OutOfMemoryError("full"))
    with pytest.raises(torch.OutOfMemoryError):
        render_image(field, None, rays, RenderSettings())
    field, _ = memory_for(10, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        render_image(field, None, rays, RenderSettings())


def grid_of_the_ball(rays: Rays) -> OccupancyGrid:
    lower, upper = box_of_rays(rays, 2.0, 6.0)
    return OccupancyGrid.from_density(lambda p: ball(p, p)[1], lower, upper, resolution=64)


def test_the_grid_holds_every_point_of_the_ball_and_little_more():
    rays = rays_of_image(camera_around(), 0)
    grid = grid_of_the_ball(rays)
    generator = torch.Generator().manual_seed(0)
    points = grid.lower + (grid.upper - grid.lower) * torch.rand(20000, 3, generator=generator)
    inside = points.norm(dim=-1) < 1
    cell = float(((grid.upper - grid.lower) / 64).norm())
    assert (grid.upper - grid.lower).max() < 3.2  # the grid has shrunk to the ball
    assert grid.contains(points[inside]).all()
    assert not grid.contains(points[points.norm(dim=-1) > 1 + 3 * cell]).any()
    assert not grid.contains(torch.tensor([[1e3, 0.0, 0.0]])).any()


def test_skipping_empty_space_changes_nothing_that_can_be_seen_and_asks_far_less():
    rays = rays_of_image(camera_around(48), 1)
    grid = grid_of_the_ball(rays)
    field, asked = memory_for(10**9, RuntimeError())
    plain = render_image(field, None, rays, RenderSettings())
    all_samples, skipped = sum(asked), memory_for(10**9, RuntimeError())
    skipping = render_image(
        skipped[0], None, rays, RenderSettings(), occupancy=OccupancyGrids(grid, grid)
    )
    error = (skipping.colour - plain.colour).abs().max()
    assert float(error) < 2e-3
    assert all_samples > 5 * sum(skipped[1])


def test_what_lies_behind_the_last_sample_is_never_skipped():
    """A haze too thin for the grid still fills the infinite last interval, as without a grid."""

    def haze(points: torch.Tensor, view_directions: torch.Tensor):
        return torch.full_like(points, 0.25), torch.full_like(points[..., 0], 1e-7)

    rays = rays_of_image(camera_around(), 1)
    grid = OccupancyGrid(
        torch.full((3,), -9.0),
        torch.full((3,), 9.0),
        torch.zeros(4, 4, 4, dtype=torch.bool),
        torch.zeros(5, 5, 5),
    )
    image = render_image(haze, None, rays, RenderSettings(), occupancy=OccupancyGrids(grid, grid))
    torch.testing.assert_close(image.colour, torch.full((24, 24, 3), 0.25))


def test_gradients_flow_through_a_rendering_that_skips():
    rays = rays_of_image(camera_around(12), 1).flat()
    grid = grid_of_the_ball(rays)
    brightness = torch.ones((), requires_grad=True)

    def field(points: torch.Tensor, view_directions: torch.Tensor):
        rgb, density = ball(points, view_directions)
        return brightness * rgb, density

    colour = render_rays(
        field, None, rays, RenderSettings(), occupancy=OccupancyGrids(grid, grid)
    ).final.colour
    colour.sum().backward()
    assert float(brightness.grad) > 0


def test_skipping_empty_space_evaluates_a_fifth_at_most():
    evaluated = []

    def field(points: torch.Tensor, view_directions: torch.Tensor):
        evaluated[-1] += points[..., 0].numel()
        return ball(points, view_directions)

    rays = rays_of_image(camera_around(24), 1)
    grid = grid_of_the_ball(rays)
    images = []
    for occupancy in (None, OccupancyGrids(grid, grid)):
        evaluated.append(0)
        images.append(render_image(field, None, rays, RenderSettings(), occupancy=occupancy))
    error = np.sqrt(float(((images[0].colour - images[1].colour) ** 2).mean()))
    assert evaluated[0] > 5 * evaluated[1] > 0
    assert error < 1e-3
