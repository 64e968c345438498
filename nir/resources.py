"""Resources: what a training asks of a cluster, from its scale, task and length.

Minutes and megabytes here are requests, generous on purpose, and grow with each attempt. A training
that meets its time limit all the same has saved, and the next attempt goes on from there.
"""

from __future__ import annotations

from nir.recipes.base import Recipe

# Of one step at the papers' sizes on a GPU of their time (V100); the slow half of what is usual.
SECONDS_PER_STEP = {
    "nerf": 0.4,
    "nerf_llff": 0.4,
    "nex": 0.4,
    "video": 0.3,
    "wave": 0.3,
    "helmholtz": 0.3,
    "helmholtz_inversion": 0.3,
    "signed_distance": 0.2,
    "deepsdf": 1.5,  # estimated from its operations: 11.6 TFLOP, about a second
    "occupancy_image": 0.4,
    "occupancy_points": 0.3,
    "occupancy_voxels": 0.3,
}
USUAL_SECONDS_PER_STEP = 0.1
START_MINUTES = 10  # an environment on a network disk, data, predictions
LONGEST_MINUTES = 23 * 60  # most clusters allow a day
SHORT_MINUTES = 30  # trainings up to this length travel together

MEMORY_MB = {"smoke": 1000, "quick": 2000, "paper": 16000}
MINUTES_WITHOUT_GPU = {"smoke": 5, "quick": 15}


def training_minutes(task: str, recipe: Recipe, scale: str, attempt: int = 1) -> int:
    """Return the time limit to ask for.

    >>> training_minutes("siren_image", Recipe(steps=10_000, learning_rate=1e-4), "paper")
    26
    """
    if scale in MINUTES_WITHOUT_GPU:
        minutes = float(MINUTES_WITHOUT_GPU[scale])
    else:
        seconds = recipe.steps * SECONDS_PER_STEP.get(task, USUAL_SECONDS_PER_STEP)
        minutes = START_MINUTES + seconds / 60
    return min(int(minutes * attempt), LONGEST_MINUTES)


def training_memory_mb(scale: str, attempt: int = 1) -> int:
    """Return the host memory to ask for; a GPU's own is not counted.

    >>> training_memory_mb("quick", attempt=2)
    4000
    """
    return MEMORY_MB[scale] * attempt


def is_short(task: str, recipe: Recipe, scale: str) -> bool:
    """Whether a training is short enough to share a job of the cluster with others."""
    return training_minutes(task, recipe, scale) <= SHORT_MINUTES
