"""Drawings of surfaces: shaded points, and slices through signed distances."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.results import Results

PANEL_INCHES = 2.5
LIGHT = np.array([0.35, 0.45, 0.82])  # towards the light, of length about one
CONTOURS = 8


def distances(results: Results) -> Figure:
    """Each shape in two rows: surfaces seen from +z, and the fields on the plane z = 0."""
    subjects = results.subjects
    columns = 1 + max(len(list(results.runs(subject=s))) for s in subjects)
    figure, axes = plt.subplots(
        2 * len(subjects),
        columns,
        figsize=(PANEL_INCHES * columns, 2.1 * PANEL_INCHES * len(subjects)),
        squeeze=False,
        layout="constrained",
    )
    for shapes, slices, subject in zip(axes[0::2], axes[1::2], subjects, strict=True):
        runs = list(results.runs(subject=subject))
        truth = results.array(runs[0], "surface-reference")
        _shaded(shapes[0], truth)
        shapes[0].set_title("points given", fontsize=8.5)
        _section(slices[0], truth)
        for shape, cut, run in zip(shapes[1:], slices[1:], runs, strict=False):
            _shaded(shape, results.array(run, "surface-prediction"))
            _slice(cut, results.array(run, "slice"))
            shape.set_title(_title(results, run), fontsize=8.5)
    return figure


def _title(results: Results, run: dict) -> str:
    distance = results.value(run, "chamfer_l1") / 10
    closed = "closed" if results.value(run, "closed") else "not closed"
    return f"{run['label']}\nChamfer {100 * distance:.2f} % of size, {closed}"


def _shaded(axis: Axes, cloud: NDArray[np.floating]) -> None:
    """Points from far to near, lit from above; the back of a surface is red."""
    order = np.argsort(cloud[:, 2])
    points, normals = cloud[order, :3], cloud[order, 3:]
    light = np.clip(normals @ LIGHT, 0, 1)[:, None]
    colours = np.clip(0.25 + 0.75 * light * np.array([0.80, 0.86, 0.95]), 0, 1)
    if len(points):
        axis.scatter(points[:, 0], points[:, 1], c=colours, s=2.2, linewidths=0, rasterized=True)
    else:
        axis.text(0.5, 0.5, "no surface", transform=axis.transAxes, ha="center")
    _plane(axis, half=0.56)


def _section(axis: Axes, cloud: NDArray[np.floating]) -> None:
    near = np.abs(cloud[:, 2]) < 0.01
    axis.scatter(cloud[near, 0], cloud[near, 1], s=1.5, color="#333333", linewidths=0)
    axis.set_title("points near z = 0", fontsize=8.5)
    _plane(axis, half=0.56)


def _slice(axis: Axes, values: NDArray[np.floating]) -> None:
    """Level lines at equal distances, the surface in black; blue inside, red outside."""
    ticks = np.linspace(-1, 1, len(values))
    levels = np.linspace(-0.6, 0.6, 2 * CONTOURS + 1)
    axis.contourf(ticks, ticks, values.T, levels=levels, cmap="RdBu_r", extend="both")
    if values.min() < 0 < values.max():
        axis.contour(ticks, ticks, values.T, levels=[0], colors="black", linewidths=1.2)
    _plane(axis)


def _plane(axis: Axes, half: float = 1.06) -> None:
    axis.set_xlim(-half, half)
    axis.set_ylim(-half, half)
    axis.set_aspect("equal")
    axis.axis("off")
