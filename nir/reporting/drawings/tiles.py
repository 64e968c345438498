"""Drawings: rows of tiles, one column for the truth and each variant, two rows a subject."""

from __future__ import annotations

from collections.abc import Iterator

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
