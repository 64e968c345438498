"""Completing images: encoders, hypernetworks, contexts, and priors on derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.images import write_png
from nir.errors import InputError
from nir.networks.hyper import HyperNetwork, SetEncoder, mean_square
from nir.networks.mlp import MLP
from nir.recipes.inpainting import CompletionRecipe, PriorRecipe
from nir.tasks import completion, inpainting

CPU = torch.device("cpu")
PRIOR = {
    "steps": 1,
    "resolution": 8,
    "test_images": 2,
    "batch_images": 4,
    "context_least": 3,
    "context_most": 12,
    "tested_contexts": [5],
    "code_size": 6,
    "encoder_width": 8,
    "width": 10,
    "hyper_width": 7,
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def faces(tmp_path):
    np.save(tmp_path / "faces.npy", np.random.default_rng(0).random((9, 10, 10)))
    return tmp_path / "faces.npy"


def prior_task(path, **values):
    recipe = PriorRecipe.from_dict({**PRIOR, **values})
    return inpainting.build(recipe, path, device=CPU, generator=seeded())


def context(task, seed=1):
    return task.batch(0, seeded(seed))


def test_a_set_has_no_order_and_unknown_pixels_do_not_speak():
    encoder = SetEncoder(1, 8, 5, generator=seeded())
    places, values = torch.rand(2, 6, 2), torch.rand(2, 6, 1)
    known = torch.tensor([[True, True, False, True, False, False]] * 2)
    code = encoder(places, values, known)
    order = torch.tensor([5, 3, 1, 0, 2, 4])
    torch.testing.assert_close(encoder(places[:, order], values[:, order], known[:, order]), code)
    changed = torch.where(known[..., None], values, values + 7)
    torch.testing.assert_close(encoder(places, changed, known), code)


@pytest.mark.parametrize("encoder", ["set", "convolution"])
def test_codes_depend_on_known_pixels_alone(faces, encoder):
    task = prior_task(faces, encoder=encoder, colour="grey")
    batch = context(task)
    changed = torch.where(batch.known[..., None], batch.images, 0.3)
    other = inpainting.Contexts(changed, batch.known)
    codes = [task.field.codes(*task._seen(b)) for b in (batch, other)]
    torch.testing.assert_close(*codes)


def test_made_weights_give_the_same_field_as_a_network_that_has_them(faces):
    task = prior_task(faces)
    weights = task.field(*task._seen(context(task)))
    images = task.field.evaluate(weights, task.coordinates)
    network = MLP(2, 3, width=10, activation="sine", generator=seeded())
    network.load_state_dict({name: tensor[1] for name, tensor in weights.items()})
    torch.testing.assert_close(images[1], network(task.coordinates), atol=1e-5, rtol=1e-4)


def test_a_hypernetwork_starts_near_weights_that_a_field_could_have():
    target = MLP(2, 1, width=10, activation="sine", generator=seeded())
    hyper = HyperNetwork(target, 6, 7, generator=seeded())
    made = hyper(torch.randn(3, 6, generator=seeded()))
    assert {n: t.shape[1:] for n, t in made.items()} == {
        n: p.shape for n, p in target.named_parameters()
    }
    assert made["layers.1.weight"].abs().max() < 1.5 / 10
    assert made["layers.0.weight"].abs().max() > 1 / 10


def test_a_steps_contexts_have_between_the_least_and_the_most_known_pixels(faces):
    task = prior_task(faces, batch_images=200)
    counts = context(task).known.sum(dim=1)
    assert counts.min() == 3
    assert counts.max() == 12


def test_the_upper_half_has_the_first_rows_alone(faces):
    task = prior_task(faces)
    upper, lower, left, right = task.halves().unflatten(1, (8, 8))
    assert upper[:4].all()
    assert not upper[4:].any()
    assert torch.equal(lower, upper.flip(0))
    assert torch.equal(left, upper.T)
    assert torch.equal(right, left.flip(1))
    assert torch.equal(task.tested_contexts()["known_half"][0], upper.flatten())


def test_as_many_training_images_as_asked_are_known_by_half(faces):
    task = prior_task(faces, batch_images=400, half_share=0.25, context_most=20)
    known = context(task).known
    is_half = torch.stack([(known == half).all(dim=1) for half in task.halves()])
    assert is_half.any(dim=0).float().mean().item() == pytest.approx(0.25, abs=0.06)
    assert (is_half.sum(dim=1) > 10).all()


def test_a_half_of_the_training_images_is_mirrored(faces):
    plain = context(prior_task(faces, batch_images=200)).images
    mirrored = context(prior_task(faces, batch_images=200, mirrored=True)).images
    same = (plain == mirrored).all(dim=2).all(dim=1)
    assert same.float().mean().item() == pytest.approx(0.5, abs=0.12)
    turned = plain.unflatten(1, (8, 8)).flip(2).flatten(1, 2)
    assert torch.equal(mirrored[~same], turned[~same])


def test_the_loss_has_the_published_weights(faces):
    task = prior_task(faces)
    batch = context(task)
    losses = task.losses(batch)
    codes = task.field.codes(*task._seen(batch))
    weights = task.field.hyper(codes)
    error = task.field.evaluate(weights, task.coordinates) - batch.images
    every = torch.cat([t.flatten() for t in weights.values()])
    assert losses["pixels"].item() == pytest.approx((error**2).mean().item(), rel=1e-5)
    assert losses["code"].item() == pytest.approx(0.1 * (codes**2).mean().item(), rel=1e-5)
    assert losses["weights"].item() == pytest.approx(100 * (every**2).mean().item(), rel=1e-5)
    assert mean_square(weights).item() == pytest.approx((every**2).mean().item(), rel=1e-5)


def test_every_trained_number_is_moved_by_the_loss(faces):
    """Some bias of a narrow ReLU layer may rest for a step; no tensor of weights does."""
    for encoder in ("set", "convolution"):
        task = prior_task(faces, encoder=encoder, encoder_width=16, hyper_width=16)
        sum(task.losses(context(task)).values()).backward()
        assert all(p.grad is not None for p in task.field.parameters())
        assert all(p.grad.any() for p in task.field.parameters() if p.ndim > 1)


def test_images_come_from_folders_too(tmp_path):
    for number in range(4):
        picture = np.random.default_rng(number).random((12, 9, 3))
        write_png(tmp_path / "pictures" / f"{number}.png", picture)
    task = prior_task(tmp_path / "pictures")
    assert task.trained.shape == (2, 64, 3)
    assert task.tested.shape == (2, 64, 3)


@pytest.mark.parametrize(
    "array", [np.zeros((9, 4)), np.full((9, 8, 8), 2.0), np.zeros((2, 8, 8)), np.zeros((0, 8, 8))]
)
def test_what_is_no_set_of_images_is_an_error_that_names_the_file(tmp_path, array):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(InputError, match=r"images\.npy"):
        prior_task(tmp_path / "images.npy")


@pytest.fixture
def photo(tmp_path):
    write_png(tmp_path / "photo.png", np.random.default_rng(0).random((20, 20, 3)))
    return tmp_path / "photo.png"


def completion_task(path, **values):
    small = {"steps": 1, "resolution": 16, "width": 12, "prior_points": 9}
    recipe = CompletionRecipe.from_dict({**small, **values})
    return completion.build(recipe, path, device=CPU, generator=seeded())


def test_the_known_part_is_as_large_as_asked_and_the_same_for_all_variants(photo):
    first = completion_task(photo, resolution=64, known_fraction=0.3)
    second = completion_task(photo, resolution=64, known_fraction=0.3, prior="hessian")
    assert first.known.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(first.known, second.known)


@pytest.mark.parametrize("prior", ["total_variation", "hessian"])
def test_the_priors_are_those_of_finite_differences(photo, prior):
    weights = {"prior_weight": 0.5, "bending_weight": 0.5}
    task = completion_task(photo, prior=prior, **weights)
    task.field.double()
    drawn = task.batch(0, seeded())
    batch = completion.KnownPixels(
        drawn.coordinates.double(), drawn.values.double(), drawn.places.double()
    )
    x, h = batch.places, 1e-4
    steps = h * torch.eye(2, dtype=torch.float64)
    field = task.field
    if prior == "total_variation":
        parts = [(field(x + s) - field(x - s)) / (2 * h) for s in steps]
    else:
        parts = [
            (field(x + a + b) - field(x + a - b) - field(x - a + b) + field(x - a - b)) / (4 * h**2)
            for a in steps
            for b in steps
        ]
    expected = 0.5 * torch.stack(parts, dim=-1).norm(dim=-1).mean()
    assert task.losses(batch)[prior].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("recipe", "values", "key"),
    [
        (PriorRecipe, {"context_most": 2000}, "context_most"),
        (PriorRecipe, {"test_images": 0}, "test_images"),
        (PriorRecipe, {"half_share": 1.5}, "half_share"),
        (CompletionRecipe, {"known_fraction": 1.0}, "known_fraction"),
        (CompletionRecipe, {"prior_weight": -1.0}, "prior_weight"),
        (CompletionRecipe, {"bending_weight": -1.0}, "bending_weight"),
    ],
)
def test_a_recipe_that_no_run_can_use_names_the_key(recipe, values, key):
    with pytest.raises(InputError, match=key):
        recipe.from_dict(values)
