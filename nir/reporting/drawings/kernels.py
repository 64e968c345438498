"""Drawings of kernels: their matrices, rows and spectra, and the training that they predict."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.results import Results
from nir.reporting.style import colour

BINS = {"bin_1": "low (bin 1)", "bin_5": "middle (bin 5)", "bin_15": "high (bin 15)"}


def _runs(results: Results, mappings: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    runs = results.runs(subject=results.subjects[0])
    return [r for r in runs if not mappings or r["recipe"]["mapping"] in mappings]


def kernel_matrices(results: Results) -> Figure:
    """NTK without a mapping and with the basic one: 8 x 8 as on the slide, and 128 x 128."""
    runs = _runs(results, ("none", "basic"))
    figure, axes = plt.subplots(
        2, len(runs), figsize=(3.5 * len(runs), 6.6), squeeze=False, layout="constrained"
    )
    for column, run in enumerate(runs):
        small = results.array(run, "kernel-slide")
        _matrix(axes[0, column], small, f"{run['label']}, 8 points")
        for (i, j), value in np.ndenumerate(small / small.max()):
            shade = "white" if value < 0.6 else "black"
            axes[0, column].text(
                j, i, f"{value:.2f}", ha="center", va="center", fontsize=6, color=shade
            )
        large = results.array(run, "kernel-large")
        _matrix(axes[1, column], large, f"{run['label']}, {len(large)} points")
    return figure


def _matrix(axis: Axes, values: NDArray, title: str) -> None:
    axis.imshow(values / values.max(), cmap="viridis", interpolation="nearest")
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)


def kernel_rows(results: Results) -> Figure:
    """One row of each mapping's kernel over the offset, and its Fourier spectrum (figure 2)."""
    figure, (rows, spectra) = plt.subplots(1, 2, figsize=(9.2, 3.3), layout="constrained")
    for index, run in enumerate(_runs(results)):
        row = results.array(run, "kernel-row")
        offset = np.arange(len(row)) / len(row)
        if run["recipe"]["mapping"] != "none":
            offset = (offset + 0.5) % 1 - 0.5
            order = np.argsort(offset)
            offset, row = offset[order], row[order]
        rows.plot(offset, row / row.max(), color=colour(index), label=run["label"])
        spectrum = results.array(run, "kernel-spectrum")
        spectra.plot(spectrum / spectrum[0], color=colour(index), label=run["label"])
    rows.set_title("kernel between a point and its neighbours")
    rows.set_xlabel("offset (without a mapping: position)")
    rows.set_ylabel("kernel / its largest value")
    spectra.set_title("Fourier spectrum of that row")
    spectra.set_xlim(0, 40)
    spectra.set_ylim(1e-5, 2)
    spectra.set_yscale("log")
    spectra.set_xlabel("frequency")
    spectra.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def training_dynamics(results: Results) -> Figure:
    """Trained networks (solid) against the analytic kernel's prediction (dashed) (figure 3)."""
    figure, axes = plt.subplots(2, 3, figsize=(10.6, 6.0), layout="constrained")
    panels = {
        "mse_trained": "trained points",
        "mse_tested": "all points",
        **{name: f"error at {label}" for name, label in BINS.items()},
    }
    for index, run in enumerate(_runs(results)):
        log = results.log(run)
        theory = results.predicted_curves(run, "theory-infinite")
        for axis, column in zip(axes.flat[1:], panels, strict=True):
            axis.plot(log["step"], log[column], color=colour(index), label=run["label"])
            axis.plot(theory["step"], theory[column], color="#222222", linestyle=":", linewidth=1)
        _functions(axes[0, 0], results, run, index)
    for axis, (column, title) in zip(axes.flat[1:], panels.items(), strict=True):
        axis.set_yscale("log")
        axis.set_title(title)
        axis.set_ylabel("mean squared error" if column.startswith("mse") else "|DFT of the error|")
        axis.set_xlabel("step of gradient descent")
    axes[0, 2].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _functions(axis: Axes, results: Results, run: dict[str, Any], index: int) -> None:
    """The target, and what was learned on a quarter of the interval."""
    learned = results.array(run, "tested-prediction")[:, 0]
    theory = results.array(run, "function-infinite")[:, 0]
    target = results.array(run, "tested-reference")[:, 0]
    x = np.arange(len(target)) / len(target)
    shown = (x >= 0.5) & (x <= 0.75)
    if index == 0:
        axis.plot(x[shown], target[shown], color="#999999", linewidth=3.5, alpha=0.6)
    axis.plot(x[shown], learned[shown], color=colour(index))
    axis.plot(x[shown], theory[shown], color="#222222", linestyle=":", linewidth=1)
    axis.set_title("learned functions (target: grey; theory: dotted)")
    axis.set_xlabel("x")


def kernel_spreading(results: Results) -> Figure:
    """Deeper networks spread a frequency's energy to its neighbours and multiples (figure 7)."""
    spectra = results.array(_runs(results)[0], "spreading")
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), sharey=True, layout="constrained")
    for axis, of_set, title in zip(
        axes, spectra, ("frequency 1", "frequencies 1 and 43"), strict=True
    ):
        for index, (spectrum, depth) in enumerate(zip(of_set, (4, 8, 16), strict=True)):
            axis.plot(spectrum, color=colour(index), label=f"{depth} layers", alpha=0.85)
        axis.set_yscale("log")
        axis.set_ylim(1e-3, None)
        axis.set_title(title)
        axis.set_xlabel("frequency")
    axes[0].set_ylabel("|DFT of the kernel| / k(0)")
    axes[1].legend()
    return figure


def empirical_kernels(results: Results) -> Figure:
    """Empirical kernels on a row through the image, before and after training, every variant."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axes = plt.subplots(
        2, len(runs), figsize=(2.1 * len(runs), 4.8), squeeze=False, layout="constrained"
    )
    for column, run in enumerate(runs):
        for row, when in enumerate(("before", "after")):
            kernel = results.array(run, f"kernel-{when}")
            departure = results.value(run, "departure_from_stationarity", when)
            title = f"{when} training\nnot stationary: {100 * departure:.0f} %"
            _matrix(axes[row, column], kernel, f"{run['label']}\n{title}" if row == 0 else title)
            axes[row, column].title.set_fontsize(8.5)
    return figure
