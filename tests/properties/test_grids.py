"""Grids interpolate: exact at nodes, exact for the functions that each kernel reproduces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates
from skimage.transform import warp

from nir.grids import KERNEL_RADIUS, PixelGrid

ALL = list(KERNEL_RADIUS)
SMOOTH = ["bilinear", "bicubic", "lanczos"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nodes(height: int, width: int, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
    axes = [torch.linspace(low, high, n, dtype=torch.float64) for n in (height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def grid_of(samples: torch.Tensor, interpolation: str, low=-1.0, high=1.0) -> PixelGrid:
    return PixelGrid(samples, low=low, high=high, interpolation=interpolation).double()


def inside(count: int, margin: float, seed: int = 1) -> torch.Tensor:
    """Random points of [-1, 1]^2 that keep a distance from the border."""
    points = torch.rand(count, 2, generator=generator(seed), dtype=torch.float64)
    return (points * 2 - 1) * (1 - margin)


@pytest.mark.parametrize("interpolation", ALL)
def test_nodes_are_reproduced_exactly(interpolation):
    samples = torch.rand(7, 5, 3, generator=generator(), dtype=torch.float64)
    values = grid_of(samples, interpolation)(nodes(7, 5))
    torch.testing.assert_close(values, samples.reshape(-1, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("interpolation", ALL)
def test_a_constant_stays_constant_even_beyond_the_grid(interpolation):
    samples = torch.full((6, 6, 2), 0.37, dtype=torch.float64)
    values = grid_of(samples, interpolation)(inside(200, 0.0) * 1.5)
    torch.testing.assert_close(values, torch.full_like(values, 0.37))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_linear_functions_are_reproduced(interpolation):
    def linear(points):
        return (0.3 + 2 * points[:, :1] - 5 * points[:, 1:]).double()

    samples = linear(nodes(9, 9)).reshape(9, 9, 1)
    points = inside(300, 0.3)
    torch.testing.assert_close(
        grid_of(samples, interpolation)(points), linear(points), atol=1e-5, rtol=0
    )


def test_bicubic_reproduces_quadratic_functions():
    def quadratic(points):
        return points[:, :1] ** 2 - 3 * points[:, 1:] ** 2 + points[:, :1] * points[:, 1:]

    samples = quadratic(nodes(9, 9)).reshape(9, 9, 1)
    points = inside(300, 0.3)
    torch.testing.assert_close(
        grid_of(samples, "bicubic")(points), quadratic(points), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("interpolation", "order"), [("nearest", 0), ("bilinear", 1)])
def test_low_orders_equal_scipy(interpolation, order):
    samples = torch.rand(11, 8, 1, generator=generator(), dtype=torch.float64)
    points = inside(500, 0.0)
    index = ((points + 1) / 2 * torch.tensor([10.0, 7.0])).numpy().T
    expected = map_coordinates(samples[..., 0].numpy(), index, order=order, mode="nearest")
    values = grid_of(samples, interpolation)(points)[:, 0].detach().numpy()
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_bilinear_equals_skimage():
    samples = torch.rand(9, 9, 1, generator=generator(), dtype=torch.float64)
    points = inside(64, 0.0)
    index = ((points + 1) * 4).numpy().T.reshape(2, 8, 8)
    expected = warp(samples[..., 0].numpy(), index, order=1, mode="edge")
    values = grid_of(samples, "bilinear")(points)[:, 0].detach().numpy()
    np.testing.assert_allclose(values, expected.ravel(), atol=1e-5)


@pytest.mark.parametrize(
    ("interpolation", "resampling"),
    [
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
def test_enlarging_equals_pillow_inside(interpolation, resampling):
    """Pillow's kernels are the same; its pixel centres stand half a pixel in."""
    size, factor = 16, 4
    samples = torch.rand(size, size, 1, generator=generator(), dtype=torch.float64)
    picture = Image.fromarray(samples[..., 0].numpy().astype(np.float32))
    expected = np.asarray(picture.resize((size * factor,) * 2, resampling))
    axis = (torch.arange(size * factor, dtype=torch.float64) + 0.5) / factor - 0.5
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    values = grid_of(samples, interpolation, 0.0, size - 1.0)(points).detach().numpy()
    inner = slice(3 * factor, -3 * factor)
    np.testing.assert_allclose(
        values.reshape(size * factor, -1)[inner, inner], expected[inner, inner], atol=2e-5
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_interpolation_is_continuous_across_nodes(interpolation):
    samples = torch.rand(6, 6, 1, generator=generator(), dtype=torch.float64)
    grid, step = grid_of(samples, interpolation, 0.0, 5.0), 1e-6
    before = grid(torch.tensor([[2.0 - step, 3.0 - step]], dtype=torch.float64))
    after = grid(torch.tensor([[2.0 + step, 3.0 + step]], dtype=torch.float64))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)


def test_nearest_takes_the_later_node_half_way_and_the_last_beyond():
    samples = torch.arange(3.0)[None, :, None].expand(3, 3, 1)
    grid = PixelGrid(samples, low=0.0, high=2.0, interpolation="nearest")
    columns = torch.tensor([-0.6, 0.49, 0.5, 1.51, 2.9])
    values = grid(torch.stack([torch.ones(5), columns], -1))
    assert values[:, 0].tolist() == [0, 0, 1, 2, 2]


def test_rows_come_before_columns():
    samples = torch.tensor([[[0.0], [1.0]], [[10.0], [11.0]]])
    grid = PixelGrid(samples, low=0.0, high=1.0)
    assert grid(torch.tensor([[1.0, 0.0]])).item() == 10


def test_axes_may_end_at_different_coordinates():
    samples = nodes(3, 5, 0.0, 1.0).reshape(3, 5, 2).float()
    grid = PixelGrid(samples, low=0.0, high=(2.0, 4.0))
    torch.testing.assert_close(grid(torch.tensor([[1.0, 1.0]])), torch.tensor([[0.5, 0.25]]))


@pytest.mark.parametrize("interpolation", SMOOTH)
def test_samples_are_trained(interpolation):
    grid = PixelGrid(torch.zeros(4, 4, 1), low=0.0, high=3.0, interpolation=interpolation)
    grid(torch.tensor([[1.5, 1.5]])).sum().backward()
    assert grid.samples.grad.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_the_grid_owns_its_samples():
    samples = torch.ones(2, 2, 1)
    grid = PixelGrid(samples, low=0.0, high=1.0)
    samples.zero_()
    assert grid.samples.sum().item() == 4
