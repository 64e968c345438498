"""Drawings of coloured meshes: a scene's true surface beside the one that a field holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nir.reporting.results import Results

SHOWN_POINTS = 60_000
AZIMUTH_DEGREES, ELEVATION_DEGREES = -60.0, 30.0
NONE = "no surface was extracted"
LIGHT = np.array([0.5, -0.3, 0.8])
"""Towards the light; in the scene's own axes, z up."""


def meshes(results: Results) -> Figure:
    """Each subject's surfaces in the colours of their vertices: the truth where it is known."""
    found = [
        (f"{run['label']}, {run['subject']}", path, title)
        for run in results.runs()
        for path, title in _surfaces(results, run)
    ]
    figure, axes = plt.subplots(
        1, max(1, len(found)), figsize=(3.4 * max(1, len(found)), 3.0), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    if not found:
        axes[0, 0].text(0.5, 0.5, NONE, ha="center")
    for axis, (label, path, title) in zip(axes.flat, found, strict=False):
        _draw(axis, path)
        axis.set_title(title or label, fontsize=8.5)
    return figure


def _surfaces(results: Results, run: dict[str, Any]) -> list[tuple[Path, str]]:
    """Surface files of a run with titles of their own, the truth first."""
    folder = results.folder / run["place"] / "predictions"
    truth, compared = folder / "surface-reference.ply", folder / "surface-prediction.ply"
    if compared.is_file():
        distance = results.value(run, "chamfer_l1") / 10
        says = f"Chamfer {100 * distance:.1f} % of the longest edge"
        title = f"{run['label']}\n{NONE if results.value(run, 'failed') == 1 else says}"
        return [(truth, f"truth, {run['subject']}"), (compared, title)]
    return [(folder / "mesh.ply", "")] if (folder / "mesh.ply").is_file() else []


def _draw(axis: Axes, path: Path) -> None:
    """Points of what faces the viewer, from far to near, lit from one side."""
    import trimesh  # it is slow to start, and most figures show no surface

    mesh = trimesh.load(path, process=False, force="mesh")
    if len(mesh.faces) == 0:
        return
    points, faces = trimesh.sample.sample_surface(mesh, SHOWN_POINTS, seed=0)
    right, up, towards = _view_axes()
    faces_viewer = mesh.face_normals[faces] @ towards > 0
    points, faces = np.asarray(points)[faces_viewer], faces[faces_viewer]
    colours = np.asarray(mesh.visual.vertex_colors)[mesh.faces[faces], :3].mean(axis=1) / 255
    light = 0.65 + 0.35 * np.abs(mesh.face_normals[faces] @ (LIGHT / np.linalg.norm(LIGHT)))
    order = np.argsort(points @ towards)
    axis.scatter(
        (points @ right)[order],
        (points @ up)[order],
        c=np.clip(colours * light[:, None], 0, 1)[order],
        s=1.6,
        linewidths=0,
        rasterized=True,
    )
    axis.set_aspect("equal")


def _view_axes() -> tuple[Float[np.ndarray, " 3"], ...]:
    """To the right, upwards and towards the viewer, who looks down from one side."""
    azimuth, elevation = np.radians([AZIMUTH_DEGREES, ELEVATION_DEGREES])
    around = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    towards = np.cos(elevation) * around + np.sin(elevation) * np.array([0.0, 0.0, 1.0])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return right, np.cross(towards, right), towards
