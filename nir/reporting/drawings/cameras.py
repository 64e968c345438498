"""Drawings of cameras: where photos were taken from, what each sees, and the points found."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from nir.configuration import SCENES
from nir.data.scenes import read_llff_cameras
from nir.errors import InputError
from nir.files import written_whole
from nir.geometry import similarity
from nir.geometry.cameras import Cameras
from nir.reporting.results import Results
from nir.reporting.style import COLOURS, STYLE

MOST_POINTS = 6000


def cameras(results: Results) -> Figure:
    """The cameras of an experiment's first capture (a scene that pose estimation made)."""
    scene = results.folder.parent / Path(SCENES).name / results.subjects[0]
    return draw_scene(scene)


def write_camera_plot(scene: Path, path: Path) -> None:
    """Draw the cameras of a scene folder as PNG."""
    mpl.use("agg")
    with mpl.rc_context(STYLE), written_whole(path) as temporary:
        draw_scene(scene).savefig(temporary, metadata={"Software": None})


def draw_scene(scene: Path) -> Figure:
    """In space, and from above: positions, frusta, sparse points where the folder has them."""
    found, bounds = read_llff_cameras(scene)
    points, colours = _sparse_points(scene / "points.ply")
    try:
        found, moved = similarity.recentred(found)
    except InputError:  # cameras that look all around have no mean direction
        found, moved = similarity.spherified(found)
    spread = float(np.linalg.norm(np.ptp(found.positions, axis=0)))
    depth = min(0.25 * moved.scale * float(bounds[:, 0].min()), 0.2 * spread)
    return draw_cameras(found, moved.points(points), colours, frustum_depth=depth)


def draw_cameras(
    cameras: Cameras,
    points: Float[np.ndarray, "points 3"],
    colours: Float[np.ndarray, "points 3"],
    *,
    frustum_depth: float,
) -> Figure:
    """Cameras and coloured points of a world with y up; the frusta reach `frustum_depth` far."""
    figure = plt.figure(figsize=(9.0, 4.2), layout="constrained")
    frusta = frustum_edges(cameras, frustum_depth)
    low, high = _visible_range(cameras.positions, points)
    shown = ((points >= low) & (points <= high)).all(axis=1)
    points, colours = points[shown], colours[shown]
    _draw_in_space(figure.add_subplot(1, 2, 1, projection="3d"), frusta, points, colours, low, high)
    _draw_from_above(figure.add_subplot(1, 2, 2), cameras, frusta, points, colours)
    return figure


def frustum_edges(cameras: Cameras, depth: float) -> Float[np.ndarray, "views 8 2 3"]:
    """Eight edges of each view's pyramid: four from the centre of projection, four around."""
    size = cameras.intrinsics
    corners = np.array([[0, 0], [size.width, 0], [size.width, size.height], [0, size.height]])
    centred = corners - [size.centre_x, size.centre_y]
    rays = np.column_stack([centred / [size.focal_x, size.focal_y], np.ones(4)]) * depth
    base = np.einsum("vij,cj->vci", cameras.rotations, rays) + cameras.positions[:, None]
    apex = np.broadcast_to(cameras.positions[:, None], base.shape)
    sides = np.stack([apex, base], axis=2)
    around = np.stack([base, np.roll(base, -1, axis=1)], axis=2)
    return np.concatenate([sides, around], axis=1)


def _visible_range(positions: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A box that holds the cameras and all points but a few strays."""
    edges = positions if len(points) == 0 else np.percentile(points, [1, 99], axis=0)
    everything = np.concatenate([positions, edges])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.05 * (high - low).max()
    return low - margin, high + margin


def _draw_in_space(axis, frusta, points, colours, low, high) -> None:
    """World z, towards the viewer, becomes the plot's depth, and y its height."""
    order = [0, 2, 1]
    flip = np.array([1, -1, 1])
    axis.scatter(*(points[:, order] * flip).T, c=colours, s=1.5, linewidths=0)
    edges = frusta.reshape(-1, 2, 3)[..., order] * flip
    axis.add_collection3d(Line3DCollection(edges, colors=COLOURS[1], linewidths=0.7))
    corners = np.sort(np.stack([low, high])[:, order] * flip, axis=0)
    axis.set(xlim=corners[:, 0], ylim=corners[:, 1], zlim=corners[:, 2])
    axis.set_box_aspect(np.ptp(corners, axis=0), zoom=1.05)
    axis.view_init(elev=22, azim=-62)
    axis.set_axis_off()
    axis.set_title(f"{len(frusta)} cameras, {len(points)} points")


def _draw_from_above(axis, cameras: Cameras, frusta, points, colours) -> None:
    axis.scatter(points[:, 0], -points[:, 2], c=colours, s=1.5, linewidths=0)
    edges = frusta.reshape(-1, 2, 3)[..., [0, 2]] * [1, -1]
    axis.add_collection(LineCollection(list(edges), colors=COLOURS[1], linewidths=0.7))
    axis.plot(cameras.positions[:, 0], -cameras.positions[:, 2], ".", color=COLOURS[0], ms=4)
    axis.set(aspect="equal", title="from above", xlabel="right", ylabel="forward")
    axis.autoscale_view()


def _sparse_points(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours in [0, 1]; a thinned choice of them, or none where there is no file."""
    if not path.is_file():
        return np.zeros((0, 3)), np.zeros((0, 3))
    import trimesh  # it is slow to start, and most figures show no cloud

    cloud = trimesh.load(path, process=False)
    if not isinstance(cloud, trimesh.PointCloud):
        raise InputError(f"{path}: holds no points; estimate the poses again")
    step = max(1, len(cloud.vertices) // MOST_POINTS)
    colours = np.asarray(cloud.colors)[::step, :3] / 255
    return np.asarray(cloud.vertices)[::step], colours
