"""Fields: a recipe names an encoding and a network, and gets the paper's field."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from nir.fields.coordinates import Field, field_from
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
