"""Task: NeX, drawn in every way that there is, and timed.

Trains as `tasks.nex`. What is predicted are the test views by network, by baked planes with the
basis network running, and by baked planes alone, each with its seconds a frame.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator

from nir.recipes.nex_real_time import RealTimeRecipe
from nir.tasks.nex import NexTask, field_for
from nir.tasks.nex_scene import load_forward_scene, stack_for
from nir.tasks.nex_timings import predict_timings


def build(
    recipe: RealTimeRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> RealTimeTask:
    """Build the task for the scene in the folder `subject`."""
    scene = load_forward_scene(recipe, Path(subject))
    stack = stack_for(recipe, scene, Path(subject))
    field = field_for(recipe, stack, generator).to(device)
    return RealTimeTask(recipe, Path(subject), scene, field)


class RealTimeTask(NexTask):
    """NeX's training with other predictions."""

    recipe: RealTimeRecipe

    def predict(self, out: Path) -> None:
        """Write test views and the time of every way to draw them."""
        predict_timings(self, out)
