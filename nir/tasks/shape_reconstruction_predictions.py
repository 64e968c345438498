"""What a method's reconstructions are compared with, and how they are shown.

Volumes are compared at the collection's points in space, surfaces at points drawn from both. A
method that made nothing has failed: the empty surface counts in every mean, and as `failed`.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from nir.data.shape_collections import ShapeBatches
from nir.data.shape_preparation import voxels_of
from nir.data.shape_views import portrait, write_glb, write_turntable
from nir.files import written_whole
from nir.geometry.surfaces import sample_surface
from nir.geometry.voxels import block_surface, inside_voxels
from nir.networks.mlp import parameter_count
from nir.predictions import Predictions
from nir.random import generator_for
from nir.tasks.shape_methods import Draw, Surface
from nir.tasks.shape_occupancy import mesh_of, occupancies

WITHOUT_VOLUME = ("point_set", "atlasnet")
"""Methods whose surfaces enclose nothing."""
POINT_SIZE = 0.012
"""Half the size of the diamonds that stand for points in pictures."""


def write_predictions(task: Any, out: Path) -> None:
    """Reconstruct the tested shapes and write everything that is compared and shown."""
    r, collection = task.recipe, task.collection
    names = collection.names(r.test_split, most=r.test_shapes)
    if r.input == "index":  # codes exist of trained shapes alone
        names = task.trained.names[: r.test_shapes or None]
    tested = ShapeBatches(collection, names, task.trained.device)
    predictions = Predictions(out, task.protocol())
    surfaces, seen = [], []
    for index in range(len(tested)):
        generator = generator_for(index, "tested inputs", device=tested.device)
        draw = Draw(tested, torch.tensor([index]), generator)
        inputs = task.seen(draw, first_view=True)
        if r.input == "none":
            inputs = occupancies(draw, r.points_per_shape, "uniform")
        surfaces.append(task.field.surface(inputs))
        seen.append(inputs)
        compare_surface(predictions, names[index], surfaces[-1], task)
    _show(predictions, task, names, surfaces, seen)
    if r.voxel_resolutions:
        _compare_voxels(predictions, task, names)
    if r.input == "voxels":
        _compare_inputs(predictions, task, names)
    if r.input == "none":
        _show_samples(predictions, task)
    if r.input == "image":
        predictions.number("encoder_from_imagenet", float(bool(r.image_weights)), "1")
    predictions.number("parameters", parameter_count(task.field), "1")
    predictions.write()


def compare_surface(
    predictions: Predictions, name: str, surface: Surface, task: Any, *, split: str = ""
) -> None:
    """Add one shape: its volume where it encloses one, and points of its surface."""
    r, split = task.recipe, split or task.recipe.test_split
    item = f"{split}-{name}".replace("/", "-").replace(" ", "-")
    reference = task.collection.reference_occupancy(name)[: r.tested_points]
    if r.method not in WITHOUT_VOLUME:
        predictions.compare_surfaces(
            f"{item}-volume",
            surface.export(file_type="ply"),
            reference,
            metrics=("iou_volume", "failed"),
            split=split,
        )
    truth = task.collection.reference_points(name)[: r.tested_points]
    metrics = ("chamfer_l1", "normal_consistency")
    if r.method in WITHOUT_VOLUME:
        metrics = ("chamfer_l1", "failed")
    if r.method == "atlasnet":
        metrics = (*metrics, "normal_consistency")
    predictions.compare(
        item, points_of(surface, r.tested_points), truth, metrics=metrics, split=split
    )


def points_of(surface: Surface, count: int) -> Float[np.ndarray, "points columns"]:
    """Points of a surface with normals, or the points themselves where there are no triangles."""
    if not isinstance(surface, trimesh.Trimesh):
        return surface.astype(np.float32)
    if len(surface.faces) == 0 or not surface.area > 0:
        return np.zeros((0, 6), dtype=np.float32)
    generator = np.random.default_rng(0)
    points, normals = sample_surface(
        np.asarray(surface.vertices, dtype=np.float64), np.asarray(surface.faces), count, generator
    )
    return np.concatenate([points, normals], axis=1).astype(np.float32)


def _show(
    predictions: Predictions, task: Any, names: list[str], surfaces: list[Surface], seen: list
) -> None:
    """Pictures of the first few: what was seen, what was made, the truth; one as GLB."""
    count, size = task.recipe.shown_shapes, task.recipe.shown_pixels
    predictions.array("shown-prediction", np.stack([_picture(s, size) for s in surfaces[:count]]))
    predictions.array("shown-reference", np.stack([_truth(task, n, size) for n in names[:count]]))
    pictures = [_input_picture(inputs, task.recipe.input, size) for inputs in seen[:count]]
    if pictures[0] is not None:
        predictions.array("shown-input", np.stack(pictures))
    _turn(predictions.folder, task, names[0], surfaces[0])


def _turn(folder: Path, task: Any, name: str, surface: Surface) -> None:
    """The first shape as a model to turn, and a film of it beside the truth."""
    if not isinstance(surface, trimesh.Trimesh) or len(surface.faces) == 0:
        return
    with written_whole(folder / "reconstruction.glb") as temporary:
        write_glb(temporary, surface)
    frames = task.recipe.turntable_frames
    if frames and "faces" in task.collection.arrays(name):
        surfaces = [task.collection.as_trimesh(name), surface]
        with written_whole(folder / "truth_and_reconstruction.mp4") as temporary:
            write_turntable(temporary, surfaces, frames=frames, size=task.recipe.shown_pixels)


def _picture(surface: Surface, size: int) -> np.ndarray:
    return portrait(
        surface if isinstance(surface, trimesh.Trimesh) else diamonds(surface, POINT_SIZE), size
    )


def _truth(task: Any, name: str, size: int) -> np.ndarray:
    if "faces" in task.collection.arrays(name):
        return portrait(task.collection.as_trimesh(name), size)
    return _picture(task.collection.reference_points(name)[:4000, :3], size)


def _input_picture(inputs: dict, kind: str, size: int) -> np.ndarray | None:
    if kind not in ("image", "points", "voxels"):
        return None
    seen = inputs["input"][0].cpu().numpy()
    if kind == "image":
        return (255 * np.moveaxis(seen, 0, -1)).round().astype(np.uint8)
    if kind == "points":
        return _picture(seen, size)
    return portrait(trimesh.Trimesh(*block_surface(seen > 0.5), process=False), size)


def diamonds(points: Float[np.ndarray, "points 3"], half_size: float) -> trimesh.Trimesh:
    """An octahedron around each point, so that sets of points can be lit like surfaces."""
    corners = half_size * np.concatenate([np.eye(3), -np.eye(3)])
    one = np.array(
        [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    )
    vertices = (points[:, None] + corners).reshape(-1, 3)
    faces = (np.arange(len(points))[:, None, None] * 6 + one).reshape(-1, 3)
    return trimesh.Trimesh(vertices, faces, process=False)


def _compare_voxels(predictions: Predictions, task: Any, names: list[str]) -> None:
    """The truth as voxels of ever smaller size, at the points where networks are compared."""
    for resolution in task.recipe.voxel_resolutions:
        split = f"voxels {resolution}"
        for name in names:
            reference = task.collection.reference_occupancy(name)[: task.recipe.tested_points]
            held = voxels_of(task.collection.surface(name), resolution)
            inside = inside_voxels(held, reference[:, :3].astype(np.float64))
            predictions.compare(
                f"{split.replace(' ', '-')}-{name.replace('/', '-')}",
                inside.astype(np.float32),
                reference[:, 3],
                metrics=("iou_points",),
                split=split,
            )
        predictions.number("cells", resolution**3, "1", split=split)


def _compare_inputs(predictions: Predictions, task: Any, names: list[str]) -> None:
    """The given voxels as they are: Table 3's first row."""
    for name in names:
        blocks = block_surface(task.collection.array(name, "voxels"))
        surface = trimesh.Trimesh(*blocks, process=False)
        compare_surface(predictions, name, surface, task, split="input")


def _show_samples(predictions: Predictions, task: Any) -> None:
    """Shapes that nobody made: latents drawn from the prior."""
    r, device = task.recipe, task.trained.device
    generator = generator_for(0, "samples", device=device)
    latents = torch.randn(
        r.shown_shapes, r.latent_size, generator=generator, device=generator.device
    )
    nothing = latents.new_zeros(1, 0)
    pictures = []
    for latent in latents:
        ask = functools.partial(_decoded, task.field.decoder, nothing, latent[None])
        pictures.append(portrait(mesh_of(ask, r, device), r.shown_pixels))
    predictions.array("shown-samples", np.stack(pictures))


def _decoded(
    decoder: torch.nn.Module,
    code: Float[Tensor, "1 c"],
    latent: Float[Tensor, "1 z"],
    points: Float[Tensor, "points 3"],
) -> Float[Tensor, " points"]:
    return decoder(points[None], code, latent)[0]
