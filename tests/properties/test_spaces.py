"""Spaces: a rig of cameras that differ a little becomes a scene with one camera."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nir.data.images import write_png
from nir.data.raytracing import render_view
from nir.data.spaces import DENSE_TEST_VIEWS, load_spaces
from nir.data.toy_worlds import toy_forward_cameras, toy_world_for
from nir.errors import InputError
from nir.geometry.cameras import Cameras, Intrinsics


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """The toy room as Spaces would store it; camera 3 has a longer focal length."""
    folder = tmp_path_factory.mktemp("scene_000")
    world, cameras = toy_world_for("toy_forward", 40, samples=1), toy_forward_cameras(40, 16)
    views = []
    for number in range(16):
        own = Intrinsics(40, 30, 36.0, 36.0, 21.5, 14.2) if number == 3 else cameras.intrinsics
        seen = Cameras(cameras.camera_to_world, own)
        path = f"cam_{number:02d}/image_000.png"
        write_png(folder / path, render_view(world, seen, number, samples=2).rgba[..., :3])
        rotation = Rotation.from_matrix(cameras.rotations[number]).inv()
        views.append(
            {
                "position": cameras.positions[number].tolist(),
                "orientation": rotation.as_rotvec().tolist(),
                "focal_length": own.focal_x,
                "pixel_aspect_ratio": 1.0,
                "principal_point": [own.centre_x, own.centre_y],
                "width": 40,
                "height": 30,
                "relative_path": path,
            }
        )
    (folder / "models.json").write_text(json.dumps([views]))
    return folder


def test_poses_and_splits_are_those_of_the_rig(rig):
    scene = load_spaces(rig)
    expected = toy_forward_cameras(40, 16)
    np.testing.assert_allclose(scene.cameras.camera_to_world, expected.camera_to_world, atol=1e-9)
    assert tuple(scene.splits["test"]) == DENSE_TEST_VIEWS
    assert len(scene.splits["train"]) == 12


def test_all_images_are_those_of_the_mean_camera(rig):
    scene = load_spaces(rig)
    world = toy_world_for("toy_forward", 40, samples=1)
    for view in (2, 3):
        truth = render_view(world, scene.cameras, view, samples=2).rgba[..., :3]
        error = np.abs(scene.images[view] - truth)[3:-3, 3:-3].mean()
        assert error < 0.03
    raw = toy_forward_cameras(40, 16)
    assert np.abs(scene.cameras.intrinsics.matrix - raw.intrinsics.matrix).max() < 0.5


def test_a_folder_that_is_not_spaces_is_named(rig, tmp_path):
    (tmp_path / "models.json").write_text("[[{}]]")
    with pytest.raises(InputError, match=r"models\.json"):
        load_spaces(tmp_path)
    with pytest.raises(InputError, match="rig position 4"):
        load_spaces(rig, rig=4)


def test_what_is_wrong_with_a_rig_is_said_once(rig, tmp_path):
    with pytest.raises(InputError, match=r"models\.json: no such file$"):
        load_spaces(tmp_path)
    positions = json.loads((rig / "models.json").read_text())
    positions[0][2]["focal_length"] = -1.0
    (tmp_path / "models.json").write_text(json.dumps(positions))
    with pytest.raises(InputError, match=r"models\.json: rig position 0: focal length \("):
        load_spaces(tmp_path)
