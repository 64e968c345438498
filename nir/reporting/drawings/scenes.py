"""Drawings of scenes: new views beside the truth, depth, samples on a ray, the light of points."""

from __future__ import annotations

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from nir.reporting.results import Results
from nir.reporting.style import colour

COLUMN_INCHES = 1.75
TITLES_INCHES = 0.75
"""Height of what stands over the pictures of a subject."""
ERROR_SHOWN = 0.3
"""Mean absolute error of a pixel at which the error map is brightest."""


def views(results: Results) -> Figure:
    """The first test view of each subject: truth and every variant; below, errors and depth."""
    subjects = results.subjects
    columns = 1 + max(len(list(results.runs(subject=s))) for s in subjects)
    heights = [COLUMN_INCHES * _height_of_width(results, subject) for subject in subjects]
    figure, axes = plt.subplots(
        3 * len(subjects),
        columns,
        figsize=(COLUMN_INCHES * columns, 3 * sum(heights) + TITLES_INCHES * len(subjects)),
        height_ratios=np.repeat(heights, 3),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for rows, subject in zip(np.split(axes, len(subjects)), subjects, strict=True):
        runs = list(results.runs(subject=subject))
        truth = results.array(runs[0], "test-000-reference").astype(np.float32)
        _picture(rows[0, 0], truth, "truth")
        scale = _depth_scale(results, runs)
        reference = next((r for r in runs if results.has_array(r, "depth-000-reference")), None)
        if reference is not None:
            _depth(rows[2, 0], results.array(reference, "depth-000-reference"), scale)
        for column, run in enumerate(runs, start=1):
            shown = results.array(run, "test-000-prediction").astype(np.float32)
            quality = results.value(run, "psnr_8bit", "test")
            label = textwrap.fill(run["label"], 22)
            _picture(rows[0, column], shown, f"{label}\n{quality:.2f} dB")
            error = np.abs(shown - truth).mean(axis=-1)
            rows[1, column].imshow(error, cmap="magma", vmin=0, vmax=ERROR_SHOWN)
            if results.has_array(run, "depth-000-prediction"):
                _depth(rows[2, column], _opaque_depth(results, run), scale)
        _name_rows(rows)
    return figure


def _height_of_width(results: Results, subject: str) -> float:
    """Of the subject's first test view."""
    height, width, _ = results.array(
        next(results.runs(subject=subject)), "test-000-reference"
    ).shape
    return height / width


def _name_rows(rows: NDArray[Any]) -> None:
    for axis, name in zip(rows[:, 0], ("", f"error, 0 to {ERROR_SHOWN}", "depth"), strict=True):
        if not axis.images:
            axis.text(0.5, 0.5, name, ha="center", va="center", transform=axis.transAxes)
        elif name:
            axis.set_title(name, fontsize=8.5)


def _picture(axis: Axes, image: NDArray[np.floating], title: str) -> None:
    axis.imshow(np.clip(image, 0, 1), interpolation="nearest")
    axis.set_title(title, fontsize=8.5)


def _opaque_depth(results: Results, run: dict[str, Any]) -> NDArray[np.floating]:
    depth = results.array(run, "depth-000-prediction").astype(np.float32)
    if not results.has_array(run, "opacity-000"):  # a method to which everything is opaque
        return depth
    return np.where(results.array(run, "opacity-000") > 0.5, depth, np.inf)


def _depth_scale(results: Results, runs: list[dict[str, Any]]) -> tuple[float, float]:
    """The range of inverse depth of the first array there is."""
    for name in ("depth-000-reference", "depth-000-prediction"):
        for run in runs:
            if results.has_array(run, name):
                depth = results.array(run, name)
                inverse = 1 / np.maximum(depth[np.isfinite(depth)], 1e-3)
                low, high = np.percentile(inverse, [1, 99])
                return float(low), float(max(high, low + 1e-6))
    return 0.0, 1.0


def _depth(axis: Axes, depth: NDArray[np.floating], scale: tuple[float, float]) -> None:
    """Near is bright; where nothing is, paper shows."""
    inverse = np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-3), np.nan)
    axis.imshow(inverse, cmap="viridis", vmin=scale[0], vmax=scale[1], interpolation="nearest")


def _inspected(results: Results) -> dict[str, Any]:
    return next(run for run in results.runs() if results.has_array(run, "ray-coarse-depths"))


def samples_on_a_ray(results: Results) -> Figure:
    """Where both passes sample one ray, and how much each sample adds to its colour."""
    run = _inspected(results)
    row, column = results.array(run, "ray-pixel")
    figure, (picture, axis) = plt.subplots(
        1, 2, figsize=(8.6, 3.0), width_ratios=(1, 2.6), layout="constrained"
    )
    picture.imshow(results.array(run, "test-000-prediction").astype(np.float32))
    picture.plot(column, row, "+", color=colour(1), markersize=12, markeredgewidth=2)
    picture.set_title("the ray's pixel")
    picture.axis("off")
    for index, (name, offset) in enumerate((("coarse", -0.06), ("fine", -0.12))):
        if not results.has_array(run, f"ray-{name}-depths"):
            continue
        depths = results.array(run, f"ray-{name}-depths")
        weights = results.array(run, f"ray-{name}-weights")
        axis.vlines(depths, 0, weights, color=colour(index), linewidth=1.2, alpha=0.8)
        axis.plot(depths, weights, "o", color=colour(index), markersize=3, label=f"{name}: weights")
        axis.plot(depths, np.full_like(depths, offset), "|", color=colour(index), markersize=7)
    axis.set_xlabel("depth along the ray (marks below: all samples)")
    axis.set_ylabel("share of the ray's colour")
    axis.legend(loc="upper right")
    return figure


def light_of_points(results: Results) -> Figure:
    """Two points, and their colour from every direction of the hemisphere around the normal."""
    run = _inspected(results)
    discs = results.array(run, "light-discs")
    pixels = results.array(run, "light-pixels")
    figure, axes = plt.subplots(1, 3, figsize=(8.0, 2.9), layout="constrained")
    axes[0].imshow(results.array(run, "test-000-prediction").astype(np.float32))
    axes[0].set_title("two points of a test view")
    for index, name in enumerate(("dullest", "glossiest")):
        row, column = pixels[index]
        axes[0].plot(column, row, "o", color=colour(index), markersize=9, markeredgecolor="white")
        axes[index + 1].imshow(np.clip(discs[index], 0, 1), interpolation="bilinear")
        rim = (len(discs[index]) - 1) / 2
        axes[index + 1].add_patch(Circle((rim, rim), rim, fill=False, color="#999999"))
        axes[index + 1].set_title(f"the {name}, by viewing direction", color=colour(index))
    for axis in axes:
        axis.axis("off")
    return figure


def positional_encoding(results: Results) -> Figure:
    """The lecture's example: the sines of v = 0.125 are 0.383, 0.707 and 1 (L = 3)."""
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.4), sharey=True, layout="constrained")
    v = np.linspace(-1, 1, 801)
    for octave, axis in enumerate(axes):
        turns = 2**octave * np.pi
        axis.plot(v, np.sin(turns * v), color=colour(octave))
        axis.plot(v, np.cos(turns * v), color=colour(octave), linestyle=":", linewidth=1)
        value = np.sin(turns * 0.125)
        axis.plot(0.125, value, "o", color="#333333")
        axis.annotate(
            f"{value:.3f}",
            (0.125, value),
            (9, -14),
            textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
        axis.set_title(f"sin({2**octave if octave else ''}πv), dotted: cos")
        axis.set_xlabel("v")
    return figure


def quality_for_evaluations(results: Results) -> Figure:
    """PSNR of test views against how often networks are asked for one ray."""
    figure, axis = plt.subplots(figsize=(5.0, 3.2))
    runs = [r for r in results.runs() if r["recipe"]["method"] == "nerf"]
    variants = list(dict.fromkeys(run["variant"] for run in runs))
    for run in runs:
        evaluations = results.value(run, "evaluations_per_ray")
        quality = results.value(run, "psnr_8bit", "test")
        axis.plot(evaluations, quality, "o", color=colour(variants.index(run["variant"])))
        axis.annotate(
            run["label"], (evaluations, quality), (6, 5), textcoords="offset points", fontsize=8.5
        )
    axis.margins(x=0.3, y=0.25)
    axis.set_xlabel("evaluations of networks per ray")
    axis.set_ylabel("PSNR of test views (dB)")
    return figure
