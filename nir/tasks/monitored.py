"""Monitored: which of a signal's samples a training's log follows."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor


def evenly_spread(total: int, count: int) -> Int64[Tensor, " count"]:
    """`count` of the indices 0 to `total` - 1, evenly spread with both ends included.

    >>> evenly_spread(9, 3).tolist()
    [0, 4, 8]
    """
    # Single precision rounds 78,643,199, the last pixel of SIREN's video, up to one beyond the end.
    return torch.linspace(0, total - 1, count, dtype=torch.float64).long()
