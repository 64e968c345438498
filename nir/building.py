"""Building: a run's task, exactly as its training begins.

Apart from `nir.runs`, which brings runs to the disk, because what stands here decides results: it
is part of the code whose change trains anew (`nir.experiments.training_code`).
"""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from nir.random import generator_for
from nir.recipes.base import Recipe
from nir.tasks.contract import Task


def start_of_task(
    module: str, recipe: Recipe, subject: Path, *, seed: int, device: torch.device
) -> Task:
    """The task of `module` for the signal at `subject`; the seed decides everything random."""
    generator = generator_for(seed, "start")
    return importlib.import_module(module).build(
        recipe, subject, device=device, generator=generator
    )
