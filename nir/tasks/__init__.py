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
    "nerf": TaskEntry("nir.tasks.nerf", "nir.recipes.nerf:NerfRecipe"),
    "nerf_llff": TaskEntry("nir.tasks.nerf", "nir.recipes.nerf:LlffNerfRecipe"),
    "nex": TaskEntry("nir.tasks.nex", "nir.recipes.nex:NexRecipe"),
    "nex_low_memory": TaskEntry("nir.tasks.nex", "nir.recipes.nex:LowMemoryNexRecipe"),
    "nex_real_time": TaskEntry(
        "nir.tasks.nex_real_time", "nir.recipes.nex_real_time:RealTimeRecipe"
    ),
    "fourier_image": TaskEntry("nir.tasks.image", "nir.recipes.image:FourierImageRecipe"),
    "fourier_kernel": TaskEntry("nir.tasks.kernel", "nir.recipes.kernel:KernelRecipe"),
    "fourier_signals": TaskEntry("nir.tasks.signals", "nir.recipes.signals:SignalsRecipe"),
    "fourier_stationarity": TaskEntry(
        "nir.tasks.stationarity", "nir.recipes.signals:StationarityRecipe"
    ),
    "fourier_plane_waves": TaskEntry(
        "nir.tasks.plane_waves", "nir.recipes.signals:PlaneWavesRecipe"
    ),
    "fourier_turned_scenes": TaskEntry(
        "nir.tasks.turned_scenes", "nir.recipes.signals:TurnedScenesRecipe"
    ),
    "fourier_spectrum": TaskEntry("nir.tasks.spectrum", "nir.recipes.signals:SpectrumRecipe"),
    "fourier_inverse_rendering": TaskEntry(
        "nir.tasks.inverse_rendering", "nir.recipes.inverse_rendering:InverseRenderingRecipe"
    ),
    "fourier_shape": TaskEntry(
        "nir.tasks.occupancy_field", "nir.recipes.occupancy_field:OccupancyFieldRecipe"
    ),
    "fourier_ct": TaskEntry("nir.tasks.reconstruction", "nir.recipes.reconstruction:CtRecipe"),
    "fourier_mri": TaskEntry("nir.tasks.reconstruction", "nir.recipes.reconstruction:MriRecipe"),
    "fourier_first_layer": TaskEntry(
        "nir.tasks.first_layer", "nir.recipes.first_layer:FirstLayerRecipe"
    ),
    "fourier_chosen_bandwidth": TaskEntry(
        "nir.tasks.chosen_bandwidth", "nir.recipes.first_layer:ChosenBandwidthRecipe"
    ),
    "audio": TaskEntry("nir.tasks.audio", "nir.recipes.recordings:AudioRecipe"),
    "wave": TaskEntry("nir.tasks.wave", "nir.recipes.equations:WaveRecipe"),
    "deepsdf": TaskEntry("nir.tasks.shape_decoder", "nir.recipes.shape_decoder:ShapeDecoderRecipe"),
    "shape_memory": TaskEntry(
        "nir.tasks.shape_memory", "nir.recipes.shape_memory:ShapeMemoryRecipe"
    ),
    "signed_distance": TaskEntry(
        "nir.tasks.signed_distance", "nir.recipes.signed_distance:SignedDistanceRecipe"
    ),
    "video": TaskEntry("nir.tasks.video", "nir.recipes.recordings:VideoRecipe"),
    "derivatives": TaskEntry("nir.tasks.derivatives", "nir.recipes.poisson:DerivativesRecipe"),
    "helmholtz": TaskEntry("nir.tasks.helmholtz", "nir.recipes.equations:HelmholtzRecipe"),
    "helmholtz_inversion": TaskEntry(
        "nir.tasks.inversion", "nir.recipes.inversion:InversionRecipe"
    ),
    "siren_image": TaskEntry("nir.tasks.image", "nir.recipes.image:SirenImageRecipe"),
    "image_completion": TaskEntry(
        "nir.tasks.completion", "nir.recipes.inpainting:CompletionRecipe"
    ),
    "image_prior": TaskEntry("nir.tasks.inpainting", "nir.recipes.inpainting:PriorRecipe"),
    "occupancy_image": TaskEntry(
        "nir.tasks.shape_reconstruction",
        "nir.recipes.shape_reconstruction:ShapeReconstructionRecipe",
    ),
    "occupancy_points": TaskEntry(
        "nir.tasks.shape_reconstruction", "nir.recipes.shape_reconstruction:PointsRecipe"
    ),
    "occupancy_voxels": TaskEntry(
        "nir.tasks.shape_reconstruction", "nir.recipes.shape_reconstruction:VoxelsRecipe"
    ),
    "occupancy_representation": TaskEntry(
        "nir.tasks.shape_reconstruction", "nir.recipes.shape_reconstruction:RepresentationRecipe"
    ),
    "occupancy_generation": TaskEntry(
        "nir.tasks.shape_reconstruction", "nir.recipes.shape_reconstruction:GenerationRecipe"
    ),
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
