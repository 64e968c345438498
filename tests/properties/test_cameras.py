"""Cameras: converters lose nothing, wrong poses are named, similarities normalise and compare."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nir.errors import InputError
from nir.geometry import cameras as conventions
from nir.geometry import paths, similarity
from nir.geometry.cameras import Cameras, Intrinsics

INTRINSICS = Intrinsics(64, 48, 50.0, 55.0, 30.0, 25.0)


def some_cameras(count: int = 7, seed: int = 0) -> Cameras:
    random = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=random).as_matrix()
    poses[:, :3, 3] = random.normal(size=(count, 3))
    return Cameras(poses, INTRINSICS)


def forward_facing_cameras(count: int = 9, seed: int = 1) -> Cameras:
    random = np.random.default_rng(seed)
    positions = random.uniform(-0.5, 0.5, (count, 3)) + np.array([3.0, -2.0, 1.0])
    up, target = np.array([0.0, 0.2, 1.0]), np.array([3.0, 4.0, 0.5])
    return Cameras(np.stack([paths.look_at(p, target, up) for p in positions]), INTRINSICS)


def test_opengl_axes_round_trip():
    poses = some_cameras().camera_to_world
    there = conventions.opengl_from_opencv(poses)
    np.testing.assert_array_equal(conventions.opencv_from_opengl(there), poses)
    np.testing.assert_array_equal(there[:, :3, 2], -poses[:, :3, 2])


def test_llff_rows_round_trip():
    cameras = some_cameras()
    bounds = np.random.default_rng(0).uniform(1, 9, (len(cameras), 2))
    rows = conventions.llff_from_opencv(cameras.camera_to_world, INTRINSICS, bounds)
    poses, size_and_focal, back = conventions.opencv_from_llff(rows)
    np.testing.assert_allclose(poses, cameras.camera_to_world)
    np.testing.assert_allclose(back, bounds)
    np.testing.assert_allclose(size_and_focal[0], [48, 64, 50.0])


def test_llff_columns_are_down_right_and_backward():
    row = conventions.llff_from_opencv(np.eye(4)[None], INTRINSICS, np.ones((1, 2)))
    matrix = row[0, :15].reshape(3, 5)
    np.testing.assert_array_equal(matrix[:, :3].T, [[0, 1, 0], [1, 0, 0], [0, 0, -1]])


def test_colmap_poses_round_trip():
    cameras = some_cameras()
    quaternions, translations = conventions.colmap_from_opencv(cameras.camera_to_world)
    poses = conventions.opencv_from_colmap(quaternions, translations)
    np.testing.assert_allclose(poses, cameras.camera_to_world, atol=1e-12)
    np.testing.assert_allclose(translations, cameras.world_to_camera[:, :3, 3], atol=1e-12)
    assert (quaternions[:, 0] >= 0).all()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda pose: pose[:3, 0].__imul__(-1), "mirrored"),
        (lambda pose: pose[:3, 0].__imul__(0), "singular"),
        (lambda pose: pose[:3, :3].__imul__(2), "not a rotation"),
        (lambda pose: pose[:3, 3].__imul__(np.nan), "finite"),
    ],
)
def test_a_wrong_pose_is_named(spoil, word):
    poses = some_cameras().camera_to_world.copy()
    spoil(poses[3])
    with pytest.raises(InputError, match=rf"pose 3 .*{word}"):
        Cameras(poses, INTRINSICS)
    names = [f"view{index}.png" for index in range(7)]
    with pytest.raises(InputError, match=rf"a\.json: pose 3 \(view3\.png\) .*{word}"):
        conventions.check_poses(poses, names, "a.json")


def test_impossible_intrinsics_are_refused():
    with pytest.raises(InputError, match="focal"):
        Intrinsics.centred(4, 4, 0.0)
    with pytest.raises(InputError, match="size"):
        Intrinsics.centred(0, 4, 1.0)


def test_poses_of_three_rows_are_completed():
    poses = some_cameras().camera_to_world
    np.testing.assert_array_equal(Cameras(poses[:, :3], INTRINSICS).camera_to_world, poses)


def test_projection_agrees_between_image_sizes():
    cameras = some_cameras()
    points = np.random.default_rng(3).normal(size=(20, 3))
    pixels, depth = cameras.project(points)
    half, same_depth = cameras.resized(32, 24).project(points)
    np.testing.assert_allclose(half * 2, pixels)
    np.testing.assert_allclose(same_depth, depth)


def test_a_similarity_undone_changes_nothing():
    rotation = Rotation.random(rng=np.random.default_rng(5)).as_matrix()
    move = similarity.Similarity(2.5, rotation, np.array([1.0, -2.0, 3.0]))
    cameras = some_cameras()
    there = move.cameras(cameras)
    np.testing.assert_allclose(
        move.inverse().cameras(there).camera_to_world, cameras.camera_to_world, atol=1e-12
    )
    both = move.inverse().after(move)
    np.testing.assert_allclose(both.points(cameras.positions), cameras.positions, atol=1e-12)


def test_a_similarity_leaves_projections_alone():
    move = similarity.Similarity(0.3, Rotation.random(rng=2).as_matrix(), np.ones(3))
    cameras, points = some_cameras(), np.random.default_rng(4).normal(size=(11, 3))
    pixels, depth = cameras.project(points)
    moved_pixels, moved_depth = move.cameras(cameras).project(move.points(points))
    np.testing.assert_allclose(moved_pixels, pixels, atol=1e-8)
    np.testing.assert_allclose(moved_depth, 0.3 * depth, atol=1e-12)


def test_recentring_puts_the_mean_camera_at_the_origin_looking_along_minus_z():
    cameras, _ = similarity.recentred(forward_facing_cameras())
    np.testing.assert_allclose(cameras.positions.mean(0), 0, atol=1e-12)
    mean = similarity.average_pose(cameras)
    np.testing.assert_allclose(mean, conventions.opencv_from_opengl(np.eye(4)[None])[0], atol=1e-12)
    again, change = similarity.recentred(cameras)
    np.testing.assert_allclose(again.camera_to_world, cameras.camera_to_world, atol=1e-12)
    np.testing.assert_allclose(change.rotation, np.eye(3), atol=1e-12)


def test_scaling_puts_the_nearest_bound_at_four_thirds():
    _, change = similarity.scaled_by_bounds(forward_facing_cameras(), 12.0)
    assert 12.0 * change.scale == pytest.approx(1 / 0.75)
    with pytest.raises(InputError, match="positive"):
        similarity.scaled_by_bounds(forward_facing_cameras(), 0.0)


def test_spherified_cameras_surround_the_origin_at_mean_distance_one():
    poses = paths.orbit(
        12,
        radius=5.0,
        elevation_degrees=30.0,
        target=np.array([1.0, 2, 3]),
        up=np.array([0, 1, 1.0]),
    )
    cameras, change = similarity.spherified(Cameras(poses, INTRINSICS))
    np.testing.assert_allclose(change.points(np.array([1.0, 2, 3])), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(cameras.positions, axis=1), 1)
    np.testing.assert_allclose(cameras.positions[:, 2], 0.5)


def test_orbits_and_walls_of_cameras_are_told_apart():
    around = Cameras(paths.orbit(8, radius=4.0, elevation_degrees=20.0), INTRINSICS)
    assert not similarity.is_forward_facing(around)
    assert similarity.view_angle_spread(around) == pytest.approx(140, abs=1e-6)
    assert similarity.is_forward_facing(forward_facing_cameras())


def test_alignment_recovers_a_known_similarity():
    cameras = some_cameras()
    move = similarity.Similarity(3.0, Rotation.random(rng=9).as_matrix(), np.array([4.0, 5, 6]))
    found, change = similarity.align_cameras(cameras, move.cameras(cameras))
    assert change.scale == pytest.approx(3.0)
    np.testing.assert_allclose(
        found.camera_to_world, move.cameras(cameras).camera_to_world, atol=1e-9
    )


def test_pose_errors_are_those_put_in():
    reference = some_cameras(40)
    turned = reference.camera_to_world.copy()
    axis = Rotation.from_rotvec([0, 0, np.radians(0.5)]).as_matrix()
    turned[::2, :3, :3] = turned[::2, :3, :3] @ axis
    moved = similarity.Similarity(7.0, Rotation.random(rng=1).as_matrix(), np.ones(3))
    errors = similarity.pose_errors(moved.cameras(Cameras(turned, INTRINSICS)), reference)
    np.testing.assert_allclose(errors.rotation_degrees[::2], 0.5, atol=1e-6)
    np.testing.assert_allclose(errors.rotation_degrees[1::2], 0, atol=1e-6)
    assert errors.position_share < 1e-9
    # A pair shows the turn, once, when exactly one of its views was turned ...
    one_turned = 0.5 * 20 * 20 / (40 * 39 / 2)
    # ... and by at most twice that when both were, about axes of their own.
    assert one_turned < errors.relative_rotation_degrees < one_turned + 1.0 * 190 / 780


def test_alignment_of_points_on_a_line_is_refused():
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="one line"):
        similarity.umeyama(line, line)
    with pytest.raises(InputError, match="3 or more"):
        similarity.umeyama(line[:2], line[:2])


def test_fern_is_forward_facing_and_lego_is_not(real_data):
    import json

    rows = np.load(real_data / "nerf_llff_data/fern/poses_bounds.npy", allow_pickle=False)
    fern = Cameras(conventions.opencv_from_llff(rows)[0], INTRINSICS)
    frames = json.loads((real_data / "nerf_synthetic/lego/transforms_train.json").read_text())
    matrices = np.array([frame["transform_matrix"] for frame in frames["frames"]])
    lego = Cameras(conventions.opencv_from_opengl(matrices), INTRINSICS)
    assert similarity.is_forward_facing(fern)
    assert not similarity.is_forward_facing(lego)
    # The synthetic cameras stand 4.03 from the origin and look at it.
    np.testing.assert_allclose(similarity.nearest_point_to_axes(lego), 0, atol=1e-3)
