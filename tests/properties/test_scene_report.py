"""The doctor: what it says of scenes, of photos that are wrong, and of an installation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nir.data.scene_report import compare_cameras, examine_scene
from nir.data.scene_writers import write_blender_split, write_llff
from nir.data.toy_worlds import toy_cameras, toy_forward_cameras
from nir.doctor import examine_installation
from nir.errors import InputError
from nir.geometry.cameras import Cameras

VIEWS = 8


def pictures(height: int, width: int) -> np.ndarray:
    """Different textures of the same brightness and contrast."""
    noise = np.random.default_rng(0).normal(size=(VIEWS, height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 1.0, 1.0, 0))
    return np.clip(0.5 + 0.15 * smooth / smooth.std(axis=(1, 2, 3), keepdims=True), 0, 1)


def write_room(folder, images, bounds=(2.0, 9.0)):
    cameras = toy_forward_cameras(images.shape[2], VIEWS)
    write_llff(folder, images.astype(np.float32), cameras, np.tile([bounds], (VIEWS, 1)))


@pytest.fixture
def room(tmp_path):
    write_room(tmp_path / "room", pictures(60, 80))
    return tmp_path / "room"


def test_a_sound_forward_facing_scene_is_called_that(room):
    report = examine_scene(room)
    assert report.forward_facing
    assert report.ndc
    assert (report.near, report.far) == pytest.approx((2.0, 9.0))
    assert report.plane_range == (report.near, report.far)
    assert report.blurred == report.duplicates == report.exposure_jumps == ()
    text = "\n".join(report.sentences())
    assert "planes for NeX: depths 2 to 9" in text
    assert "no blurred" in text


def test_an_orbit_is_called_360_degrees(tmp_path):
    write_blender_split(
        tmp_path, "train", pictures(64, 64), toy_cameras(64, "train", VIEWS), near=2.0, far=6.0
    )
    report = examine_scene(tmp_path)
    assert not report.forward_facing
    assert not report.ndc
    assert "360" in report.sentences()[1]
    assert not any("NeX" in line for line in report.sentences())


def test_blurred_doubled_and_dark_photos_are_named(tmp_path):
    images = pictures(60, 80)
    images[2] = ndimage.gaussian_filter(images[2], (2.5, 2.5, 0))
    images[5] = images[4]
    images[7] *= 0.6
    write_room(tmp_path / "room", images)
    report = examine_scene(tmp_path / "room")
    assert report.blurred == ("image002.png",)
    assert report.duplicates == (("image004.png", "image005.png"),)
    [(name, stops)] = report.exposure_jumps
    assert name == "image007.png"
    assert stops == pytest.approx(2.2 * np.log2(0.6), abs=0.1)
    text = "\n".join(report.sentences())
    assert "image002.png: blurred" in text
    assert "image004.png and image005.png: the same picture" in text
    assert "1.6 stops darker" in text


def test_cameras_are_compared_with_trusted_ones_by_both_measures_of_their_spread(room, tmp_path):
    text = "\n".join(compare_cameras(room, room))
    assert "8 cameras" in text
    assert "rotation off by 0.000 degrees" in text
    assert "0.00% of the cameras' extent" in text
    assert "0.00% of their spread" in text
    images = pictures(60, 80)
    moved = toy_forward_cameras(80, VIEWS)
    poses = moved.camera_to_world.copy()
    poses[0, 0, 3] += 0.2
    moved = Cameras(poses, moved.intrinsics)
    write_llff(
        tmp_path / "moved", images.astype(np.float32), moved, np.tile([[2.0, 9]], (VIEWS, 1))
    )
    assert "0.00% of the cameras' extent" not in "\n".join(
        compare_cameras(tmp_path / "moved", room)
    )


def test_scenes_of_different_photos_are_not_compared(room, tmp_path):
    cameras = toy_forward_cameras(80, 5)
    images = pictures(60, 80)[:5].astype(np.float32)
    write_llff(tmp_path / "five", images, cameras, np.tile([[2.0, 9]], (5, 1)))
    with pytest.raises(InputError, match="same photos"):
        compare_cameras(tmp_path / "five", room)


def test_a_folder_without_cameras_is_one_line(tmp_path):
    with pytest.raises(InputError, match="estimate poses first"):
        examine_scene(tmp_path)


@pytest.mark.slow
def test_the_installation_report_tells_of_everything_it_should(tmp_path):
    lines = examine_installation(tmp_path)
    for word in ("Python", "torch", "CUDA", "memory", "disk", "ffmpeg", "browser", "data"):
        assert any(line.startswith(word) for line in lines), word


def test_the_installation_report_counts_data_that_is_there(tmp_path):
    (tmp_path / "nerf_synthetic" / "lego").mkdir(parents=True)
    assert examine_installation(tmp_path)[-1] == "data: lego"
