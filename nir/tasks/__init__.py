"""Tasks: observations + field + operator + losses. One file a task.

`TASKS` is the only list of them; it holds names alone, so that reading it costs no import of
torch. The contract that training and prediction rely on is `nir.tasks.contract.Task`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from nir.errors import unknown_name
from nir.recipes.base import Recipe


@dataclass(frozen=True)
class TaskEntry:
    """Where a task lives: `module` has `build(...)`, `recipe` is "module:class"."""

    module: str
    recipe: str

    def recipe_class(self) -> type[Recipe]:
        """Import the recipe's class; this does not import torch."""
        module, _, name = self.recipe.partition(":")
        return getattr(importlib.import_module(module), name)


TASKS = {
    "audio": TaskEntry("nir.tasks.audio", "nir.recipes.recordings:AudioRecipe"),
    "wave": TaskEntry("nir.tasks.wave", "nir.recipes.equations:WaveRecipe"),
    "signed_distance": TaskEntry(
        "nir.tasks.signed_distance", "nir.recipes.signed_distance:SignedDistanceRecipe"
    ),
    "video": TaskEntry("nir.tasks.video", "nir.recipes.recordings:VideoRecipe"),
    "fourier_image": TaskEntry("nir.tasks.image", "nir.recipes.image:FourierImageRecipe"),
    "derivatives": TaskEntry("nir.tasks.derivatives", "nir.recipes.poisson:DerivativesRecipe"),
    "helmholtz": TaskEntry("nir.tasks.helmholtz", "nir.recipes.equations:HelmholtzRecipe"),
    "siren_image": TaskEntry("nir.tasks.image", "nir.recipes.image:SirenImageRecipe"),
    "image_completion": TaskEntry(
        "nir.tasks.completion", "nir.recipes.inpainting:CompletionRecipe"
    ),
    "image_prior": TaskEntry("nir.tasks.inpainting", "nir.recipes.inpainting:PriorRecipe"),
    "poisson": TaskEntry("nir.tasks.poisson", "nir.recipes.poisson:PoissonRecipe"),
    "siren_initialization": TaskEntry(
        "nir.tasks.initialization", "nir.recipes.initialization:InitializationRecipe"
    ),
}


def task_entry(name: str) -> TaskEntry:
    """Return the entry of a task, or an error that names the nearest known one."""
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
