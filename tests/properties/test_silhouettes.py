"""Silhouettes: the visual hull holds what was seen, and nothing that a view shows empty."""

from __future__ import annotations

import numpy as np
import pytest

from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import orbit
from nir.geometry.silhouettes import Silhouettes

SIDE = 64
RADIUS = 0.5


@pytest.fixture
def hull_of_a_ball() -> Silhouettes:
    cameras = Cameras(
        orbit(12, radius=3.0, elevation_degrees=20), Intrinsics.centred(SIDE, SIDE, focal=70.0)
    )
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    slopes = np.stack([(column - SIDE / 2) / 70, (row - SIDE / 2) / 70, np.ones_like(row)], -1)
    cosines = slopes[..., 2] / np.linalg.norm(slopes, axis=-1)
    covered = np.sqrt(1 - cosines**2) * 3.0 < RADIUS  # the ray's distance from the centre
    return Silhouettes(cameras, np.broadcast_to(covered, (12, SIDE, SIDE)))


def points_at(radius: float) -> np.ndarray:
    directions = np.random.default_rng(0).normal(size=(500, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_all_of_what_was_seen_is_held(hull_of_a_ball):
    for radius in (0.0, 0.25, RADIUS):
        assert hull_of_a_ball.hold(points_at(radius)).all()


def test_what_a_view_shows_empty_is_not(hull_of_a_ball):
    around = points_at(RADIUS + 0.25)
    flat = np.abs(around[:, 2]) < 0.3  # seen from the side by cameras that go round
    assert not hull_of_a_ball.hold(around[flat]).any()


def test_views_that_do_not_see_a_point_say_nothing_of_it(hull_of_a_ball):
    one = Silhouettes(hull_of_a_ball.cameras[0], hull_of_a_ball.covered[:1] & False)
    camera = hull_of_a_ball.cameras
    behind = camera.positions[:1] - 2 * camera.view_directions[:1]
    beside = camera.positions[:1] + 9 * camera.rotations[0, :, 0] + camera.view_directions[0]
    before = np.zeros((1, 3))
    held = one.hold(np.concatenate([behind, beside, before]))
    assert held.tolist() == [True, True, False]


def test_the_hull_of_no_points_is_empty(hull_of_a_ball):
    assert hull_of_a_ball.hold(np.zeros((0, 3))).shape == (0,)
