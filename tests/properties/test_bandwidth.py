"""Choosing sigma without test data: the criteria are what they say, and choose well."""

from __future__ import annotations

import math

import pytest
import torch

from nir import bandwidth
from nir.data.signals import power_law_signals, rescale
from nir.errors import InputError
from nir.kernels import ReluNetwork, gaussian_features_limit
from nir.spectra import predict_training

CANDIDATES = [2.0**k for k in range(-1, 9)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kernel_of(sigma: float):
    return gaussian_features_limit(ReluNetwork(width=256), sigma, features=512)


def interleaved(alpha: float, n: int = 96, seed: int = 0):
    drawn = power_law_signals(1, 2 * n, alpha=alpha, generator=generator(seed))
    values = rescale(drawn)[0].double()[:, None]
    points = torch.arange(2 * n, dtype=torch.float64)[:, None] / (2 * n)
    return (points[::2], values[::2]), (points[1::2], values[1::2])


def errors_between_the_samples(train, test) -> list[float]:
    errors = []
    for sigma in CANDIDATES:
        kernel, mean = kernel_of(sigma), train[1].mean()
        predicted = predict_training(
            kernel(train[0], train[0]), train[1] - mean, learning_rate=1e-3
        ).at(kernel(test[0], train[0]), torch.zeros_like(test[1]), torch.tensor([1000]))[0]
        errors.append((predicted + mean - test[1]).square().mean().item())
    return errors


def all_choices(train) -> list[bandwidth.BandwidthChoice]:
    how = {"candidates": CANDIDATES, "kernel_of": kernel_of}
    return [
        bandwidth.choose_by_spectrum(train[1].T, spacing=1 / len(train[1]), **how),
        bandwidth.choose_by_leave_one_out([train], **how),
        bandwidth.choose_by_hold_out(
            [train], **how, learning_rate=1e-3, steps=1000, generator=generator()
        ),
    ]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0])
def test_the_chosen_sigma_comes_close_to_the_best(alpha):
    train, test = interleaved(alpha)
    errors = errors_between_the_samples(train, test)
    assert max(errors) > 2 * min(errors)  # the choice matters
    for choice in all_choices(train):
        assert errors[CANDIDATES.index(choice.sigma)] < 1.5 * min(errors), choice.name


def test_rougher_signals_get_larger_sigmas():
    rough, smooth = (all_choices(interleaved(alpha)[0]) for alpha in (0.5, 2.0))
    for high, low in zip(rough, smooth, strict=True):
        assert high.sigma > low.sigma


def test_the_choice_is_the_largest_sigma_that_is_nearly_as_good_as_the_best():
    spectrum, *predicted = all_choices(interleaved(1.0)[0])
    lowest = spectrum.criterion.index(min(spectrum.criterion))
    assert spectrum.sigma == CANDIDATES[lowest]
    for choice in predicted:
        limit = 1.05 * min(choice.criterion)
        nearly = [s for s, c in zip(CANDIDATES, choice.criterion, strict=True) if c <= limit]
        assert choice.sigma == max(nearly)


def test_leave_one_out_equals_leaving_each_out():
    (points, values), _ = interleaved(1.0, n=12)
    matrix = kernel_of(2.0)(points, points)
    ridge = 1e-3 * matrix.diagonal().mean()
    closed = bandwidth.leave_one_out_residuals(matrix, values, relative_ridge=1e-3)
    for left_out in range(12):
        rest = [i for i in range(12) if i != left_out]
        regularised = matrix[rest][:, rest] + ridge * torch.eye(11, dtype=matrix.dtype)
        predicted = matrix[left_out, rest] @ torch.linalg.solve(regularised, values[rest])
        torch.testing.assert_close(closed[left_out], values[left_out] - predicted)


def test_the_expected_periodogram_is_the_mean_over_signals_of_that_covariance():
    n, spacing = 24, 1 / 24
    points = torch.arange(n, dtype=torch.float64)[:, None] * spacing
    kernel = kernel_of(3.0)
    window = bandwidth._hann_window((n,))
    expected = bandwidth._expected_periodogram(
        bandwidth._covariance_of_lags(kernel, window, spacing), window
    )
    covariance = kernel(points, points)
    fourier = torch.fft.fft(torch.diag(window).to(torch.complex128))
    exact = (fourier.T @ covariance.to(fourier.dtype) @ fourier.conj()).diagonal().real
    torch.testing.assert_close(expected, exact, rtol=1e-6, atol=1e-6 * exact.max().item())


def test_the_spectrum_criterion_recovers_the_bandwidth_of_its_own_process():
    size, spacing, truth = 24, 1 / 24, 4.0
    axis = torch.arange(size, dtype=torch.float64) * spacing
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    covariance = kernel_of(truth)(points, points)
    root = torch.linalg.cholesky(covariance + 1e-6 * covariance[0, 0] * torch.eye(size**2))
    noise = torch.randn(size**2, 6, generator=generator(), dtype=torch.float64)
    pictures = (root @ noise).T.reshape(6, size, size)
    choice = bandwidth.choose_by_spectrum(
        pictures, spacing=spacing, candidates=[1.0, 2.0, 4.0, 8.0, 16.0], kernel_of=kernel_of
    )
    assert choice.sigma == truth


def test_patches_are_cut_out_at_the_pictures_density():
    picture = torch.rand(20, 30, 3, generator=generator())
    patches = bandwidth.random_patches(
        picture, size=5, count=4, spacing=0.1, generator=generator(1)
    )
    assert len(patches) == 4
    for points, values in patches:
        assert points.shape == (25, 2)
        assert points.max().item() == pytest.approx(0.4)
        windows = picture.double().unfold(0, 5, 1).unfold(1, 5, 1)  # [row, column, c, 5, 5]
        candidates = windows.permute(0, 1, 3, 4, 2).reshape(-1, 25, 3)
        assert (candidates == values).all(-1).all(-1).any()


def test_impossible_requests_are_refused():
    (points, values), _ = interleaved(1.0, n=12)
    with pytest.raises(InputError, match="no candidate"):
        bandwidth.choose_by_leave_one_out([(points, values)], candidates=[], kernel_of=kernel_of)
    with pytest.raises(InputError, match="do not fit"):
        bandwidth.random_patches(
            torch.zeros(4, 4, 1), size=5, count=1, spacing=1.0, generator=generator()
        )
    assert math.isfinite(all_choices((points, values))[1].sigma)
