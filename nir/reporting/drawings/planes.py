"""Drawings of planes (NeX): quality by variant, by number of functions, by distance from the
reference view; bases; and pictures beside their glossy parts.
"""

from __future__ import annotations

import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nir.reporting.results import Results
from nir.reporting.style import colour

SPLITS = (("test", "whole test views"), ("glossy", "their glossy parts"))


def quality_bars(results: Results) -> Figure:
    """PSNR of test views and of their glossy parts, one pair of bars a variant."""
    variants = results.variants
    figure, axis = plt.subplots(figsize=(6.4, 0.9 + 0.42 * len(variants)), layout="constrained")
    places = np.arange(len(variants))
    low = np.inf
    for index, (split, says) in enumerate(SPLITS):
        values = np.array([results.mean(v, "psnr_8bit", split) for v in variants])
        if not np.isfinite(values).any():
            continue
        bars = axis.barh(
            places + 0.38 * index, values, height=0.34, color=colour(index), label=says
        )
        axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        low = min(low, np.nanmin(values))
    axis.set_yticks(places + 0.19, [results.label(v) for v in variants])
    axis.invert_yaxis()
    axis.set_xlim(left=max(0.0, np.floor(low) - 2))
    axis.margins(x=0.12)
    axis.set_xlabel("PSNR (dB); the axis does not begin at 0")
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, 1.12), ncols=2, fontsize=8)
    return figure


def quality_for_coefficients(results: Results) -> Figure:
    """PSNR over the number of functions in the basis: trained, test views, glossy parts."""
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    counts = {r["variant"]: r["recipe"]["coefficients"] for r in results.runs()}
    order = sorted(counts, key=counts.__getitem__)
    places = np.arange(len(order))
    says = (("train", "training views"), *SPLITS)
    for index, (split, label) in enumerate(says):
        values = [results.mean(variant, "psnr_8bit", split) for variant in order]
        axis.plot(places, values, "o-", color=colour(index), label=label)
    axis.set_xticks(places, [str(counts[variant]) for variant in order])
    axis.set_xlabel("functions in the learned basis")
    axis.set_ylabel("PSNR (dB)")
    axis.legend()
    return figure


def quality_for_angle(results: Results) -> Figure:
    """PSNR over the angle to the training views, with pictures from far round the scene."""
    runs = list(results.runs(subject=results.subjects[0]))
    columns = len(runs)
    figure = plt.figure(figsize=(1.6 + 2.3 * (columns + 1), 5.2), layout="constrained")
    grid = figure.add_gridspec(2, columns + 1, height_ratios=(1.5, 1))
    axis = figure.add_subplot(grid[0, :])
    for index, run in enumerate(runs):
        angles, values = _by_angle(results, run)
        axis.plot(angles, values, "o-", color=colour(index), label=run["label"])
    axis.set_xlabel("angle between the view and the training views (degrees)")
    axis.set_ylabel("PSNR (dB)")
    axis.legend()
    name = f"test-{2 * (len(_by_angle(results, runs[0])[0]) - 1) // 3:03d}"
    _picture(figure.add_subplot(grid[1, 0]), results.array(runs[0], f"{name}-reference"), "truth")
    for column, run in enumerate(runs, start=1):
        shown = results.array(run, f"{name}-prediction")
        _picture(figure.add_subplot(grid[1, column]), shown, run["label"])
    return figure


def _by_angle(results: Results, run: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Angles in degrees, rising, and the PSNR there."""
    rows = results.metrics[
        (results.metrics["subject"] == run["subject"])
        & (results.metrics["variant"] == run["variant"])
        & (results.metrics["seed"] == run["seed"])
        & (results.metrics["metric"] == "psnr_8bit")
    ]
    found = {
        int(match.group(1)): value
        for split, value in zip(rows["split"], rows["value"], strict=True)
        if (match := re.fullmatch(r"(\d+) degrees", split))
    }
    angles = sorted(found)
    return np.array(angles), np.array([found[angle] for angle in angles])


def _picture(axis: Axes, image: np.ndarray, title: str) -> None:
    axis.imshow(np.clip(image.astype(np.float32), 0, 1), interpolation="nearest")
    axis.set_title(title, fontsize=8.5)
    axis.axis("off")


def basis_functions(results: Results) -> Figure:
    """The functions of every basis over the directions before the camera, one row a basis."""
    runs = [r for r in results.runs(subject=results.subjects[0]) if results.has_array(r, "basis")]
    tables = [results.array(run, "basis") for run in runs]
    columns = max(table.shape[-1] for table in tables)
    figure, axes = plt.subplots(
        len(runs),
        columns,
        figsize=(0.95 * columns + 1.2, 1.08 * len(runs)),
        squeeze=False,
        layout="constrained",
    )
    for row, run, table in zip(axes, runs, tables, strict=True):
        for axis in row:
            axis.axis("off")
        for axis, function in zip(row, np.moveaxis(table, -1, 0), strict=False):
            largest = max(float(np.abs(function).max()), 1e-9)
            axis.imshow(function, cmap="RdBu", vmin=-largest, vmax=largest)
        row[0].set_title(run["label"], loc="left", fontsize=8.5)
    return figure
