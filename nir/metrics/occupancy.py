"""Metrics of occupancy at points: predicted probabilities beside 0 and 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5  # Fourier Features and Occupancy Networks' points


def iou_points(prediction: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Points inside both over points inside either; 1 where neither has any.

    >>> float(iou_points(np.array([0.9, 0.8, 0.1]), np.array([1.0, 0.0, 0.0])))
    0.5
    """
    predicted, true = prediction > THRESHOLD, reference > THRESHOLD
    either = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / either if either else 1.0
