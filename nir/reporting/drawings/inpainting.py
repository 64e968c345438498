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
CONTEXTS = ("known_10", "known_100", "known_1000", "known_half", "known_all")
SHOWN_IMAGES = 2


def completions(results: Results) -> Figure:
    """Unseen images: what is known in the upper rows, every variant's answer below."""
    runs = list(results.runs(subject=results.subjects[0]))
    contexts = [c for c in CONTEXTS if results.has_array(runs[0], f"{c}-known")]
    rows = len(runs) + 1
    figure, axes = plt.subplots(
        SHOWN_IMAGES * rows,
        len(contexts) + 1,
        figsize=(
            0.75 * COLUMN_INCHES * (len(contexts) + 1) + 1.3,
            0.78 * COLUMN_INCHES * SHOWN_IMAGES * rows,
        ),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for number in range(SHOWN_IMAGES):
        top = axes[number * rows]
        truth = results.array(runs[0], f"{contexts[0]}-reference")[number] / 2 + 0.5
        _paint(top[0], truth)
        top[0].set_title("" if number else "truth", fontsize=8.5)
        for column, context in enumerate(contexts, start=1):
            known = results.array(runs[0], f"{context}-known")[number]
            _paint(top[column], _seen(truth, known))
            top[column].set_title("" if number else context.replace("_", " "), fontsize=8.5)
            for row, run in enumerate(runs, start=1):
                found = results.array(run, f"{context}-prediction")[number] / 2 + 0.5
                _paint(axes[number * rows + row, column], found)
        for row, run in enumerate(runs, start=1):
            axes[number * rows + row, 0].text(1, 0.5, run["label"], ha="right", va="center")
    return figure


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
