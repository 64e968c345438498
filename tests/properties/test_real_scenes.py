"""Real scenes through NeRF's task: what is loaded of them, and that training takes hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.predictions import read_predictions
from nir.random import generator_for
from nir.recipes.nerf import LlffNerfRecipe, NerfRecipe
from nir.tasks.nerf import build

CPU = torch.device("cpu")
SMALL = {
    "width": 32,
    "depth": 3,
    "rays": 256,
    "rays_from_one_view": False,
    "position_octaves": 6,
    "coarse_samples": 16,
    "fine_samples": 16,
    "video_frames": 0,
    "occupancy_resolution": 24,
    "perceptual": False,
}


def trained(task, steps: int, learning_rate: float = 5e-3) -> list[float]:
    """Losses of so many updates."""
    optimiser = torch.optim.Adam(task.parameter_groups(learning_rate))
    losses = []
    for step in range(steps):
        loss = sum(task.losses(task.batch(step, generator_for(0, "step", step))).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_lego_trains_and_is_predicted_in_the_papers_frame(real_data, tmp_path):
    recipe = NerfRecipe(**SMALL, shrink=16, test_skip=8)
    folder = real_data / "nerf_synthetic/lego"
    task = build(recipe, folder, device=CPU, generator=generator_for(0, "start"))
    assert task.scene.images.shape == (125, 50, 50, 3)
    assert (task.settings.near, task.settings.far) == (2.0, 6.0)
    assert not task.scene.ndc
    assert (task.scene.images[:, 0, 0] == 1).all()  # white corners
    losses = trained(task, 120)
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    task.predict(tmp_path)
    predictions = read_predictions(tmp_path)
    assert sum(item.split == "test" for item in predictions.items) == 25
    assert predictions.protocol == "nerf-synthetic-50-white-25"


@pytest.mark.slow
def test_fern_trains_in_normalised_device_coordinates(real_data):
    recipe = LlffNerfRecipe(**SMALL, shrink=8)
    folder = real_data / "nerf_llff_data/fern"
    task = build(recipe, folder, device=CPU, generator=generator_for(0, "start"))
    assert task.scene.ndc
    assert task.scene.splits["test"].tolist() == [0, 8, 16]
    assert len(task.scene.splits["train"]) == 17
    assert task.scene.images.shape[1:] == (378, 504, 3)
    rays = task.batch(0, generator_for(0, "step", 0)).rays
    torch.testing.assert_close(rays.origins[:, 2], torch.full((256,), -1.0), atol=1e-4, rtol=0)
    losses = trained(task, 60)
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
