"""Generated scenes: the sizes in which `data.toy` makes the project's own scenes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from nir.data.toy import generate_toy_photos, generate_toy_room, generate_toy_scene
from nir.data.toy_worlds import toy_arc_cameras, toy_forward_cameras, toy_rig_cameras

SMALL, LARGE = 24, 112
"""Widths of images: for tests, and as large as a laptop trains in a minute."""

ARC_DEGREES = (0, 5, 10, 15, 20, 30, 40)


def _write_toy(path: Path, _number: int) -> None:
    """Solids on a plinth from all around, as large as a laptop trains in a minute."""
    generate_toy_scene(path, "toy", size=100, train_views=40, test_views=4, samples=2)


def _write_toy_small(path: Path, _number: int) -> None:
    generate_toy_scene(path, "toy", size=24, train_views=6, test_views=1, samples=2)


def _write_toy_forward(path: Path, _number: int) -> None:
    """A room from 25 places side by side, 4 of them held out."""
    generate_toy_scene(
        path, "toy_forward", size=112, train_views=21, test_views=4, samples=2, factors=(1,)
    )


def _write_toy_forward_small(path: Path, _number: int) -> None:
    generate_toy_scene(
        path, "toy_forward", size=24, train_views=7, test_views=1, samples=2, factors=(1,)
    )


def _write_toy_shiny(path: Path, _number: int, *, size: int, views: tuple[int, int]) -> None:
    """The room with foils in it whose colours turn with the eye."""
    train, test = views
    generate_toy_scene(
        path,
        "toy_shiny",
        size=size,
        train_views=train,
        test_views=test,
        samples=2,
        factors=(1,),
    )


def _write_toy_photos(path: Path, _number: int) -> None:
    """The room from 16 places, without the cameras: poses are to be estimated."""
    generate_toy_photos(path, size=400, views=16)


def _write_toy_photos_small(path: Path, _number: int) -> None:
    generate_toy_photos(path, size=240, views=8)


def _write_toy_arc(path: Path, _number: int, *, size: int, views: int) -> None:
    """The room from places side by side, asked from ever further around it."""
    angles = ARC_DEGREES if size == LARGE else ARC_DEGREES[::4]
    train = toy_forward_cameras(size, views)
    generate_toy_room(path, size=size, train=train, test=toy_arc_cameras(size, angles))


def _write_toy_rig(path: Path, _number: int, *, size: int) -> None:
    """The room from a rig of 16 cameras, of which 12 train, as with Spaces."""
    train, test = toy_rig_cameras(size)
    generate_toy_room(path, size=size, train=train, test=test)


WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "toy": _write_toy,
    "toy_small": _write_toy_small,
    "toy_forward": _write_toy_forward,
    "toy_forward_small": _write_toy_forward_small,
    "toy_shiny": partial(_write_toy_shiny, size=LARGE, views=(21, 4)),
    "toy_shiny_small": partial(_write_toy_shiny, size=SMALL, views=(7, 1)),
    "toy_arc": partial(_write_toy_arc, size=LARGE, views=21),
    "toy_arc_small": partial(_write_toy_arc, size=SMALL, views=6),
    "toy_rig": partial(_write_toy_rig, size=LARGE),
    "toy_rig_small": partial(_write_toy_rig, size=SMALL),
    "toy_photos": _write_toy_photos,
    "toy_photos_small": _write_toy_photos_small,
}
