"""The surface of a radiance field: where its density passes a threshold, with colours.

The threshold is the recipe's `mesh_density` (50 is the value of NeRF's notebook). The box is where
the training views' rays end: beyond it no photograph says what the density should be. Where the
photographs have alpha, only what all of them allow counts: fog of the background's colour, which
no photograph contradicts, is none of the scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from nir.errors import InputError
from nir.geometry.meshing import NoSurfaceError, marching_cubes_of
from nir.geometry.rays import Rays
from nir.geometry.silhouettes import Silhouettes
from nir.operators.volume import render_image
from nir.predictions import Item, Predictions

if TYPE_CHECKING:
    from nir.tasks.nerf import NerfTask
    from nir.tasks.nerf_predictions import Renderer

SURFACE_METRICS = ("chamfer_l1", "f_score", "failed")
ENDING_RAYS = 2**14
"""So many rays of the training views find the box of the surface."""

STRAYS, MARGIN = 0.002, 0.03
"""The share of these rays' ends that is left out on each side, and the box's growth after that."""


def surface_of(task: NerfTask, renderer: Renderer) -> trimesh.Trimesh:
    """Marching cubes on the density of the field that is seen, in the units of the scene's files.

    Vertices get the colour seen straight from outside. Scenes sampled in NDC have no box of finite
    size and are refused.
    """
    if task.scene.ndc:
        raise InputError(
            f"{task.subject}: seen from one side and sampled in NDC, it has no closed surface to "
            "mesh; mesh scenes that are seen from all around"
        )
    hull = _hull_of(task)
    lower, upper = box_of_ends(task, renderer, hull)
    vertices, faces = marching_cubes_of(
        lambda points: _density_shown(task, hull, points),
        lower,
        upper,
        resolution=task.recipe.mesh_resolution,
        level=task.recipe.mesh_density,
        device=renderer.device,
    )
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.visual.vertex_colors = _colours_from_outside(task, mesh)
    mesh.vertices = task.scene.world_from_scene.points(np.asarray(mesh.vertices))
    return mesh


def _hull_of(task: NerfTask) -> Silhouettes | None:
    """What the training views allow; None where they stand on no background."""
    scene, views = task.scene, task.scene.splits["train"]
    return (
        None if scene.covered is None else Silhouettes(scene.cameras[views], scene.covered[views])
    )


@torch.no_grad()
def _density_shown(
    task: NerfTask, hull: Silhouettes | None, points: Float[Tensor, "points 3"]
) -> Float[Tensor, " points"]:
    """Density, and none where a view shows its background."""
    density = task.field.seen.density(points)
    dense = (density > task.recipe.mesh_density).nonzero()[:, 0]
    density[dense[~_is_shown(hull, points[dense])]] = 0
    return density


def _is_shown(
    hull: Silhouettes | None, points: Float[Tensor, "points 3"]
) -> Bool[Tensor, " points"]:
    if hull is None:
        return torch.ones(len(points), dtype=torch.bool, device=points.device)
    return torch.from_numpy(hull.hold(points.double().cpu().numpy())).to(points.device)


@torch.no_grad()
def box_of_ends(
    task: NerfTask, renderer: Renderer, hull: Silhouettes | None
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """The box around the points where the training views' rays end, in scene units.

    Where no ray ends, the box of all cells that hold anything.
    """
    views = task.scene.splits["train"]
    height, width = task.scene.images.shape[1:3]
    stride = max(1, len(views) * height * width // ENDING_RAYS)
    parts = [renderer.rays(task.scene.cameras, int(view))[1].flat()[::stride] for view in views]
    names = ("origins", "directions", "view_directions")
    rays = Rays(*(torch.cat([getattr(part, name) for part in parts])[None] for name in names))
    rendered = render_image(
        task.field.coarse, task.field.fine, rays, task.settings, occupancy=renderer.occupancy
    )
    depth = (rendered.depth / rendered.opacity.clamp_min(1e-3)).to(rays.origins.device)
    ends = rays.flat().points(depth.reshape(-1, 1))[rendered.opacity.flatten() > 0.5, 0]
    ends = ends[_is_shown(hull, ends)]
    if len(ends) < 100:
        grid = renderer.occupied_cells().fine
        return grid.lower.cpu().numpy(), grid.upper.cpu().numpy()
    lower, upper = np.quantile(ends.cpu().numpy(), [STRAYS, 1 - STRAYS], axis=0)
    growth = MARGIN * (upper - lower).max()
    return lower - growth, upper + growth


@torch.no_grad()
def _colours_from_outside(task: NerfTask, mesh: trimesh.Trimesh) -> NDArray[np.uint8]:
    device = task.field.restarts.device
    points = torch.as_tensor(np.asarray(mesh.vertices), dtype=torch.float32, device=device)
    inward = -torch.as_tensor(np.array(mesh.vertex_normals), dtype=torch.float32, device=device)
    parts = [
        task.field.seen(some, direction)[0]
        for some, direction in zip(points.split(2**16), inward.split(2**16), strict=True)
    ]
    return (torch.cat(parts).cpu().numpy() * 255).round().astype(np.uint8)


def predict_surface(task: NerfTask, renderer: Renderer, predictions: Predictions) -> None:
    """Write mesh.ply and mesh.glb, and compare the surface where the scene tells the true one.

    Surfaces are compared in a unit in which the true one's box has the longest edge 1. The true one
    includes what no camera sees, such as the underside, which completeness counts. A density that
    never passes the threshold has failed: no mesh is written, the empty surface is compared.
    """
    folder = predictions.folder
    try:
        mesh = surface_of(task, renderer)
    except NoSurfaceError:  # the views are worth keeping, however thin what they show
        mesh = trimesh.Trimesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), process=False)
    else:
        (folder / "mesh.ply").write_bytes(mesh.export(file_type="ply"))
        (folder / "mesh.glb").write_bytes(mesh.export(file_type="glb"))
    if not (task.subject / "toy.json").is_file():
        return
    truth = trimesh.load(task.subject / "mesh.ply", force="mesh", process=False)
    centre, edge = truth.bounds.mean(axis=0), truth.extents.max()
    names = ("surface-prediction.ply", "surface-reference.ply")
    for name, surface in zip(names, (mesh, truth), strict=True):
        unit = surface.copy()
        unit.vertices = (surface.vertices - centre) / edge
        (folder / name).write_bytes(unit.export(file_type="ply"))
    predictions.items.append(
        Item(
            name="surface",
            split="surface",
            prediction=names[0],
            reference=names[1],
            metrics=SURFACE_METRICS,
            protocol=predictions.protocol,
        )
    )
