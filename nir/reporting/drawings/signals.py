"""Drawings of ensembles: error over bandwidth, over a wave's angle, over a bump's place."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.results import Results
from nir.reporting.style import colour

MARKERS = "os^DvPX"


def bandwidth_scatter(results: Results) -> Figure:
    """Error between the samples over the bandwidth, every network a point (figures 4, 9, 13)."""
    runs = list(results.runs())
    figure, axes = plt.subplots(
        1, len(runs), figsize=(3.7 * len(runs), 3.5), squeeze=False, layout="constrained"
    )
    for axis, run in zip(axes[0], runs, strict=True):
        _scatter_panel(axis, results, run)
    axes[0, 0].set_ylabel("mean squared error between the samples")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _scatter_panel(axis: Axes, results: Results, run: dict[str, Any]) -> None:
    bandwidth, errors = results.array(run, "bandwidth"), results.array(run, "errors-tested")
    names = _families(run["recipe"])
    for index, name in enumerate(names):
        axis.scatter(
            bandwidth[index],
            errors[index],
            s=15,
            color=colour(index),
            marker=MARKERS[index % len(MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=name.replace("_", " "),
        )
        order = bandwidth[index].mean(-1).argsort()
        means = bandwidth[index].mean(-1)[order], errors[index].mean(-1)[order]
        axis.plot(*means, color=colour(index), linewidth=0.9, alpha=0.8)
    if results.has_array(run, "errors-dense"):
        dense = results.array(run, "errors-dense").mean()
        axis.axhline(dense, color="#333333", linestyle="--", linewidth=1, label="dense power law")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("root mean square of the frequencies")
    best = bandwidth.mean(-1).flat[errors.mean(-1).argmin()]
    axis.axvline(best, color="#bbbbbb", linewidth=0.8, zorder=0)
    axis.text(0.02, 0.98, "underfits", transform=axis.transAxes, va="top", fontsize=8)
    axis.text(0.98, 0.98, "overfits", transform=axis.transAxes, va="top", ha="right", fontsize=8)
    axis.set_title(run["group"] or run["subject"].replace("_", " "))


def _families(recipe: dict[str, Any]) -> list[str]:
    names = [*recipe["families"], *recipe["heavy_tailed"]]
    return [*names, "Gaussian, stretched"] if recipe["stretched_aspect"] else names


def bump_places(results: Results) -> Figure:
    """Error over the place of a bump (figure 14), and how far single starts scatter."""
    figure, axis = plt.subplots(figsize=(5.6, 3.3), layout="constrained")
    for index, run in enumerate(results.runs(subject=results.subjects[0])):
        errors = results.array(run, "errors")
        centres = np.linspace(0, 1, errors.shape[1], endpoint=False)
        axis.plot(centres, errors.mean(0), "o-", ms=3.5, color=colour(index), label=run["label"])
        low, high = np.quantile(errors, (0.1, 0.9), axis=0)
        axis.fill_between(centres, low, high, color=colour(index), alpha=0.15, linewidth=0)
    axis.set_yscale("log")
    axis.set_xlabel("where the bump lies (share of the period)")
    axis.set_ylabel("mean squared error")
    axis.legend()
    return figure


def wave_angles(results: Results) -> Figure:
    """PSNR over the direction of a wave, and the frequencies that each encoding has (figure 11)."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axes = plt.subplots(
        1, 1 + len(runs), figsize=(4.4 + 2.8 * len(runs), 3.2), layout="constrained"
    )
    for index, run in enumerate(runs):
        quality = results.array(run, "psnr").mean((0, 2))
        angles = np.arange(len(quality) + 1) * 180 / len(quality)
        closed = np.append(quality, quality[0])  # a wave and its opposite are the same
        axes[0].plot(angles, closed, "o-", ms=3.5, color=colour(index), label=run["label"])
        frequencies = results.array(run, "frequencies")
        for sign in (1, -1):
            points = sign * frequencies
            axes[1 + index].scatter(points[:, 1], points[:, 0], s=7, color=colour(index), lw=0)
        axes[1 + index].set_aspect("equal", adjustable="datalim")
        axes[1 + index].set_title(f"frequencies, {run['label']}")
    axes[0].set_xticks(range(0, 181, 45))
    axes[0].set_xlabel("direction of the wave (degrees)")
    axes[0].set_ylabel("PSNR (dB)")
    axes[0].legend()
    return figure


def turned_scenes(results: Results) -> Figure:
    """PSNR over the angle by which a scene is turned; the scene, straight and half-way round."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure = plt.figure(figsize=(4.6 + 1.9 * (1 + len(runs)), 3.9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(4.6, 1.9 * (1 + len(runs))))
    axis = left.subplots()
    for index, run in enumerate(runs):
        quality = results.array(run, "psnr").mean(0)
        angles = np.arange(len(quality) + 1) * 90 / len(quality)
        closed = np.append(quality, quality[0])  # turned by 90 degrees edges lie on axes again
        axis.plot(angles, closed, "o-", ms=3.5, color=colour(index), label=run["label"])
    axis.set_xticks(range(0, 91, 15))
    axis.set_xlabel("the scene is turned by (degrees)")
    axis.set_ylabel("PSNR between the pixels (dB)")
    axis.legend()
    tiles = right.subplots(2, 1 + len(runs), squeeze=False)
    _turned_tiles(tiles, results, runs)
    return figure


def _turned_tiles(tiles: NDArray, results: Results, runs: list[dict[str, Any]]) -> None:
    """The scene straight (above) and half-way round (below): the truth, then every encoding."""
    truth = results.array(runs[0], "pictures-reference")
    turned = len(truth) // 2
    for row, index in zip(tiles, (0, turned), strict=True):
        shown = [("ground truth", truth[index])]
        for run in runs:
            quality = results.array(run, "psnr").mean(0)[index]
            picture = results.array(run, "pictures-prediction")[index]
            shown.append((f"{run['label']}\n{quality:.2f} dB", picture))
        for axis, (title, picture) in zip(row, shown, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(title, fontsize=8.5)
            axis.axis("off")


def spectrum_choice(results: Results) -> Figure:
    """Error over the power of the amplitudes, and the optimised amplitudes (figure 5)."""
    runs = list(results.runs())
    figure, axes = plt.subplots(
        2, len(runs), figsize=(3.5 * len(runs), 5.6), squeeze=False, layout="constrained"
    )
    for column, run in zip(axes.T, runs, strict=True):
        errors, powers = results.array(run, "errors").mean(-1), results.array(run, "powers")
        finite = np.isfinite(powers)
        law, optimised = errors[:-1], errors[-1]
        column[0].plot(powers[finite], law[finite], "o-", ms=3.5, color=colour(0), label="b^-p")
        column[0].axhline(law[~finite][0], color="#999999", linestyle=":", label="p = ∞")
        column[0].axhline(optimised, color=colour(1), linestyle="--", label="optimised")
        column[0].set_yscale("log")
        column[0].set_xlabel("p")
        column[0].set_title(run["group"] or run["subject"].replace("_", " "))
        amplitudes = results.array(run, "amplitudes")
        frequencies = np.arange(1, amplitudes.shape[1] + 1)
        best = law[finite].argmin()
        named = f"best power law, p = {powers[best]:.3g}"
        column[1].plot(frequencies, amplitudes[best], color=colour(0), label=named)
        column[1].plot(frequencies, amplitudes[-1], color=colour(1), label="optimised")
        column[1].set_xscale("log")
        column[1].set_yscale("log")
        column[1].set_ylim(1e-3, 1.5)
        column[1].set_xlabel("frequency")
        column[1].legend(fontsize=7.5, loc="lower left")
    axes[0, 0].set_ylabel("mean squared error between")
    axes[1, 0].set_ylabel("amplitude")
    axes[0, -1].legend(fontsize=7.5)
    return figure
