"""Camera paths: they close, look where they should, and keep their distance."""

from __future__ import annotations

import numpy as np
import pytest

from nir.errors import InputError
from nir.geometry import paths
from nir.geometry.cameras import Cameras, Intrinsics

INTRINSICS = Intrinsics.centred(8, 6, 9.0)


def test_a_camera_sees_its_target_in_the_middle_and_up_above():
    target, up = np.array([1.0, 2.0, 0.5]), np.array([0.0, 0.0, 1.0])
    pose = paths.look_at(np.array([4.0, -3.0, 2.0]), target, up)
    pixels, depth = Cameras(pose[None], INTRINSICS).project(np.stack([target, target + 0.1 * up]))
    np.testing.assert_allclose(pixels[0, 0], [4, 3])
    assert depth[0, 0] > 0
    assert pixels[0, 1, 1] < 3
    assert pixels[0, 1, 0] == pytest.approx(4)


def test_looking_along_the_up_direction_is_refused():
    with pytest.raises(InputError, match="up"):
        paths.look_at(np.array([0.0, 0, 2]), np.zeros(3), np.array([0.0, 0, 1]))


def test_an_orbit_keeps_its_distance_and_height_and_closes():
    poses = paths.orbit(24, radius=4.0, elevation_degrees=30.0)
    positions = poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), 4)
    np.testing.assert_allclose(positions[:, 2], 2)
    np.testing.assert_allclose(poses[:, :3, 2] * 4, -positions, atol=1e-12)
    steps = np.linalg.norm(np.roll(positions, -1, axis=0) - positions, axis=1)
    np.testing.assert_allclose(steps, steps[0])


def test_an_orbit_among_cameras_of_an_orbit_is_that_orbit():
    target, up = np.array([1.0, -2.0, 3.0]), np.array([0.0, 1.0, 0.0])
    poses = paths.orbit(10, radius=3.0, elevation_degrees=20.0, target=target, up=up)
    found = paths.orbit_among(Cameras(poses, INTRINSICS), 10)
    np.testing.assert_allclose(found, poses, atol=1e-9)


def test_a_spiral_closes_and_stays_among_its_cameras():
    random = np.random.default_rng(0)
    positions = random.uniform(-1, 1, (30, 3)) * [1.0, 0.5, 0.1] + [5.0, 6.0, 7.0]
    target, up = np.array([5.0, 6.0, 0.0]), np.array([0.0, 1.0, 0.0])
    cameras = Cameras(np.stack([paths.look_at(p, target, up) for p in positions]), INTRINSICS)
    path = paths.spiral(cameras, near=3.0, far=20.0)
    offsets = path[:, :3, 3] - cameras.positions.mean(0)
    assert len(path) == 120
    radii = np.percentile(np.abs(cameras.positions - cameras.positions.mean(0)), 90, axis=0)
    assert (np.abs(offsets).max(0) <= 1.1 * radii + 0.02).all()
    steps = np.linalg.norm(np.roll(offsets, -1, axis=0) - offsets, axis=1)
    assert steps[-1] <= steps.max() * 1.01
    # All look at the point at the focus depth before the mean camera.
    focus = 1 / (0.25 / 2.7 + 0.75 / 100)
    pixels, _ = Cameras(path, INTRINSICS).project(_focus_point(cameras, focus)[None])
    np.testing.assert_allclose(pixels[:, 0], np.tile([4.0, 3.0], (120, 1)), atol=1e-9)


def _focus_point(cameras: Cameras, focus: float) -> np.ndarray:
    forward = cameras.view_directions.mean(0)
    return cameras.positions.mean(0) + focus * forward / np.linalg.norm(forward)


def test_a_spiral_needs_bounds_in_order():
    cameras = Cameras(paths.orbit(3, radius=1.0, elevation_degrees=0.0)[:1], INTRINSICS)
    with pytest.raises(InputError, match="near"):
        paths.spiral(cameras, near=2.0, far=1.0)
