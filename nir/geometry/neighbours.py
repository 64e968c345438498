"""Nearest points of one set to those of another, exactly and by the hundred thousand.

Surfaces are compared by points drawn on them, the same points by several metrics and a reference's
points with those of every method: trees and answers are kept for as long as a few are in use.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

LEAF_POINTS = 128
"""Points a tree's leaf holds. Seen from afar, as a failed prediction is, nearly all points of a
surface are equally far and no box can be left out: then only the leaves' plain loop is fast."""


def nearest_points(
    known: Float[np.ndarray, "known 3"], asked: Float[np.ndarray, "asked 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance and index of the known point that is nearest to each asked one.

    >>> distances, indices = nearest_points(np.array([[0.0, 0, 0], [9, 0, 0]]), np.ones((1, 3)))
    >>> distances.round(3), indices
    (array([1.732]), array([0]))
    """
    return _nearest(*(np.ascontiguousarray(p, np.float64).tobytes() for p in (known, asked)))


def forget_neighbours() -> None:
    """Compute all anew from now on; for those who time it."""
    _nearest.cache_clear()
    _tree.cache_clear()


@functools.lru_cache(maxsize=4)  # both ways, at the numbers of points that two papers' metrics take
def _nearest(known: bytes, asked: bytes) -> tuple[np.ndarray, np.ndarray]:
    # Asked leaf by leaf of their own tree, points that follow each other need the same few leaves
    # of the other: they are found in a third of the time.
    order = _tree(asked).indices
    distances, indices = np.empty(len(order)), np.empty(len(order), dtype=np.int64)
    # Every core: a query is independent of every other, so the numbers are the same.
    distances[order], indices[order] = _tree(known).query(_points(asked)[order], workers=-1)
    for array in (distances, indices):
        array.setflags(write=False)
    return distances, indices


@functools.lru_cache(maxsize=16)
def _tree(points: bytes) -> KDTree:
    return KDTree(_points(points), leafsize=LEAF_POINTS)


def _points(from_bytes: bytes) -> Float[np.ndarray, "points 3"]:
    return np.frombuffer(from_bytes).reshape(-1, 3)
