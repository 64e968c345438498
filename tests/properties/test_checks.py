"""Rules of content accept what they describe and name what breaks them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from nir.data.checks import check_content
from nir.data.registry import dataset
from nir.errors import InputError


def blender_scene(folder, *, frames=2, pose=None, pictures=None):
    (folder / "train").mkdir(parents=True)
    pose = np.eye(4).tolist() if pose is None else pose
    listed = [{"file_path": f"./train/r_{i}", "transform_matrix": pose} for i in range(frames)]
    scene = {"camera_angle_x": 0.7, "frames": listed}
    (folder / "transforms_train.json").write_text(json.dumps(scene))
    for i in range(frames if pictures is None else pictures):
        Image.new("RGBA", (8, 6)).save(folder / "train" / f"r_{i}.png")
    return folder


def test_a_good_scene_passes(tmp_path):
    rules = {"frames": {"transforms_train.json": 2}, "image_size": {"train/*.png": [8, 6]}}
    check_content(blender_scene(tmp_path / "scene"), rules)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"frames": 3}, "lists 3 frames, not 2"),
        ({"pictures": 1}, "r_1.png: named by transforms_train.json"),
        ({"pose": [[float("nan")] * 4] * 4}, "not a finite 4x4 matrix"),
        ({"pose": [[1.0] * 4] * 3}, "not a finite 4x4 matrix"),
        ({"pose": "none"}, "no poses that can be read"),
    ],
)
def test_broken_poses_are_named(tmp_path, faults, message):
    scene = blender_scene(tmp_path / "scene", **faults)
    with pytest.raises(InputError, match=message):
        check_content(scene, {"frames": {"transforms_train.json": 2}})


def test_missing_poses_and_pictures_of_another_size_are_named(tmp_path):
    scene = blender_scene(tmp_path / "scene")
    with pytest.raises(InputError, match=r"transforms_test\.json"):
        check_content(scene, {"frames": {"transforms_test.json": 2}})
    with pytest.raises(InputError, match="is 8x6, not 800x800"):
        check_content(scene, {"image_size": {"train/r_0.png": [800, 800]}})
    with pytest.raises(InputError, match="holds no picture"):
        check_content(scene, {"image_size": {"test/*.png": [8, 6]}})


@pytest.mark.parametrize("name", ["a.wav", "a.png", "a.ply", "a.npz", "a.pth", "a.mp4", "a.obj"])
def test_a_web_page_in_place_of_a_file_is_recognised(tmp_path, name):
    (tmp_path / name).write_bytes(b"\n <!DOCTYPE html><html>Quota exceeded</html>")
    with pytest.raises(InputError, match="is a web page"):
        check_content(tmp_path / name, {})


def test_wrong_first_bytes_and_empty_files_are_named(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"solid mesh")
    with pytest.raises(InputError, match=r"is not a \.ply file"):
        check_content(tmp_path / "a.ply", {})
    (tmp_path / "b.obj").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        check_content(tmp_path / "b.obj", {})


def test_arrays_hash_prefixes_and_columns_are_checked(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.zeros(2))
    check_content(tmp_path / "a.npz", {"npz_keys": ["data"]})
    with pytest.raises(InputError, match="holds the arrays"):
        check_content(tmp_path / "a.npz", {"npz_keys": ["other"]})
    (tmp_path / "a.txt").write_text("1 2 3\n")
    check_content(tmp_path / "a.txt", {"columns": 3})
    with pytest.raises(InputError, match="is not 6 numbers"):
        check_content(tmp_path / "a.txt", {"columns": 6})
    with pytest.raises(InputError, match="SHA-256 starts with"):
        check_content(tmp_path / "a.txt", {"sha256_prefix": "397923af"})
    np.save(tmp_path / "poses.npy", np.full((2, 17), np.nan))
    with pytest.raises(InputError, match="finite"):
        check_content(tmp_path, {"array_shape": {"poses.npy": [2, 17]}})


def test_an_unknown_rule_is_a_fault_of_the_registry(tmp_path):
    with pytest.raises(ValueError, match="unknown rule 'colour'"):
        check_content(tmp_path, {"colour": 1})


def test_real_data_passes_the_rules_of_the_registry(real_data):
    for name in ("fern", "bach"):
        check_content(real_data / dataset(name).path, dataset(name).check)
    frames = dataset("lego").check["frames"]
    with pytest.raises(InputError, match="there is no such file"):  # only some views lie there
        check_content(real_data / dataset("lego").path, {"frames": frames})
