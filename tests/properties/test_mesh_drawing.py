"""The drawing of a scene's mesh: the truth first, then what a field holds, in their colours."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import trimesh

from nir.reporting.drawings.meshes import meshes
from nir.reporting.results import Results

mpl.use("agg")
METRICS = "subject,variant,seed,split,metric,value\ntoy,nerf,0,surface,chamfer_l1,0.25\n"


@pytest.fixture
def results(tmp_path):
    run = {"place": "run", "subject": "toy", "variant": "nerf", "seed": 0, "label": "NeRF"}
    (tmp_path / "run/predictions").mkdir(parents=True)
    (tmp_path / "metrics.csv").write_text(METRICS)
    return Results({"runs": [run]}, tmp_path / "metrics.csv", tmp_path)


def write_ball(results: Results, name: str, colour: tuple[int, int, int]) -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.visual.vertex_colors = np.tile([*colour, 255], (len(ball.vertices), 1)).astype("u1")
    ball.export(results.folder / "run/predictions" / name)


def test_the_truth_stands_beside_the_surface_with_its_distance(results):
    write_ball(results, "surface-reference.ply", (255, 0, 0))
    write_ball(results, "surface-prediction.ply", (0, 0, 255))
    figure = meshes(results)
    assert [axis.get_title() for axis in figure.axes] == [
        "truth, toy",
        "NeRF\nChamfer 2.5 % of the longest edge",
    ]
    for axis, channel in zip(figure.axes, (0, 2), strict=True):
        drawn = axis.collections[0].get_facecolor()
        assert (drawn[:, channel] > 0.6).all()
        assert drawn[:, 1].max() == 0
        places = axis.collections[0].get_offsets()
        assert np.linalg.norm(places, axis=1).max() <= 1.001


def test_an_empty_surface_beside_its_truth_is_said_to_be_none(results):
    write_ball(results, "surface-reference.ply", (255, 0, 0))
    empty = trimesh.Trimesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), process=False)
    place = results.folder / "run/predictions/surface-prediction.ply"
    place.write_bytes(empty.export(file_type="ply"))
    table = METRICS.replace("0.25", "17.3") + "toy,nerf,0,surface,failed,1\n"
    (results.folder / "metrics.csv").write_text(table)
    results = Results(results.plan, results.folder / "metrics.csv", results.folder)
    truth, none = meshes(results).axes
    assert len(truth.collections) == 1
    assert none.get_title() == "NeRF\nno surface was extracted"
    assert not none.collections


def test_a_mesh_without_a_truth_is_drawn_alone(results):
    write_ball(results, "mesh.ply", (0, 255, 0))
    figure = meshes(results)
    assert [axis.get_title() for axis in figure.axes] == ["NeRF, toy"]


def test_no_mesh_is_said_to_be_none(results):
    figure = meshes(results)
    assert "no surface" in figure.axes[0].texts[0].get_text()
