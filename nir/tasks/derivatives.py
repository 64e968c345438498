"""Task: how well a kind of field represents an image's values, gradients and Laplacians.

Three fields of one kind train side by side, each on one of the three alone; they share nothing,
so that one run answers for all. Numbers of the field trained on gradients begin "from_gradient".
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from nir.fields.coordinates import field_from
from nir.predictions import Predictions
from nir.recipes.poisson import DerivativesRecipe
from nir.tasks.contract import Task
from nir.tasks.image import square_image
from nir.tasks.poisson import Derivatives, PoissonTask

SUPERVISIONS = ("value", "gradient", "laplacian")


def build(
    recipe: DerivativesRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> DerivativesTask:
    """Build the task for the picture at `subject`; all three fields start alike."""
    image = square_image(subject, side=recipe.resolution, colour=recipe.colour)
    start = generator.get_state()
    parts = {}
    for supervision in SUPERVISIONS:
        generator.set_state(start)
        field = field_from(recipe, 2, image.shape[-1], generator).to(device)
        of_part = dataclasses.replace(recipe, supervision=supervision)
        parts[supervision] = PoissonTask(of_part, [image.numpy()], field, device)
    return DerivativesTask(recipe, parts)


class DerivativesTask(Task):
    """Three independent fits in one run."""

    def __init__(self, recipe: DerivativesRecipe, parts: dict[str, PoissonTask]) -> None:
        self.recipe = recipe
        self.parts = parts
        self.field = nn.ModuleDict({name: part.field for name, part in parts.items()})

    def batch(self, step: int, generator: Generator) -> dict[str, Derivatives]:
        """Return each fit's pixels."""
        return {name: part.batch(step, generator) for name, part in self.parts.items()}

    def losses(self, batch: dict[str, Derivatives]) -> dict[str, Tensor]:
        """Each fit's error; their sum has each one's own gradient, since nothing is shared."""
        return {name: part.losses(batch[name])[name] for name, part in self.parts.items()}

    def predict(self, out: Path) -> None:
        """Write what each of the three fields says of image, gradient and Laplacian."""
        r = self.recipe
        predictions = Predictions(out, f"derivatives-{r.colour}-{r.resolution}-affine")
        for name, part in self.parts.items():
            part.compare(predictions, f"from_{name}-")
        predictions.write()
