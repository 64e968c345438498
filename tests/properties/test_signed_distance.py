"""Signed distances from clouds: normalisation, loss against finite differences, surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from nir.data.oriented_clouds import read_oriented_cloud, trefoil_knot
from nir.data.shapes import PointCloud
from nir.errors import InputError
from nir.evaluation import compute_metrics
from nir.predictions import read_predictions
from nir.recipes.signed_distance import SignedDistanceRecipe
from nir.tasks.signed_distance import SurfaceBatch, build

SMALL = {
    "steps": 1,
    "width": 16,
    "points_per_step": 40,
    "cloud_points": 2000,
    "mesh_resolution": 33,
    "compared_points": 2000,
    "slice_resolution": 8,
}


@pytest.fixture
def ball(tmp_path):
    trimesh.creation.icosphere(subdivisions=4, radius=3).export(tmp_path / "ball.ply")
    return tmp_path / "ball.ply"


def built(path, **values):
    recipe = SignedDistanceRecipe.from_dict({**SMALL, **values})
    generator = torch.Generator().manual_seed(0)
    return build(recipe, path, device=torch.device("cpu"), generator=generator)


def with_exact_distance(task, radius=0.8):
    """The task with a field that is a ball's true distance."""
    task.field = torch.nn.Module()
    task.field.forward = lambda x: x.norm(dim=-1, keepdim=True) - radius
    return task


def numbers(task, folder):
    task.predict(folder)
    rows = compute_metrics(read_predictions(folder))
    return {row["metric"]: row["value"] for row in rows}


def test_the_knot_is_closed_and_faces_outwards():
    knot = trefoil_knot()
    assert knot.is_watertight
    assert knot.volume > 0
    assert knot.euler_number == 0


def read(path, count=2000):
    return read_oriented_cloud(path, count=count, generator=np.random.default_rng(0))


def test_a_mesh_gives_points_in_the_cube_with_normals_outwards(ball):
    cloud = read(ball)
    assert cloud.points.min() == pytest.approx(-1)
    assert cloud.points.max() == pytest.approx(1)
    centred = cloud.points - (cloud.points.max(axis=0) + cloud.points.min(axis=0)) / 2
    outward = (cloud.normals * centred).sum(1) / np.linalg.norm(centred, axis=1)
    assert outward.min() > 0.98


def test_a_text_file_of_points_and_normals_is_read(tmp_path):
    (tmp_path / "cloud.xyz").write_text("0 0 1 0 0 2\n0 1 0 0 3 0\n")
    assert read(tmp_path / "cloud.xyz").normals.tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_cloud_without_normals_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "cloud.xyz").write_text("0 0 1\n0 1 0\n")
    with pytest.raises(InputError, match=r"cloud\.xyz: has no normals"):
        read(tmp_path / "cloud.xyz")


def test_what_is_no_mesh_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "shape.ply").write_text("nothing")
    with pytest.raises(InputError, match=r"shape\.ply"):
        read(tmp_path / "shape.ply")


def test_the_loss_is_that_of_finite_differences(ball):
    task = built(ball)
    task.field.double()
    drawn = task.batch(0, torch.Generator().manual_seed(1))
    batch = SurfaceBatch(*(t.double() for t in (drawn.on_surface, drawn.normals, drawn.anywhere)))
    x, h = torch.cat([batch.on_surface, batch.anywhere]), 1e-5
    steps = h * torch.eye(3, dtype=torch.float64)
    slope = torch.cat([(task.field(x + s) - task.field(x - s)) / (2 * h) for s in steps], dim=-1)
    value = task.field(x)[:, 0]
    unit = slope[:40] / slope[:40].norm(dim=-1, keepdim=True)
    expected = {
        "surface": 3e3 * value[:40].abs().sum() / 80,
        "off_surface": 1e2 * torch.exp(-100 * value[40:].abs()).sum() / 80,
        "normal": 1e2 * (1 - (unit * batch.normals).sum(-1)).sum() / 80,
        "eikonal": 5e1 * (slope.norm(dim=-1) - 1).abs().mean(),
    }
    losses = task.losses(batch)
    assert losses.keys() == expected.keys()
    for term, weighted in expected.items():
        assert losses[term].item() == pytest.approx(weighted.item(), rel=1e-5), term


def test_chunks_give_the_same_step(ball):
    whole, split = built(ball), built(ball, points_per_chunk=17)
    for task in (whole, split):
        sum(task.losses(task.batch(0, torch.Generator().manual_seed(3))).values()).backward()
    for a, b in zip(whole.field.parameters(), split.field.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-4)


def test_a_true_distance_has_no_loss_but_the_penalty_near_the_surface(ball):
    task = with_exact_distance(built(ball))
    direction = torch.nn.functional.normalize(torch.randn(40, 3), dim=-1)
    losses = task.losses(SurfaceBatch(0.8 * direction, direction, torch.zeros(40, 3) + 0.01))
    assert all(losses[name] < 1e-2 for name in ("surface", "normal", "eikonal", "off_surface"))


def test_a_true_distance_is_measured_as_closed_and_near(ball, tmp_path):
    task = with_exact_distance(built(ball), radius=0.99)
    task.cloud = PointCloud(0.99 * task.cloud.normals, task.cloud.normals)
    found = numbers(task, tmp_path / "out")
    assert found["closed"] == 1
    assert found["chamfer_l1"] < 0.25  # half the spacing of 2000 points, in tenths of the size
    assert found["normal_consistency"] > 0.98
    assert found["mean_slope"] == pytest.approx(1, abs=1e-4)


def test_the_mesh_lies_where_the_field_is_zero_to_the_cubes_very_corners(ball, tmp_path):
    """An off-by-one in the grid would shrink or stretch the surface by 1 / resolution."""
    task = built(ball, margin=0.0)
    task.field = torch.nn.Module()
    task.field.forward = lambda x: x[..., :1] - 0.75
    with torch.no_grad():
        task.mesh(tmp_path / "mesh.ply")
    mesh = trimesh.load(tmp_path / "mesh.ply", force="mesh", process=False)
    np.testing.assert_allclose(mesh.bounds, [[0.75, -1, -1], [0.75, 1, 1]], atol=1e-6)


def test_pieces_that_reach_the_border_of_space_are_left_out(ball):
    task = built(ball)
    task.field = torch.nn.Module()
    centre, corner = torch.zeros(3), torch.ones(3)

    def ball_and_ghost(x):
        distances = [
            (x - c).norm(dim=-1, keepdim=True) - r for c, r in ((centre, 0.6), (corner, 0.3))
        ]
        return torch.minimum(*distances)

    task.field.forward = ball_and_ghost
    with torch.no_grad():
        surface = task.surface()
    assert surface.is_watertight
    assert np.linalg.norm(surface.vertices, axis=1).max() < 0.62
    task.field.forward = lambda x: (x - corner).norm(dim=-1, keepdim=True) - 0.3
    assert task.surface() is None


def test_a_piece_that_reaches_the_border_but_holds_the_shape_is_kept(ball):
    """A poor field's sheet that runs on from the surface must not cost it the whole surface."""
    task = built(ball)
    task.field = torch.nn.Module()
    task.field.forward = lambda x: x[..., :1]
    with torch.no_grad():
        surface = task.surface()
    assert not surface.is_watertight
    assert np.abs(surface.vertices[:, 0]).max() < 1e-6


def test_a_field_without_zeros_is_a_failure_and_not_a_crash(ball, tmp_path):
    task = built(ball)
    task.field = torch.nn.Module()
    task.field.forward = lambda x: x[..., :1] ** 2 + 1
    found = numbers(task, tmp_path / "out")
    assert found["closed"] == 0
    assert found["chamfer_l1"] > 10
    assert found["normal_consistency"] == -1
    task.mesh(tmp_path / "mesh.ply")
    assert (tmp_path / "mesh.ply").stat().st_size > 0
