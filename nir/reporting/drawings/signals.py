"""Drawings of ensembles: error over bandwidth, over a wave's angle, over a bump's place."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
