"""The Radon operator: linear, adjoint, differentiable, and equal to scikit-image's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.data import shepp_logan_phantom
from skimage.transform import radon, resize

from nir.errors import InputError
from nir.operators.radon import RadonTransform, equal_angles


def phantom_in_circle(size: int) -> torch.Tensor:
    image = resize(shepp_logan_phantom(), (size, size)).astype(np.float64)
    offset = np.arange(size) - size // 2
    outside = offset[:, None] ** 2 + offset[None, :] ** 2 > (size // 2 - 1) ** 2
    image[outside] = 0
    return torch.from_numpy(image)


def random_tensor(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("size", [64, 65])
def test_it_equals_scikit_image_on_images_inside_the_circle(size):
    image = phantom_in_circle(size)
    degrees = np.linspace(0, 180, 20, endpoint=False)
    expected = radon(image.numpy(), degrees, circle=True).T
    operator = RadonTransform.as_in_scikit_image(size, torch.tensor(degrees))
    for dtype in (torch.float64, torch.float32):
        error = np.abs(operator(image.to(dtype)).numpy() - expected).max()
        assert error < 1e-4 * expected.max()


def test_nearest_interpolation_equals_resampling_of_order_zero():
    size, angle = 33, 0.7
    image = random_tensor(size, size)
    offset = np.arange(size) - (size - 1) / 2
    t, s = np.meshgrid(offset, offset, indexing="ij")
    x = s * math.cos(angle) + t * math.sin(angle) + (size - 1) / 2
    y = -s * math.sin(angle) + t * math.cos(angle) + (size - 1) / 2
    # A margin of zeros: outside the picture scipy would not take the nearest pixel's value.
    padded = np.pad(image.numpy(), 9)
    rotated = map_coordinates(padded, [y + 9, x + 9], order=0)
    operator = RadonTransform(size, torch.tensor([angle], dtype=torch.float64))
    np.testing.assert_allclose(operator(image).numpy()[0], rotated.mean(0), atol=1e-12)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_adjoint_is_the_transpose(interpolation, reduction):
    operator = RadonTransform(32, equal_angles(7), interpolation=interpolation, reduction=reduction)
    x = random_tensor(2, 32, 32, seed=1, dtype=torch.float32)
    y = random_tensor(2, 7, 32, seed=2, dtype=torch.float32)
    left, right = (operator(x) * y).sum(), (x * operator.adjoint(y)).sum()
    assert abs(left - right) < 1e-5 * operator(x).norm() * y.norm()


def test_the_adjoint_is_the_transpose_of_the_dense_matrix():
    operator = RadonTransform(6, equal_angles(3).double(), interpolation="bilinear")
    basis = torch.eye(36, dtype=torch.float64).reshape(36, 6, 6)
    matrix = operator(basis).reshape(36, 18).T
    back = operator.adjoint(torch.eye(18, dtype=torch.float64).reshape(18, 3, 6))
    torch.testing.assert_close(back.reshape(18, 36), matrix)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_gradients_are_those_of_finite_differences(interpolation):
    operator = RadonTransform(5, equal_angles(3).double(), interpolation=interpolation)
    image = random_tensor(5, 5).requires_grad_()
    assert torch.autograd.gradcheck(operator, (image,))
    projections = random_tensor(3, 5, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(operator.adjoint, (projections,))


def test_a_disc_projects_to_its_chords_at_every_angle():
    size, radius = 129, 40.0
    offset = torch.arange(size, dtype=torch.float64) - size // 2
    distance = torch.hypot(offset[:, None], offset[None, :])
    disc = torch.sigmoid((radius - distance) * 4)
    operator = RadonTransform(
        size, equal_angles(8).double(), interpolation="bilinear", reduction="sum"
    )
    chords = 2 * torch.sqrt((radius**2 - offset**2).clamp(min=0))
    inside = offset.abs() < 0.9 * radius
    error = (operator(disc) - chords)[:, inside].abs().max()
    assert error < 0.02 * chords.max()


def test_mass_is_conserved_by_sums_along_rays():
    image = phantom_in_circle(64)
    operator = RadonTransform(
        64, equal_angles(9).double(), interpolation="bilinear", reduction="sum", centre=32.0
    )
    masses = operator(image).sum(-1)
    torch.testing.assert_close(masses, image.sum().expand(9), rtol=5e-3, atol=0)


def test_at_angle_zero_the_rays_are_the_columns():
    image = random_tensor(16, 16)
    projected = RadonTransform(16, torch.zeros(1, dtype=torch.float64))(image)
    torch.testing.assert_close(projected[0], image.mean(0))


def test_a_field_is_projected_as_the_picture_it_draws():
    operator = RadonTransform(16, equal_angles(4))
    projected = operator.project_field(lambda points: points[:, :1])
    x = torch.arange(16) / 16
    torch.testing.assert_close(projected, operator(x.expand(16, 16)))


def test_an_image_of_another_size_is_refused():
    with pytest.raises(InputError, match="16 x 16 got 8 x 8"):
        RadonTransform(16, equal_angles(2))(torch.zeros(8, 8))
