"""Turned scenes, and amplitudes chosen by the predicted error."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import trimesh

from nir.data.generated import generate
from nir.data.generated_signals import read_signals
from nir.data.signals import power_law_amplitudes, power_law_signals
from nir.errors import InputError
from nir.recipes.signals import PlaneWavesRecipe, SpectrumRecipe, TurnedScenesRecipe
from nir.tasks import plane_waves
from nir.tasks.plane_waves import member_frequencies
from nir.tasks.spectrum import build as build_spectrum
from nir.tasks.spectrum import optimised_amplitudes, predicted_signals
from nir.tasks.turned_scenes import build as build_scenes

CPU = torch.device("cpu")
TINY = SpectrumRecipe(
    steps=2000,
    alpha=1.5,
    powers=3,
    frequencies=8,
    trained_samples=16,
    signals=2,
    width=256,
    optimisation_steps=60,
    optimisation_signals=64,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    for name in ("turned_scene", "power_law_15", "plane_waves"):
        generate(name, folder / f"{name}.npy")
    return folder


# ---- turned scenes ------------------------------------------------------------------------------


def test_turned_pictures_show_the_same_scene(folder):
    pictures = read_signals(folder / "turned_scene.npy")
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    means = pictures.mean((1, 2))
    torch.testing.assert_close(means, means[:1].expand_as(means), atol=1e-3, rtol=0)
    rim = torch.cat([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]])
    assert (rim == 0.5).all()  # nothing is cut off


def test_only_the_straight_scene_has_its_edges_along_the_axes(folder):
    pictures = read_signals(folder / "turned_scene.npy")
    across = pictures[:, 1:, 1:] - pictures[:, 1:, :-1]
    down = pictures[:, 1:, 1:] - pictures[:, :-1, 1:]
    slanted = (across * down).abs().sum((1, 2)) / (across**2 + down**2).sum((1, 2))
    assert (slanted[1:] > 1.5 * slanted[0]).all()
    assert slanted[8] > 5 * slanted[0]  # at 45 degrees


def test_pixels_between_are_not_trained_and_every_member_has_its_picture(folder):
    recipe = TurnedScenesRecipe(resolution=32, angles=4, initialisations=2, features=4, width=8)
    task = build_scenes(recipe, folder / "turned_scene.npy", device=CPU, generator=generator())
    batch = task.batch(0, generator())
    assert batch.shape == (8, 16 * 16, 1)
    assert torch.equal(batch[5, :, 0].reshape(16, 16), task.pictures[1, ::2, ::2])
    fitted = task.fitted()
    assert fitted.shape == (2, 4, 32, 32)
    seen = torch.sigmoid(task.field.evaluate(task.encoded)).detach()
    torch.testing.assert_close(fitted[1, 1, ::2, ::2].flatten(), seen[5, :, 0])


def test_pictures_that_do_not_fit_are_refused(folder):
    for recipe in (TurnedScenesRecipe(angles=17, resolution=32), TurnedScenesRecipe(resolution=36)):
        with pytest.raises(InputError, match="turned_scene"):
            build_scenes(recipe, folder / "turned_scene.npy", device=CPU, generator=generator())


def test_members_of_one_initialisation_share_a_draw_of_frequencies():
    recipe = PlaneWavesRecipe(features=5, initialisations=2)
    drawn = member_frequencies(recipe, 3, 0.5, generator()).reshape(2, 3, 5, 2)
    assert torch.equal(drawn[:, 0], drawn[:, 2])
    assert not torch.equal(drawn[0], drawn[1])
    positional = PlaneWavesRecipe(encoding="positional", features=6, initialisations=2)
    octaves = member_frequencies(positional, 3, 0.5, generator())
    assert torch.equal(octaves[0], octaves[-1])
    assert octaves.max().item() == pytest.approx((2**5 - 1) / 2)


def test_waves_too_many_to_keep_encoded_have_the_same_loss_and_gradient(folder, monkeypatch):
    recipe = PlaneWavesRecipe(
        resolution=16, angles=4, radii=1, initialisations=1, features=4, width=8
    )
    results = []
    for kept in (2**28, 0):
        monkeypatch.setattr(plane_waves, "NUMBERS_KEPT", kept)
        monkeypatch.setattr(plane_waves, "POINTS_AT_ONCE", 24)
        task = plane_waves.build(
            recipe, folder / "plane_waves.npy", device=CPU, generator=generator()
        )
        assert (task.encoded is None) == (kept == 0)
        loss = task.losses(task.batch(0, generator()))["value"]
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in task.field.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_the_turned_ball_is_the_ball_turned(tmp_path):
    balls = []
    for name in ("carved_ball", "carved_ball_turned"):
        generate(name, tmp_path / f"{name}.ply")
        balls.append(trimesh.load(tmp_path / f"{name}.ply"))
    assert balls[0].volume == pytest.approx(balls[1].volume, rel=1e-5)
    root = math.sqrt(0.5)
    expected = torch.tensor([[root, -root, 0], [0.5, 0.5, -root], [0.5, 0.5, root]]).double()
    vertices = [torch.from_numpy(ball.vertices.copy()) for ball in balls]
    torch.testing.assert_close(vertices[1], vertices[0] @ expected.T, atol=1e-5, rtol=0)


# ---- amplitudes ---------------------------------------------------------------------------------


def predicted_error(amplitudes: torch.Tensor) -> float:
    """Of signals that the optimisation has not seen."""
    drawn = power_law_signals(64, 2048, alpha=TINY.alpha, generator=generator(9)).double()
    targets = drawn[:, :: 2048 // 32]
    targets = targets - targets[:, ::2].mean(-1, keepdim=True)
    predicted = predicted_signals(TINY, amplitudes.double(), targets[:, ::2])
    return (predicted - targets)[:, 1::2].square().mean().item()


def test_optimised_amplitudes_have_a_lower_predicted_error_than_where_they_began():
    amplitudes = optimised_amplitudes(TINY)
    assert amplitudes.norm().item() == pytest.approx(1)
    assert (amplitudes >= 0).all()
    start = power_law_amplitudes(TINY.frequencies, math.inf)[1]
    assert predicted_error(amplitudes) < predicted_error(start)


def test_amplitudes_depend_on_the_recipe_alone(folder):
    tasks = [
        build_spectrum(TINY, folder / "power_law_15.npy", device=CPU, generator=generator(seed))
        for seed in (1, 2)
    ]
    assert torch.equal(tasks[0].field.amplitudes, tasks[1].field.amplitudes)
    assert not torch.equal(tasks[0].field.weights[0], tasks[1].field.weights[0])


def test_members_follow_the_predicted_course(folder):
    """The ensemble's gradient descent is the training that the amplitudes were optimised for."""
    recipe = SpectrumRecipe(
        **{
            **{key: getattr(TINY, key) for key in ("alpha", "frequencies", "trained_samples")},
            "steps": 100,
            "learning_rate": 5e-3,
            "powers": 2,
            "signals": 2,
            "width": 512,
            "optimisation_steps": 1,
            "optimisation_signals": 2,
        }
    )
    task = build_spectrum(recipe, folder / "power_law_15.npy", device=CPU, generator=generator(3))
    start = task.field.evaluate(task.encoded).detach()
    descent = torch.optim.SGD(task.field.parameters(), lr=recipe.learning_rate)
    for step in range(recipe.steps):
        descent.zero_grad()
        sum(task.losses(task.batch(step, generator())).values()).backward()
        descent.step()
    learned = (task.field.evaluate(task.encoded).detach() - start)[0, :, 0]  # p = 0
    aim = (task.trained.values[0] - start[0])[:, 0]
    flat = power_law_amplitudes(recipe.frequencies, 0.0)[1].double()
    expected = predicted_signals(recipe, flat, aim[None].double())[0, ::2]
    error = (learned - expected).norm() / expected.norm()
    assert error < 0.1
