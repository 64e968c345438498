"""Bandwidth: choosing the mapping's sigma without test data.

Three criteria, each a curve over candidate sigmas, lower being better. All compare the signal
with the kernel that a network has behind a mapping of bandwidth sigma:

- `choose_by_spectrum`: does the signal's power spectrum look like the kernel's? (Whittle
  likelihood of a Gaussian process with that covariance.) Needs a regular grid.
- `choose_by_leave_one_out`: error of kernel regression at each sample from all others, in closed
  form.
- `choose_by_hold_out`: predicted error at held-out samples after so many steps of training.

The predicted errors are nearly flat below the best sigma, where trained networks are worse since
they learn slowly there. So among the sigmas whose predicted error exceeds the lowest by at most
`tolerance`, the largest is taken: the one that trains fastest.

The kernel's scale does not matter to the first two. Signals are centred, since networks
have biases. Kernel matrices are dense: take patches of a few hundred to two thousand points,
*at the density of the training samples*, since sigma depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from nir.errors import InputError
from nir.kernels import Kernel
from nir.spectra import predict_training

KernelOfBandwidth = Callable[[float], Kernel]
Samples = tuple[Tensor, Tensor]  # coordinates [n, d], values [n, c]


@dataclass(frozen=True, kw_only=True)
class BandwidthChoice:
    """The chosen sigma with the curve it was chosen by, one value a candidate; lower is better."""

    sigma: float
    candidates: tuple[float, ...]
    criterion: tuple[float, ...]
    name: str


def choose_by_spectrum(
    values: Float[Tensor, "channels ..."],
    *,
    spacing: float,
    candidates: Sequence[float],
    kernel_of: KernelOfBandwidth,
) -> BandwidthChoice:
    """Choose sigma by how well the kernel's spectrum explains the signal's.

    values: channels (or independent signals) on a regular grid with `spacing` between neighbours.
    Criterion: mean over frequencies of log E + I / E (Whittle), I the Hann-windowed periodogram, E
    its expectation under the kernel, computed exactly for the window ("debiased Whittle", Sykulski
    et al. 2019), the kernel's scale fitted. The kernel must be stationary.
    """
    axes = tuple(range(1, values.ndim))
    centred = (values - values.mean(axes, keepdim=True)).double()
    window = _hann_window(centred.shape[1:]).to(centred)
    periodogram = torch.fft.fftn(centred * window, dim=axes).abs().square().mean(0)
    # The window spreads the removed mean over the lowest bins: they say nothing of the signal.
    used = ~_lowest_bins(window.shape).to(window.device)

    def criterion(sigma: float) -> float:
        covariance = _covariance_of_lags(kernel_of(sigma), window, spacing)
        expected = _expected_periodogram(covariance, window)
        expected = expected.clamp(min=expected.max().item() * 1e-14)[used]
        scale = (periodogram[used] / expected).mean()
        return (expected.log().mean() + scale.log()).item()

    return _choose("spectrum", candidates, criterion, tolerance=None)


def choose_by_leave_one_out(
    sets: Sequence[Samples],
    *,
    candidates: Sequence[float],
    kernel_of: KernelOfBandwidth,
    relative_ridge: float = 1e-2,
    tolerance: float = 0.05,
) -> BandwidthChoice:
    """Choose sigma by the leave-one-out error of kernel regression, a mean over all samples.

    Sets are regressed each by itself; larger ones count for more.
    relative_ridge: regularisation in units of the kernel's mean diagonal; training for t steps of
    learning rate eta resembles a ridge of 1 / (eta t).
    """

    def criterion(sigma: float) -> float:
        """Mean squared residual over all samples of all sets, each left out once."""
        kernel = kernel_of(sigma)
        squares = [
            leave_one_out_residuals(
                kernel(points, points), _centred(values), relative_ridge=relative_ridge
            ).square()
            for points, values in sets
        ]
        return torch.cat([s.flatten() for s in squares]).mean().item()

    return _choose("leave_one_out", candidates, criterion, tolerance=tolerance)


def choose_by_hold_out(
    sets: Sequence[Samples],
    *,
    candidates: Sequence[float],
    kernel_of: KernelOfBandwidth,
    learning_rate: float,
    steps: int,
    held_out: float = 0.2,
    splits: int = 5,
    tolerance: float = 0.05,
    generator: Generator,
) -> BandwidthChoice:
    """Choose sigma by the predicted error at held-out samples after `steps` of training.

    A share `held_out` of each set is set aside at random, `splits` times over (small sets scatter),
    the same for all candidates.
    learning_rate is that of the loss 1/2 sum of squares.
    """
    sets = [samples for samples in sets for _ in range(splits)]
    masks = [torch.rand(len(points), generator=generator) < held_out for points, _ in sets]
    if not all(mask.any() and not mask.all() for mask in masks):
        raise InputError(f"held_out {held_out:g} leaves a set without samples on one side")

    def criterion(sigma: float) -> float:
        kernel = kernel_of(sigma)
        squares = [
            _hold_out_residuals(kernel, samples, mask, learning_rate, steps).square()
            for samples, mask in zip(sets, masks, strict=True)
        ]
        return torch.cat([s.flatten() for s in squares]).mean().item()

    return _choose("hold_out", candidates, criterion, tolerance=tolerance)


def leave_one_out_residuals(
    kernel_matrix: Float[Tensor, "n n"], values: Float[Tensor, "n c"], *, relative_ridge: float
) -> Float[Tensor, "n c"]:
    """Errors at each sample of the regression on all others: [M^-1 y]_i / [M^-1]_ii.

    M = K + ridge I. No regression is repeated.
    """
    matrix = kernel_matrix.double()
    ridge = relative_ridge * matrix.diagonal().mean()
    matrix = matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    inverse = torch.linalg.inv(matrix)
    return inverse @ values.double() / inverse.diagonal()[:, None]


def random_patches(
    values: Float[Tensor, "rows columns c"],
    *,
    size: int,
    count: int,
    spacing: float,
    generator: Generator,
) -> list[Samples]:
    """Cut `count` square patches out of a picture: sets of samples for the criteria above.

    Coordinates start at 0 in each patch; the kernel must be stationary.
    """
    rows, columns = values.shape[:2]
    if size > min(rows, columns):
        raise InputError(f"patches of {size} do not fit into {rows} x {columns}; make them smaller")
    axis = torch.arange(size, dtype=torch.float64) * spacing
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    patches = []
    for _ in range(count):
        row = int(torch.randint(rows - size + 1, (), generator=generator))
        column = int(torch.randint(columns - size + 1, (), generator=generator))
        patch = values[row : row + size, column : column + size]
        patches.append((points, patch.reshape(size * size, -1).double()))
    return patches


def _choose(
    name: str,
    candidates: Sequence[float],
    criterion: Callable[[float], float],
    *,
    tolerance: float | None,
) -> BandwidthChoice:
    """Evaluate the curve; take its lowest point, or the largest sigma nearly as low."""
    if not candidates:
        raise InputError("no candidate sigma was given; list at least one")
    curve = {sigma: criterion(sigma) for sigma in candidates}
    lowest = min(curve.values())
    limit = lowest if tolerance is None else lowest * (1 + tolerance)
    return BandwidthChoice(
        sigma=max(sigma for sigma, value in curve.items() if value <= limit),
        candidates=tuple(curve),
        criterion=tuple(curve.values()),
        name=name,
    )


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(0)


def _hold_out_residuals(
    kernel: Kernel,
    samples: Samples,
    held_out: Bool[Tensor, " n"],
    learning_rate: float,
    steps: int,
) -> Tensor:
    points, values = samples
    kept = ~held_out
    mean = values[kept].mean(0)
    training = predict_training(
        kernel(points[kept], points[kept]), values[kept] - mean, learning_rate=learning_rate
    )
    target = values[held_out] - mean
    cross = kernel(points[held_out], points[kept])
    return training.at(cross, torch.zeros_like(target), torch.tensor([steps]))[0] - target


# ---- windowed spectra ---------------------------------------------------------------------------


def _hann_window(shape: Sequence[int]) -> Tensor:
    window = torch.ones((), dtype=torch.float64)
    for size in shape:
        window = window[..., None] * torch.hann_window(size, periodic=False, dtype=torch.float64)
    return window


def _lowest_bins(shape: Sequence[int]) -> Tensor:
    """Bins whose frequency is at most one cycle along every axis."""
    low = torch.ones((), dtype=torch.bool)
    for size in shape:
        low = low[..., None] & (torch.fft.fftfreq(size, d=1 / size).abs() <= 1)
    return low


def _covariance_of_lags(kernel: Kernel, window: Tensor, spacing: float) -> Tensor:
    """Kernel between the origin and all lags of the grid, in the order of a doubled DFT."""
    lags = [torch.fft.fftfreq(2 * n, d=1 / (2 * n)).double() * spacing for n in window.shape]
    points = torch.stack(torch.meshgrid(*lags, indexing="ij"), dim=-1).to(window)
    flat = points.reshape(-1, window.ndim)
    origin = torch.zeros_like(flat[:1])
    values = [kernel(part, origin)[:, 0] for part in flat.split(8192)]
    return torch.cat(values).reshape(points.shape[:-1])


def _expected_periodogram(covariance: Tensor, window: Tensor) -> Tensor:
    """E |DFT(window * signal)|^2 of a stationary signal: DFT of covariance * window's own."""
    doubled = [2 * n for n in window.shape]
    overlap = torch.fft.ifftn(torch.fft.fftn(window, s=doubled).abs().square()).real
    spectrum = torch.fft.fftn(covariance * overlap).real
    return spectrum[tuple(slice(None, None, 2) for _ in doubled)]
