"""Drawings of shapes reconstructed by several methods, and of what they cost."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.tiles import cut_alike
from nir.reporting.results import Results
from nir.reporting.style import colour

PANEL_INCHES = 1.45


def reconstructed_shapes(results: Results) -> Figure:
    """Shapes from top to bottom: what was seen, each method's answer, the truth."""
    runs = list(results.runs(subject=results.subjects[0]))
    columns: list[tuple[str, NDArray]] = []
    if results.has_array(runs[0], "shown-input"):
        columns.append(("input", results.array(runs[0], "shown-input")))
    for run in runs:
        columns.append((_title(results, run), results.array(run, "shown-prediction")))
    columns.append(("truth", results.array(runs[0], "shown-reference")))
    return _pictures(columns)


def generated_shapes(results: Results) -> Figure:
    """Test shapes through their latents, and shapes of latents that nobody encoded."""
    run = next(results.runs(subject=results.subjects[0]))
    names = {"truth": "shown-reference", "through its\nlatent": "shown-prediction"}
    columns = [(title, results.array(run, name)) for title, name in names.items()]
    columns.append(("drawn from\nthe prior", results.array(run, "shown-samples")))
    return _pictures(columns)


def _title(results: Results, run: dict) -> str:
    """The method with its IoU, or the Chamfer distance where nothing is enclosed."""
    label, iou = run["label"], results.value(run, "iou_volume")
    if np.isnan(iou):
        return f"{label}\nCD {results.value(run, 'chamfer_l1'):.2f}"
    return f"{label}\nIoU {iou:.2f}"


def _pictures(columns: list[tuple[str, NDArray]]) -> Figure:
    rows = max(len(pictures) for _, pictures in columns)
    cut = cut_alike([pictures for _, pictures in columns])
    height, width = cut[-1].shape[1:3]
    figure, axes = plt.subplots(
        rows,
        len(columns),
        figsize=(PANEL_INCHES * len(columns), PANEL_INCHES * rows * height / width + 0.35),
        squeeze=False,
        gridspec_kw={"wspace": 0.03, "hspace": 0.03},
    )
    for of_column, (title, _), pictures in zip(axes.T, columns, cut, strict=True):
        of_column[0].set_title(title, fontsize=7.5)
        for axis in of_column:
            axis.axis("off")
        for axis, picture in zip(of_column, pictures, strict=False):
            axis.imshow(picture, interpolation="bilinear")
    return figure


def representation_power(results: Results) -> Figure:
    """IoU with the trained shapes over numbers held: networks, and voxel grids of the truth."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), layout="constrained", sharey=True)
    runs = list(results.runs(subject=results.subjects[0]))
    _voxel_curve(axes[0], results, runs[0], per_shape=1)
    for index, run in enumerate(runs, start=1):
        value = results.value(run, "iou_volume")
        axes[0].axhline(value, color=colour(index), label=run["label"])
        count = results.value(run, "parameters")
        axes[1].plot(count, value, "s", color=colour(index), label=run["label"])
    _voxel_curve(axes[1], results, runs[0], per_shape=_shapes(runs[0]))
    axes[0].set_xlabel("cells of a shape's grid")
    axes[0].set_ylabel("IoU")
    axes[1].set_xlabel("numbers held for all shapes together")
    axes[1].legend(loc="lower right", fontsize=7.5)
    return figure


def _shapes(run: dict) -> int:
    return max(int(run["recipe"]["train_shapes"]), 1)


def _voxel_curve(axis: Axes, results: Results, run: dict, *, per_shape: int) -> None:
    resolutions = run["recipe"]["voxel_resolutions"]
    values = [results.value(run, "iou_points", f"voxels {n}") for n in resolutions]
    numbers = per_shape * np.array(resolutions, dtype=float) ** 3
    axis.plot(numbers, values, "o-", color=colour(0), label="voxels")
    for x, y, resolution in zip(numbers, values, resolutions, strict=True):
        axis.annotate(f"{resolution}³", (x, y), textcoords="offset points", xytext=(3, -11))
    axis.set_xscale("log")
