"""What drawings made of tiles share: how tiles are laid out, and cut to what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.results import Results

Row = NDArray[np.object_]  # of axes


def paired_rows(
    results: Results, *, before: int, column_inches: float
) -> tuple[Figure, Iterator[tuple[Row, Row, str]]]:
    """A figure of square tiles without axes, and the upper and lower row of each subject.

    before: columns in front of those of the variants, such as one for the truth.
    """
    subjects = results.subjects
    columns = before + max(len(list(results.runs(subject=s))) for s in subjects)
    figure, axes = plt.subplots(
        2 * len(subjects),
        columns,
        figsize=(column_inches * columns, 2.15 * column_inches * len(subjects)),
        squeeze=False,
        layout="constrained",
    )
    hide(axes)
    return figure, zip(axes[0::2], axes[1::2], subjects, strict=True)


def hide(axes: NDArray[np.object_]) -> None:
    """Show no frames and ticks."""
    axis: Axes
    for axis in axes.flat:
        axis.axis("off")


def cut_alike(sets: Sequence[NDArray]) -> list[NDArray]:
    """Sets of pictures [n height width 3], cut to the window that holds what any of them shows.

    Each picture stands on the colour of its first pixel. Sets of another size than the last one's
    are left as they are.
    """
    size = sets[-1].shape[1:3]
    alike = [pictures for pictures in sets if pictures.shape[1:3] == size]
    shown = np.any([(p != p[:, :1, :1]).any(axis=(0, -1)) for p in alike], axis=0)
    window = (slice(None), _span(shown.any(axis=1)), _span(shown.any(axis=0)))
    return [p[window] if p.shape[1:3] == size else p for p in sets]


def _span(shown: NDArray[np.bool_]) -> slice:
    """From the first to the last place shown, with a margin; everything, if none is."""
    places = np.flatnonzero(shown)
    if len(places) == 0:
        return slice(None)
    margin = -(-len(shown) // 32)
    return slice(max(places[0] - margin, 0), places[-1] + 1 + margin)
