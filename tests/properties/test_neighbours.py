"""Nearest points are those of an exhaustive search, whatever order they are asked in."""

from __future__ import annotations

import numpy as np
import pytest

from nir.geometry.neighbours import LEAF_POINTS, forget_neighbours, nearest_points


@pytest.mark.parametrize(("known", "asked"), [(1, 1), (7, 3), (900, 1300)])
def test_they_are_those_of_an_exhaustive_search(known, asked):
    generator = np.random.default_rng(known)
    first, second = generator.normal(size=(known, 3)), generator.normal(size=(asked, 3))
    every = np.linalg.norm(second[:, None] - first[None], axis=2)
    distances, indices = nearest_points(first, second)
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(indices, every.argmin(axis=1))


def test_the_order_of_asking_does_not_matter():
    generator = np.random.default_rng(0)
    known, asked = generator.normal(size=(2, 10 * LEAF_POINTS, 3))
    order = generator.permutation(len(asked))
    distances, indices = nearest_points(known, asked)
    shuffled, at = nearest_points(known, asked[order])
    np.testing.assert_array_equal(shuffled, distances[order])
    np.testing.assert_array_equal(at, indices[order])


def test_nobody_asked_is_answered_with_nothing():
    distances, indices = nearest_points(np.zeros((1, 3)), np.zeros((0, 3)))
    assert len(distances) == len(indices) == 0


def test_answers_are_kept_and_can_be_forgotten_but_not_written_on():
    points = np.random.default_rng(0).normal(size=(50, 3))
    forget_neighbours()
    kept = nearest_points(points, points)
    assert nearest_points(points.copy(), points.copy())[0] is kept[0]
    with pytest.raises(ValueError, match="read-only"):
        kept[0][:] = 0
    forget_neighbours()
    again = nearest_points(points, points)
    assert again[0] is not kept[0]
    np.testing.assert_array_equal(again[0], kept[0])
