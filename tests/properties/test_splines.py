"""Derivatives of samples: exact for cubic polynomials, in units of the coordinates asked for."""

from __future__ import annotations

import numpy as np
import pytest

from nir.data.splines import spline_derivatives
from nir.tasks.image import pixel_coordinates

CONVENTIONS = ["unit", "symmetric"]


def grid(size: int, convention: str) -> tuple[np.ndarray, np.ndarray]:
    coordinates = pixel_coordinates(size, convention).numpy().astype(np.float64)
    return coordinates[..., 0], coordinates[..., 1]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_cubic_polynomial_is_differentiated_exactly(convention):
    row, column = grid(17, convention)
    image = (row**3 - 2 * row * column**2 + column**3 + 0.5 * row)[..., None]
    gradient, laplacian = spline_derivatives(image, convention)
    np.testing.assert_allclose(gradient[..., 0], 3 * row**2 - 2 * column**2 + 0.5, atol=1e-4)
    np.testing.assert_allclose(gradient[..., 1], 3 * column**2 - 4 * row * column, atol=1e-4)
    np.testing.assert_allclose(laplacian[..., 0], 6 * row - 4 * row + 6 * column, atol=2e-3)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_channels_do_not_mix(convention):
    row, column = grid(9, convention)
    image = np.stack([row, 3 * column, np.ones_like(row)], axis=-1)
    gradient, laplacian = spline_derivatives(image, convention)
    expected = np.zeros((9, 9, 6))
    expected[..., 0], expected[..., 3] = 1, 3
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_allclose(laplacian, 0, atol=1e-3)


def test_conventions_differ_by_the_length_of_a_pixel():
    image = np.random.default_rng(0).random((12, 12, 1))
    unit_gradient, unit_laplacian = spline_derivatives(image, "unit")
    gradient, laplacian = spline_derivatives(image, "symmetric")
    pixels = 12 / (11 / 2)  # pixels in a unit of the first over pixels in a unit of the second
    np.testing.assert_allclose(unit_gradient, gradient * pixels, rtol=1e-4)
    np.testing.assert_allclose(unit_laplacian, laplacian * pixels**2, rtol=1e-4)


def test_a_smooth_signal_is_followed_to_fourth_order():
    def error(size: int) -> float:
        row, column = grid(size, "symmetric")
        image = (np.sin(2 * row) * np.cos(3 * column))[..., None]
        laplacian = spline_derivatives(image, "symmetric")[1][..., 0]
        middle = slice(size // 4, -size // 4)
        return float(np.abs(laplacian + 13 * image[..., 0])[middle, middle].max())

    assert error(33) < 0.06
    assert error(65) < error(33) / 3.5


def test_transposing_the_image_swaps_the_gradients_components():
    image = np.random.default_rng(1).random((10, 10, 1))
    gradient, laplacian = spline_derivatives(image, "symmetric")
    turned_gradient, turned_laplacian = spline_derivatives(image.swapaxes(0, 1), "symmetric")
    np.testing.assert_allclose(turned_gradient.swapaxes(0, 1)[..., ::-1], gradient, atol=1e-4)
    np.testing.assert_allclose(turned_laplacian.swapaxes(0, 1), laplacian, atol=1e-2)
