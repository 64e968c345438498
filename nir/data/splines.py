"""Derivatives of a sampled signal: those of the cubic spline through its samples.

Samples alone have no derivatives. The twice differentiable interpolant that bends least has, and
a field that fits the samples is asked how close its own derivatives come to that one's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spline_derivatives(
    image: NDArray[np.floating], convention: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gradient [H, W, C * 2] (row, column) and Laplacian [H, W, C] of an image [H, W, C].

    Derivatives are per unit of coordinate: an image of n pixels spans (n - 1) / n ("unit") or 2
    ("symmetric") units between its outermost samples.
    """
    samples_per_unit = [
        float(size) if convention == "unit" else (size - 1) / 2 for size in image.shape[:2]
    ]
    first, second = zip(
        *(_along(image, axis, scale) for axis, scale in enumerate(samples_per_unit)), strict=True
    )
    gradient = np.stack(first, axis=-1)
    height, width, channels = image.shape
    laplacian = second[0] + second[1]
    return (
        gradient.reshape(height, width, 2 * channels).astype(np.float32),
        laplacian.astype(np.float32),
    )


def _along(
    image: NDArray[np.floating], axis: int, samples_per_unit: float
) -> tuple[NDArray, NDArray]:
    from scipy.interpolate import make_interp_spline  # a third of a second; few jobs need it

    index = np.arange(image.shape[axis])
    spline = make_interp_spline(index, image.astype(np.float64), k=3, axis=axis)
    return (
        spline(index, nu=1) * samples_per_unit,
        spline(index, nu=2) * samples_per_unit**2,
    )
