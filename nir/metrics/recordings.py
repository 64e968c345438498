"""Metrics of sounds [time] and videos [time, H, W, C].

Errors of a sound are those of its amplitudes, whose reference has peak 1 (SIREN supplement).
Frames' PSNRs are averaged in decibels, as the SIREN paper's table of videos does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nir.metrics.image import mean_squared_error, psnr_of_mse


def audio_mse(prediction: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Mean squared error of the amplitudes, unclipped.

    >>> audio_mse(np.array([0.0, 0.5]), np.array([0.0, 1.0]))
    0.125
    """
    return mean_squared_error(prediction, reference)


def signal_to_noise(prediction: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Power of the reference over that of the error, in dB; silence in its place gets 0 dB.

    >>> signal_to_noise(np.array([0.0, 0.9]), np.array([0.0, 1.0])).__round__(6)
    20.0
    """
    power = float(np.mean(reference.astype(np.float64) ** 2))
    error = max(mean_squared_error(prediction, reference), 1e-20)
    return 10 * math.log10(max(power, 1e-300) / error)


def psnr_frames_mean(prediction: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Mean over frames of each frame's PSNR in dB, the prediction clipped to [0, 1]."""
    return float(np.mean(_psnr_of_frames(prediction, reference)))


def psnr_frames_deviation(
    prediction: NDArray[np.floating], reference: NDArray[np.floating]
) -> float:
    """Standard deviation over frames of each frame's PSNR in dB."""
    return float(np.std(_psnr_of_frames(prediction, reference)))


def _psnr_of_frames(
    prediction: NDArray[np.floating], reference: NDArray[np.floating]
) -> list[float]:
    pairs = zip(np.clip(prediction, 0, 1), reference, strict=True)
    return [psnr_of_mse(mean_squared_error(frame, truth)) for frame, truth in pairs]
