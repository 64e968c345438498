"""From one shape to another: the line between two codes, beside a blend of two distances.

A blend of signed distances lets one shape fade while the other appears; a line between codes is to
pass through shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from torch import Tensor

from nir.data.shape_views import portrait, write_glb, write_morphing_turntable
from nir.files import written_whole
from nir.predictions import Predictions
from nir.tasks.contract import Task


def write_morph(
    task: Task,
    out: Path,
    *,
    surface_of: Callable[..., trimesh.Trimesh],
    decoded: Callable[[Task, Tensor], Callable[[Tensor], Tensor]],
) -> None:
    """Write both strips of surfaces, their portraits, and a film that turns while it changes."""
    r = task.recipe
    first, last = (task.field.codes[index].detach() for index in farthest_codes(task))
    weights = np.linspace(0, 1, r.strip)
    one, other = decoded(task, first), decoded(task, last)
    along = [surface_of(task, decoded(task, first + w * (last - first)), scale=1) for w in weights]
    blend = [
        surface_of(task, lambda p, w=w: (1 - w) * one(p) + w * other(p), scale=1) for w in weights
    ]
    predictions = Predictions(out, f"strip{r.strip}-mesh{r.mesh_resolution}")
    for split, strip in (("between codes", along), ("between distances", blend)):
        inner = strip[1:-1] or strip
        pieces = [len(s.split(only_watertight=False)) if len(s.faces) else 0 for s in inner]
        predictions.number("failed", float(np.mean([p == 0 for p in pieces])), "1", split=split)
        predictions.number("pieces", float(np.mean(pieces)), "1", split=split)
        closed = float(np.mean([len(s.faces) > 0 and s.is_watertight for s in inner]))
        predictions.number("closed", closed, "1", split=split)
        pictures = np.stack([portrait(_halved(s), r.picture_size) for s in strip])
        predictions.array(f"strip-{split.replace(' ', '-')}", pictures)
    if r.turntable_frames:
        with written_whole(out / "from_one_to_another.mp4") as temporary:
            there_and_back = [_halved(s) for s in (*along, *along[-2:0:-1])]
            write_morphing_turntable(
                temporary, there_and_back, frames=r.turntable_frames, size=r.picture_size
            )
    write_glb(out / "between.glb", _halved(along[r.strip // 2]))
    predictions.write()


def farthest_codes(task: Task) -> tuple[int, int]:
    """The two trained shapes whose codes lie farthest apart."""
    codes = task.field.codes.detach()
    distance = (codes[:, None] - codes[None]).norm(dim=2)
    place = int(distance.argmax())
    return place // len(codes), place % len(codes)


def _halved(surface: trimesh.Trimesh) -> trimesh.Trimesh:
    """From the ball of radius about 1 to about the unit cube, for the cameras."""
    return trimesh.Trimesh(np.asarray(surface.vertices) * 0.6, surface.faces, process=False)
