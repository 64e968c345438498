"""Scene representation networks: the march, its start, what is trained and what is predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.fetch import fetch
from nir.evaluation import compute_metrics
from nir.fields.marched import MarchedField, NormalisedMLP, RecurrentMarcher
from nir.networks.mlp import parameter_count
from nir.predictions import read_array, read_predictions
from nir.random import generator_for
from nir.recipes.nerf import LlffNerfRecipe, NerfRecipe
from nir.tasks.nerf import build

CPU = torch.device("cpu")
SMALL = {"method": "scene_representation", "width": 16, "rays": 64, "perceptual": False}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


def task_for(scene, recipe_class=NerfRecipe, **changes):
    recipe = recipe_class(**{**SMALL, **changes})
    return build(recipe, scene, device=CPU, generator=generator())


def test_the_published_network_has_its_layers():
    field = MarchedField(generator=generator())
    features = 3 * 256 + 256 + 3 * (256 * 256 + 256) + 4 * 2 * 256
    marcher = 4 * 16 * (256 + 16) + 2 * 4 * 16 + 17
    colours = 5 * (256 * 256 + 256 + 2 * 256) + 3 * 256 + 3
    assert parameter_count(field) == features + marcher + colours


def test_layers_are_normalised_before_the_rectifier():
    network = NormalisedMLP(3, 64, 2, generator=generator())
    near, far = torch.randn(100, 3), 1000 * torch.randn(100, 3)
    for points in (near, far):  # normalisation makes the far points no larger
        squares = (network(points) ** 2).mean(dim=-1)
        assert squares.min() > 0.1
        assert squares.max() < 1.01


def test_the_start_of_all_numbers_is_the_generators():
    one, same, other = (MarchedField(width=8, generator=generator(s)) for s in (0, 0, 1))
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
    assert not torch.equal(one.features.layers[0].weight, other.features.layers[0].weight)
    bias = one.marcher.memory.bias_ih
    assert ((bias == 1).nonzero().flatten() == torch.arange(16, 32)).all()


def test_a_march_of_known_steps_ends_where_they_lead():
    field = MarchedField(width=8, marching_steps=5, generator=generator())
    with torch.no_grad():
        field.marcher.step.weight.zero_()
        field.marcher.step.bias.fill_(0.3)
    origins, directions = torch.zeros(4, 3), torch.randn(4, 3)
    colour, depth = field(origins, directions, torch.full((4,), 2.0))
    torch.testing.assert_close(depth, torch.full((4,), 3.5))
    expected = 0.5 + 0.5 * field.colour(field.features(3.5 * directions))
    torch.testing.assert_close(colour, expected)


def test_the_marcher_remembers_and_its_gradient_is_bounded():
    marcher = RecurrentMarcher(4, 3, generator=generator())
    feature = torch.randn(2, 4)
    first, state = marcher(feature, None)
    again, _ = marcher(feature, state)
    assert not torch.allclose(first, again)
    wild = torch.randn(2, 4, requires_grad=True)
    step, _ = marcher(wild, None)
    (1e12 * step.sum()).backward()
    assert wild.grad.abs().max() < 1e3  # ten a number of the memory, times bounded weights


def test_depth_behind_the_camera_costs_and_training_lowers_the_loss(data_root):
    task = task_for(fetch("toy_small", data_root=data_root), learning_rate=2e-3)
    with torch.no_grad():
        task.field.marcher.step.bias.fill_(-5.0)
    batch = task.batch(0, generator_for(0, "step", 0))
    assert task.losses(batch)["behind"] > 1000
    task = task_for(fetch("toy_small", data_root=data_root), learning_rate=2e-3)
    optimiser = torch.optim.Adam(task.parameter_groups(2e-3))
    losses = []
    for step in range(60):
        terms = task.losses(task.batch(step, generator_for(0, "step", step)))
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_losses_follow_from_step_and_generator_alone(data_root):
    task = task_for(fetch("toy_small", data_root=data_root))
    batches = [task.batch(3, generator_for(0, "step", 3)) for _ in range(2)]
    first, second = (task.losses(batch)["image"] for batch in batches)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("scene", "recipe_class"), [("toy_small", NerfRecipe), ("toy_forward_small", LlffNerfRecipe)]
)
def test_views_and_depth_are_predicted_in_both_layouts(scene, recipe_class, data_root, tmp_path):
    task = task_for(fetch(scene, data_root=data_root), recipe_class, shrink=1)
    task.predict(tmp_path)
    rows = compute_metrics(read_predictions(tmp_path))
    assert {row["split"] for row in rows} >= {"test", "depth", "glossy"}
    picture = read_array(tmp_path / "test-000-prediction.npy")
    assert picture.shape == task.scene.images.shape[1:]
    assert np.isfinite(read_array(tmp_path / "depth-000-prediction.npy")).all()
