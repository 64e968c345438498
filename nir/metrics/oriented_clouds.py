"""Metrics of surfaces given by equally many oriented points: [points, 6], position and normal.

Lengths are fractions of the longest edge of the reference's box. Normals of length zero say that
there is no surface: then the distance is 1, the whole size, and normals agree by -1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Cloud = NDArray[np.floating]


def chamfer_l1_of_size(prediction: Cloud, reference: Cloud) -> float:
    """Mean distance to the nearest point, both ways halved, over the reference's longest edge.

    Two samplings of one surface are not at zero: about half of the spacing of their points stays.
    """
    if not prediction[:, 3:].any():
        return 1.0
    there, back = _nearest(prediction, reference)
    size = np.ptp(reference[:, :3], axis=0).max()
    return float((there[0].mean() + back[0].mean()) / 2 / size)


def normal_agreement(prediction: Cloud, reference: Cloud) -> float:
    """Mean cosine of the normals of nearest points, both ways halved; signed, so that a surface
    turned inside out has -1."""
    if not prediction[:, 3:].any():
        return -1.0
    (_, at_reference), (_, at_prediction) = _nearest(prediction, reference)
    there = (prediction[:, 3:] * reference[at_reference, 3:]).sum(axis=1)
    back = (reference[:, 3:] * prediction[at_prediction, 3:]).sum(axis=1)
    return float((there.mean() + back.mean()) / 2)


def _nearest(prediction: Cloud, reference: Cloud):
    """Distances and indices: of prediction in reference, and of reference in prediction."""
    there = KDTree(reference[:, :3]).query(prediction[:, :3])
    return there, KDTree(prediction[:, :3]).query(reference[:, :3])
