"""Shape metrics: against closed forms, their papers' conventions, and failures made visible."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from nir.errors import InputError
from nir.evaluation import compute_metrics
from nir.metrics import METRICS, metric
from nir.metrics.shape import (
    chamfer_l1,
    chamfer_l2_sum,
    earth_movers,
    f_score,
    iou_volume,
    mesh_accuracy,
    mesh_completion,
    normal_consistency,
)
from nir.predictions import Item, Predictions

SHAPE_METRICS = sorted(name for name, entry in METRICS.items() if entry.compares == "surfaces")


@pytest.fixture(scope="module")
def small() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=0.48)


@pytest.fixture(scope="module")
def large() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=0.5)


def test_iou_of_concentric_balls_is_the_ratio_of_volumes(small, large):
    assert iou_volume(small, large) == pytest.approx(0.96**3, abs=0.01)
    assert iou_volume(large, large) == 1


def test_iou_takes_points_with_occupancies(small, large):
    points = np.random.default_rng(0).uniform(-0.55, 0.55, (50_000, 3))
    inside = np.linalg.norm(points, axis=1) < 0.5
    reference = np.column_stack([points, inside])
    assert iou_volume(small, reference) == pytest.approx(0.96**3, abs=0.01)


def test_iou_of_a_mesh_with_a_hole_is_still_near_one(large):
    holed = trimesh.Trimesh(large.vertices, large.faces[30:], process=False)
    assert iou_volume(holed, large) > 0.98


def test_chamfer_of_concentric_balls_follows_both_papers_conventions(small, large):
    gap = 0.02
    assert chamfer_l1(small, large) == pytest.approx(10 * gap, rel=0.02)
    assert chamfer_l2_sum(small, large) == pytest.approx(1e3 * 2 * gap**2, rel=0.1)


def test_chamfer_of_points_agrees_with_all_pairs():
    one, other = np.random.default_rng(0).normal(size=(2, 200, 3))
    pairs = np.linalg.norm(one[:, None] - other[None], axis=2)
    there, back = pairs.min(1), pairs.min(0)
    assert chamfer_l1(one, other) == pytest.approx(10 * 0.5 * (there.mean() + back.mean()))
    assert chamfer_l2_sum(one, other) == pytest.approx(1e3 * ((there**2).mean() + (back**2).mean()))


def test_distances_are_symmetric_where_their_formula_is():
    one, other = 0.02 * np.random.default_rng(1).normal(size=(2, 200, 3))
    for distance in (chamfer_l1, chamfer_l2_sum, normal_consistency):
        if distance is normal_consistency:
            one, other = np.hstack([one, one]), np.hstack([other, other])
        assert distance(one, other) == pytest.approx(distance(other, one))


def test_normals_agree_for_a_ball_and_ignore_orientation(small, large):
    turned = small.copy()
    turned.invert()
    assert normal_consistency(small, large) > 0.99
    assert normal_consistency(turned, large) == pytest.approx(normal_consistency(small, large))


def test_normals_of_a_surface_turned_at_right_angles_do_not_agree():
    points = np.random.default_rng(0).uniform(size=(500, 3))
    up, across = (np.hstack([points, np.tile(n, (500, 1))]) for n in ([0, 0, 1], [1, 0, 0]))
    assert normal_consistency(up, across) == 0
    assert normal_consistency(up, up) == 1
    with pytest.raises(InputError, match="normals"):
        normal_consistency(points, up)


def test_f_score_falls_from_one_to_zero_with_the_distance():
    points = np.random.default_rng(0).uniform(size=(2000, 3))
    assert f_score(points + 0.005, points) == 1
    assert f_score(points + 3.0, points) == 0


def test_f_score_is_the_harmonic_mean_of_precision_and_recall(large):
    half = trimesh.Trimesh(
        large.vertices, large.faces[large.triangles_center[:, 2] > 0], process=False
    )
    recall = 0.5
    assert f_score(half, large) == pytest.approx(2 * recall / (1 + recall), abs=0.02)


def test_mesh_accuracy_is_a_quantile_and_completion_a_share(small, large):
    assert mesh_accuracy(small, large) == pytest.approx(0.02, abs=0.001)
    half = trimesh.Trimesh(
        large.vertices, large.faces[large.triangles_center[:, 2] > 0], process=False
    )
    assert mesh_accuracy(half, large) < 1e-9
    assert mesh_completion(half, large) == pytest.approx(0.5, abs=0.05)
    assert mesh_completion(large, large) == 1


def test_earth_movers_distance_of_moved_points_is_the_way_moved():
    points = np.random.default_rng(0).normal(size=(500, 3))
    shuffled = points[::-1] + np.array([0.001, 0, 0])
    assert earth_movers(points, shuffled) == pytest.approx(0.001)


def test_earth_movers_distance_sees_unequal_density_that_chamfer_does_not():
    random = np.random.default_rng(0)
    places = np.array([[0.0, 0, 0], [1, 0, 0]])
    even, uneven = places[random.permutation(500) % 2], places[np.arange(500) // 400]
    assert chamfer_l1(even, uneven) == 0
    assert earth_movers(even, uneven) == pytest.approx(0.3)


@pytest.mark.parametrize("name", SHAPE_METRICS)
def test_an_empty_prediction_is_a_failure_with_the_worst_value(name, large):
    worst = metric(name)(trimesh.Trimesh(), large)
    some = metric(name)(large, large)
    assert np.isfinite(worst)
    assert worst < some if metric(name).higher_is_better else worst > some


@pytest.mark.parametrize("name", sorted(set(SHAPE_METRICS) - {"failed"}))
def test_an_empty_reference_is_an_error(name, small):
    with pytest.raises(InputError):
        metric(name)(small, trimesh.Trimesh())


@pytest.mark.parametrize("name", SHAPE_METRICS)
def test_the_same_surfaces_give_the_same_number(name, large):
    assert metric(name)(large, large) == metric(name)(large, large)


def test_evaluation_compares_the_mesh_of_a_run_with_its_reference(small, large, tmp_path):
    predictions = Predictions(tmp_path / "predictions", protocol="balls")
    small.export(tmp_path / "mesh.ply")
    (tmp_path / "predictions").mkdir()
    large.export(tmp_path / "predictions" / "true.ply")
    names = ("iou_volume", "chamfer_l1", "failed")
    for reference in ("true.ply", predictions.array("points", np.array(large.vertices))):
        metrics = names if reference.endswith("ply") else ("chamfer_l1",)
        predictions.items.append(
            Item(
                name=reference,
                split=reference,
                prediction="../mesh.ply",
                reference=reference,
                metrics=metrics,
                protocol="balls",
            )
        )
    rows = {(row["split"], row["metric"]): row["value"] for row in compute_metrics(predictions)}
    assert rows["true.ply", "iou_volume"] == pytest.approx(0.96**3, abs=0.01)
    assert rows["true.ply", "failed"] == 0
    assert rows["points.npy", "chamfer_l1"] == pytest.approx(0.2, rel=0.15)


def test_evaluation_counts_an_empty_mesh_as_failed(large, tmp_path):
    predictions = Predictions(tmp_path, protocol="balls")
    trimesh.Trimesh().export(tmp_path / "mesh.ply")
    large.export(tmp_path / "true.ply")
    predictions.items.append(
        Item(
            name="ball",
            split="surface",
            prediction="mesh.ply",
            reference="true.ply",
            metrics=("iou_volume", "failed"),
            protocol="balls",
        )
    )
    assert [row["value"] for row in compute_metrics(predictions)] == [0, 1]
