"""Looks inside a trained radiance field, for figures: one ray's samples, the light of two points.

The **light of a point** is its colour as a function of where it is seen from, over the hemisphere
around its normal, laid flat: the middle is the view along the normal, the rim a grazing one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nir.operators.volume import render_rays
from nir.predictions import Predictions
from nir.random import generator_for

if TYPE_CHECKING:
    from nir.tasks.nerf import NerfTask
    from nir.tasks.nerf_predictions import Renderer

CANDIDATES = 256
"""So many pixels of the first test view are looked at to find a dull and a glossy point."""

DISC_SIDE = 65


@torch.no_grad()
def inspect(task: NerfTask, renderer: Renderer, predictions: Predictions) -> None:
    """Write `ray-*` (samples and weights of both passes) and `light-*` (two points' hemispheres).

    The glossy point is the candidate whose colour varies most with direction, the dull one that
    whose colour varies least; both lie where the first test view's rays end.
    """
    cameras, view = task.scene.cameras, int(task.scene.splits["test"][0])
    rendered = renderer.render(cameras, view)
    rays = renderer.rays(cameras, view)[1]
    background = task.scene.background if task.scene.background is not None else -1.0
    differs = (rendered.colour - background).abs().amax(-1) > 0.15
    opaque = ((rendered.opacity > 0.95) & differs).to(rays.origins.device)
    if not bool(opaque.any()):
        opaque = torch.ones_like(opaque)
    rows, columns = _some_of(opaque)
    chosen = rays[rows, columns]
    depths = rendered.depth.to(rays.origins.device)[rows, columns]
    points = chosen.points(depths[:, None])[:, 0]
    normals = _normals(task, points, chosen.view_directions)
    light = _light_of(task, points, normals)
    variation = light.std(dim=1).mean(dim=-1)
    # At edges a pixel mixes colours, and its ray may end on what looks like the background.
    is_surface = (light.mean(dim=1) - background).abs().amax(-1) > 0.15
    marked = is_surface if bool(is_surface.any()) else torch.ones_like(is_surface)
    dull = int(variation.masked_fill(~marked, torch.inf).argmin())
    glossy = int(variation.masked_fill(~marked, -torch.inf).argmax())
    places = torch.stack([rows, columns], dim=-1)
    _write_ray(task, chosen[glossy : glossy + 1], places[glossy], predictions)
    discs = [_disc(task, points[i], normals[i]) for i in (dull, glossy)]
    predictions.array("light-discs", torch.stack(discs).cpu().numpy())
    predictions.array("light-pixels", places[[dull, glossy]].cpu().numpy())
    predictions.number("direction_deviation", float(variation.median()), "1")


def _some_of(mask: Bool[Tensor, "height width"]) -> tuple[Tensor, Tensor]:
    """Rows and columns of up to `CANDIDATES` marked pixels, the same on every call."""
    marked = mask.nonzero()
    order = torch.randperm(len(marked), generator=generator_for("inspected pixels"))
    return marked[order[:CANDIDATES].to(marked.device)].unbind(-1)


def _normals(
    task: NerfTask, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
) -> Float[Tensor, "points 3"]:
    """Where density falls fastest; turned towards the camera where that is undecided."""
    with torch.enable_grad():
        moved = points.clone().requires_grad_()
        density = task.field.seen.density(moved)
        (gradient,) = torch.autograd.grad(density.sum(), moved)
    normals = -torch.nn.functional.normalize(gradient, dim=-1)
    faces_away = (normals * directions).sum(-1, keepdim=True) > 0
    return torch.where(faces_away, -normals, normals)


def _around(normals: Float[Tensor, "points 3"], local: Float[Tensor, "views 3"]) -> Tensor:
    """Directions [points views 3] from local ones, whose third axis is the normal."""
    helper = torch.eye(3, device=normals.device)[normals.abs().argmin(-1)]
    first = torch.nn.functional.normalize(torch.linalg.cross(normals, helper), dim=-1)
    frame = torch.stack([first, torch.linalg.cross(normals, first), normals], dim=1)
    return torch.einsum("vk,pkc->pvc", local, frame)


def _light_of(
    task: NerfTask, points: Float[Tensor, "points 3"], normals: Float[Tensor, "points 3"]
) -> Float[Tensor, "points views 3"]:
    """Colours of points from 32 places over their hemispheres (not from grazing ones)."""
    number = torch.arange(32, device=points.device) + 0.5
    height = 0.4 + 0.6 * number / 32
    angle = 2.399963 * number
    flat = torch.sqrt(1 - height**2)
    local = torch.stack([flat * torch.cos(angle), flat * torch.sin(angle), height], dim=-1)
    towards_viewer = _around(normals, local)
    return task.field.seen(points[:, None].expand_as(towards_viewer), -towards_viewer)[0]


def _disc(
    task: NerfTask, point: Float[Tensor, " 3"], normal: Float[Tensor, " 3"]
) -> Float[Tensor, "side side 4"]:
    """Colours over the hemisphere, seen along the normal (orthographic); alpha 0 beyond the rim."""
    axis = torch.linspace(-1, 1, DISC_SIDE, device=point.device)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    inside = x**2 + y**2 < 1
    height = torch.sqrt((1 - x**2 - y**2).clamp_min(0))
    local = torch.stack([x, y, height], dim=-1).reshape(-1, 3)
    towards_viewer = _around(normal[None], local)
    rgb = task.field.seen(point.expand_as(towards_viewer), -towards_viewer)[0]
    return torch.cat([rgb.reshape(DISC_SIDE, DISC_SIDE, 3), inside[..., None].float()], dim=-1)


def _write_ray(task: NerfTask, ray, place: Tensor, predictions: Predictions) -> None:
    """Both passes' samples along one ray: depths (of the sampling space) and weights."""
    field = task.field
    rendering = render_rays(field.coarse, field.fine, ray, task.settings)
    predictions.array("ray-pixel", place.cpu().numpy())
    for name, one in (("coarse", rendering.coarse), ("fine", rendering.fine)):
        if one is not None:
            predictions.array(f"ray-{name}-depths", one.depths[0].cpu().numpy())
            predictions.array(f"ray-{name}-weights", one.weights[0].float().cpu().numpy())
