"""Colours for numbers: what films of fields are painted with."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_BLUE, _WHITE, _RED = (
    np.array(c) for c in ([0.13, 0.40, 0.67], [0.97, 0.97, 0.97], [0.70, 0.09, 0.17])
)


def diverging_colours(
    values: Float[np.ndarray, "*shape"], limit: float
) -> Float[np.ndarray, "*shape 3"]:
    """Paint numbers blue (-limit or less) over white (0) to red (limit or more), in [0, 1].

    >>> diverging_colours(np.array([0.0]), 1.0).round(2).tolist()
    [[0.97, 0.97, 0.97]]
    """
    part = np.clip(values / limit if limit > 0 else values * 0, -1, 1)[..., None]
    return _WHITE + np.maximum(part, 0) * (_RED - _WHITE) + np.maximum(-part, 0) * (_BLUE - _WHITE)
