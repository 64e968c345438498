"""Drawings of a shape's section and of rendered views: the truth, then every variant."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.pictures import most_detailed_window
from nir.reporting.drawings.tiles import paired_rows
from nir.reporting.results import Results

COLUMN_INCHES = 1.85


def sections(results: Results) -> Figure:
    """Occupancy on a plane through each shape: the truth, then every variant."""
    subjects = results.subjects
    columns = 1 + max(len(list(results.runs(subject=s))) for s in subjects)
    figure, axes = plt.subplots(
        len(subjects),
        columns,
        figsize=(COLUMN_INCHES * columns, 1.2 * COLUMN_INCHES * len(subjects)),
        squeeze=False,
        layout="constrained",
    )
    for row, subject in zip(axes, subjects, strict=True):
        runs = list(results.runs(subject=subject))
        _section(row[0], results.array(runs[0], "section-reference"), _named(subject))
        for axis, run in zip(row[1:], runs, strict=False):
            near = results.value(run, "iou_points", "near surface")
            title = f"{run['label']}\nIoU near the surface {near:.3f}"
            _section(axis, results.array(run, "section-prediction"), title)
        for axis in row[1 + len(runs) :]:
            axis.axis("off")
    return figure


def _named(subject: str) -> str:
    return f"{subject.replace('_', ' ')}\nground truth"


def _section(axis: Axes, values: NDArray, title: str) -> None:
    axis.imshow(values, cmap="Blues", vmin=0, vmax=1.3, interpolation="nearest")
    if values.min() < 0.5 < values.max():
        axis.contour(values, levels=[0.5], colors="#1d2330", linewidths=0.8)
    axis.set_title(title, fontsize=8.5)
    axis.axis("off")


def tested_views(results: Results) -> Figure:
    """The first tested view of each subject, whole and in a detail."""
    figure, rows = paired_rows(results, before=1, column_inches=COLUMN_INCHES)
    for whole, detail, subject in rows:
        runs = list(results.runs(subject=subject))
        truth = results.array(runs[0], "view-0-reference")
        window = most_detailed_window(truth)
        shown = [("ground truth", truth)]
        for run in runs:
            quality = results.value(run, "psnr_float", "test")
            picture = results.array(run, "view-0-prediction")
            shown.append((f"{run['label']}\n{quality:.2f} dB", picture))
        for column, (title, picture) in enumerate(shown):
            whole[column].imshow(np.clip(picture, 0, 1), interpolation="nearest")
            whole[column].set_title(title, fontsize=8.5)
            detail[column].imshow(np.clip(picture[window], 0, 1), interpolation="nearest")
    return figure
