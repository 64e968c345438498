"""Drawings of images: the truth beside what was represented."""

from __future__ import annotations

import colorsys
import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.results import Results

COLUMN_INCHES = 1.75
MOST_COLUMNS = 7
ZOOM = 4  # the detail's side is this fraction of the picture's


def images(results: Results) -> Figure:
    """Each subject's truth and every variant, whole and in a detail; long rows are wrapped."""
    subjects = results.subjects
    tiles = 1 + max(len(list(results.runs(subject=s))) for s in subjects)
    wraps = math.ceil(tiles / MOST_COLUMNS)
    columns = math.ceil(tiles / wraps)
    rows = 2 * wraps * len(subjects)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(COLUMN_INCHES * columns, 1.05 * COLUMN_INCHES * rows),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for index, subject in enumerate(subjects):
        block = axes[2 * wraps * index : 2 * wraps * (index + 1)]
        pairs = zip(block[0::2].flat, block[1::2].flat, strict=True)
        _subject_tiles(list(pairs), results, subject)
    return figure


def _subject_tiles(pairs: list[tuple[Axes, Axes]], results: Results, subject: str) -> None:
    """Fill pairs of axes (whole, detail) with the truth and then every variant of a subject."""
    runs = list(results.runs(subject=subject))
    truth = results.array(runs[0], "image-reference")
    window = most_detailed_window(truth)
    titles = ["ground truth", *(f"{run['label']}\n{_quality(results, run)}" for run in runs)]
    shown = [truth, *(results.array(run, "image-prediction") for run in runs)]
    for (whole, detail), title, picture in zip(pairs, titles, shown, strict=False):
        _show(whole, picture, title)
        _show(detail, picture[window], "")
    _mark(pairs[0][0], window)


def _quality(results: Results, run: dict) -> str:
    tested = results.value(run, "psnr_float", "tested")
    if np.isnan(tested):
        return f"{results.value(run, 'psnr_8bit', 'trained'):.2f} dB"
    return f"{tested:.2f} dB unseen"


def most_detailed_window(image: NDArray[np.floating]) -> tuple[slice, slice]:
    """The square detail with the most contrast, on a coarse lattice of places."""
    side = image.shape[0] // ZOOM
    grey = image.mean(axis=-1)
    starts = range(0, image.shape[0] - side + 1, max(side // 2, 1))
    places = [(slice(i, i + side), slice(j, j + side)) for i in starts for j in starts]
    return max(places, key=lambda place: float(grey[place].std()))


def _show(axis: Axes, image: NDArray[np.floating], title: str) -> None:
    grey = image.shape[-1] == 1
    axis.imshow(
        np.clip(image[..., 0] if grey else image, 0, 1),
        cmap="gray" if grey else None,
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    axis.set_title(title, fontsize=8.5)
    axis.axis("off")


def _mark(axis: Axes, window: tuple[slice, slice]) -> None:
    rows, columns = window
    side = rows.stop - rows.start
    axis.add_patch(
        plt.Rectangle(
            (columns.start - 0.5, rows.start - 0.5), side, side, fill=False, color="#D55E00"
        )
    )


def derivatives(results: Results) -> Figure:
    """Image, gradient and Laplacian in rows: the truth, then every variant's own derivatives."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axes = plt.subplots(
        3,
        len(runs) + 1,
        figsize=(COLUMN_INCHES * (len(runs) + 1), 3.2 * COLUMN_INCHES),
        squeeze=False,
        layout="constrained",
    )
    truths = [results.array(runs[0], f"{name}-reference") for name in _ROWS]
    scales = [1.0, *(float(np.quantile(np.abs(truth), 0.99)) for truth in truths[1:])]
    for column in range(len(runs) + 1):
        for row, name in enumerate(_ROWS):
            run = runs[column - 1]
            values = truths[row] if column == 0 else results.array(run, f"{name}-prediction")
            _ROWS[name](axes[row, column], values, scales[row])
            if column:
                axes[row, column].set_title(_derivative_title(results, run, name), fontsize=8.5)
    axes[0, 0].set_title("ground truth", fontsize=8.5)
    for axis, text in zip(axes[:, 0], ("image", "gradient", "Laplacian"), strict=True):
        axis.text(-0.06, 0.5, text, transform=axis.transAxes, rotation=90, va="center", ha="right")
    return figure


def composition(results: Results) -> Figure:
    """Two pictures, what every variant composed from their gradients, and the best answer."""
    runs = list(results.runs(subject=results.subjects[0]))
    titles = ["first picture", "second picture", "mean of both"]
    names = ["picture-0", "picture-1", "image-reference"]
    figure, axes = plt.subplots(
        1,
        len(runs) + 3,
        figsize=(COLUMN_INCHES * (len(runs) + 3), 1.2 * COLUMN_INCHES),
        layout="constrained",
    )
    for axis, name, title in zip(axes, names, titles, strict=False):
        _show(axis, results.array(runs[0], name), title)
    for axis, run in zip(axes[3:], runs, strict=True):
        title = f"{run['label']}\n{results.value(run, 'psnr_8bit'):.2f} dB"
        _show(axis, results.array(run, "image-prediction"), title)
    return figure


def derivative_fits(results: Results) -> Figure:
    """Three fits a variant, each trained on one thing alone, and how far off it is there."""
    runs = list(results.runs(subject=results.subjects[0]))
    rows = {"value": "image", "gradient": "gradient", "laplacian": "laplacian"}
    figure, axes = plt.subplots(
        len(rows),
        len(runs) + 1,
        figsize=(COLUMN_INCHES * (len(runs) + 1), 3.45 * COLUMN_INCHES),
        squeeze=False,
        layout="constrained",
    )
    for row, (supervision, name) in zip(axes, rows.items(), strict=True):
        truth = results.array(runs[0], f"from_{supervision}-{name}-reference")
        scale = 1.0 if name == "image" else float(np.quantile(np.abs(truth), 0.99))
        _ROWS[name](row[0], truth, scale)
        row[0].text(
            -0.06,
            0.5,
            f"trained on {supervision}",
            transform=row[0].transAxes,
            rotation=90,
            va="center",
            ha="right",
        )
        for axis, run in zip(row[1:], runs, strict=True):
            found = results.array(run, f"from_{supervision}-{name}-prediction")
            _ROWS[name](axis, found, scale)
            axis.set_title(_fit_title(results, run, supervision, name), fontsize=8.5)
    axes[0, 0].set_title("ground truth", fontsize=8.5)
    return figure


def _fit_title(results: Results, run: dict, supervision: str, name: str) -> str:
    split = f"from_{supervision}-{name}"
    if name == "image":
        return f"{run['label']}\n{results.value(run, 'psnr_8bit', split):.2f} dB"
    return f"relative error {results.value(run, 'relative_rmse', split):.2f}"


def _derivative_title(results: Results, run: dict, name: str) -> str:
    if name == "image":
        return f"{run['label']}\n{results.value(run, 'psnr_8bit'):.2f} dB"
    return f"relative error {results.value(run, 'relative_rmse', name):.2f}"


def _draw_image(axis: Axes, values: NDArray[np.floating], scale: float) -> None:
    _show(axis, values / scale, "")


def _draw_gradient(axis: Axes, values: NDArray[np.floating], scale: float) -> None:
    """Hue is the gradient's direction, brightness its length."""
    rows, columns = values[..., 0], values[..., 1]
    hue = (np.arctan2(rows, columns) / (2 * np.pi)) % 1.0
    length = np.clip(np.hypot(rows, columns) / scale, 0, 1)
    axis.imshow(_hue_and_brightness(hue, length), interpolation="nearest")
    axis.axis("off")


def _hue_and_brightness(hue: NDArray, brightness: NDArray) -> NDArray[np.floating]:
    wheel = np.array([colorsys.hsv_to_rgb(h, 0.85, 1.0) for h in np.linspace(0, 1, 256)])
    return wheel[(hue * 255).astype(int)] * brightness[..., None]


def _draw_laplacian(axis: Axes, values: NDArray[np.floating], scale: float) -> None:
    axis.imshow(values[..., 0], cmap="RdBu", vmin=-scale, vmax=scale, interpolation="nearest")
    axis.axis("off")


_ROWS = {"image": _draw_image, "gradient": _draw_gradient, "laplacian": _draw_laplacian}
