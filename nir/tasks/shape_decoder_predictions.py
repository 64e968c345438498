"""What a decoder of shapes is asked: trained shapes, unknown ones, completions, in-betweens.

Every answer is a surface in the unit cube, compared with the collection's own, and a picture. A
shape without a surface is written as an empty one: it counts as failed, and in every mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from nir.data.shape_views import portrait, rendered, write_glb, write_turntable
from nir.files import written_whole
from nir.geometry.multiresolution import halvings_of, multiresolution_surface
from nir.geometry.surfaces import nearest_on_surface
from nir.predictions import Predictions
from nir.tasks.contract import Task
from nir.tasks.shape_codes import (
    Observation,
    depth_camera,
    find_codes,
    observed_depth,
    observed_distances,
)
from nir.tasks.shape_morphs import write_morph

METRICS = ("chamfer_l2_sum", "earth_movers", "mesh_accuracy", "mesh_completion", "failed")
DETAILED_METRICS = (*METRICS, "chamfer_l1", "iou_volume", "normal_consistency")


def surface_of(
    task: Task, function: Callable[[Tensor], Tensor], *, scale: float
) -> trimesh.Trimesh:
    """The zero level of a function in DeepSDF's cube, brought to the unit cube; perhaps empty."""
    start_cells, doublings = halvings_of(task.recipe.mesh_resolution)
    found = multiresolution_surface(
        lambda points: -function(points),
        -np.ones(3),
        np.ones(3),
        level=0.0,
        start_cells=start_cells,
        doublings=doublings,
        device=task.device,
    )
    return trimesh.Trimesh(found.vertices / scale, found.faces, process=False)


def decoded(task: Task, code: Float[Tensor, " code"]) -> Callable[[Tensor], Tensor]:
    """The decoder at one code, as a function of points [n, 3]."""
    return lambda points: task.field.decoder(code[None], points[None])[0]


def known(task: Task, out: Path) -> None:
    """Trained shapes, from their own codes."""
    names = evenly(task.batches.names, task.recipe.tested_shapes)
    codes = [task.field.codes[task.batches.names.index(name)].detach() for name in names]
    _write_answers(task, out, names, _surfaces(task, names, codes))


def unknown(task: Task, out: Path) -> None:
    """Test shapes, from samples of their signed distance."""
    names = task.collection.names("test", most=task.recipe.tested_shapes)
    observations = [observed_distances(task, name) for name in names]
    _write_answers(task, out, names, _answered(task, names, observations))


def completion(task: Task, out: Path) -> None:
    """Test shapes, from one depth map each."""
    names = task.collection.names("test", most=task.recipe.tested_shapes)
    cameras = [depth_camera(task, number) for number in range(len(names))]
    observations = [
        observed_depth(task, name, camera) for name, camera in zip(names, cameras, strict=True)
    ]
    seen = []
    for number, name in enumerate(names):
        surface = task.collection.surface(name)
        camera = depth_camera(task, number, size=task.recipe.picture_size)
        seen.append(rendered(surface.vertices, surface.faces, camera)[0])
    surfaces = _answered(task, names, observations)
    _write_answers(task, out, names, surfaces, seen=np.stack(seen))


def interpolation(task: Task, out: Path) -> None:
    """Shapes between two trained ones: along the line between codes, and between distances."""
    write_morph(task, out, surface_of=surface_of, decoded=decoded)


ANSWERS: dict[str, Callable[[Task, Path], None]] = {
    "known": known,
    "unknown": unknown,
    "completion": completion,
    "interpolation": interpolation,
}


def evenly(names: Sequence[str], most: int) -> list[str]:
    """`most` of the names, taken evenly; 0: all.

    >>> evenly(["a", "b", "c", "d"], 2)
    ['a', 'c']
    """
    if not most or most >= len(names):
        return list(names)
    return [names[place] for place in np.arange(most) * len(names) // most]


def _answered(
    task: Task, names: Sequence[str], observations: list[Observation]
) -> list[trimesh.Trimesh]:
    if task.recipe.method == "nearest_shape":
        return [task.collection.as_trimesh(_nearest(task, one)) for one in observations]
    if task.recipe.method == "mean_shape":
        codes = list(torch.zeros(len(names), task.recipe.code_size, device=task.device))
    else:
        codes = list(find_codes(task, observations))
    return _surfaces(task, names, codes)


def _nearest(task: Task, observation: Observation) -> str:
    """The training shape whose own distances at the observed points are nearest to those known."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(observation.points))[:2000]
    points = observation.points[chosen].cpu().numpy().astype(np.float64)
    distances = observation.distances[chosen].cpu().numpy()
    errors = {}
    for name in task.batches.names:
        scale = float(task.collection.array(name, "sphere_scale"))
        shape = task.collection.surface(name)
        theirs, _, _ = nearest_on_surface(scale * shape.vertices, shape.faces, points)
        errors[name] = float(np.abs(theirs - np.abs(distances)).mean())
    return min(errors, key=errors.__getitem__)


def _surfaces(task: Task, names: Sequence[str], codes: Sequence[Tensor]) -> list[trimesh.Trimesh]:
    scales = [float(task.collection.array(name, "sphere_scale")) for name in names]
    if task.recipe.method == "mean_shape":
        mean = surface_of(task, decoded(task, codes[0]), scale=1.0)
        return [
            trimesh.Trimesh(mean.vertices / scale, mean.faces, process=False) for scale in scales
        ]
    return [
        surface_of(task, decoded(task, code), scale=scale)
        for code, scale in zip(codes, scales, strict=True)
    ]


def _write_answers(
    task: Task,
    out: Path,
    names: Sequence[str],
    surfaces: list[trimesh.Trimesh],
    *,
    seen: np.ndarray | None = None,
) -> None:
    r = task.recipe
    predictions = Predictions(out, task.protocol())
    truths = [task.collection.as_trimesh(name) for name in names]
    for name, surface, truth in zip(names, surfaces, truths, strict=True):
        predictions.compare_surfaces(
            name.replace("/", "-"),
            surface.export(file_type="ply"),
            truth.export(file_type="ply"),
            metrics=DETAILED_METRICS if r.detailed_metrics else METRICS,
            split=r.asks,
        )
    size = r.picture_size
    predictions.array("portraits-prediction", np.stack([portrait(s, size) for s in surfaces]))
    predictions.array("portraits-reference", np.stack([portrait(t, size) for t in truths]))
    if seen is not None:
        predictions.array("portraits-seen", seen)
    predictions.number("parameters", sum(p.numel() for p in task.field.decoder.parameters()), "1")
    if r.turntable_frames and len(surfaces[0].faces):
        with written_whole(out / "truth_and_decoded.mp4") as temporary:
            write_turntable(
                temporary, [truths[0], surfaces[0]], frames=r.turntable_frames, size=size
            )
    write_glb(out / "truth.glb", truths[0])
    write_glb(out / "decoded.glb", surfaces[0])
    predictions.write()
