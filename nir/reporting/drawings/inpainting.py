"""Drawings of completed images: what was known, what was made of it."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.pictures import COLUMN_INCHES
from nir.reporting.results import Results

UNKNOWN = np.array([0.35, 0.55, 0.75])
CONTEXTS = {
    "known_10": "10 pixels",
    "known_100": "100 pixels",
    "known_1000": "1000 pixels",
    "known_half": "upper half",
    "known_all": "all",
}
SHOWN_IMAGES = 2


def completions(results: Results) -> Figure:
    """Unseen images side by side: what is known on top, every variant's answer below.

    The number over the first image's answer is the mean squared error over all unseen images.
    """
    runs = list(results.runs(subject=results.subjects[0]))
    contexts = [c for c in CONTEXTS if results.has_array(runs[0], f"{c}-known")]
    columns = SHOWN_IMAGES * len(contexts)
    figure = plt.figure(
        figsize=(0.62 * COLUMN_INCHES * columns + 1.3, 0.7 * COLUMN_INCHES * (len(runs) + 1)),
        layout="constrained",
    )
    for number, block in enumerate(figure.subfigures(1, SHOWN_IMAGES, wspace=0.03)):
        axes = block.subplots(len(runs) + 1, len(contexts), squeeze=False)
        for column, context in enumerate(contexts):
            _paint_context(results, runs, axes[:, column], context, number)
        for axis, says in zip(axes[:, 0], ["known", *(run["label"] for run in runs)], strict=True):
            axis.set_ylabel("" if number else says.partition(" (")[0], fontsize=8.5)
    return figure


def _paint_context(
    results: Results, runs: list[dict], axes: NDArray, context: str, number: int
) -> None:
    """One column: what is known of an image, and the answers."""
    truth = results.array(runs[0], f"{context}-reference")[number] / 2 + 0.5
    known = results.array(runs[0], f"{context}-known")[number]
    _paint(axes[0], _seen(truth, known))
    axes[0].set_title(CONTEXTS[context], fontsize=8.5)
    for axis, run in zip(axes[1:], runs, strict=True):
        _paint(axis, results.array(run, f"{context}-prediction")[number] / 2 + 0.5)
        error = results.value(run, "mse", context)
        axis.set_title("" if number else f"{error:.3f}", fontsize=7, pad=2)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)


def _seen(image: NDArray, known: NDArray) -> NDArray[np.floating]:
    colours = np.repeat(image, 3 // image.shape[-1], axis=-1)
    return np.where(known[..., None].astype(bool), colours, UNKNOWN)


def _paint(axis: Axes, image: NDArray[np.floating]) -> None:
    colours = np.repeat(image, 3 // image.shape[-1], axis=-1)
    axis.imshow(np.clip(colours, 0, 1), interpolation="nearest")


def completed_photo(results: Results) -> Figure:
    """A photo, the pixels known of it, and every variant's answer."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axes = plt.subplots(
        1,
        len(runs) + 2,
        figsize=(COLUMN_INCHES * (len(runs) + 2), 1.25 * COLUMN_INCHES),
        layout="constrained",
    )
    truth = results.array(runs[0], "image-reference")
    shown = [("ground truth", truth), ("known", _seen(truth, results.array(runs[0], "known")))]
    for run in runs:
        quality = results.value(run, "psnr_float", "unknown")
        title = f"{run['label']}\n{quality:.2f} dB unknown"
        shown.append((title, results.array(run, "image-prediction")))
    for axis, (title, image) in zip(axes, shown, strict=True):
        _paint(axis, image)
        axis.set_title(title, fontsize=8.5)
        axis.axis("off")
    return figure
