"""Silhouettes: what views show nothing of cannot be there."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation

from nir.geometry.cameras import Cameras


@dataclass(frozen=True)
class Silhouettes:
    """The visual hull: all points that no view shows empty (Laurentini 1994).

    covered: which pixels of each view show anything.
    """

    cameras: Cameras
    covered: Bool[np.ndarray, "views height width"]

    def hold(self, points: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, " points"]:
        """Whether each point lies in the hull; views that do not see a point say nothing of it."""
        held = np.ones(len(points), dtype=bool)
        for view, covered in enumerate(self._grown):
            still = np.flatnonzero(held)
            pixels, depth = (each[0] for each in self.cameras[view].project(points[still]))
            before = depth > 0
            still, (column, row) = still[before], np.floor(pixels[before]).astype(int).T
            height, width = covered.shape
            seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            held[still[seen]] = covered[row[seen], column[seen]]
        return held

    @functools.cached_property
    def _grown(self) -> Bool[np.ndarray, "views height width"]:
        """By a pixel: what covers less than half of one may be stored as none."""
        return binary_dilation(self.covered, np.ones((1, 3, 3), dtype=bool))
