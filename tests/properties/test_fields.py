"""Fields: a recipe names an encoding and a network, and gets the paper's field."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from nir.fields.coordinates import Field, FixedPoints, field_from
from nir.networks.mlp import parameter_count
from nir.recipes.field import Activation, Encoding
from nir.recipes.image import FourierImageRecipe, SirenImageRecipe


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def field(recipe, dimensions: int = 2, channels: int = 3, seed: int = 0) -> Field:
    return field_from(recipe, dimensions, channels, generator(seed))


@pytest.mark.parametrize("encoding", get_args(Encoding))
def test_every_encoding_of_a_recipe_can_be_built(encoding):
    recipe = FourierImageRecipe(encoding=encoding, width=8, features=16, octaves=3)
    assert field(recipe)(torch.rand(4, 5, 2)).shape == (4, 5, 3)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_of_a_recipe_can_be_built(activation):
    recipe = FourierImageRecipe(activation=activation, initialisation="pytorch", width=8)
    assert torch.isfinite(field(recipe)(torch.rand(5, 2))).all()


def test_the_papers_recipes_give_the_papers_sizes():
    assert parameter_count(field(FourierImageRecipe())) == 133_123
    assert parameter_count(field(FourierImageRecipe(encoding="gaussian"))) == 263_683
    assert parameter_count(field(FourierImageRecipe(encoding="positional"))) == 263_683
    assert parameter_count(field(SirenImageRecipe(), channels=1)) == 198_401


def test_a_field_is_its_network_after_its_encoding():
    built = field(FourierImageRecipe(encoding="gaussian", width=8))
    points = torch.rand(7, 2)
    assert torch.equal(built(points), built.network(built.encoding(points)))


def test_a_field_is_decided_by_recipe_and_generator():
    recipe = FourierImageRecipe(encoding="gaussian", width=8)
    points = torch.rand(7, 2)
    assert torch.equal(field(recipe, seed=1)(points), field(recipe, seed=1)(points))
    assert not torch.equal(field(recipe, seed=1)(points), field(recipe, seed=2)(points))


def test_each_point_is_mapped_on_its_own():
    built = field(SirenImageRecipe(width=16), channels=1).double()
    points = torch.rand(6, 2, dtype=torch.float64)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(built(points)[order], built(points[order]))


def test_fixed_points_have_the_values_and_gradients_of_the_field_there_at_every_step():
    built, points = field(FourierImageRecipe(encoding="gaussian", width=8)), torch.rand(7, 2)
    fixed = FixedPoints(built, points)
    for _ in range(3):
        expected = torch.autograd.grad(built(points).square().sum(), built.network.parameters())
        found = torch.autograd.grad(fixed.values().square().sum(), built.network.parameters())
        assert torch.equal(fixed.values(), built(points))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        with torch.no_grad():
            built.network.last.weight.add_(0.1)


def test_fixed_points_are_encoded_once_unless_the_encoding_is_trained():
    points, seen = torch.rand(7, 2), []
    for encoding in ("gaussian", "radial_basis"):
        built = field(FourierImageRecipe(encoding=encoding, width=8))
        built.encoding.register_forward_hook(lambda *_, name=encoding: seen.append(name))
        fixed = FixedPoints(built, points)
        for _ in range(3):
            fixed.values()
    assert seen.count("gaussian") == 1
    assert seen.count("radial_basis") == 3
