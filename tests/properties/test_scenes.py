"""Scenes: both layouts come back as they were written, and what is wrong is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nir.data.images import read_image, write_png
from nir.data.scene_writers import write_blender_split, write_llff
from nir.data.scenes import load_blender, load_llff, load_scene
from nir.errors import InputError
from nir.geometry import paths
from nir.geometry.cameras import Cameras, Intrinsics

SIZE = (12, 8)


def some_images(count: int, channels: int, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, (count, SIZE[1], SIZE[0], channels))
    return levels / 255.0


def cameras_around(count: int) -> Cameras:
    poses = paths.orbit(count, radius=4.0, elevation_degrees=30.0)
    return Cameras(poses, Intrinsics.centred(*SIZE, focal=14.0))


def cameras_side_by_side(count: int) -> Cameras:
    places = np.random.default_rng(2).uniform(-0.4, 0.4, (count, 3)) + np.array([5.0, 6.0, 7.0])
    target, up = np.array([5.0, 6.0, -3.0]), np.array([0.0, 1.0, 0.0])
    poses = np.stack([paths.look_at(place, target, up) for place in places])
    return Cameras(poses, Intrinsics.centred(*SIZE, focal=14.0))


@pytest.fixture
def blender(tmp_path):
    for split, count in (("train", 5), ("test", 9)):
        write_blender_split(
            tmp_path, split, some_images(count, 4), cameras_around(count), near=2.0, far=6.0
        )
    return tmp_path


@pytest.fixture
def llff(tmp_path):
    bounds = np.tile([[3.0, 12.0]], (10, 1)) + np.arange(10)[:, None] / 100
    write_llff(tmp_path, some_images(10, 3), cameras_side_by_side(10), bounds, factors=(1, 2, 4))
    return tmp_path


def test_blender_scenes_come_back_on_white(blender):
    scene = load_scene(blender)
    images = some_images(5, 4)
    on_white = images[..., :3] * images[..., 3:] + 1 - images[..., 3:]
    np.testing.assert_allclose(scene.only("train").images, on_white, atol=1e-6)
    np.testing.assert_allclose(
        scene.only("train").cameras.camera_to_world, cameras_around(5).camera_to_world, atol=1e-9
    )
    assert scene.cameras.intrinsics == cameras_around(1).intrinsics
    assert (scene.near, scene.far, scene.background, scene.ndc) == (2.0, 6.0, 1.0, False)
    assert len(scene.only("test").images) == 9
    assert scene.only("test").names[0] == "test/r_0.png"


def test_test_views_can_be_thinned_but_training_views_cannot(blender):
    scene = load_blender(blender, test_skip=4)
    assert scene.only("test").names == ("test/r_0.png", "test/r_4.png", "test/r_8.png")
    assert len(scene.only("train").images) == 5


def test_shrinking_averages_what_was_composited_and_shrinks_the_camera(blender):
    whole, half = load_blender(blender), load_blender(blender, downscale=2)
    mean = whole.images.reshape(14, 4, 2, 6, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(half.images, mean, atol=1e-6)
    assert half.cameras.intrinsics == Intrinsics(6, 4, 7.0, 7.0, 3.0, 2.0)
    assert "area mean by 2" in half.pixels


def test_what_alpha_covers_is_kept_with_the_views(blender):
    for name in ("train/r_2.png", "test/r_5.png"):
        image = some_images(1, 4)[0]
        image[:3, :5, 3] = 0
        write_png(blender / name, image)
    whole, half = load_blender(blender), load_blender(blender, downscale=2)
    assert whole.covered is not None
    alpha = np.stack([read_image(blender / n, colour="rgba")[..., 3] for n in whole.names])
    np.testing.assert_array_equal(whole.covered, alpha > 0)
    np.testing.assert_array_equal(
        half.covered, (alpha > 0).reshape(14, 4, 2, 6, 2).any(axis=(2, 4))
    )
    assert not whole.covered.all()
    np.testing.assert_array_equal(whole.only("test").covered, whole.covered[whole.splits["test"]])
    assert load_blender(blender, splits=("train",)).covered.shape == (5, 8, 12)


def test_a_missing_image_is_named_with_the_thinning_that_would_do(blender):
    (blender / "test/r_3.png").unlink()
    with pytest.raises(InputError, match=r"r_3\.png: no such image.*test_skip=2"):
        load_blender(blender)
    (blender / "train/r_0.png").unlink()
    with pytest.raises(InputError, match=r"train/r_0\.png: no such image.*1 of 5"):
        load_blender(blender)


@pytest.mark.parametrize(("column", "factor", "word"), [(0, -1, "mirrored"), (1, 0, "singular")])
def test_a_wrong_pose_is_named_by_file_and_image(blender, column, factor, word):
    file = blender / "transforms_train.json"
    content = json.loads(file.read_text())
    for row in content["frames"][2]["transform_matrix"][:3]:
        row[column] *= factor
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"transforms_train\.json: pose 2 \(r_2\.png\) .*{word}"):
        load_blender(blender)


def test_mixed_image_sizes_are_refused(blender):
    write_png(blender / "train/r_3.png", np.zeros((9, 12, 4)))
    with pytest.raises(InputError, match=r"r_3\.png: 12 x 9 pixels, but r_0\.png has 12 x 8"):
        load_blender(blender)


def test_a_background_needs_alpha(blender):
    write_png(blender / "train/r_1.png", some_images(1, 3)[0])
    with pytest.raises(InputError, match=r"r_1\.png: has no alpha channel"):
        load_blender(blender)


def test_opaque_images_need_no_background(tmp_path):
    write_blender_split(tmp_path, "train", some_images(3, 3), cameras_around(3), near=1.0, far=2.0)
    scene = load_blender(tmp_path, splits=("train",), background=None)
    np.testing.assert_allclose(scene.images, some_images(3, 3), atol=1e-6)


def test_near_must_be_less_than_far(blender):
    with pytest.raises(InputError, match="near 7 and far 6"):
        load_blender(blender, near=7.0)


@pytest.mark.parametrize("content", ["{", "[]", '{"frames": [{"file_path": "a"}]}', "{}"])
def test_a_damaged_camera_file_is_named(blender, content):
    (blender / "transforms_train.json").write_text(content)
    with pytest.raises(InputError, match=r"transforms_train\.json"):
        load_blender(blender)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"near": None}, "near: a number is expected, not None"),
        ({"far": "wide"}, "far: a number is expected, not 'wide'"),
        ({"camera_angle_x": 4.0}, "horizontal angle of view 4.0: must lie"),
        ({"fl_x": -1.0}, r"focal length \(-1.0, "),
    ],
)
def test_a_number_that_cannot_be_used_is_named_with_its_file(blender, values, says):
    keys = ("fl_x", "fl_y", "cx", "cy", "w", "h") if "camera_angle_x" in values else ()
    file = blender / "transforms_train.json"
    content = {k: v for k, v in json.loads(file.read_text()).items() if k not in keys}
    file.write_text(json.dumps(content | values))
    with pytest.raises(InputError, match=rf"transforms_train\.json: {says}"):
        load_blender(blender)


def test_a_missing_camera_file_is_said_once(blender):
    (blender / "transforms_test.json").unlink()
    with pytest.raises(InputError, match=r"transforms_test\.json: no such file$"):
        load_blender(blender)


def test_images_may_be_named_by_absolute_paths(blender, monkeypatch):
    file = blender / "transforms_train.json"
    content = json.loads(file.read_text())
    for frame in content["frames"]:
        frame["file_path"] = str(blender / frame["file_path"])
    file.write_text(json.dumps(content))
    monkeypatch.chdir(blender.parent)
    scene = load_blender(Path(blender.name))
    assert scene.names[0] == str(blender / "train/r_0.png")
    np.testing.assert_array_equal(scene.images, load_blender(blender).images)


def test_blender_files_need_a_focal_length_only_as_an_angle(blender):
    file = blender / "transforms_train.json"
    content = json.loads(file.read_text())
    bare = {"camera_angle_x": content["camera_angle_x"], "frames": content["frames"]}
    file.write_text(json.dumps(bare))
    scene = load_blender(blender, splits=("train",))
    assert scene.cameras.intrinsics.focal_x == pytest.approx(14.0)


def test_llff_scenes_are_scaled_recentred_and_split(llff):
    scene = load_llff(llff, factor=1)
    np.testing.assert_allclose(scene.images, some_images(10, 3), atol=1e-6)
    assert scene.splits["test"].tolist() == [0, 8]
    assert scene.splits["train"].tolist() == [1, 2, 3, 4, 5, 6, 7, 9]
    assert scene.bounds.min() == pytest.approx(1 / 0.75)
    np.testing.assert_allclose(scene.cameras.positions.mean(0), 0, atol=1e-12)
    assert (scene.cameras.view_directions[:, 2] < -0.9).all()
    assert scene.ndc
    back = scene.world_from_scene.cameras(scene.cameras)
    np.testing.assert_allclose(
        back.camera_to_world, cameras_side_by_side(10).camera_to_world, atol=1e-9
    )


def test_llff_images_are_taken_ready_made_or_shrunk_and_the_scene_says_which(llff):
    ready = load_llff(llff, factor=2)
    assert ready.pixels == "images_2"
    for path in (llff / "images_2").iterdir():
        path.unlink()
    (llff / "images_2").rmdir()
    made = load_llff(llff, factor=2)
    assert made.pixels == "images, area mean by 2"
    np.testing.assert_allclose(made.images, ready.images, atol=0.51 / 255)
    assert made.cameras.intrinsics == ready.cameras.intrinsics
    assert made.cameras.intrinsics.focal_x == pytest.approx(7.0)


def test_captures_all_around_are_spherified_not_put_in_ndc(tmp_path):
    bounds = np.tile([[2.0, 6.0]], (9, 1))
    write_llff(tmp_path, some_images(9, 3), cameras_around(9), bounds)
    scene = load_llff(tmp_path, factor=1)
    assert not scene.ndc
    assert scene.linear_in_disparity
    np.testing.assert_allclose(np.linalg.norm(scene.cameras.positions, axis=1), 1)
    np.testing.assert_allclose([scene.near, scene.far], [0.9 * 0.5, 1.5])


def test_counts_of_poses_and_images_must_agree(llff):
    (llff / "images/image004.png").unlink()
    with pytest.raises(InputError, match="holds 10 poses, but images holds 9 images"):
        load_llff(llff, factor=1)


def spoil_rows(folder, change) -> None:
    rows = np.load(folder / "poses_bounds.npy", allow_pickle=False)
    change(rows)
    np.save(folder / "poses_bounds.npy", rows)


def test_reversed_bounds_are_named(llff):
    spoil_rows(llff, lambda rows: rows[3, 15:].__setitem__(slice(None), [9.0, 8.0]))
    with pytest.raises(InputError, match=r"pose 3 \(image003\.png\) has near bound 9 and far"):
        load_llff(llff, factor=1)


def test_a_mirrored_llff_pose_is_named(llff):
    spoil_rows(llff, lambda rows: flip_first_column(rows[5]))
    with pytest.raises(InputError, match=r"poses_bounds\.npy: pose 5 \(image005\.png\) is mirror"):
        load_llff(llff, factor=1)


def flip_first_column(row: np.ndarray) -> None:
    row[[0, 5, 10]] *= -1


def test_a_camera_with_a_principal_point_is_read_from_its_own_file(llff):
    rows = np.load(llff / "poses_bounds.npy", allow_pickle=False)
    matrices = rows[:, :15].reshape(-1, 3, 5)[:, :, :4].reshape(-1, 12)
    np.save(llff / "poses_bounds.npy", np.concatenate([matrices, rows[:, 15:]], axis=1))
    np.save(llff / "hwf_cxcy.npy", np.array([[16.0], [24.0], [28.0], [29.0], [13.0], [7.0]]))
    scene = load_llff(llff, factor=1)
    assert scene.cameras.intrinsics == Intrinsics(12, 8, 14.0, 14.5, 6.5, 3.5)
    back = scene.world_from_scene.cameras(scene.cameras)
    np.testing.assert_allclose(
        back.camera_to_world, cameras_side_by_side(10).camera_to_world, atol=1e-9
    )


def test_images_of_another_shape_than_the_poses_were_made_for_are_refused(llff):
    spoil_rows(llff, lambda rows: rows[:, 4].__imul__(2))
    with pytest.raises(InputError, match="not the same pictures"):
        load_llff(llff, factor=1)


def test_pickled_and_misshapen_pose_files_are_refused(llff):
    np.save(llff / "poses_bounds.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a plain NumPy array"):
        load_llff(llff, factor=1)
    np.save(llff / "poses_bounds.npy", np.zeros((10, 5)))
    with pytest.raises(InputError, match="17 numbers"):
        load_llff(llff, factor=1)


def test_a_folder_without_a_scene_and_a_split_not_loaded_are_explained(tmp_path, blender):
    with pytest.raises(InputError, match="neither transforms_train"):
        load_scene(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no split 'val'"):
        load_scene(blender).only("val")


def test_fern_is_read_as_the_paper_reads_it(real_data):
    scene = load_scene(real_data / "nerf_llff_data/fern", factor=8)
    assert scene.images.shape == (20, 378, 504, 3)
    assert scene.splits["test"].tolist() == [0, 8, 16]
    assert scene.ndc
    assert scene.bounds.min() == pytest.approx(1 / 0.75)
    assert scene.cameras.intrinsics.focal_x == pytest.approx(3260.526 / 8, rel=1e-6)


def test_lego_lacks_test_views_and_the_message_says_what_to_do(real_data):
    with pytest.raises(InputError, match=r"test/r_1\.png.*test_skip=8"):
        load_blender(real_data / "nerf_synthetic/lego")


def test_lego_is_read_as_the_paper_reads_it(real_data):
    scene = load_blender(
        real_data / "nerf_synthetic/lego", splits=("test",), test_skip=8, downscale=2
    )
    assert scene.images.shape == (25, 400, 400, 3)
    assert scene.cameras.intrinsics.focal_x == pytest.approx(555.555, rel=1e-5)
    assert float(scene.images[0, 0, 0, 0]) == 1.0
