"""NeX as a task: what a step draws, what its losses measure, what it refuses, what it predicts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nir.data.fetch import fetch
from nir.errors import InputError
from nir.evaluation import compute_metrics
from nir.fields.planes import PlaneField
from nir.metrics.image import gradient_psnr
from nir.predictions import read_array, read_predictions
from nir.recipes.nex import LowMemoryNexRecipe, NexRecipe
from nir.tasks.nex import build, error_of_differences, view_of_step
from nir.tasks.nex_scene import plane_bounds

CPU = torch.device("cpu")
SMALL = {
    "planes": 8,
    "planes_per_group": 2,
    "width": 16,
    "hidden_layers": 1,
    "rays": 60,
    "margin": 3,
    "shrink": 1,
    "video_frames": 0,
    "perceptual": False,
    "transparency": 2.0,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def room(tmp_path_factory):
    return fetch("toy_forward_small", data_root=tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def around(tmp_path_factory):
    return fetch("toy_small", data_root=tmp_path_factory.mktemp("toy"))


@pytest.fixture
def copied(room, tmp_path):
    """A folder with the room's files, to be spoilt."""
    for path in room.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(room)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path


def task_for(scene, **changes):
    recipe = NexRecipe(**{**SMALL, **changes})
    recipe.check("recipe")
    return build(recipe, scene, device=CPU, generator=generator())


def message(scene, **changes) -> str:
    with pytest.raises(InputError) as raised:
        task_for(scene, **changes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_recipes_are_the_papers():
    recipe = NexRecipe()
    assert (recipe.planes, recipe.planes // recipe.planes_per_group) == (192, 16)
    assert (recipe.learning_rate, recipe.base_learning_rate, recipe.anchors) == (1e-3, 1e-2, 2666)
    low = LowMemoryNexRecipe()
    assert (low.planes // low.planes_per_group, low.planes_per_group, low.width) == (12, 6, 256)


def test_a_batch_is_a_function_of_step_and_generator_and_holds_triples(room):
    task = task_for(room)
    batch, again = (task.batch(5, generator(9)) for _ in range(2))
    assert torch.equal(batch.colours, again.colours)
    anchors, right, below = batch.rows.chunk(3)
    assert torch.equal(right, anchors)
    assert torch.equal(below, anchors + 1)
    anchors, right, below = batch.columns.chunk(3)
    assert torch.equal(right, anchors + 1)
    assert torch.equal(below, anchors)
    assert len(batch.views.unique()) == 1
    picture = task.images[batch.views[7], batch.rows[7], batch.columns[7]]
    assert torch.equal(batch.colours[7], picture)


def test_every_view_is_seen_once_an_epoch_in_changing_order():
    epochs = [[view_of_step(step, 7) for step in range(k * 7, k * 7 + 7)] for k in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_constant_error_has_no_differences():
    error = torch.ones(12, 3)
    assert error_of_differences(error) == 0
    error[4:8] = 0.5  # the right neighbours
    assert error_of_differences(error) == pytest.approx(0.5)


def test_losses_are_the_papers_terms_with_their_weights(room):
    task = task_for(room)
    batch = task.batch(0, generator())
    terms = task.losses(batch)
    assert set(terms) == {"colour", "gradient", "variation"}
    doubled = task_for(room, gradient_weight=0.1, total_variation_weight=0.06).losses(batch)
    for name, factor in (("colour", 1), ("gradient", 2), ("variation", 2)):
        assert doubled[name].item() == pytest.approx(factor * terms[name].item(), rel=1e-5)
    bare = task_for(room, gradient_loss="none", base="network").losses(batch)
    assert set(bare) == {"colour"}


def test_derivatives_by_the_pixels_place_are_those_of_small_steps(room):
    task = task_for(room, gradient_loss="analytic", base="network", position_octaves=3)
    batch = task.batch(0, generator())
    zeros = torch.zeros(len(batch.rows), 2, requires_grad=True)
    colour = task.render(batch, shifts=zeros).colour
    (derivative,) = torch.autograd.grad(colour.sum(), zeros)
    step = 1e-2
    for axis in range(2):
        moved = torch.zeros(len(batch.rows), 2)
        moved[:, axis] = step
        with torch.no_grad():
            after, before = (task.render(batch, shifts=s).colour.sum(-1) for s in (moved, -moved))
        slope = (after - before) / (2 * step)
        close = (derivative[:, axis] - slope).abs() < 0.02 * slope.abs().max() + 1e-3
        assert close.float().mean() > 0.95  # a clamp or a border may lie between


def test_the_analytic_gradient_loss_reaches_every_parameter(room):
    task = task_for(room, gradient_loss="analytic")
    terms = task.losses(task.batch(0, generator()))
    terms["gradient"].backward()
    for parameter in (task.field.base, *task.field.network.parameters()):
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().max() > 0


def test_training_lowers_the_loss_and_the_base_learns_faster(room):
    task = task_for(room, base_learning_rate=0.05, total_variation_weight=0.0)
    groups = task.parameter_groups(5e-3)
    assert [group["lr"] for group in groups] == [5e-3, 0.05]
    optimiser = torch.optim.Adam(groups)
    losses = []
    for step in range(60):
        loss = task.losses(task.batch(step, generator(step)))["colour"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_a_capture_from_around_is_refused_with_its_angle(around):
    said = message(around, shrink=1)
    assert "from around" in said
    assert "degrees" in said
    assert "nerf" in said


def test_a_missing_or_held_out_reference_view_is_named(room):
    assert "image099.png" in message(room, reference_view="image099.png")
    assert "held out" in message(room, reference_view="image000.png")
    named = task_for(room, reference_view="image002.png")
    assert np.allclose(named.field.stack.camera_to_world, named.scene.cameras.camera_to_world[2])


def test_more_training_views_than_there_are_is_refused(room):
    assert "train_views 8, but there are 7" in message(room, train_views=8)


def test_planes_before_which_no_view_stands_are_refused(room):
    assert "reference view" in message(room, near=0.01, far=8.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"near": 5.0, "far": 2.0}, "exchange"),
        ({"near": 2.0}, "both"),
        ({"near": -1.0, "far": 2.0}, "near"),
        ({"planes": 8, "planes_per_group": 3}, "does not divide"),
        ({"base_shrink": 0}, "base_shrink"),
        ({"method": "nearest_view"}, "nothing to train"),
    ],
)
def test_recipes_that_cannot_be_run_are_refused(changes, says):
    with pytest.raises(InputError, match=says):
        NexRecipe.from_dict({**SMALL, **changes})


def test_bounds_of_a_capture_that_are_zero_or_reversed_are_named(copied):
    rows = np.load(copied / "poses_bounds.npy")
    for near, far in ((0.0, 4.0), (5.0, 2.0)):
        rows[3, -2:] = near, far
        np.save(copied / "poses_bounds.npy", rows)
        assert "image003.png" in message(copied)


def test_planes_txt_says_where_planes_stand(copied):
    (copied / "planes.txt").write_text("2.5 7.5 0\n")
    task = task_for(copied)
    depths = task.field.stack.depths * task.scene.world_from_scene.scale
    np.testing.assert_allclose(depths, np.linspace(2.5, 7.5, 8))
    (copied / "planes.txt").write_text("7.5 2.5\n")
    assert "planes.txt" in message(copied)
    (copied / "planes.txt").write_text("near\n")
    assert "two numbers" in message(copied)
    assert plane_bounds(NexRecipe(near=1.0, far=2.0), task.scene, copied)[0] == pytest.approx(
        1 / task.scene.world_from_scene.scale
    )


def test_predictions_hold_views_depth_glossy_parts_and_training_views(room, tmp_path):
    task = task_for(room, compared_training_views=2, video_frames=2)
    task.predict(tmp_path)
    predictions = read_predictions(tmp_path)
    assert {item.split for item in predictions.items} >= {"test", "depth", "train"}
    assert (tmp_path / "path.mp4").stat().st_size > 0
    shown = read_array(tmp_path / "test-000-prediction.npy")
    assert shown.shape == (18, 24, 3)
    rows = {(row["split"], row["metric"]): row["value"] for row in compute_metrics(predictions)}
    assert rows["test", "ssim_skimage_gauss_r2"] > rows["test", "ssim_tf"]
    assert json.loads((tmp_path / "predictions.json").read_text())["protocol"].startswith("toy-f")


def test_a_field_that_is_stored_comes_back_the_same(room):
    task = task_for(room)
    stored = task.field.state_dict()
    other = task_for(room)
    for parameter in other.field.parameters():
        parameter.data.zero_()
    other.field.load_state_dict(stored)
    assert isinstance(other.field, PlaneField)
    assert torch.equal(other.field.base, task.field.base)


def test_equal_gradients_are_perfect_whatever_the_brightness():
    image = np.random.default_rng(0).random((12, 12, 3)) * 0.5
    assert gradient_psnr(image + 0.3, image) > 100
    assert gradient_psnr(image[::-1], image) < 20
