"""The masked Fourier operator: its mask, its adjoint, its gradient."""

from __future__ import annotations

import pytest
import torch

from nir.errors import InputError
from nir.operators.fourier import MaskedFourierTransform, gaussian_mask, scaled_gaussian_mask


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.conj() * b).sum()


@pytest.mark.parametrize("shape", [(16, 16), (12, 10), (8, 9, 10)])
@pytest.mark.parametrize("normalisation", ["none", "ortho"])
def test_the_adjoint_is_the_conjugate_transpose(shape, normalisation):
    mask = torch.rand(shape, generator=generator(1)) < 0.3
    operator = MaskedFourierTransform(mask, normalisation=normalisation)
    x = torch.randn(shape, generator=generator(2))
    y = torch.randn(shape, generator=generator(3), dtype=torch.complex64)
    left, right = inner(operator(x), y), inner(x.to(y.dtype), operator.adjoint(y))
    assert abs(left - right) < 1e-5 * operator(x).norm() * y.norm()


def test_gradients_are_those_of_finite_differences():
    operator = MaskedFourierTransform(torch.rand(4, 5, 3, generator=generator()) < 0.5)
    grid = torch.randn(4, 5, 3, generator=generator(1), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(operator, (grid,))


def test_the_gradient_of_the_loss_is_the_adjoint_of_the_residual():
    operator = MaskedFourierTransform(torch.rand(6, 6, generator=generator()) < 0.5)
    grid = torch.randn(6, 6, generator=generator(1), dtype=torch.float64).requires_grad_()
    observed = operator(torch.randn(6, 6, generator=generator(2), dtype=torch.float64))
    residual = operator(grid) - observed
    (residual.abs().square().sum() / 2).backward()
    torch.testing.assert_close(grid.grad, operator.adjoint(residual.detach()).real)


def test_the_whole_orthonormal_transform_keeps_lengths():
    operator = MaskedFourierTransform(torch.ones(8, 8, dtype=torch.bool), normalisation="ortho")
    x = torch.randn(3, 8, 8, generator=generator())
    torch.testing.assert_close(operator(x).norm(), x.norm())
    torch.testing.assert_close(operator.adjoint(operator(x)).real, x)


def test_a_centred_mask_keeps_the_zero_frequency():
    mask = torch.zeros(6, 7, dtype=torch.bool)
    mask[3, 3] = True
    x = torch.rand(6, 7, generator=generator())
    measured = MaskedFourierTransform(mask)(x)
    assert measured.count_nonzero() == 1
    torch.testing.assert_close(measured[0, 0].real, x.sum())


def test_the_paper_mask_keeps_one_coefficient_in_eight():
    mask = gaussian_mask((96, 96, 96), generator=generator())
    assert mask.double().mean().item() == pytest.approx(0.1256, abs=2e-3)
    # 4.8 draws fall on each of the lowest coefficients: e^-4.8 = 0.8 % of them stay unmeasured.
    assert mask[44:53, 44:53, 44:53].double().mean() > 0.97


def test_the_paper_mask_has_the_stated_spread():
    positions = gaussian_mask((400, 400), draws=3000, variance=900.0, generator=generator())
    offsets = positions.nonzero().double() - 200
    torch.testing.assert_close(offsets.std(0), torch.full((2,), 30.0).double(), rtol=0.05, atol=0)


@pytest.mark.parametrize("size", [16, 32, 48])
def test_smaller_grids_keep_the_same_share(size):
    mask = scaled_gaussian_mask((size,) * 3, generator=generator())
    assert mask.double().mean().item() == pytest.approx(0.1256, abs=0.012)


def test_the_same_generator_draws_the_same_mask():
    first, second = (gaussian_mask((24, 24), draws=99, generator=generator(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_a_field_is_measured_as_the_grid_it_fills():
    operator = MaskedFourierTransform(torch.ones(4, 6, dtype=torch.bool))
    measured = operator.measure_field(lambda points: points.sum(-1, keepdim=True))
    torch.testing.assert_close(measured, operator(operator.coordinates().sum(-1)))


def test_grids_of_another_size_and_empty_masks_are_refused():
    with pytest.raises(InputError, match="resample"):
        MaskedFourierTransform(torch.ones(4, 4, dtype=torch.bool))(torch.zeros(5, 5))
    with pytest.raises(InputError, match="keeps no"):
        MaskedFourierTransform(torch.zeros(4, 4, dtype=torch.bool))
