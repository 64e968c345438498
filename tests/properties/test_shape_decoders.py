"""Decoders of many shapes, codes found for unknown ones, and shapes in few bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from nir.data.shape_preparation import write_families
from nir.data.shape_sets import ShapeSet
from nir.data.shape_storage import stored_as_mesh, stored_as_points, stored_as_voxels
from nir.data.shapes import normalised, shape_of
from nir.errors import InputError
from nir.networks.auto_decoders import AutoDecoder, DeepSdfDecoder
from nir.networks.mlp import MLP, parameter_count
from nir.random import generator_for
from nir.recipes.shape_decoder import ShapeDecoderRecipe
from nir.recipes.shape_memory import ShapeMemoryRecipe
from nir.resources import LONGEST_MINUTES, training_minutes
from nir.tasks import shape_codes, shape_decoder_predictions, shape_memory
from nir.tasks.shape_decoder import Samples, ShapeDecoderTask, build
from nir.tasks.shape_memory import widest

SMALL = ShapeDecoderRecipe(
    steps=1,
    shapes_per_step=2,
    points_per_shape=32,
    code_size=4,
    width=24,
    layers=4,
    skip=2,
    dropout=0.2,
    mesh_resolution=32,
    inference_points=64,
    free_space_points=200,
    depth_size=48,
)


@pytest.fixture(scope="module")
def collection_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "chairs"
    write_families(
        folder, ShapeSet(families=("tables",), train=2, val=1, test=1, preparation="tiny")
    )
    return folder


@pytest.fixture
def task(collection_folder) -> ShapeDecoderTask:
    return build(
        SMALL, collection_folder, device=torch.device("cpu"), generator=generator_for(0, "start")
    )


def decoder(**changes) -> DeepSdfDecoder:
    values = {"width": 16, "layers": 4, "skip": 2, "dropout": 0.0, **changes}
    return DeepSdfDecoder(3, generator=torch.Generator().manual_seed(1), **values).eval()


def test_the_length_of_a_direction_does_not_matter():
    network = decoder()
    codes, points = torch.randn(2, 3), torch.randn(2, 5, 3)
    before = network(codes, points)
    with torch.no_grad():
        network.hidden[1].direction.mul_(7.0)
    torch.testing.assert_close(network(codes, points), before)


def test_the_whole_input_enters_again_at_the_skip():
    network = decoder()
    assert network.hidden[1].direction.shape[0] == 16 - 6
    assert network.hidden[2].direction.shape[1] == 16
    with torch.no_grad():
        network.hidden[0].gain.zero_()
        network.hidden[0].bias.fill_(1.0)
    codes, points = torch.randn(2, 3), torch.randn(2, 5, 3)
    assert network(codes, points).std() > 0


def test_codes_are_shortened_to_their_bound_and_short_ones_kept():
    field = AutoDecoder(decoder(), 2, deviation=1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        field.codes[0] = torch.tensor([3.0, 0, 4.0])
        field.codes[1] = torch.tensor([0.1, 0, 0])
    field.bound_codes(1.0)
    torch.testing.assert_close(field.codes[0], torch.tensor([0.6, 0, 0.8]))
    torch.testing.assert_close(field.codes[1], torch.tensor([0.1, 0, 0]))


def test_dropout_belongs_to_the_batch(task):
    batch = task.batch(0, generator_for(0, "step", 0))
    first, second = task.losses(batch)["distance"], task.losses(batch)["distance"]
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    other = dataclasses.replace(batch, seed=batch.seed + 1)
    assert task.losses(other)["distance"] != first


def test_beyond_the_clamp_nothing_is_learned(task):
    values = torch.tensor([[0.3, 0.05]], requires_grad=True)
    loss = task.data_loss(values, torch.tensor([[0.2, 0.05]]))
    assert loss.item() == 0
    loss.backward()
    assert values.grad[0, 0] == 0


def test_a_decision_has_the_sign_of_a_distance(task):
    task.recipe = dataclasses.replace(SMALL, target="occupancy")
    distances = torch.tensor([[-0.2, 0.2]])
    right = task.data_loss(torch.tensor([[-9.0, 9.0]]), distances)
    assert right < 1e-3 < task.data_loss(torch.tensor([[9.0, -9.0]]), distances)


def test_uniform_samples_have_true_distances(task):
    task.recipe = dataclasses.replace(SMALL, sampling="uniform")
    batch = task.batch(0, generator_for(0, "step", 0))
    assert isinstance(batch, Samples)
    name = task.batches.names[int(batch.shapes[0])]
    scale = float(task.collection.array(name, "sphere_scale"))
    points = batch.points[0].double().numpy() / scale
    truth = scale * task.collection.surface(name).signed_distances(points)
    np.testing.assert_allclose(batch.distances[0].numpy(), truth, atol=1e-5)


def test_the_prior_warms_up(task):
    batch = task.batch(0, generator_for(0, "step", 0))
    assert task.losses(batch)["codes"] == 0
    assert task.losses(dataclasses.replace(batch, step=10_000))["codes"] > 0


def test_a_depth_map_says_what_is_free_and_what_lies_beside_the_surface(task):
    name = task.collection.names("test")[0]
    seen = shape_codes.observed_depth(task, name, shape_codes.depth_camera(task, 0))
    scale = float(task.collection.array(name, "sphere_scale"))
    surface = task.collection.surface(name)

    def truth(points):
        return scale * surface.signed_distances(points.double().numpy() / scale)

    assert (truth(seen.free) > -1e-4).mean() > 0.99
    assert len(seen.free) > 100
    close = np.abs(truth(seen.points) - seen.distances.numpy()) < 4e-3
    assert close.mean() > 0.8


def test_codes_are_found_that_fit_better_than_none(task):
    task.recipe = dataclasses.replace(SMALL, inference_steps=60, inference_learning_rate=0.05)
    with torch.no_grad():
        task.field.decoder.last_weight.mul_(3)
    points = torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    hidden = torch.tensor([[0.9, -0.7, 0.5, -0.9]])
    task.field.decoder.eval()
    distances = task.field.decoder(hidden, points[None])[0].detach()
    distances = distances - distances.median()
    with torch.no_grad():
        task.field.decoder.last_bias -= (
            task.field.decoder(hidden, points[None])[0] - distances
        ).median()
    observation = shape_codes.Observation(points, distances, points[:0])
    found = shape_codes.find_codes(task, [observation])
    before, after = (
        task.data_loss(task.field.decoder(code, points[None])[0], distances)
        for code in (torch.zeros(1, 4), found)
    )
    assert after < before
    assert all(p.requires_grad for p in task.field.decoder.parameters())


def test_copying_finds_the_shape_that_was_observed(task):
    for name in task.batches.names:
        observation = shape_codes.observed_distances(task, name)
        assert shape_decoder_predictions._nearest(task, observation) == name


def test_surfaces_leave_the_ball_for_the_unit_cube(task):
    ball = shape_decoder_predictions.surface_of(task, lambda p: p.norm(dim=-1) - 0.8, scale=2.0)
    np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=1), 0.4, atol=0.004)
    nothing = shape_decoder_predictions.surface_of(task, lambda p: p[:, 0] * 0 + 1, scale=2.0)
    assert len(nothing.faces) == 0


def test_recipes_refuse_what_cannot_be():
    with pytest.raises(InputError, match="skip"):
        ShapeDecoderRecipe.from_dict({"skip": 8})
    with pytest.raises(InputError, match="nearest_shape"):
        ShapeDecoderRecipe.from_dict({"method": "nearest_shape", "asks": "known"})
    copied = {"method": "nearest_shape", "asks": "completion"}
    with pytest.raises(InputError, match=r"recipe\.steps: .* nothing to train"):
        ShapeDecoderRecipe.from_dict(copied)
    assert ShapeDecoderRecipe.from_dict({**copied, "steps": 0}).steps == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"budgets": [12]}, "512 bytes"),
        ({"budgets": [4096, 4096]}, r"recipe\.budgets: .* twice"),
        ({"resolutions": [2, 32]}, r"recipe\.resolutions: 2 "),
    ],
)
def test_budgets_and_meshes_that_hold_nothing_are_refused_by_key(values, said):
    with pytest.raises(InputError, match=said):
        ShapeMemoryRecipe.from_dict(values)


def test_the_rate_is_halved_every_five_hundred_epochs():
    recipe = ShapeDecoderRecipe()
    assert recipe.learning_rate_factor(25_499) == 1
    assert recipe.learning_rate_factor(51_000) == 0.25


def test_a_training_of_a_day_asks_a_cluster_for_the_longest_time_it_allows():
    assert training_minutes("deepsdf", ShapeDecoderRecipe(), "paper") == LONGEST_MINUTES


@pytest.fixture(scope="module")
def ball():
    sphere = trimesh.creation.icosphere(subdivisions=4)
    shape, _ = normalised(shape_of(sphere.vertices, sphere.faces), "unit_sphere")
    return shape


@pytest.mark.parametrize("keep", [stored_as_voxels, stored_as_mesh])
def test_lists_keep_to_their_bytes_and_more_bytes_are_nearer(ball, keep):
    errors = []
    for budget in (1500, 12_000):
        surface, size = keep(ball, budget)
        assert 0 < size <= budget
        errors.append(np.abs(ball.signed_distances(surface.triangles_center)).mean())
    assert errors[1] < errors[0] < 0.06


def test_points_lie_on_the_surface(ball):
    points, size = stored_as_points(ball, 3000)
    assert (len(points), size) == (500, 3000)
    assert np.abs(ball.signed_distances(points.astype(float))).max() < 2e-3


@pytest.fixture
def memory(tmp_path) -> shape_memory.ShapeMemoryTask:
    """Of these budgets two give networks of one width, and the largest is not the last."""
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    recipe = ShapeMemoryRecipe.from_dict(
        {"budgets": [4096, 1024, 1026], "pool_points": 64, "points_per_step": 16}
    )
    generator = generator_for(0, "start")
    path = tmp_path / "ball.ply"
    return shape_memory.build(recipe, path, device=torch.device("cpu"), generator=generator)


def test_every_budgets_network_is_trained(memory):
    losses = memory.losses(memory.batch(0, torch.Generator().manual_seed(0)))
    sum(losses.values()).backward()
    assert [network.last.in_features for network in memory.field][1:] == [14, 14]
    assert len(losses) == 3
    assert all(network.layers[0].weight.grad is not None for network in memory.field)


def test_the_largest_network_is_that_of_the_largest_budget(memory):
    assert memory.largest is memory.field[0]


@pytest.mark.parametrize("budget", [4096, 65_536])
def test_the_widest_network_fits_and_one_wider_does_not(budget):
    recipe = ShapeMemoryRecipe()
    sizes = []
    for width in (widest(recipe, budget), widest(recipe, budget) + 1):
        generator = torch.Generator().manual_seed(0)
        network = MLP(3, 1, width=width, hidden_layers=2, activation="sine", generator=generator)
        sizes.append(2 * parameter_count(network))
    assert sizes[0] <= budget < sizes[1]
