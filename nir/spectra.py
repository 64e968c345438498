"""Spectra: eigenvalues of kernel matrices, and the training that they predict.

Training a wide network on 1/2 sum (f - y)^2 by gradient descent of learning rate eta is kernel
regression: along an eigenvector of eigenvalue lambda the error decays as exp(-eta lambda t) after
t steps (Fourier Features eq. 3; `discrete` gives (1 - eta lambda)^t instead). Predictions are
anchored at initialisation, f_0. Other losses differ by a factor in eta: a *mean* over N numbers is
eta / N, a mean square without the 1/2 is 2 eta / N.

A *row* is the first row of a kernel matrix over a regular periodic grid; the matrix is then
circulant, and its eigenvalues are the row's discrete Fourier transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nir.errors import InputError
from nir.kernels import Kernel

# ---- spectra ------------------------------------------------------------------------------------


def eigenvalues(kernel_matrix: Float[Tensor, "n n"]) -> Float[Tensor, " n"]:
    """Eigenvalues of a symmetric kernel matrix, largest first."""
    return torch.linalg.eigvalsh(kernel_matrix).flip(0)


def kernel_row(kernel: Kernel, coordinates: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Kernel between the first coordinate and all."""
    return kernel(coordinates[:1], coordinates)[0]


def circulant_eigenvalues(row: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
    """Eigenvalues of the (multi-level) circulant matrix with this first row, one a frequency.

    They stand in the order of the discrete Fourier transform. A kernel's row is symmetric, hence
    they are real.

    >>> circulant_eigenvalues(torch.tensor([2.0, 1.0, 0.0, 1.0])).tolist()
    [4.0, 2.0, 0.0, 2.0]
    """
    return torch.fft.fftn(row).real


def relative_spectrum(row: Float[Tensor, " n"]) -> Float[Tensor, " half"]:
    """|DFT| of a row divided by k(0), frequencies 0 ... n / 2 (figures 2d and 7)."""
    return torch.fft.rfft(row).abs() / row[0]


def spectral_bandwidth(spectrum: Float[Tensor, " half"]) -> float:
    """Root mean square frequency of a one-sided spectrum 0 ... n / 2, its constant left out.

    >>> spectral_bandwidth(torch.tensor([9.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    5.0
    """
    varying = spectrum[1:]
    frequencies = torch.arange(1, len(spectrum), dtype=spectrum.dtype, device=spectrum.device)
    return ((varying * frequencies.square()).sum() / varying.sum()).sqrt().item()


def fourier_bin_errors(
    residuals: Float[Tensor, "times n"], bins: Sequence[int] = (1, 5, 15)
) -> Float[Tensor, "times bins"]:
    """|DFT of the residuals on a regular grid| at some bins, over time (figure 3c: 1, 5, 15)."""
    return torch.fft.rfft(residuals, dim=-1).abs()[:, list(bins)]


# ---- predicted training -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PredictedTraining:
    """The course of training that a kernel predicts; made by `predict_training`.

    Times are counted in steps of gradient descent. Eigenvalues ascend.
    """

    eigenvalues: Float[Tensor, " m"]
    eigenvectors: Float[Tensor, "m m"]
    first_residuals: Float[Tensor, "m c"]
    observations: Float[Tensor, "m c"]
    operator: Float[Tensor, "m n"] | None
    learning_rate: float
    discrete: bool

    def residuals(self, steps: Tensor) -> Float[Tensor, "times m c"]:
        """Predicted minus observed, A f_t(X) - y, after each number of steps."""
        decay = 1 - self._learned(steps)
        return -self._from_eigenbasis(decay[:, :, None] * self._modes())

    def fitted(self, steps: Tensor) -> Float[Tensor, "times m c"]:
        """Predicted observations A f_t(X)."""
        return self.observations + self.residuals(steps)

    def at(
        self,
        cross_kernel: Float[Tensor, "p n"],
        start: Float[Tensor, "p c"],
        steps: Tensor,
    ) -> Float[Tensor, "times p c"]:
        """f_t(x*) = f_0(x*) + K(x*, X) A^T M^-1 (I - e^(-eta M t)) (y - A f_0(X)), M = A K A^T.

        cross_kernel is K(x*, X), start is f_0(x*).
        """
        if self.operator is not None:
            cross_kernel = cross_kernel @ self.operator.T
        moved = self._from_eigenbasis(
            self._learned_per_eigenvalue(steps)[:, :, None] * self._modes()
        )
        return start + torch.einsum("pm,tmc->tpc", cross_kernel, moved)

    def losses(self, steps: Tensor) -> Float[Tensor, " times"]:
        """Training loss 1/2 sum of squares over time."""
        return self.residuals(steps).square().sum((1, 2)) / 2

    def _modes(self) -> Tensor:
        return self.eigenvectors.T @ -self.first_residuals

    def _from_eigenbasis(self, modes: Tensor) -> Tensor:
        return torch.einsum("mk,tkc->tmc", self.eigenvectors, modes)

    def _learned(self, steps: Tensor) -> Float[Tensor, "times m"]:
        """Share of each eigenvector's initial error that is gone after the steps."""
        return _learned_share(
            self.learning_rate * self.eigenvalues, steps.to(self.eigenvalues), self.discrete
        )

    def _learned_per_eigenvalue(self, steps: Tensor) -> Float[Tensor, "times m"]:
        """(1 - e^(-eta lambda t)) / lambda, which is eta t where lambda is 0."""
        positive = self.eigenvalues > 0
        divisor = torch.where(positive, self.eigenvalues, torch.ones_like(self.eigenvalues))
        at_zero = self.learning_rate * steps.to(self.eigenvalues)[:, None]
        return torch.where(positive, self._learned(steps) / divisor, at_zero)


def predict_training(
    kernel_matrix: Float[Tensor, "n n"],
    observations: Float[Tensor, "m c"],
    *,
    learning_rate: float,
    start: Float[Tensor, "n c"] | None = None,
    operator: Float[Tensor, "m n"] | None = None,
    discrete: bool = False,
) -> PredictedTraining:
    """Predict training on 1/2 |A f(X) - y|^2 from the kernel matrix K(X, X).

    start is f_0(X), zero when left out. operator is the linear measurement A (the identity when
    left out, then m = n): the error then follows A K A^T, which has the non-zero eigenvalues of
    K A^T A (Fourier Features app. D, eq. 22). For a complex A give its real and imaginary rows.
    discrete: gradient descent step by step instead of its flow; a learning rate that makes it
    diverge (above 2 / largest eigenvalue) is an `InputError`.
    """
    first = torch.zeros_like(observations) if start is None else start
    matrix = kernel_matrix
    if operator is not None:
        matrix = operator @ kernel_matrix @ operator.T
        first = first if start is None else operator @ start
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    values = values.clamp(min=0)  # a kernel has no negative ones: what is below 0 is rounding
    if discrete and learning_rate * values[-1] > 2:
        raise InputError(
            f"learning_rate {learning_rate:g} makes gradient descent diverge; "
            f"take at most {2 / values[-1].item():.3g}"
        )
    return PredictedTraining(
        eigenvalues=values,
        eigenvectors=vectors,
        first_residuals=first - observations,
        observations=observations,
        operator=operator,
        learning_rate=learning_rate,
        discrete=discrete,
    )


def _learned_share(
    rates: Float[Tensor, " m"], steps: Float[Tensor, " t"], discrete: bool
) -> Float[Tensor, "t m"]:
    """1 - exp(-rate t), or 1 - (1 - rate)^t, exact for rates that are nearly 0."""
    if not discrete:
        return -torch.expm1(-steps[:, None] * rates)
    slow = rates < 1
    exact = -torch.expm1(steps[:, None] * torch.log1p(-torch.where(slow, rates, 0.0)))
    return torch.where(slow, exact, 1 - torch.pow(1 - rates, steps[:, None]))


def predict_periodic_signal(
    row: Float[Tensor, " fine"],
    samples: Float[Tensor, "*signals coarse"],
    *,
    learning_rate: float,
    steps: int,
) -> Float[Tensor, "*signals fine"]:
    """Predict the trained network on a fine grid from samples on a coarser one, by FFT alone.

    row: a stationary periodic kernel on `fine` points; samples: the signal on every k-th of them,
    k = fine / coarse. Equals `predict_training(...).at(...)` from f_0 = 0, in N log N and
    differentiable in the row: the objective by which the mapping's amplitudes are optimised
    (Fourier Features eq. 10 and figure 5).
    """
    fine, coarse = row.shape[-1], samples.shape[-1]
    if fine % coarse:
        raise InputError(f"{fine} points are no multiple of {coarse} samples; choose another grid")
    spectrum = circulant_eigenvalues(row)
    # Sampling folds the frequencies that are equal on the coarse grid onto each other.
    folded = spectrum.reshape(fine // coarse, coarse).mean(0)
    share = -torch.expm1(-learning_rate * steps * folded)
    safe = torch.where(folded > 0, folded, torch.ones_like(folded))
    weights = torch.fft.fft(samples) * torch.where(folded > 0, share / safe, learning_rate * steps)
    copies = weights.repeat(*[1] * (samples.ndim - 1), fine // coarse)
    return torch.fft.ifft(spectrum * copies).real
