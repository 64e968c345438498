"""Images from derivatives: targets, losses against finite differences, alignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.images import write_png
from nir.data.registry import registry
from nir.errors import InputError
from nir.recipes.poisson import DerivativesRecipe, PoissonRecipe
from nir.runs import build_task
from nir.specification import RunSpecification
from nir.tasks import derivatives
from nir.tasks.poisson import affine_alignment, build, image_gradient, image_laplacian

SMALL = {"steps": 1, "resolution": 16, "width": 16}
CPU = torch.device("cpu")


@pytest.fixture
def picture(tmp_path):
    rows, columns = np.mgrid[0:24, 0:24] / 23
    write_png(tmp_path / "picture.png", np.stack([rows, columns, rows * columns], axis=-1))
    write_png(tmp_path / "other.png", np.stack([columns, rows, 1 - rows], axis=-1))
    return tmp_path / "picture.png"


def built(picture, **values):
    recipe = PoissonRecipe.from_dict({**SMALL, **values})
    return build(recipe, picture, device=CPU, generator=torch.Generator().manual_seed(0))


def test_sobels_gradient_of_a_slope_is_its_slope_per_unit_of_coordinate():
    n = 9
    axis = np.linspace(-1, 1, n)
    image = (3 * axis[:, None] - 2 * axis[None, :])[..., None]
    gradient = image_gradient(image)[1:-1, 1:-1, 0]
    np.testing.assert_allclose(gradient, np.broadcast_to([3.0, -2.0], gradient.shape), atol=1e-12)


def test_the_laplacian_of_a_paraboloid_is_constant():
    axis = np.linspace(-1, 1, 11)
    image = (axis[:, None] ** 2 + 2 * axis[None, :] ** 2)[..., None]
    np.testing.assert_allclose(image_laplacian(image)[1:-1, 1:-1], 6.0, rtol=1e-12)


@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("supervision", ["gradient", "laplacian"])
def test_the_loss_is_that_of_the_fields_finite_differences(picture, supervision, colour):
    task = built(picture, supervision=supervision, colour=colour)
    task.field.double()
    x, h = task.coordinates.double(), 1e-4
    steps = h * torch.eye(2, dtype=torch.float64)
    ahead, behind = ([task.field(x + s * step) for step in steps] for s in (1, -1))
    if supervision == "gradient":
        parts = [(a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True)]
        found = torch.stack(parts, dim=-1).flatten(-2)
    else:
        found = (sum(ahead) + sum(behind) - 4 * task.field(x)) / h**2
    error = (found - task.targets) ** 2
    expected = error.sum(-1).mean() if supervision == "gradient" else error.mean()
    batch = task.batch(0, torch.Generator())
    batch = type(batch)(batch.coordinates.double(), batch.targets.double())
    assert task.losses(batch)[supervision].item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_field_without_second_derivatives_still_trains_without_an_error(picture):
    task = built(picture, supervision="laplacian", activation="relu")
    loss = task.losses(task.batch(0, torch.Generator()))["laplacian"]
    loss.backward()
    assert all(not p.grad.any() for p in task.field.parameters())


@pytest.mark.parametrize("supervision", ["value", "gradient", "laplacian"])
def test_chunks_give_the_same_step(picture, supervision):
    losses = []
    tasks = [built(picture, supervision=supervision, points_per_chunk=size) for size in (0, 17)]
    for task in tasks:
        terms = task.losses(task.batch(0, torch.Generator().manual_seed(3)))
        losses.append(terms[supervision].item())
        terms[supervision].backward()
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for a, b in zip(*(task.field.parameters() for task in tasks), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-5)


def test_alignment_undoes_any_affine_change_of_each_channel():
    image = np.random.default_rng(0).random((5, 6, 3))
    changed = image * [2.0, -3.0, 0.1] + [1.0, 0.0, -4.0]
    scale, offset = affine_alignment(changed, image)
    np.testing.assert_allclose(changed * scale + offset, image, atol=1e-12)


def test_alignment_of_a_flat_prediction_is_the_mean():
    image = np.random.default_rng(0).random((4, 4, 1))
    scale, offset = affine_alignment(np.full((4, 4, 1), 7.0), image)
    assert scale.item() == 0
    assert offset.item() == pytest.approx(image.mean())


def test_composing_asks_for_the_mean_of_both_gradients(picture):
    one = built(picture).targets
    other = built(picture.with_name("other.png")).targets
    both = built(picture, composed_with=str(picture.with_name("other.png"))).targets
    torch.testing.assert_close(both, (one + other) / 2)


def test_a_picture_is_composed_with_one_below_the_data_root(picture, tmp_path):
    fetched = tmp_path / "data" / registry()["rendered_text"].path
    write_png(fetched, np.random.default_rng(0).random((24, 24, 3)))
    recipe = PoissonRecipe.from_dict({**SMALL, "composed_with": "rendered_text"})
    run = RunSpecification(task="poisson", subject=str(picture), seed=0, recipe=recipe)
    found = build_task(run, tmp_path / "data", CPU)
    expected = built(picture, composed_with=str(fetched))
    assert torch.equal(found.targets, expected.targets)
    assert run.to_dict()["recipe"]["composed_with"] == "rendered_text"


def test_a_second_picture_that_is_absent_is_asked_for_below_the_data_root(picture, tmp_path):
    recipe = PoissonRecipe.from_dict({**SMALL, "composed_with": "lego"})
    run = RunSpecification(task="poisson", subject=str(picture), seed=0, recipe=recipe)
    with pytest.raises(InputError, match=r"data/.*lego is not there yet; run nir fetch lego"):
        build_task(run, tmp_path / "data", CPU)


def test_random_pixels_depend_on_the_generator_alone(picture):
    task = built(picture, points_per_step=10)
    first, second, third = (
        task.batch(step, torch.Generator().manual_seed(seed)).coordinates
        for step, seed in ((0, 1), (5, 1), (0, 2))
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"resolution": 2}, "resolution"),
        ({"points_per_step": -1}, "points_per_step"),
        ({"amplitude": 0.0}, "amplitude"),
        ({"composed_with": "astronaut", "supervision": "laplacian"}, "composed_with"),
    ],
)
def test_a_recipe_that_no_run_can_use_names_the_key(values, key):
    with pytest.raises(InputError, match=key):
        PoissonRecipe.from_dict(values)


def test_three_fits_in_one_run_are_those_of_runs_of_their_own(picture):
    recipe = DerivativesRecipe.from_dict(SMALL)
    generator = torch.Generator().manual_seed(0)
    together = derivatives.build(recipe, picture, device=CPU, generator=generator)
    losses = together.losses(together.batch(0, torch.Generator()))
    sum(losses.values()).backward()
    for supervision, loss in losses.items():
        alone = built(picture, supervision=supervision)
        expected = alone.losses(alone.batch(0, torch.Generator()))[supervision]
        expected.backward()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        for a, b in zip(
            together.field[supervision].parameters(), alone.field.parameters(), strict=True
        ):
            torch.testing.assert_close(a.grad, b.grad)


def test_three_fits_refuse_what_belongs_to_one(picture):
    with pytest.raises(InputError, match="supervision"):
        DerivativesRecipe.from_dict({**SMALL, "supervision": "laplacian"})
