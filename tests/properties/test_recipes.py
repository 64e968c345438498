"""Recipes: the papers' values by default, every other key or type refused by name."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import typing
from typing import Literal

import pytest

from nir.errors import InputError
from nir.files import canonical_json
from nir.recipes.base import Recipe
from nir.recipes.image import FourierImageRecipe, SirenImageRecipe
from nir.tasks import TASKS, task_entry

RECIPES = {name: entry.recipe_class() for name, entry in TASKS.items()}


def message(recipe: type[Recipe], **values) -> str:
    with pytest.raises(InputError) as raised:
        recipe.from_dict(values, where="config.yaml: here")
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith("config.yaml: here")
    return text


def test_fourier_features_defaults_are_the_papers():
    recipe = FourierImageRecipe()
    assert (recipe.steps, recipe.learning_rate, recipe.loss) == (2000, 1e-3, "half_mse")
    assert (recipe.resolution, recipe.trained_pixels, recipe.tested_pixels) == (
        512,
        "quarter",
        "quarter",
    )
    assert (recipe.width, recipe.hidden_layers, recipe.output_activation) == (256, 2, "sigmoid")
    assert (recipe.features, recipe.bandwidth, recipe.log2_bandwidth) == (256, 10.0, 6.0)
    assert recipe.coordinates == recipe.values == "unit"
    assert recipe.initialisation == "glorot_normal"


def test_siren_defaults_are_the_papers():
    recipe = SirenImageRecipe()
    assert (recipe.steps, recipe.learning_rate, recipe.loss) == (10_000, 1e-4, "mse")
    assert (recipe.width, recipe.hidden_layers, recipe.activation) == (256, 3, "sine")
    assert recipe.omega_0 == recipe.first_omega_0 == 30.0
    assert recipe.coordinates == recipe.values == "symmetric"
    assert (recipe.resolution, recipe.colour, recipe.trained_pixels) == (512, "grey", "all")


@pytest.mark.parametrize("name", RECIPES)
def test_defaults_can_be_used_and_written_down(name):
    recipe = RECIPES[name].from_dict({})
    written = json.loads(canonical_json(recipe.to_dict()))
    assert RECIPES[name].from_dict(written) == recipe
    assert written["schema"] == 1


@pytest.mark.parametrize("recipe", sorted(set(RECIPES.values()), key=lambda r: r.__qualname__))
def test_no_recipe_allows_more_choices_than_the_one_it_extends(recipe):
    own = typing.get_type_hints(recipe)
    for base in recipe.__mro__[1:-1]:
        for key, annotation in typing.get_type_hints(base).items():
            if typing.get_origin(annotation) is Literal:
                assert typing.get_origin(own[key]) is Literal, f"{key} is any {own[key]}"
                assert set(typing.get_args(own[key])) <= set(typing.get_args(annotation)), key


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_cannot_be_changed(name):
    recipe = RECIPES[name]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.steps = 3


def test_an_unknown_key_is_named_with_the_nearest_known_one():
    text = message(SirenImageRecipe, hiden_layers=3)
    assert "here.hiden_layers" in text
    assert "did you mean 'hidden_layers'" in text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("steps", 2.5, "int"),
        ("steps", "100", "int"),
        ("steps", True, "int"),
        ("learning_rate", "1e-3", "float"),
        ("learning_rate", True, "float"),
        ("learning_rate", None, "float"),
        ("monitored", 1, "bool"),
        ("monitored", "no", "bool"),
    ],
)
def test_a_value_of_another_type_is_refused_by_key(key, value, expected):
    text = message(SirenImageRecipe, **{key: value})
    assert f"here.{key}" in text
    assert f"{expected} is expected" in text
    assert repr(value) in text


def test_a_whole_number_is_a_fine_float():
    recipe = SirenImageRecipe.from_dict({"learning_rate": 1})
    assert isinstance(recipe.learning_rate, float)


@pytest.mark.parametrize("recipe", [FourierImageRecipe, SirenImageRecipe])
@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("colour", "gray", "grey"),
        ("encoding", "gausian", "gaussian"),
        ("activation", "rely", "relu"),
        ("initialisation", "sirens", "siren"),
        ("output_activation", "sigmiod", "sigmoid"),
        ("precision", "bfloat", "bfloat16"),
        ("interpolation", "bicubik", "bicubic"),
    ],
)
def test_an_unknown_choice_is_named_with_the_nearest_known_one(recipe, key, value, nearest):
    text = message(recipe, **{key: value})
    assert f"here.{key}" in text
    assert f"did you mean {nearest!r}" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", -1),
        ("log_every", 0),
        ("learning_rate", 0),
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("gradient_clip", -1.0),
        ("learning_rate_decay", 0.0),
        ("resolution", 0),
        ("resolution", 1),
        ("width", 0),
        ("hidden_layers", -1),
        ("features", 0),
        ("grid_resolution", -2),
        ("stored_bits", 4),
    ],
)
def test_a_number_that_no_run_can_use_is_refused_by_key(key, value):
    assert f"here.{key}" in message(SirenImageRecipe, **{key: value})


def test_no_steps_are_allowed_since_interpolation_needs_none():
    assert FourierImageRecipe.from_dict({"field": "pixels", "steps": 0}).steps == 0


def test_combinations_that_mean_nothing_are_refused():
    assert "stored_bits" in message(SirenImageRecipe, stored_bits=8)
    assert "resolution" in message(FourierImageRecipe, resolution=33)
    assert "tested_pixels" in message(SirenImageRecipe, tested_pixels="unseen")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListRecipe(Recipe):
    scales: tuple[float, ...] = (1.0,)


def test_lists_are_checked_item_by_item():
    values = {"steps": 1, "learning_rate": 1.0}
    assert ListRecipe.from_dict({**values, "scales": [1, 2.5]}).scales == (1.0, 2.5)
    assert "here.scales[1]" in message(ListRecipe, **values, scales=[1, "two"])
    assert "a list is expected" in message(ListRecipe, **values, scales=3)


def test_what_has_no_default_must_be_given():
    assert "learning_rate must be given" in message(Recipe, steps=1)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_the_learning_rate_decays_exponentially_to_its_factor_at_the_last_step(steps):
    recipe = Recipe(steps=steps, learning_rate=1.0, learning_rate_decay=0.01)
    assert recipe.learning_rate_factor(0) == 1
    assert recipe.learning_rate_factor(steps) == pytest.approx(0.01)
    constant = Recipe(steps=steps, learning_rate=1.0)
    assert {constant.learning_rate_factor(s) for s in range(steps)} == {1.0}


def test_an_unknown_task_is_named_with_the_nearest_known_one():
    with pytest.raises(InputError, match=r"unknown task 'siren_imag'; did you mean 'siren_image'"):
        task_entry("siren_imag")


def test_what_snakemake_imports_does_not_import_torch():
    modules = "nir.configuration, nir.experiments, nir.files, nir.fingerprints, nir.cli"
    code = (
        f"import sys, yaml, {modules}, nir.commands.data, nir.commands.reports\n"
        "from nir.tasks import TASKS\n"
        "[entry.recipe_class() for entry in TASKS.values()]\n"
        "from nir.experiments import training_code\n"
        "[training_code(task) for task in TASKS]\n"
        "assert not {'torch', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules), 'too much'"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
