"""Drawings of reconstructions: what was measured, the truth, and every variant's reconstruction."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.tiles import paired_rows
from nir.reporting.results import Results, psnr
from nir.reporting.style import colour

COLUMN_INCHES = 1.75


def reconstructions(results: Results) -> Figure:
    """Each subject in two rows: the reconstruction (of a volume: its middle), and its error."""
    figure, rows = paired_rows(results, before=2, column_inches=COLUMN_INCHES)
    for pictures, errors, subject in rows:
        runs = list(results.runs(subject=subject))
        _show(pictures[0], results.array(runs[0], "measured"), "measured", stretched=True)
        truth = _plane(results.array(runs[0], "reconstruction-reference"))
        _show(pictures[1], truth, "ground truth")
        for column, run in enumerate(runs, start=2):
            picture = _plane(results.array(run, "reconstruction-prediction"))
            quality = results.value(run, "psnr_float", "reconstruction")
            _show(pictures[column], picture, f"{run['label']}\n{quality:.2f} dB")
            errors[column].imshow(picture - truth, cmap="RdBu", vmin=-0.4, vmax=0.4)
            errors[column].set_title("error", fontsize=8)
    return figure


def _plane(values: NDArray[np.floating]) -> NDArray[np.floating]:
    return values if values.ndim == 2 else values[values.shape[0] // 2]


def _show(axis: Axes, values: NDArray, title: str, *, stretched: bool = False) -> None:
    high = values.max() if stretched else 1.0
    aspect = "auto" if stretched and values.shape[0] != values.shape[1] else "equal"
    axis.imshow(values, cmap="gray", vmin=0, vmax=high, interpolation="nearest", aspect=aspect)
    axis.set_title(title, fontsize=8.5)


def reconstruction_curves(results: Results) -> Figure:
    """PSNR of the reconstruction over training, one panel a subject."""
    subjects = results.subjects
    figure, axes = plt.subplots(
        1, len(subjects), figsize=(4.2 * len(subjects), 3.1), squeeze=False, sharey=True
    )
    for axis, subject in zip(axes[0], subjects, strict=True):
        for index, run in enumerate(results.runs(subject=subject)):
            log = results.log(run)
            axis.plot(
                log["step"],
                psnr(log["mse_reconstruction"]),
                color=colour(index),
                label=run["label"],
            )
        axis.set_title(subject.replace("_", " "))
        axis.set_xlabel("training step")
    axes[0, 0].set_ylabel("PSNR of the reconstruction (dB)")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
