"""Full-waveform inversion: places, data, the loss in both stages, what is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.surveys import Survey, write_survey
from nir.data.waves import (
    AbsorbingLayer,
    Medium,
    gaussian_source,
    grid_points,
    medium_of,
    solve_helmholtz,
)
from nir.errors import InputError
from nir.predictions import read_predictions
from nir.recipes.inversion import InversionRecipe
from nir.tasks import inversion

SMALL = {
    "steps": 4,
    "known_steps": 2,
    "width": 16,
    "points_per_step": 60,
    "near_points": 12,
    "near_radius": 0.15,
    "sources": 2,
    "receivers": 12,
    "wave_number": 5.0,
    "source_variance": 5e-3,
    "reference_points": 41,
    "compared_points": 21,
    "omega_0": 5.0,
    "first_omega_0": 5.0,
}


def built(folder, **values):
    np.save(folder / "medium.npy", medium_of("disc"))
    recipe = InversionRecipe.from_dict({**SMALL, **values})
    generator = torch.Generator().manual_seed(0)
    return inversion.build(
        recipe, folder / "medium.npy", device=torch.device("cpu"), generator=generator
    )


def test_receivers_lie_on_the_perimeter_at_equal_distances():
    recipe = InversionRecipe()
    places = inversion.receiver_places(recipe)
    torch.testing.assert_close(
        places.abs().amax(dim=-1), torch.full((30,), 0.4, dtype=torch.float64)
    )
    assert len(torch.unique(places.round(decimals=6), dim=0)) == 30
    assert (places.mean(dim=0).abs() < 0.02).all()


def test_data_are_the_reference_solution_at_the_receivers(tmp_path):
    task = built(tmp_path)
    r, medium = task.recipe, Medium(1 / medium_of("disc") ** 2)
    points = grid_points(41)
    place = tuple(inversion.source_places(r)[1].tolist())
    source = gaussian_source(points, place, r.source_variance).numpy() * (1 + 1j)
    field = solve_helmholtz(source, medium, r.wave_number, AbsorbingLayer())
    receiver = task.receivers[0].double()
    cell = ((receiver + 1) * 20).floor().long()
    part = ((receiver + 1) * 20 - cell).numpy()
    i, j = cell.tolist()
    corners = field[i : i + 2, j : j + 2]
    expected = np.array([1 - part[0], part[0]]) @ corners @ np.array([1 - part[1], part[1]])
    found = task.data[0, 2:]
    assert found.tolist() == pytest.approx([expected.real, expected.imag], rel=1e-4)


@pytest.mark.parametrize("first_stage", [True, False])
def test_the_loss_is_that_of_finite_differences(tmp_path, first_stage):
    task = built(tmp_path)
    task.field.double()
    task.receivers, task.data = task.receivers.double(), task.data.double()
    step = 0 if first_stage else 3
    drawn = task.batch(step, torch.Generator().manual_seed(1))
    assert drawn.is_first_stage == first_stage
    x, r, layer = drawn.points.double(), task.recipe, AbsorbingLayer()

    def u(points):
        value = task.field(points)[:, :-1]
        return torch.complex(value[:, 0::2].contiguous(), value[:, 1::2].contiguous())

    def difference(function, points, axis, h):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = h
        return (function(points + step) - function(points - step)) / (2 * h)

    def flux(points, axis):
        ex, ey = (layer.stretch(points[:, i])[0][:, None] for i in (0, 1))
        return (ey / ex if axis == 0 else ex / ey) * difference(u, points, axis, 1e-5)

    found = (task.field(x)[:, -1] + 1).clamp(min=1e-3)
    slowness = torch.where(x.abs().amax(dim=-1) > 0.75, 1.0, found)
    used = torch.ones_like(slowness) if first_stage else slowness
    ex, ey = (layer.stretch(x[:, i])[0] for i in (0, 1))
    left = sum(difference(lambda p, a=a: flux(p, a), x, a, 1e-4) for a in (0, 1))
    left = left + (ex * ey * used)[:, None] * r.wave_number**2 * u(x)
    source = task.sources(x)
    residual = (left.real - source).abs() + (left.imag - source).abs()
    expected = {
        "equation": residual[source == 0].sum() / len(x),
        "source": r.source_weight * residual[source != 0].sum(),
        "medium": torch.zeros(()),
        "data": torch.zeros(()),
    }
    if first_stage:
        expected["medium"] = (slowness - 1).abs().mean()
    else:
        heard = task.field(task.receivers)[:, :-1]
        expected["data"] = r.data_weight / 12 * (heard - task.data).abs().sum()
    losses = task.losses(inversion.InversionPoints(x, first_stage))
    assert losses.keys() == expected.keys()
    for term, value in expected.items():
        assert losses[term].item() == pytest.approx(value.item(), rel=1e-4), term


def built_of_survey(path, **values):
    recipe = InversionRecipe.from_dict({**SMALL, **values})
    generator = torch.Generator().manual_seed(0)
    return inversion.build(recipe, path, device=torch.device("cpu"), generator=generator)


def some_survey(sources=3, receivers=7):
    draw = np.random.default_rng(0)
    heard = draw.normal(size=(receivers, sources, 2)) @ [1, 1j]
    places = [draw.uniform(-0.4, 0.4, (count, 2)) for count in (sources, receivers)]
    return Survey(sources=places[0], receivers=places[1], heard=heard)


def test_a_survey_brings_its_own_sources_receivers_and_data(tmp_path):
    survey = some_survey()
    write_survey(tmp_path / "survey.mat", survey)
    task = built_of_survey(tmp_path / "survey.mat")
    assert task.medium is None
    assert task.field.network.last.out_features == 7
    np.testing.assert_allclose(task.places, survey.sources, rtol=1e-6)
    np.testing.assert_allclose(task.receivers, survey.receivers, rtol=1e-6)
    np.testing.assert_allclose(task.data[:, 2::2].T[0], survey.heard.real[:, 1], rtol=1e-6)
    np.testing.assert_allclose(task.data[:, 3::2].T[0], survey.heard.imag[:, 1], rtol=1e-6)


def test_a_survey_of_a_medium_gives_the_same_loss_as_the_medium(tmp_path):
    task = built(tmp_path)
    survey = inversion.survey_of(task.recipe, Medium(1 / medium_of("disc") ** 2))
    write_survey(tmp_path / "survey.mat", survey)
    other = built_of_survey(tmp_path / "survey.mat")
    for step in (0, 3):
        batch = task.batch(step, torch.Generator().manual_seed(2))
        expected, found = task.losses(batch), other.losses(batch)
        assert {n: t.item() for n, t in found.items()} == {n: t.item() for n, t in expected.items()}


def test_without_a_true_medium_what_was_heard_is_compared_alone(tmp_path):
    write_survey(tmp_path / "survey.mat", some_survey())
    (tmp_path / "out").mkdir()
    built_of_survey(tmp_path / "survey.mat").predict(tmp_path / "out")
    predictions = read_predictions(tmp_path / "out")
    assert {item.split for item in predictions.items} == {"heard"}
    assert not predictions.numbers
    assert "recovered" in predictions.arrays


@pytest.mark.parametrize("step", [0, 3])
def test_chunks_give_the_same_step(tmp_path, step):
    whole, split = built(tmp_path), built(tmp_path, points_per_chunk=17)
    for task in (whole, split):
        terms = task.losses(task.batch(step, torch.Generator().manual_seed(3)))
        sum(terms.values()).backward()
    for a, b in zip(whole.field.parameters(), split.field.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_the_medium_is_known_in_the_border_and_positive_everywhere(tmp_path):
    task = built(tmp_path)
    with torch.no_grad():
        task.field.network.last.bias[-1] = -50.0
    inside, border = torch.tensor([[0.0, 0.1]]), torch.tensor([[0.8, 0.0]])
    assert task.squared_slowness(inside).item() == pytest.approx(1e-3)
    assert task.squared_slowness(border).item() == 1


def test_the_centre_of_an_anomaly_is_where_it_lies():
    points = grid_points(41).numpy()
    anomaly = np.where(np.linalg.norm(points - [0.2, -0.1], axis=-1) < 0.15, -0.3, 0.0)
    inner = np.abs(points).max(-1) < 0.5
    centre = inversion.anomaly_centre(anomaly, points, inner)
    np.testing.assert_allclose(centre, [0.2, -0.1], atol=0.01)  # a fifth of a cell


@pytest.mark.parametrize(
    ("values", "key"),
    [({"receivers": 0}, "receivers"), ({"source_reach": 0.6}, "source_reach")],
)
def test_a_recipe_that_no_run_can_use_names_the_key(values, key):
    with pytest.raises(InputError, match=key):
        InversionRecipe.from_dict(values)
