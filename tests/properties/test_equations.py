"""Losses of the wave and Helmholtz tasks against independent finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.waves import AbsorbingLayer, medium_of
from nir.errors import InputError
from nir.recipes.equations import HelmholtzRecipe, WaveRecipe
from nir.tasks import helmholtz, wave

CPU = torch.device("cpu")
DOUBLE = torch.float64
WAVE = {
    "steps": 10,
    "width": 16,
    "points_per_step": 60,
    "initial_points": 20,
    "near_points": 10,
    "window_steps": 10,
    "source_variance": 0.02,
    "compared_points": 17,
    "compared_times": 3,
    "omega_0": 5.0,
    "first_omega_0": 5.0,
}
HELMHOLTZ = {
    "steps": 1,
    "width": 16,
    "points_per_step": 80,
    "near_points": 10,
    "near_radius": 0.2,
    "source_variance": 2e-3,
    "wave_number": 6.0,
    "compared_points": 31,
    "omega_0": 5.0,
    "first_omega_0": 5.0,
}


def medium(folder, name):
    np.save(folder / f"{name}.npy", medium_of(name))
    return folder / f"{name}.npy"


def wave_task(folder, name="uniform", **values):
    recipe = WaveRecipe.from_dict({**WAVE, **values})
    generator = torch.Generator().manual_seed(0)
    return wave.build(recipe, medium(folder, name), device=CPU, generator=generator)


def helmholtz_task(folder, name="uniform", **values):
    recipe = HelmholtzRecipe.from_dict({**HELMHOLTZ, **values})
    generator = torch.Generator().manual_seed(0)
    return helmholtz.build(recipe, medium(folder, name), device=CPU, generator=generator)


def second_difference(field, x, axis, h=1e-4):
    step = torch.zeros(x.shape[-1], dtype=DOUBLE)
    step[axis] = h
    return (field(x + step) + field(x - step) - 2 * field(x)) / h**2


def first_difference(field, x, axis, h=1e-5):
    step = torch.zeros(x.shape[-1], dtype=DOUBLE)
    step[axis] = h
    return (field(x + step) - field(x - step)) / (2 * h)


@pytest.mark.parametrize("name", ["uniform", "square"])
def test_the_waves_loss_is_that_of_finite_differences(tmp_path, name):
    task = wave_task(tmp_path, name)
    task.field.double()
    drawn = task.batch(9, torch.Generator().manual_seed(1))
    x, initial = drawn.coordinates.double(), drawn.is_initial
    losses = task.losses(wave.WavePoints(x, initial))
    speed = 1 / task.medium.at(x[:, 1:])[:, None]
    tt, xx, yy = (second_difference(task.field, x, axis) for axis in range(3))
    r = task.recipe
    expected = {
        "equation": (tt - speed * (xx + yy)).abs().mean(),
        "initial_value": r.initial_weight
        * (task.field(x) - task.initial(x[:, 1:])).abs()[initial].mean(),
        "initial_velocity": r.velocity_weight
        * first_difference(task.field, x, 0).abs()[initial].mean(),
    }
    assert losses.keys() == expected.keys()
    for term, value in expected.items():
        assert losses[term].item() == pytest.approx(value.item(), rel=1e-4), term


def test_an_exact_wave_has_no_residual(tmp_path):
    task = wave_task(tmp_path)
    task.field = torch.nn.Module()
    k = torch.tensor([2.0, 1.5], dtype=DOUBLE)

    def standing_wave(txy):
        phase = (txy[..., 1:] * k).sum(-1, keepdim=True)
        return torch.cos(k.norm() * txy[..., :1]) * torch.sin(phase)

    task.field.forward = standing_wave
    points = torch.rand(50, 3, dtype=DOUBLE)
    _, _, residual = task._residual(points)
    assert residual.abs().max() < 1e-10
    points[:, 0] = 0
    assert task._residual(points)[1][..., 0].abs().max() < 1e-12


def test_the_window_of_times_grows_and_the_last_points_are_initial(tmp_path):
    task = wave_task(tmp_path)
    early, late = (task.batch(step, torch.Generator().manual_seed(0)) for step in (0, 9))
    assert early.coordinates[:, 0].max() <= 0.04
    assert 0.3 < late.coordinates[:, 0].max() <= 0.4
    assert late.is_initial.sum() == 20
    assert not late.coordinates[late.is_initial, 0].any()
    assert late.coordinates[-10:, 1:].norm(dim=-1).max() <= 0.25
    assert late.coordinates[:, 1:].abs().max() <= 1


def test_later_points_near_the_source_are_within_its_radius_and_not_at_the_start(tmp_path):
    task = wave_task(tmp_path, later_near_points=30, near_radius=0.2)
    batch = task.batch(9, torch.Generator().manual_seed(0))
    near, others = batch.coordinates[:30], batch.coordinates[30:40]
    assert (near[:, 1:].norm(dim=1) <= 0.2).all()
    assert (near[:, 0] > 0).all()
    assert not batch.is_initial[:30].any()
    assert others[:, 1:].norm(dim=1).max() > 0.2


def test_the_published_weights_are_those_of_the_published_sums():
    """N / 10 and N / 100 on sums over 2000 initial points, against a sum over N points."""
    recipe = WaveRecipe()
    assert recipe.initial_weight == pytest.approx(recipe.initial_points / 10)
    assert recipe.velocity_weight == pytest.approx(recipe.initial_points / 100)


@pytest.mark.parametrize("name", ["uniform", "square"])
def test_helmholtz_loss_is_that_of_finite_differences_of_the_divergence_form(tmp_path, name):
    task = helmholtz_task(tmp_path, name)
    task.field.double()
    x = task.batch(0, torch.Generator().manual_seed(2)).double()
    r, layer = task.recipe, AbsorbingLayer()

    def u(points):
        value = task.field(points)
        return torch.complex(value[:, 0], value[:, 1])

    def flux(points, axis):
        ex, ey = (layer.stretch(points[:, i])[0] for i in (0, 1))
        factor = ey / ex if axis == 0 else ex / ey
        return factor * first_difference(u, points, axis)

    ex, ey = (layer.stretch(x[:, i])[0] for i in (0, 1))
    left = sum(first_difference(lambda p, a=a: flux(p, a), x, a, h=1e-4) for a in (0, 1))
    left = left + ex * ey * task.medium.at(x) * r.wave_number**2 * u(x)
    source = task.source(x)
    residual = (left.real - source).abs() + (left.imag - source).abs()
    losses = task.losses(x)
    outside = residual[source == 0].sum() / len(x)
    inside = r.source_weight * residual[source != 0].sum()
    assert losses["equation"].item() == pytest.approx(outside.item(), rel=1e-4)
    assert losses["source"].item() == pytest.approx(inside.item(), rel=1e-4)
    assert inside.item() > 0


@pytest.mark.parametrize("built", [wave_task, helmholtz_task])
def test_points_taken_in_chunks_give_the_same_step(tmp_path, built):
    whole, split = built(tmp_path), built(tmp_path, points_per_chunk=17)
    for task in (whole, split):
        sum(task.losses(task.batch(5, torch.Generator().manual_seed(3))).values()).backward()
    for a, b in zip(whole.field.parameters(), split.field.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_the_uniform_reference_agrees_with_the_hankel_function(tmp_path):
    task = helmholtz_task(tmp_path, compared_points=81)
    points = helmholtz.grid_points(81)
    far = task.layer.is_outside(points).numpy() & (points.norm(dim=-1).numpy() > 0.2)
    found, expected = task.reference()[far], task._hankel(points)[far]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 0.03


@pytest.mark.parametrize(
    ("recipe", "values", "key"),
    [
        (WaveRecipe, {"initial_points": 10, "near_points": 20}, "initial_points"),
        (WaveRecipe, {"final_time": 0.0}, "final_time"),
        (WaveRecipe, {"later_near_points": 120_000}, "later_near_points"),
        (WaveRecipe, {"points_per_chunk": -1}, "points_per_chunk"),
        (WaveRecipe, {"source_centre": [0.0]}, "source_centre"),
        (HelmholtzRecipe, {"layer_width": 1.0}, "layer_width"),
        (HelmholtzRecipe, {"near_points": 60_000}, "near_points"),
        (HelmholtzRecipe, {"source_centre": [2.0, 0.0]}, "source_centre"),
    ],
)
def test_a_recipe_that_no_run_can_use_names_the_key(recipe, values, key):
    with pytest.raises(InputError, match=key):
        recipe.from_dict(values)
