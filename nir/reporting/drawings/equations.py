"""Drawings of solved equations: reference, fields and their errors on one scale of colours."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.pictures import COLUMN_INCHES
from nir.reporting.results import Results
from nir.reporting.style import colour

SHOWN_TIMES = 4
SIDE = (-1.0, 1.0, -1.0, 1.0)  # left, right, bottom, top of the plane


def waves(results: Results) -> Figure:
    """Some times of reference and variants in columns, and the error over time."""
    runs = list(results.runs(subject=results.subjects[0]))
    truth, times = (results.array(runs[0], name) for name in ("field-reference", "times"))
    shown = np.linspace(0, len(times) - 1, SHOWN_TIMES).astype(int)
    columns = len(runs) + 1
    figure = plt.figure(
        figsize=(COLUMN_INCHES * columns + 3.4, SHOWN_TIMES * COLUMN_INCHES * 0.95),
        layout="constrained",
    )
    grid = figure.add_gridspec(SHOWN_TIMES, columns + 1, width_ratios=[1] * columns + [1.9])
    for column, run in enumerate([None, *runs]):
        field = truth if run is None else results.array(run, "field-prediction")
        for row, moment in enumerate(shown):
            axis = figure.add_subplot(grid[row, column])
            paint_plane(axis, field[moment], float(np.abs(truth[moment]).max()))
            if row == 0:
                title = "reference" if run is None else _relative_title(results, run, "field")
                axis.set_title(title, fontsize=8.5)
            if column == 0:
                axis.text(
                    -1.08, 0, f"t = {times[moment]:.2f}", rotation=90, va="center", ha="right"
                )
    _error_over_time(figure.add_subplot(grid[:, -1]), results, runs, truth, times)
    return figure


def paint_plane(axis: Axes, values: NDArray[np.floating], limit: float) -> None:
    """Numbers [x, y] of the plane, x to the right and y up; blue negative, red positive."""
    axis.imshow(
        values.T,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        origin="lower",
        extent=SIDE,
        interpolation="nearest",
    )
    axis.axis("off")


def _relative_title(results: Results, run: dict, split: str) -> str:
    error = 100 * results.value(run, "relative_rmse", split)
    return f"{run['label']}\n{error:.1f} % off" if error < 1000 else f"{run['label']}\n> 1000 % off"


def _error_over_time(
    axis: Axes, results: Results, runs: list[dict], truth: NDArray, times: NDArray
) -> None:
    size = np.sqrt((truth**2).mean(axis=(1, 2)))
    for index, run in enumerate(runs):
        error = results.array(run, "field-prediction") - truth
        off = np.sqrt((error**2).mean(axis=(1, 2))) / size
        axis.plot(times, off, color=colour(index), label=run["label"])
    axis.set_yscale("log")
    axis.set_xlabel("time")
    axis.set_ylabel("relative error")
    axis.legend()


def complex_planes(results: Results) -> Figure:
    """Each medium in two rows: reference and variants' real part, and the error below.

    The dashed square is where the absorbing layer begins; the comparison is inside of it.
    """
    subjects = results.subjects
    columns = 1 + max(len(list(results.runs(subject=s))) for s in subjects)
    figure, axes = plt.subplots(
        2 * len(subjects),
        columns,
        figsize=(COLUMN_INCHES * columns, 2.1 * COLUMN_INCHES * len(subjects)),
        squeeze=False,
        layout="constrained",
    )
    for fields, errors, subject in zip(axes[0::2], axes[1::2], subjects, strict=True):
        runs = list(results.runs(subject=subject))
        truth = results.array(runs[0], "whole-reference")[..., 0]
        limit = float(np.quantile(np.abs(truth), 0.995))
        paint_plane(fields[0], truth, limit)
        fields[0].set_title(f"reference\n{subject.replace('_', ' ')}", fontsize=8.5)
        slowness = results.array(runs[0], "squared-slowness")
        errors[0].axis("off")
        if np.ptp(slowness) > 0:
            paint_plane(errors[0], slowness - 1, 1.5)
            errors[0].set_title("squared slowness", fontsize=8.5)
        for field, error, run in zip(fields[1:], errors[1:], runs, strict=False):
            found = results.array(run, "whole-prediction")[..., 0]
            paint_plane(field, found, limit)
            paint_plane(error, found - truth, limit)
            field.set_title(_relative_title(results, run, "field"), fontsize=8.5)
            inner = 1 - run["recipe"]["layer_width"]
            for axis in (field, error):
                axis.add_patch(
                    plt.Rectangle((-inner, -inner), 2 * inner, 2 * inner, fill=False, ls="--")
                )
    for axis, says in zip(axes[:2, -1], ("real part", "error"), strict=True):
        axis.text(1.05, 0, says, rotation=90, va="center", ha="left")
    return figure


def media(results: Results) -> Figure:
    """Each subject in a row: its medium if known, what every variant recovered of it, and a cut."""
    subjects = results.subjects
    columns = 2 + max(len(list(results.runs(subject=s))) for s in subjects)
    figure, rows = plt.subplots(
        len(subjects),
        columns,
        figsize=(
            1.35 * COLUMN_INCHES * (columns - 1) + 3.4,
            1.6 * COLUMN_INCHES * len(subjects),
        ),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"width_ratios": [1] * (columns - 1) + [1.5]},
    )
    for axes, subject in zip(rows, subjects, strict=True):
        _media_of_subject(results, axes, list(results.runs(subject=subject)))
    return figure


def _media_of_subject(results: Results, axes: NDArray, runs: list[dict]) -> None:
    recovered = [results.array(run, "recovered") - 1 for run in runs]
    is_known = results.has_array(runs[0], "medium-reference")
    truth = results.array(runs[0], "medium-reference") - 1 if is_known else None
    shown = recovered[0] if truth is None else truth
    limit = float(np.abs(shown).max()) or 1.0
    row = int(np.abs(shown).sum(axis=0).argmax())
    paint_plane(axes[0], np.zeros_like(shown) if truth is None else truth, limit)
    title = "squared slowness less 1" if is_known else f"{runs[0]['subject']}\n(medium not given)"
    axes[0].set_title(f"{title}\n○ receivers, × sources", fontsize=8.5)
    axes[0].plot(*results.array(runs[0], "receivers").T, "o", color="#333333", ms=3, mfc="none")
    axes[0].plot(*results.array(runs[0], "sources").T, "x", color="#333333", ms=5)
    ticks = np.linspace(-1, 1, len(shown))
    if truth is not None:
        axes[-1].plot(ticks, truth[:, row], color="#333333", label="truth")
    for index, (axis, run, found) in enumerate(zip(axes[1:-1], runs, recovered, strict=False)):
        paint_plane(axis, found, limit)
        axis.set_title(f"{run['label']}\n{_how_far(results, run, is_known)}", fontsize=8.5)
        axes[-1].plot(ticks, found[:, row], color=colour(index), label=run["label"])
    axes[-1].set_xlabel(f"x, at y = {ticks[row]:.2f}")
    axes[-1].set_ylabel("squared slowness less 1")
    axes[-1].legend()


def _how_far(results: Results, run: dict, is_known: bool) -> str:
    if is_known:
        return f"{results.value(run, 'distance_in_radii'):.2f} radii from the truth"
    return f"{100 * results.value(run, 'relative_rmse', 'heard'):.1f} % off what was heard"
