"""Task: a scene as a radiance field, from photographs with known cameras (NeRF).

Operator: volume rendering along rays. Two fields of one shape are trained together: the coarse
one tells where to sample, the fine one is seen. Also here: the baseline that answers every view
with the nearest photograph; the other method is in `tasks.scene_representation`. What is predicted
is in `tasks.nerf_predictions`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.scenes import Scene, load_blender, load_llff
from nir.data.spaces import load_spaces
from nir.errors import InputError
from nir.fields.radiance import RadianceField
from nir.operators.volume import HierarchicalRendering, RenderSettings, render_rays
from nir.random import generator_for
from nir.recipes.nerf import NerfRecipe
from nir.recipes.nex import NexRecipe
from nir.tasks.contract import Task
from nir.tasks.nerf_predictions import Renderer, predict_nearest_views, predict_scene
from nir.tasks.nerf_rays import RayBatch, TrainingRays, bounds_of
from nir.tasks.nerf_surface import surface_of
from nir.tasks.scene_representation import SceneRepresentationTask
from nir.tasks.scene_views import with_train_views

BACKGROUNDS = {"white": 1.0, "black": 0.0, "none": None}
FLAT_DEVIATION = 2e-3
"""Colours of a batch that vary less than this (of 1) show nothing: half a step of 8 bits."""

FLAT_STEPS = 200
"""A field that shows nothing for so many steps in a row has collapsed."""


def load_scene_for(recipe: NerfRecipe, subject: Path) -> Scene:
    """Read the scene of a run, with as many training views as the recipe allows."""
    if (Path(subject) / "transforms_train.json").is_file():
        scene = load_blender(
            subject,
            background=BACKGROUNDS[recipe.background],
            downscale=recipe.shrink,
            test_skip=recipe.test_skip,
        )
    elif (Path(subject) / "models.json").is_file():
        scene = load_spaces(subject, downscale=recipe.shrink)
    else:
        scene = load_llff(subject, factor=recipe.shrink)
    return with_train_views(scene, recipe.train_views, Path(subject))


def build(
    recipe: NerfRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> NerfTask | NearestViewTask | SceneRepresentationTask:
    """Build the task for the scene in the folder `subject`."""
    scene = load_scene_for(recipe, Path(subject))
    if recipe.method == "scene_representation":
        return SceneRepresentationTask(
            recipe, Path(subject), scene, device=device, generator=generator
        )
    if recipe.method == "nearest_view":
        return NearestViewTask(recipe, Path(subject), scene)
    # A second start, should the first collapse; drawn now, so that a resumed run finds it again.
    second = int(torch.randint(2**62, (1,), generator=generator))
    pair = FieldPair(recipe, generator).to(device)
    if recipe.compiled:
        for field in (pair.coarse, pair.fine):
            if field is not None:
                field.compile()
    return NerfTask(recipe, Path(subject), scene, pair, second_start=second)


class FieldPair(nn.Module):
    """The coarse and the fine field (None without hierarchy), and what the watch has seen."""

    flat_steps: Tensor
    restarts: Tensor

    def __init__(self, recipe: NerfRecipe, generator: Generator) -> None:
        super().__init__()
        self.coarse = _field(recipe, generator)
        self.fine = _field(recipe, generator) if recipe.samples[1] else None
        self.register_buffer("flat_steps", torch.tensor(0))
        self.register_buffer("restarts", torch.tensor(0))

    @property
    def seen(self) -> RadianceField:
        """The field that pictures are made of."""
        return self.coarse if self.fine is None else self.fine

    def start_anew(self, initialisation: str, generator: Generator) -> None:
        """Fill both fields with new random numbers."""
        for field in (self.coarse, self.fine):
            if field is not None:
                field.network.initialise(initialisation, generator)
        self.flat_steps.zero_()
        self.restarts.add_(1)


def _field(recipe: NerfRecipe, generator: Generator) -> RadianceField:
    return RadianceField(
        position_octaves=recipe.position_octaves,
        direction_octaves=recipe.direction_octaves,
        use_view_directions=recipe.use_view_directions,
        width=recipe.width,
        depth=recipe.depth,
        initialisation=recipe.initialisation,
        generator=generator,
    )


def settings_for(recipe: NerfRecipe, scene: Scene) -> RenderSettings:
    """How this scene's rays are sampled and composited."""
    near, far = bounds_of(recipe, scene)
    return RenderSettings(
        near=near,
        far=far,
        coarse_samples=recipe.samples[0],
        fine_samples=recipe.samples[1],
        linear_in_disparity=scene.linear_in_disparity,
        raw_noise_std=recipe.raw_noise_std,
        background=scene.background,
    )


class NerfTask(Task):
    """Fit two radiance fields to the training views."""

    def __init__(
        self,
        recipe: NerfRecipe,
        subject: Path,
        scene: Scene,
        field: FieldPair,
        *,
        second_start: int,
    ) -> None:
        self.recipe, self.subject, self.scene, self.field = recipe, subject, scene, field
        self.settings = settings_for(recipe, scene)
        self.second_start = second_start
        self.training_rays = TrainingRays(recipe, scene, field.restarts.device)

    def batch(self, step: int, generator: Generator) -> RayBatch:
        """Draw pixels of one view or of all, near the middle during the first steps if asked."""
        return self.training_rays.draw(step, generator)

    def losses(self, batch: RayBatch) -> dict[str, Tensor]:
        """Squared errors of both renderings, of equal weight (NeRF, equation 6)."""
        rendering = self.render(batch)
        self._watch(rendering.final.colour.detach(), batch.colours)
        terms = {"coarse": torch.mean((rendering.coarse.colour - batch.colours) ** 2)}
        if rendering.fine is not None:
            terms["fine"] = torch.mean((rendering.fine.colour - batch.colours) ** 2)
        return terms

    def render(self, batch: RayBatch) -> HierarchicalRendering:
        """Render a batch with jittered samples and noise, which its seed alone decides."""
        device = batch.colours.device
        generator = generator_for(batch.seed, "samples", device=device)
        return render_rays(
            self.field.coarse, self.field.fine, batch.rays, self.settings, generator=generator
        )

    @torch.no_grad()
    def _watch(self, predicted: Float[Tensor, "rays 3"], truth: Float[Tensor, "rays 3"]) -> None:
        """Count steps in a row in which every ray looks the same though the truth does not."""
        shows_nothing = predicted.float().std(dim=0).max() < FLAT_DEVIATION
        is_flat = shows_nothing & (truth.std(dim=0).max() > 10 * FLAT_DEVIATION)
        self.field.flat_steps.copy_((self.field.flat_steps + 1) * is_flat)

    def restarted(self, step: int) -> bool:
        """Start anew, once, from other random numbers if the start has collapsed.

        All-empty and all-opaque fields have no gradient and never recover. What the watch knows
        lies in the field's buffers, so a resumed run decides as an uninterrupted one.
        """
        is_due = step % (FLAT_STEPS // 4) == 0 and 0 < step <= self.recipe.watched_steps
        if not is_due or int(self.field.flat_steps) < FLAT_STEPS:
            return False
        if int(self.field.restarts):
            raise InputError(
                f"{self.subject}: training collapsed twice: for {FLAT_STEPS} steps every ray shows "
                f"the same colour (at step {step}), as if the scene were empty or a wall; set "
                "centre_crop_steps to 500, check near and far and the poses, or try another seed"
            )
        self.field.start_anew(
            self.recipe.initialisation, generator_for(self.second_start, "second start")
        )
        return True

    def monitor(self) -> dict[str, float]:
        """How often the start was repeated, once it was."""
        return {"restarts": float(self.field.restarts)}

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group; epsilon as in the paper's section 5.3."""
        parameters = list(self.field.parameters())
        return [{"params": parameters, "lr": learning_rate, "eps": self.recipe.adam_epsilon}]

    def predict(self, out: Path) -> None:
        """Write test views with depth, videos and what figures inspect."""
        predict_scene(self, out)

    def mesh(self, path: Path) -> None:
        """Write the surface of the density with colours, in the units of the scene's files."""
        path.write_bytes(surface_of(self, Renderer(self)).export(file_type="ply"))


class NearestViewTask(Task):
    """The baseline without a model: each view is answered by the photograph taken nearest to it."""

    def __init__(self, recipe: NerfRecipe | NexRecipe, subject: Path, scene: Scene) -> None:
        self.recipe, self.subject, self.scene = recipe, subject, scene
        self.field = nn.Module()

    def batch(self, step: int, generator: Generator) -> None:
        """Nothing is trained."""

    def losses(self, batch: None) -> dict[str, Tensor]:
        """Nothing is trained."""
        return {"nothing": torch.zeros(())}

    def nearest(self, view: int) -> int:
        """The training view whose camera stands nearest to that of `view`."""
        positions = self.scene.cameras.positions
        train = self.scene.splits["train"]
        return int(train[np.linalg.norm(positions[train] - positions[view], axis=1).argmin()])

    def predict(self, out: Path) -> None:
        """Write the nearest photograph for each test view."""
        predict_nearest_views(self, out)
