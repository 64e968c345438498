"""Image metrics. Images are [H, W, C] arrays in [0, 1]; a name says exactly what is computed.

PSNR is per image: -10 log10(MSE) with peak 1. `8bit` rounds both images to 256 levels first, so
that pictures saved as PNG reproduce the number. SSIM variants differ in window, covariance and
assumed range, and must never be compared across names:

=======================  ========  ===========  =====  ====================================
name                     window    covariance   range  used by
=======================  ========  ===========  =====  ====================================
`ssim_tf`                Gauss 11  biased       1      NeRF (tf.image.ssim), multinerf
`ssim_skimage_gauss_r2`  Gauss 11  unbiased     2      NeX (range left unset on floats)
`ssim_skimage_box7_r1`   box 7     unbiased     1      SIREN
=======================  ========  ===========  =====  ====================================
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from skimage.metrics import structural_similarity

from nir.errors import InputError

Image = NDArray[np.floating]
PERFECT_PSNR_DB = 200.0  # of two equal images: finite, so that means stay finite


def mean_squared_error(prediction: Image, reference: Image) -> float:
    """Mean over all numbers of the squared difference, in double precision."""
    difference = prediction.astype(np.float64) - reference.astype(np.float64)
    return float(np.mean(difference * difference))


def psnr_of_mse(mean_squared: float) -> float:
    """-10 log10(MSE) for a peak of 1, at most `PERFECT_PSNR_DB`.

    >>> round(psnr_of_mse(0.01), 6)
    20.0
    """
    return min(-10 * math.log10(max(mean_squared, 1e-300)), PERFECT_PSNR_DB)


def psnr_float(prediction: Image, reference: Image) -> float:
    """PSNR in dB of the floats, the prediction clipped to [0, 1]."""
    return psnr_of_mse(mean_squared_error(np.clip(prediction, 0, 1), reference))


def psnr_8bit(prediction: Image, reference: Image) -> float:
    """PSNR in dB after rounding both to 8 bits (rounding, not truncating)."""
    return psnr_of_mse(mean_squared_error(_through_8_bits(prediction), _through_8_bits(reference)))


def _through_8_bits(image: Image) -> Image:
    return np.round(np.clip(image.astype(np.float64), 0, 1) * 255) / 255


def ssim_tf(prediction: Image, reference: Image) -> float:
    """tf.image.ssim: Gaussian window 11, sigma 1.5, valid region, biased covariance, range 1."""
    window = np.exp(-(np.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def average(image: Image) -> Image:
        rows = correlate1d(image, window, axis=0)[5:-5]
        return correlate1d(rows, window, axis=1)[:, 5:-5]

    _require_window(prediction, 11)
    x, y = prediction.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = average(x), average(y)
    covariance = average(x * y) - mean_x * mean_y
    variances = average(x * x + y * y) - mean_x**2 - mean_y**2
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast_structure = (2 * covariance + c2) / (variances + c2)
    return float(np.mean(luminance * contrast_structure))


def ssim_skimage_gauss_r2(prediction: Image, reference: Image) -> float:
    """scikit-image with a Gaussian window and range 2: what NeX's code computes on floats."""
    _require_window(prediction, 11)
    return float(
        structural_similarity(
            prediction.astype(np.float64),
            reference.astype(np.float64),
            win_size=11,
            gaussian_weights=True,
            channel_axis=-1,
            data_range=2.0,
        )
    )


def ssim_skimage_box7_r1(prediction: Image, reference: Image) -> float:
    """scikit-image with its 7 x 7 box window and range 1: what SIREN's code computes."""
    _require_window(prediction, 7)
    return float(
        structural_similarity(
            prediction.astype(np.float64),
            reference.astype(np.float64),
            channel_axis=-1,
            data_range=1.0,
        )
    )


def _require_window(image: Image, size: int) -> None:
    if min(image.shape[:2]) < size:
        height, width = image.shape[:2]
        raise InputError(
            f"an image of {width}x{height} pixels is smaller than SSIM's window of {size}; "
            "choose a larger resolution"
        )


def gradient_psnr(prediction: Image, reference: Image) -> float:
    """PSNR in dB of finite differences across and down: how well edges are met."""
    squared = [
        mean_squared_error(
            np.diff(np.clip(prediction, 0, 1), axis=axis), np.diff(reference, axis=axis)
        )
        for axis in (0, 1)
    ]
    return psnr_of_mse(sum(squared) / len(squared))


def relative_rmse(prediction: Image, reference: Image) -> float:
    """Root mean square of the difference over that of the reference; 1 is what zero would get."""
    size = math.sqrt(float(np.mean(reference.astype(np.float64) ** 2)))
    return math.sqrt(mean_squared_error(prediction, reference)) / max(size, 1e-300)


def median_relative_depth_error(prediction: Image, reference: Image) -> float:
    """Median of |depth - true depth| / true depth, where there is something (finite true depth).

    >>> median_relative_depth_error(np.array([2.1, 9.0]), np.array([2.0, np.inf]))
    0.050000000000000044
    """
    seen = np.isfinite(reference)
    error = np.abs(prediction[seen].astype(np.float64) - reference[seen]) / reference[seen]
    return float(np.median(error)) if seen.any() else float("nan")
