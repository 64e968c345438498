"""What is predicted of planes: test views beside the truth, their depth, and films along a path.

Depth leaves this module in the units of the scene's files, along each camera's forward axis.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from nir.fields.planes import PlaneField
from nir.geometry.cameras import Cameras
from nir.geometry.rays import rays_of_image
from nir.networks.mlp import parameter_count
from nir.operators.planes import composite_planes
from nir.operators.volume import RenderedImage
from nir.predictions import Predictions
from nir.tasks.nerf_predictions import (
    KEPT_VIEWS,
    compare_depth,
    compare_view,
    path_past,
    protocol_of,
    truth_of,
    write_films,
)

if TYPE_CHECKING:
    from nir.tasks.nex import NexTask

SAMPLES_AT_ONCE = {"cpu": 2**16, "cuda": 2**20}
"""Rays times planes that go through the network together."""


@torch.no_grad()
def render_planes(field: PlaneField, cameras: Cameras, view: int) -> RenderedImage:
    """Render one view with the networks, in bounded memory; the result is on the CPU."""
    stack, device = field.stack, field.device
    rays = rays_of_image(cameras, view, device=device)
    shape, rays = rays.shape, rays.flat()
    textures = None if field.base is None else field.base_texture()
    size = max(1, SAMPLES_AT_ONCE.get(device.type, 2**18) // stack.planes)
    parts = []
    for first in range(0, len(rays), size):
        chunk = rays[first : first + size]
        colour, weights = field(stack.positions(chunk), stack.directions(chunk), textures=textures)
        seen = composite_planes(colour, weights, stack.ray_depths(chunk))
        parts.append([part.cpu() for part in (seen.colour, seen.opacity, seen.depth)])
    colour, opacity, depth = (
        torch.cat(part).reshape(*shape, *part[0].shape[1:]) for part in zip(*parts, strict=True)
    )
    disparity = opacity / torch.maximum(depth, 1e-10 * opacity).clamp_min(1e-30)
    return RenderedImage(colour, opacity, depth, disparity)


def expected_depth(rendered: RenderedImage, scale: float) -> Float[np.ndarray, "height width"]:
    """Mean depth of what each ray meets, in the units of the files (`scale` of them a unit)."""
    return (rendered.depth / rendered.opacity.clamp_min(1e-3)).numpy().astype(np.float32) * scale


@torch.no_grad()
def basis_table(field: PlaneField) -> Float[np.ndarray, "rows columns basis"]:
    """The basis over the directions before the camera: v_x within 0.7, v_y within 0.6 of ahead.

    The range is that of the paper's viewer (its table `mpi_b`).
    """
    down, across = torch.meshgrid(
        torch.linspace(-0.6, 0.6, 48), torch.linspace(-0.7, 0.7, 56), indexing="ij"
    )
    forward = (1 - across**2 - down**2).sqrt()
    directions = torch.stack([across, down, forward], dim=-1).to(field.device)
    return field.basis(directions).float().cpu().numpy().astype(np.float16)


def predict_planes(task: NexTask, out: Path) -> None:
    """Write everything that trained planes show."""
    recipe, field = task.recipe, task.field
    predictions = Predictions(out, protocol_of(task.scene, recipe))
    _predict_views(task, predictions)
    _predict_training_views(task, predictions)
    predictions.number("parameters", parameter_count(field), "1")
    networks = parameter_count(field.network) + parameter_count(field.basis)
    predictions.number("network_parameters", networks, "1")
    if field.basis.count:
        predictions.array("basis", basis_table(field))
    if recipe.video_frames:
        along = path_past(task.scene, recipe.video_frames)
        views = [render_planes(field, along, frame) for frame in range(recipe.video_frames)]
        write_films(
            out, [view.colour.numpy() for view in views], [view.disparity.numpy() for view in views]
        )
    predictions.write()


def _predict_views(task: NexTask, predictions: Predictions) -> None:
    scene, truth = task.scene, truth_of(task)
    for number, view in enumerate(scene.splits["test"]):
        rendered = render_planes(task.field, scene.cameras, int(view))
        compare_view(predictions, number, rendered.colour.numpy(), task, truth)
        depth = expected_depth(rendered, scene.world_from_scene.scale)
        compare_depth(predictions, number, depth, truth)
        if number < KEPT_VIEWS:
            predictions.array(f"opacity-{number:03d}", rendered.opacity.numpy().astype(np.float16))


def _predict_training_views(task: NexTask, predictions: Predictions) -> None:
    """Some training views, evenly chosen, for experiments that ask about overfitting."""
    train = task.scene.splits["train"]
    count = min(task.recipe.compared_training_views, len(train))
    for view in train[np.linspace(0, len(train) - 1, count).astype(int)]:
        colour = render_planes(task.field, task.scene.cameras, int(view)).colour.numpy()
        predictions.compare(
            f"train-{view:03d}",
            np.clip(colour, 0, 1).astype(np.float16),
            task.scene.images[view].astype(np.float16),
            metrics=("psnr_8bit",),
            split="train",
        )
