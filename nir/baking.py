"""From a trained run of planes to a folder that a browser shows."""

from __future__ import annotations

from pathlib import Path

import torch

from nir.errors import InputError
from nir.fields.planes import PlaneField
from nir.runs import load_run
from nir.specification import RunSpecification
from nir.viewers.planes.baked import BakeSettings
from nir.viewers.planes.of_run import write_viewer


def bake_run(
    folder: Path,
    out: Path,
    *,
    settings: BakeSettings,
    resolution: float | None,
    data_root: Path,
    device: torch.device,
) -> str:
    """Write a run of planes as a folder that a browser can show; returns a line about it.

    resolution: texels a pixel; None takes the recipe's, if it has one, else 1.

    A folder that is no run, a run of something else or one that is not trained is an `InputError`.
    """
    if not (folder / "recipe.json").is_file():
        raise InputError(f"{folder}: no recipe.json, so not a trained run; train one first")
    if not (folder / "model.pt").is_file():
        raise InputError(f"{folder}: no model.pt, its training has not ended; train the run first")
    specification = RunSpecification.read(folder)
    task = load_run(folder, data_root=data_root, device=device)
    if not isinstance(task.field, PlaneField):
        raise InputError(
            f"{folder}: a run of the task {specification.task!r}, which has no planes; "
            "give a run of NeX"
        )
    if resolution is None:
        resolution = getattr(specification.recipe, "resolution", 1.0)
    name = Path(specification.subject).stem.replace("_", " ").capitalize()
    report = write_viewer(
        task.field, task.scene.cameras, out, name=name, settings=settings, resolution=resolution
    )
    return report.line()
