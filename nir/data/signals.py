"""Data: random periodic signals of known spectrum, and random frequencies to encode them with.

A *signal* lives on a regular grid of [0, 1)^d, end excluded, and is periodic. Frequencies are
cycles per unit. *Power law alpha* means spectral amplitude proportional to (1 + |f|)^-alpha, hence
power to its square (Fourier Features, Experiments/1d_regression and 1d_scatter_plots). The
*bandwidth* of a set of frequencies is its root mean square (figure 4's x-axis, there called
standard deviation); it is finite for every draw, even of a distribution that has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.errors import unknown_name

# ---- signals ----------------------------------------------------------------------------------


def power_law_signals(
    count: int,
    samples: int,
    *,
    alpha: float,
    band_limit: int | None = None,
    generator: Generator,
) -> Float[Tensor, "count samples"]:
    """Draw real 1-D signals with complex Gaussian spectrum times (1 + |f|)^-alpha.

    band_limit: coefficients with |f| >= band_limit are zero. The notebook zeroes the entries from
    samples // 4 on, negative frequencies with them, before it takes the real part; that is
    `band_limit=samples // 4` up to the scale, which `rescale` settles. The coefficients are drawn
    from the lowest frequency up, so that a signal keeps its low part when `samples` grows.
    """
    highest = samples // 2 + 1 if band_limit is None else min(band_limit, samples // 2 + 1)
    parts = torch.randn(highest, count, 2, generator=generator)
    amplitude = (1.0 + torch.arange(highest)) ** -alpha
    spectrum = torch.zeros(count, samples // 2 + 1, dtype=torch.complex64)
    spectrum[:, :highest] = torch.view_as_complex(parts).T * amplitude
    return torch.fft.irfft(spectrum, n=samples, norm="forward")


def anisotropic_signals(
    count: int,
    size: int,
    *,
    alpha: float,
    aspect: float = 1.0,
    angle: float = 0.0,
    generator: Generator,
) -> Float[Tensor, "count size size"]:
    """Draw real 2-D signals [row y, column x] with an elliptical power law.

    Amplitude (1 + rho)^-alpha, rho = |f| on the first principal axis and aspect * |f| on the
    second, which decays faster for aspect > 1. `angle` (radians) turns the first axis from x
    towards y. aspect = 1 is isotropic.
    """
    frequencies = torch.fft.fftfreq(size, d=1 / size)
    fy, fx = torch.meshgrid(frequencies, frequencies, indexing="ij")
    first = fx * math.cos(angle) + fy * math.sin(angle)
    second = fy * math.cos(angle) - fx * math.sin(angle)
    amplitude = (1 + torch.hypot(first, aspect * second)) ** -alpha
    noise = torch.randn(count, size, size, generator=generator)
    return torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real * size


def rescale(signals: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map all signals jointly and affinely onto [-0.5, 0.5], as the notebooks do.

    >>> rescale(torch.tensor([[0.0, 1.0], [2.0, 4.0]])).tolist()
    [[-0.5, -0.25], [0.0, 0.5]]
    """
    low, high = signals.min(), signals.max()
    return (signals - low) / (high - low) - 0.5


def measured_power_slope(signals: Float[Tensor, "count samples"]) -> float:
    """Least-squares slope of log mean power over log(1 + f): -2 alpha for a power law alpha."""
    samples = signals.shape[-1]
    power = torch.fft.rfft(signals.double()).abs().square().mean(0)
    # The zero and the Nyquist bin of a real signal have one real part instead of two.
    frequencies = torch.arange(1, (samples + 1) // 2, dtype=torch.float64)
    x = torch.log1p(frequencies)
    y = torch.log(power[1 : len(frequencies) + 1])
    x = x - x.mean()
    return ((x * y).sum() / (x * x).sum()).item()


# ---- frequencies ------------------------------------------------------------------------------

Draw = Callable[[tuple[int, ...], float, Generator], Tensor]


def _gaussian(shape: tuple[int, ...], scale: float, generator: Generator) -> Tensor:
    return 32 * scale * torch.randn(shape, generator=generator)


def _uniform(shape: tuple[int, ...], scale: float, generator: Generator) -> Tensor:
    return 64 * scale * torch.rand(shape, generator=generator)


def _log_uniform(shape: tuple[int, ...], scale: float, generator: Generator) -> Tensor:
    return (80 * scale) ** torch.rand(shape, generator=generator)


def _laplacian(shape: tuple[int, ...], scale: float, generator: Generator) -> Tensor:
    centred = torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5
    # -log1p(-2|u|) stays finite: |u| = 1/2 is drawn with probability zero but can occur.
    magnitude = -torch.log1p(-(2 * centred.abs()).clamp(max=1 - 1e-16))
    return (20 * scale * centred.sign() * magnitude).float()


def _cauchy(shape: tuple[int, ...], scale: float, generator: Generator) -> Tensor:
    turns = torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5
    return (20 * scale * torch.tan(math.pi * turns)).float()


# Base factors: Fourier Features, Experiments/1d_scatter_plots. Cauchy is not in the paper: heavy
# tails without a standard deviation, with the Laplacian's base factor.
FREQUENCY_FAMILIES: dict[str, Draw] = {
    "gaussian": _gaussian,
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "laplacian": _laplacian,
    "cauchy": _cauchy,
}

PAPER_FAMILIES = ("gaussian", "uniform", "log_uniform", "laplacian")


def draw_frequencies(
    family: str,
    *,
    scale: float,
    count: int = 16,  # 1d_scatter_plots: 16 random frequencies
    dimensions: int = 1,
    axis_factors: Sequence[float] | None = None,
    generator: Generator,
) -> Float[Tensor, "count d"]:
    """Draw frequencies (cycles per unit) of one family at `scale` times its base factor.

    In one dimension: 32 N(0, 1), 64 U[0, 1), (80 scale)^U[0, 1), 20 Laplace(1), 20 Cauchy(1). In
    more, the length is drawn like that and the direction uniformly, which makes every family
    isotropic; the length of a Gaussian is then that of a Gaussian *vector*, so that its
    components are 32 N(0, 1) as in one dimension. `axis_factors` stretches each axis afterwards.
    """
    if family not in FREQUENCY_FAMILIES:
        raise unknown_name("frequency family", family, FREQUENCY_FAMILIES)
    draw = FREQUENCY_FAMILIES[family]
    if dimensions == 1 or family == "gaussian":
        frequencies = draw((count, dimensions), scale, generator)
    else:
        lengths = draw((count, 1), scale, generator).abs()
        directions = torch.randn(count, dimensions, generator=generator)
        frequencies = lengths * directions / directions.norm(dim=-1, keepdim=True)
    return frequencies if axis_factors is None else frequencies * torch.tensor(axis_factors)


def paper_scales(count: int = 9) -> Float[Tensor, " count"]:
    """The scales of figure 4: 2^linspace(-5, 4, 9)."""
    return 2.0 ** torch.linspace(-5, 4, count)


def root_mean_square(frequencies: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch"]:
    """Bandwidth of each set of frequencies: sqrt of the mean of |b|^2 per axis.

    >>> round(root_mean_square(torch.tensor([[1.0], [7.0]])).item(), 4)
    5.0
    """
    return frequencies.square().mean(dim=(-1, -2)).sqrt()


def power_law_amplitudes(
    count: int, p: float
) -> tuple[Float[Tensor, "count 1"], Float[Tensor, " count"]]:
    """Frequencies b = 1 ... count and amplitudes a = b^-p, divided by |a| (figures 2, 3, 5, 12).

    p = math.inf keeps b = 1 only: the others have amplitude 0.

    >>> b, a = power_law_amplitudes(2, math.inf)
    >>> b.tolist(), a.tolist()
    ([[1.0], [2.0]], [1.0, 0.0])
    """
    frequencies = torch.arange(1, count + 1, dtype=torch.float32)
    amplitudes = (frequencies == 1).float() if math.isinf(p) else frequencies**-p
    return frequencies[:, None], amplitudes / amplitudes.norm()
