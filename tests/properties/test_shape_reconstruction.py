"""Reconstructing shapes: every method learns, predicts what is compared, and fails in the open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from nir.data.shape_preparation import write_families
from nir.data.shape_sets import ShapeSet
from nir.errors import InputError
from nir.evaluation import compute_metrics
from nir.predictions import read_predictions
from nir.random import generator_for
from nir.recipes.shape_reconstruction import (
    GenerationRecipe,
    PointsRecipe,
    RepresentationRecipe,
    ShapeReconstructionRecipe,
    VoxelsRecipe,
)
from nir.runs import build_task
from nir.specification import RunSpecification
from nir.tasks.shape_reconstruction import build, load_image_weights
from nir.tasks.shape_reconstruction_predictions import diamonds

TINY = {
    "steps": 1,
    "batch_shapes": 2,
    "test_shapes": 1,
    "code_size": 8,
    "encoder_width": 2,
    "image_size": 32,
    "cloud_points": 32,
    "points_per_shape": 32,
    "decoder_width": 8,
    "start_cells": 4,
    "doublings": 1,
    "voxel_width": 1,
    "set_width": 8,
    "set_points": 16,
    "surface_targets": 32,
    "atlas_code_size": 8,
    "atlas_patches": 2,
    "atlas_points": 32,
    "graph_width": 4,
    "graph_blocks": 1,
    "graph_subdivisions": 0,
    "tested_points": 100,
    "shown_shapes": 1,
    "shown_pixels": 24,
}
METHODS = ("occupancy", "voxels", "point_set", "pixel2mesh", "atlasnet", "atlasnet_sphere")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("families") / "chairs"
    write_families(path, ShapeSet(families=("chairs",), train=2, val=1, test=1, preparation="tiny"))
    return path


def task_of(folder, recipe_class=ShapeReconstructionRecipe, **changes):
    recipe = recipe_class(**{**TINY, **changes})
    return build(
        recipe, folder, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0)
    )


def draw(task, step=0):
    return task.batch(step, generator_for(0, "step", step))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_gradients_everywhere_and_predicts(folder, tmp_path, method):
    task = task_of(folder, method=method)
    losses = task.losses(draw(task))
    sum(losses.values()).backward()
    without = [n for n, p in task.field.named_parameters() if p.grad is None]
    assert not without
    task.predict(tmp_path)
    rows = {(row["split"], row["metric"]) for row in compute_metrics(read_predictions(tmp_path))}
    assert {("test", "chamfer_l1"), ("test", "failed"), ("", "encoder_from_imagenet")} <= rows
    assert (("test", "iou_volume") in rows) == (method not in ("point_set", "atlasnet"))


@pytest.mark.parametrize(
    ("recipe_class", "changes"),
    [
        (PointsRecipe, {"decoder": "conditional_plain", "sampling": "equal"}),
        (PointsRecipe, {"decoder": "added", "sampling": "surface"}),
        (VoxelsRecipe, {}),
        (RepresentationRecipe, {"voxel_resolutions": (4,)}),
        (GenerationRecipe, {"code_size": 0, "latent_size": 3}),
    ],
)
def test_every_kind_of_input_is_trained_and_predicted(folder, tmp_path, recipe_class, changes):
    task = task_of(folder, recipe_class, **changes)
    sum(task.losses(draw(task)).values()).backward()
    task.predict(tmp_path)
    splits = {row["split"] for row in compute_metrics(read_predictions(tmp_path))}
    assert {"test", "train"} & splits
    assert ("input" in splits) == (recipe_class is VoxelsRecipe)
    assert ("voxels 4" in splits) == (recipe_class is RepresentationRecipe)


@pytest.mark.parametrize("method", ["occupancy", "atlasnet", "pixel2mesh"])
def test_a_batch_depends_on_the_step_alone(folder, method):
    task = task_of(folder, method=method)
    first, again, other = draw(task, 3), draw(task, 3), draw(task, 4)
    for key, values in first.items():
        torch.testing.assert_close(values, again[key])
    assert any(not torch.equal(values, other[key]) for key, values in first.items())


def test_half_of_the_points_are_inside_where_the_recipe_says_so(folder):
    inside = draw(task_of(folder, PointsRecipe, sampling="equal"))["inside"]
    assert inside.mean() == pytest.approx(0.5)


def test_an_empty_surface_counts_as_failed_in_every_mean(folder, tmp_path):
    task = task_of(folder, PointsRecipe)
    with torch.no_grad():  # nothing is inside
        task.field.decoder.last.weight.zero_()
        task.field.decoder.last.bias.fill_(-100)
    task.predict(tmp_path)
    values = {row["metric"]: row["value"] for row in compute_metrics(read_predictions(tmp_path))}
    assert values["failed"] == 1
    assert values["iou_volume"] == 0
    assert values["chamfer_l1"] == pytest.approx(10 * 3**0.5)
    assert values["normal_consistency"] == -1


def test_a_decoder_learns_two_shapes_by_heart(folder):
    task = task_of(
        folder, RepresentationRecipe, points_per_shape=256, decoder_width=32, voxel_resolutions=()
    )
    optimiser = torch.optim.Adam(task.field.parameters(), lr=5e-3)
    for step in range(100):
        optimiser.zero_grad()
        loss = task.losses(draw(task, step))["occupancy"]
        loss.backward()
        optimiser.step()
    batch = draw(task, 1000)
    task.field.eval()
    logits = task.field.decoder(batch["points"], task.field.code(batch))
    assert ((logits > 0) == (batch["inside"] > 0.5)).float().mean() > 0.93


def test_refined_and_simplified_meshes_have_fewer_faces(folder):
    task = task_of(folder, PointsRecipe, start_cells=8)
    plain, changed = (
        task_of(folder, PointsRecipe, start_cells=8, **changes)
        for changes in ({}, {"faces_at_most": 60, "refinement_steps": 2})
    )
    inputs = {"input": draw(task)["input"][:1]}
    surfaces = []
    for one in (plain, changed):
        one.field.eval()
        one.field.decoder.last.bias.data.fill_(2.0)
        with torch.no_grad():
            surfaces.append(one.field.surface(inputs))
    assert len(surfaces[1].faces) <= 60 < len(surfaces[0].faces)


def test_diamonds_are_closed_and_stand_at_their_points():
    points = np.array([[0.1, 0.2, 0.3], [-0.2, 0.0, 0.1]])
    surface = diamonds(points, 0.01)
    pieces = surface.split()
    assert all(piece.is_watertight and piece.volume > 0 for piece in pieces)
    centres = sorted(piece.vertices.mean(axis=0).tolist() for piece in pieces)
    np.testing.assert_allclose(centres, sorted(points.tolist()))
    assert isinstance(surface, trimesh.Trimesh)


def test_image_weights_that_are_missing_or_others_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="nir fetch resnet18_imagenet"):
        task_of(folder, image_weights=str(tmp_path / "none.pth"))
    path = tmp_path / "others.pth"
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="not weights of ResNet-18"):
        task_of(folder, image_weights=str(path))


def test_image_weights_are_loaded_without_the_classifier(folder, tmp_path):
    source, target = (task_of(folder).field.encoder.features for _ in range(2))
    with torch.no_grad():
        source.conv1.weight.fill_(0.5)
    path = tmp_path / "weights.pth"
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1000, 16)}, path)
    load_image_weights(target, path)
    assert (target.conv1.weight == 0.5).all()


def test_image_weights_may_be_named_as_the_registry_does(folder, tmp_path):
    recipe = ShapeReconstructionRecipe(**TINY, image_weights="resnet18_imagenet")
    run = RunSpecification(task="occupancy_image", subject=str(folder), seed=0, recipe=recipe)
    path = tmp_path / "weights/resnet18-f37072fd.pth"
    with pytest.raises(InputError, match=f"{path}: .* run nir fetch resnet18_imagenet"):
        build_task(run, tmp_path, torch.device("cpu"))
    weights = task_of(folder).field.encoder.features.state_dict()
    weights["conv1.weight"].fill_(0.5)
    path.parent.mkdir()
    torch.save(weights, path)
    task = build_task(run, tmp_path, torch.device("cpu"))
    assert (task.field.encoder.features.conv1.weight == 0.5).all()
    assert run.to_dict()["recipe"]["image_weights"] == "resnet18_imagenet"


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "pixel2mesh", "input": "points"},
        {"input": "none"},
        {"threshold": 1.0},
        {"batch_shapes": 0},
    ],
)
def test_recipes_that_cannot_run_are_refused(changes):
    values = dataclasses.asdict(ShapeReconstructionRecipe()) | changes
    with pytest.raises(InputError):
        ShapeReconstructionRecipe.from_dict(values)
