"""Tiles of drawings: pictures of one size are cut alike, to what they show."""

from __future__ import annotations

import numpy as np

from nir.reporting.drawings.tiles import cut_alike


def on_white(*places: tuple[int, int], side: int = 64) -> np.ndarray:
    picture = np.full((side, side, 3), 255, np.uint8)
    for row, column in places:
        picture[row, column] = (0, 90, 160)
    return picture


def test_all_that_any_picture_shows_is_kept_and_every_picture_keeps_its_scale():
    first = np.stack([on_white((20, 10)), on_white((30, 12))])
    second = np.stack([on_white((25, 40))])
    cut = cut_alike([first, second])
    assert [p.shape[1:] for p in cut] == [(11 + 4, 31 + 4, 3)] * 2  # and two texels of margin
    for before, after in zip([first, second], cut, strict=True):
        assert (before != 255).any(axis=-1).sum() == (after != 255).any(axis=-1).sum()
    assert (cut[0][0, 2, 2] == (0, 90, 160)).all()


def test_what_reaches_the_border_is_not_cut():
    (cut,) = cut_alike([np.stack([on_white((0, 63), (63, 0))])])
    assert cut.shape == (1, 64, 64, 3)


def test_pictures_of_another_size_and_empty_ones_are_left():
    photographs = np.stack([on_white((3, 3), side=16)])
    nothing = np.stack([on_white()])
    cut = cut_alike([photographs, nothing])
    assert cut[0].shape == (1, 16, 16, 3)
    assert cut[1].shape == (1, 64, 64, 3)


def test_the_background_may_have_any_colour():
    black = np.zeros((1, 64, 64, 3), np.uint8)
    black[0, 32, 32] = 255
    (cut,) = cut_alike([black])
    assert cut.shape == (1, 5, 5, 3)
