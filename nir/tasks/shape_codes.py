"""Codes of shapes that a decoder was not trained on, found by optimisation (DeepSDF section 4.3).

The decoder stays as it is. All shapes are optimised at once; each has its own code and so its own
minimum. Observations are signed distances at points, or what one depth map says: the surface and
its two sides, and space that is known to be free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from nir.data.shape_views import camera_at, depth_points
from nir.geometry.cameras import Cameras
from nir.optimisers import Adam
from nir.random import generator_for
from nir.tasks.contract import Task


@dataclass(frozen=True)
class Observation:
    """What is known of one shape, in DeepSDF's ball: distances at points, and free space."""

    points: Float[Tensor, "points 3"]
    distances: Float[Tensor, " points"]
    free: Float[Tensor, "free 3"]


def observed_distances(task: Task, name: str) -> Observation:
    """The collection's own samples of an unknown shape."""
    points = task.collection.array(name, "distance_points")
    distances = task.collection.array(name, "distances")
    return _observation(task, points, distances, np.zeros((0, 3)))


def observed_depth(task: Task, name: str, cameras: Cameras) -> Observation:
    """One depth map: two points a pixel along its normal, and points before the surface.

    Free space lies between camera and surface, up to the near side of the offset points, and
    only within the ball.
    """
    r = task.recipe
    surface = task.collection.surface(name)
    scale = float(task.collection.array(name, "sphere_scale"))
    seen, normals = depth_points(surface.vertices, surface.faces, cameras)
    seen = scale * seen
    draw = np.random.default_rng(0)
    camera = scale * cameras.camera_to_world[0, :3, 3]
    along = draw.uniform(0, 1, (r.free_space_points, 1))
    ends = seen[draw.integers(len(seen), size=r.free_space_points)]
    towards = camera - ends
    length = np.linalg.norm(towards, axis=1, keepdims=True)
    reach = np.minimum(length, 1.6)
    free = ends + towards / length * (2 * r.depth_step + along * (reach - 2 * r.depth_step))
    free = np.concatenate([free, _beside(camera, seen, r.free_space_points, draw)])
    free = free[np.linalg.norm(free, axis=1) < 1]
    points = np.concatenate([seen + r.depth_step * normals, seen - r.depth_step * normals])
    distances = np.repeat([r.depth_step, -r.depth_step], len(seen))
    return _observation(task, points, distances, free)


def _beside(
    camera: np.ndarray, seen: np.ndarray, count: int, draw: np.random.Generator
) -> Float[np.ndarray, "some 3"]:
    """Points on rays that met nothing: those far, in angle, from all rays that did."""
    points = draw.uniform(-1, 1, (count, 3))
    tree = KDTree(_directions(seen - camera))
    # Twice a pixel's angle, that of the angle of view over the side of the picture.
    spacing = np.median(tree.query(_directions(seen - camera), k=2)[0][:, 1])
    return points[tree.query(_directions(points - camera))[0] > 2 * spacing]


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _observation(
    task: Task, points: np.ndarray, distances: np.ndarray, free: np.ndarray
) -> Observation:
    arrays = (points, distances, free)
    return Observation(*(torch.from_numpy(a.astype(np.float32)).to(task.device) for a in arrays))


def find_codes(task: Task, observations: list[Observation]) -> Float[Tensor, "shapes code"]:
    """Optimise one code a shape by Adam; the rate falls to a tenth after half of the steps."""
    r = task.recipe
    generator = generator_for("codes of unknown shapes")
    start = torch.randn(len(observations), r.code_size, generator=generator)
    codes = (r.inference_deviation * start).to(task.device).requires_grad_(True)
    optimiser = Adam([codes], lr=r.inference_learning_rate)
    decoder = task.field.decoder.requires_grad_(False)
    try:
        for step in range(r.inference_steps):
            for group in optimiser.param_groups:
                late = step >= r.inference_steps // 2
                group["lr"] = r.inference_learning_rate * (0.1 if late else 1.0)
            optimiser.zero_grad(set_to_none=True)
            points, distances = _drawn(observations, r.inference_points, generator)
            loss = task.data_loss(decoder(codes, points), distances) * len(observations)
            loss = loss + r.inference_code_weight * codes.square().mean(dim=1).sum()
            if all(len(o.free) for o in observations):
                free = _drawn_free(observations, r.free_space_points, generator)
                inside = torch.relu(-decoder(codes, free)).clamp(max=r.clamp)
                loss = loss + r.free_space_weight * inside.mean() * len(observations)
            loss.backward()
            optimiser.step()
    finally:
        decoder.requires_grad_(True)
    return codes.detach()


def _drawn(
    observations: list[Observation], count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """As many points from inside as from outside, of every shape."""
    points, distances = [], []
    for one in observations:
        sides = [torch.nonzero(side)[:, 0] for side in (one.distances >= 0, one.distances < 0)]
        sides = [side for side in sides if len(side)]
        share = count // len(sides)
        chosen = torch.cat(
            [s[torch.randint(len(s), (share,), generator=generator).to(s.device)] for s in sides]
        )
        points.append(one.points[chosen])
        distances.append(one.distances[chosen])
    least = min(len(p) for p in points)
    return (torch.stack([p[:least] for p in points]), torch.stack([d[:least] for d in distances]))


def _drawn_free(
    observations: list[Observation], count: int, generator: torch.Generator
) -> Float[Tensor, "shapes points 3"]:
    return torch.stack(
        [
            o.free[torch.randint(len(o.free), (count,), generator=generator).to(o.free.device)]
            for o in observations
        ]
    )


def depth_camera(task: Task, number: int, *, size: int = 0) -> Cameras:
    """The camera of the number-th completed shape: all around, from a little above."""
    return camera_at(35.0 + 97.0 * number, 25.0, size or task.recipe.depth_size)
