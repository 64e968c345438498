"""Poses from photos: cameras of rendered photos are found again; failures say what to do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from nir.data import colmap, toy_worlds
from nir.data.colmap import estimate_poses
from nir.data.images import write_png
from nir.data.photos import PhotoSet
from nir.data.raytracing import render_view
from nir.data.registry import bundled_folder
from nir.data.scenes import load_scene, read_llff_cameras
from nir.data.structure_from_motion import Mapping
from nir.data.toy import generate_toy_photos
from nir.errors import InputError
from nir.experiments import experiments_of
from nir.files import read_json, sha256_of_file
from nir.geometry.cameras import Cameras, opencv_from_llff
from nir.geometry.similarity import align_cameras, pose_errors
from nir.reporting.drawings.cameras import frustum_edges, write_camera_plot

SIZE, VIEWS = 320, 9


@pytest.fixture(scope="module")
def toy_photos(tmp_path_factory):
    """Photos of the toy room, of which some cannot be used."""
    folder = tmp_path_factory.mktemp("toy") / "photos"
    generate_toy_photos(folder, size=SIZE, views=VIEWS)
    Image.new("RGB", (SIZE, SIZE * 3 // 4), "white").save(folder / "wall.png")
    Image.new("RGB", (SIZE * 3 // 4, SIZE), "white").save(folder / "upright.png")
    return folder


@pytest.fixture(scope="module")
def captured(toy_photos, tmp_path_factory):
    lines: list[str] = []
    out = tmp_path_factory.mktemp("scenes") / "room"
    return estimate_poses(toy_photos, out, say=lines.append), out, lines


@pytest.mark.slow
def test_all_rendered_photos_are_registered_where_they_were_taken(captured):
    capture, _, _ = captured
    assert capture.names == tuple(f"photo_{view:02d}.png" for view in range(VIEWS))
    true = toy_worlds.toy_forward_cameras(SIZE, VIEWS)
    errors = pose_errors(capture.cameras, true)
    extent = np.linalg.norm(np.ptp(true.positions, axis=0))
    assert errors.position.max() < 0.01 * extent
    assert errors.relative_rotation_degrees < 0.1
    share = capture.cameras.intrinsics.focal_x / true.intrinsics.focal_x
    assert share == pytest.approx(1, abs=0.02)


@pytest.mark.slow
def test_bounds_hold_the_true_depths(captured):
    capture, _, _ = captured
    true = toy_worlds.toy_forward_cameras(SIZE, VIEWS)
    scale = np.ptp(true.positions, axis=0).max() / np.ptp(capture.cameras.positions, axis=0).max()
    near, far = capture.bounds[:, 0].min() * scale, capture.bounds[:, 1].max() * scale
    assert near == pytest.approx(2.3, rel=0.25)
    assert far == pytest.approx(7.2, rel=0.15)


@pytest.mark.slow
def test_what_is_not_registered_is_listed_with_its_reason(captured):
    capture, out, lines = captured
    assert set(capture.unregistered) == {"wall.png", "upright.png"}
    assert "detail" in capture.unregistered["wall.png"]
    assert "most photos have" in capture.unregistered["upright.png"]
    assert any(line.startswith("not registered: wall.png") for line in lines)
    record = json.loads((out / "capture.json").read_text())
    assert record["unregistered"] == capture.unregistered
    assert record["matching"] == "exhaustive"


@pytest.mark.slow
def test_progress_names_every_stage(captured):
    _, _, lines = captured
    for stage in ("features", "matching", "mapping"):
        assert any(line.startswith(stage) for line in lines), stage


@pytest.mark.slow
def test_the_scene_is_read_by_every_reader(captured):
    capture, out, _ = captured
    scene = load_scene(out, factor=2)
    assert scene.ndc
    assert len(scene.images) == VIEWS
    cameras, bounds = read_llff_cameras(out)
    np.testing.assert_allclose(cameras.camera_to_world, capture.cameras.camera_to_world, atol=1e-12)
    np.testing.assert_allclose(bounds, capture.bounds)
    transforms = json.loads((out / "transforms.json").read_text())
    assert len(transforms["frames"]) == VIEWS
    with Image.open(out / transforms["frames"][0]["file_path"]) as image:
        assert image.size == (transforms["w"], transforms["h"])


@pytest.mark.slow
def test_points_project_into_the_photos(captured):
    capture, _, _ = captured
    pixels, depth = capture.cameras.project(capture.points)
    size = capture.cameras.intrinsics
    inside = (depth > 0) & (pixels >= 0).all(2) & (pixels < [size.width, size.height]).all(2)
    assert (inside.sum(axis=0) >= 2).mean() > 0.98


@pytest.mark.slow
def test_the_same_photos_give_the_same_bytes(toy_photos, captured, tmp_path):
    _, first, _ = captured
    estimate_poses(toy_photos, tmp_path / "room", threads=1, say=lambda _: None)
    names = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert len(names) > 2 * VIEWS
    for name in names:
        assert sha256_of_file(first / name) == sha256_of_file(tmp_path / "room" / name), name


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Photos along a way past the toy room, in its order: the first and the last share little."""
    views, size = 16, 240
    cameras = toy_worlds.toy_forward_cameras(size, views)
    poses = np.repeat(cameras.camera_to_world[:1], views, axis=0)
    along = np.linspace(-1, 1, views)
    poses[:, :3, 3] = np.stack([1.6 * along, 0.2 * np.sin(3 * along), 0.3 * along**2], axis=1)
    cameras = Cameras(poses, cameras.intrinsics)
    world = toy_worlds.toy_world_for("toy_forward", size, samples=2)
    folder = tmp_path_factory.mktemp("walk") / "photos"
    for view in range(views):
        rgba = render_view(world, cameras, view, samples=2).rgba
        write_png(folder / f"{view:03d}.png", rgba[..., :3])
    return folder, cameras


@pytest.mark.slow
def test_many_photos_are_matched_with_their_neighbours_alone(walk, tmp_path):
    photos, true = walk
    lines: list[str] = []
    capture = estimate_poses(photos, tmp_path / "walk", exhaustive_at_most=8, say=lines.append)
    assert read_json(tmp_path / "walk" / "capture.json")["matching"] == "sequential"
    assert any(line.startswith("matching neighbours") for line in lines)
    assert len(capture.names) == len(true)
    errors = pose_errors(capture.cameras, true)
    # Neighbours alone let the way drift; small photos of a nearly straight one all the more.
    assert errors.extent_share < 0.1
    assert errors.relative_rotation_degrees < 1.0


@pytest.mark.slow
def test_a_camera_plot_is_drawn(captured, tmp_path):
    write_camera_plot(captured[1], tmp_path / "cameras.png")
    with Image.open(tmp_path / "cameras.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


@pytest.mark.slow
def test_photos_of_different_things_are_an_error_that_says_what_to_do(tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "retina.jpg"):
        with Image.open(bundled_folder() / name) as image:
            image.convert("RGB").resize((200, 150)).save(folder / f"{name[:-4]}.png")
    with pytest.raises(InputError, match=r"0 of 4 photos.*photograph again") as refused:
        estimate_poses(folder, tmp_path / "scene", say=lambda _: None)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "scene").exists()


@pytest.mark.slow
def test_a_folder_that_holds_something_else_is_not_overwritten(toy_photos, captured, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        estimate_poses(toy_photos, tmp_path, say=lambda _: None)
    assert (tmp_path / "thesis.txt").exists()


def test_an_earlier_scene_stays_until_the_next_one_is_whole(tmp_path, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    scene = tmp_path / "room"
    scene.mkdir()
    (scene / "capture.json").write_text("{}")
    monkeypatch.setattr(colmap, "_registered_images", lambda model: [])
    monkeypatch.setattr(colmap, "_write_images", interrupted)
    photos = PhotoSet(
        folder=tmp_path,
        names=(),
        sources=(),
        width=SIZE,
        height=SIZE,
        set_aside={},
        exif_focal=None,
    )
    mapping = Mapping(model=None, missing={}, matching="exhaustive")
    with pytest.raises(KeyboardInterrupt):
        colmap._write_scene(photos, mapping, {}, scene, tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["room"]
    assert (scene / "capture.json").is_file()


def test_an_experiment_on_photos_trains_on_the_scene_that_is_made_of_them(tmp_path):
    (tmp_path / "holiday").mkdir()
    entry = {
        "task": "siren_image",
        "subjects": ["toy_photos", str(tmp_path / "holiday")],
        "variants": {"one": {}},
    }
    values = {"scale": "smoke", "seeds": {"smoke": 1}, "experiments": {"nerf/capture": entry}}

    def trained_on() -> list[str]:
        runs = experiments_of(values)["nerf/capture"].runs
        return [run.trained_on for run in runs]

    assert trained_on() == entry["subjects"]
    entry["photos"] = True
    assert trained_on() == ["results/scenes/toy_photos", "results/scenes/holiday"]


def test_frusta_end_at_the_corners_of_the_image():
    cameras = toy_worlds.toy_forward_cameras(80, 5)
    edges = frustum_edges(cameras, 2.0)
    corners = edges[:, :4, 1]
    pixels, depth = cameras.project(corners)
    size = cameras.intrinsics
    expected = [[0, 0], [size.width, 0], [size.width, size.height], [0, size.height]]
    np.testing.assert_allclose(pixels, np.tile([expected], (5, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(depth, 2.0)


@pytest.mark.slow
def test_the_fern_agrees_with_its_published_poses(real_data, tmp_path):
    scene = real_data / "nerf_llff_data" / "fern"
    capture = estimate_poses(scene / "images_4", tmp_path / "fern", say=lambda _: None)
    poses, _, bounds = opencv_from_llff(np.load(scene / "poses_bounds.npy"))
    published = Cameras(poses, capture.cameras.intrinsics)
    errors = pose_errors(capture.cameras, published)
    extent = np.linalg.norm(np.ptp(published.positions, axis=0))
    assert len(capture.names) == 20
    assert errors.rotation_degrees.mean() < 0.35
    assert errors.relative_rotation_degrees < 0.1
    assert errors.position.mean() < 0.003 * extent
    assert errors.extent_share == pytest.approx(errors.position.mean() / extent)
    scale = align_cameras(capture.cameras, published)[1].scale
    assert capture.bounds[:, 0].min() * scale == pytest.approx(bounds[:, 0].min(), rel=0.1)
    assert capture.bounds[:, 1].max() * scale == pytest.approx(bounds[:, 1].max(), rel=0.1)
