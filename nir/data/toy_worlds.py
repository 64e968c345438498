"""Toy worlds: what the project's own scenes consist of, and from where they are seen.

Textures are photographs that ship with scikit-image; each world has glossy parts. `toy` has
solids on a round plinth, seen from all around, with z up and the cameras 4 from the origin, as in
NeRF's synthetic scenes. `toy_forward` is a room seen from a few places side by side, with y up
and the cameras looking along -z. `data.toy` turns them into scenes on disk; any other view of them
is `raytracing.render_view(toy_world_for(...), cameras, view)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from nir.data.images import centre_crop_square, read_image
from nir.data.raytracing import GAMMA, GOLDEN_ANGLE, Lamp, Material, World
from nir.data.registry import bundled_folder
from nir.data.scenes import HOLD_EVERY
from nir.data.solids import Box, Cylinder, Rectangle, Solid, Sphere, Torus, turned
from nir.errors import unknown_name
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import look_at

BLENDER_NEAR, BLENDER_FAR, BLENDER_DISTANCE, BLENDER_ANGLE_X = 2.0, 6.0, 4.0, 0.6911112
"""As in NeRF's synthetic scenes: bounds, distance of the cameras, angle of view in radians."""


@dataclass(frozen=True)
class _Pictures:
    """Photographs as linear light, no finer than the rays that will look at them.

    `spacing` is the distance between neighbouring rays at the scene, so that a picture `extent`
    wide needs extent / spacing samples; more would only flicker.
    """

    spacing: float

    def photo(
        self, name: str, extent: float, *, tint: Sequence[float] = (1, 1, 1)
    ) -> Float[np.ndarray, "side side 3"]:
        """The middle square of a photograph, multiplied by a tint."""
        colour = centre_crop_square(read_image(bundled_folder() / name, background=0.0))
        side = int(np.clip(round(extent / self.spacing), 4, len(colour)))
        linear = colour**GAMMA
        channels = [
            np.asarray(Image.fromarray(linear[..., k]).resize((side, side), Image.Resampling.BOX))
            for k in range(3)
        ]
        return np.stack(channels, axis=-1) * np.array(tint, np.float32)

    def strip(self, names: Sequence[str], extent: float) -> Float[np.ndarray, "rows columns 3"]:
        """Six square photographs side by side, for the faces of a box."""
        photos = [self.photo(name, extent) for name in names]
        side = min(len(photo) for photo in photos)
        return np.concatenate([photo[:side, :side] for photo in photos], axis=1)


def plain(colour: Sequence[float]) -> Float[np.ndarray, "1 1 3"]:
    """A picture of one colour (linear light)."""
    return np.array(colour, np.float32)[None, None]


# +x, -x, +y, -y, +z (the lid), -z (hidden)
_CUBE_FACES = ("astronaut.png", "rocket.jpg", "coffee.png", "ihc.png", "chelsea.png", "color.png")
_ROOM_CUBE_FACES = ("rocket.jpg", "coffee.png", "color.png", "chelsea.png", "ihc.png", "color.png")


_STANDING = turned(about_x=-90.0)  # a solid's own z axis upwards, in a world with y up


def toy_world(spacing: float) -> World:
    """Solids on a plinth, z up; `spacing` is the distance of neighbouring rays at the scene."""
    pictures = _Pictures(spacing)
    parts: list[tuple[Solid, Material]] = [
        (
            Cylinder(np.array([0.0, 0.0, -0.62]), radius=1.2, half_height=0.08),
            Material(pictures.photo("brick.png", 1.2, tint=(2.6, 1.55, 1.05)), (2.0, 2.0), 0.06),
        ),
        (
            Box(np.array([-0.36, 0.36, -0.14]), np.full(3, 0.40), rotation=turned(about_z=24.0)),
            Material(pictures.strip(_CUBE_FACES, 0.8), highlight=0.12),
        ),
        (
            Sphere(np.array([0.52, 0.38, -0.17]), 0.37),
            Material(plain((0.008, 0.10, 0.16)), (1.0, 1.0), 1.0, 220.0, 0.07),
        ),
        (
            Sphere(np.array([-0.30, -0.56, -0.24]), 0.30, rotation=turned(about_z=60.0)),
            Material(pictures.photo("gravel.png", 0.9, tint=(1.9, 0.62, 0.42)), highlight=0.35),
        ),
        (
            Torus(
                np.array([0.47, -0.42, -0.373]),
                ring_radius=0.33,
                tube_radius=0.12,
                rotation=turned(about_z=-30.0, about_x=8.0),
            ),
            Material(
                pictures.photo("grass.png", 0.6, tint=(1.9, 1.35, 0.35)),
                (6.0, 2.0),
                0.6,
                60.0,
                0.0,
                (1.0, 0.86, 0.55),
            ),
        ),
    ]
    lamp = Lamp(np.array([2.2, -2.6, 4.2]))
    return World([s for s, _ in parts], [m for _, m in parts], lamp, np.array([0.0, 0.0, 1.0]))


def toy_forward_world(spacing: float) -> World:
    """A room with pictures on its wall and things on its floor, y up, seen along -z."""
    pictures = _Pictures(spacing)
    parts: list[tuple[Solid, Material]] = [
        (
            Rectangle(np.array([0.0, 1.5, -7.0]), 9.0, 5.0),
            Material(pictures.photo("brick.png", 3.0, tint=(2.3, 1.6, 1.2)), (5.0, 2.8), 0.03),
        ),
        (
            Rectangle(np.array([0.0, -1.25, -3.0]), 9.0, 6.0, rotation=_STANDING),
            Material(pictures.photo("gravel.png", 2.4, tint=(1.1, 1.0, 0.85)), (7.0, 4.7), 0.05),
        ),
    ]
    parts += _framed(pictures, "astronaut.png", np.array([-1.9, 0.95, -6.9]), 0.95)
    parts += _framed(pictures, "coffee.png", np.array([0.55, 1.35, -6.9]), 0.72)
    parts += _framed(pictures, "hubble_deep_field.jpg", np.array([2.75, 0.9, -6.9]), 0.85)
    parts += _things_on_the_floor(pictures)
    lamp = Lamp(np.array([2.6, 4.0, 0.5]), radius=0.5)
    return World([s for s, _ in parts], [m for _, m in parts], lamp, np.array([0.0, 1.0, 0.0]))


def toy_shiny_world(spacing: float) -> World:
    """The room of `toy_forward_world` with two foils in it whose colours turn with the eye.

    Their gratings grow finer sideways so that a whole foil shows nearly one colour, which changes
    as the eye moves: no picture on any plane, however far, does that.
    """
    room = toy_forward_world(spacing)
    random = np.random.default_rng(7)
    foils = [
        Rectangle(np.array([-1.45, 0.75, -6.0]), 1.35, 0.85),
        Rectangle(np.array([1.75, 0.85, -6.2]), 1.35, 0.95),
    ]
    materials = [Material(_foil_shifts(foil, random), iridescence=0.85) for foil in foils]
    return World([*room.solids, *foils], [*room.materials, *materials], room.lamp, room.up)


FOIL_SLOPE = 1.2
"""Wavelengths of shift a unit of length that keep a foil's colour even for an eye in the room."""


def _foil_shifts(
    foil: Rectangle, random: np.random.Generator
) -> Float[np.ndarray, "rows columns 3"]:
    """What each place of a foil's grating adds to the difference of path, in wavelengths."""
    rows, columns = 4, 9
    centres = (2 * np.arange(columns) + 1) / columns - 1
    even = FOIL_SLOPE * foil.half_width * centres
    shifts = even + 0.4 * random.random((rows, columns))
    return np.repeat(shifts[..., None], 3, axis=2).astype(np.float32)


def _things_on_the_floor(pictures: _Pictures) -> list[tuple[Solid, Material]]:
    return [
        (
            Box(
                np.array([0.35, -0.62, -4.6]),
                np.full(3, 0.63),
                rotation=_about_y(-28.0) @ _STANDING,
            ),
            Material(pictures.strip(_ROOM_CUBE_FACES, 1.26), highlight=0.12),
        ),
        (
            Sphere(np.array([1.42, -0.77, -3.5]), 0.48),
            Material(plain((0.008, 0.10, 0.16)), (1.0, 1.0), 1.0, 220.0, 0.07),
        ),
        (
            Sphere(np.array([-1.42, -0.70, -3.7]), 0.55, rotation=_about_y(-30.0) @ _STANDING),
            Material(pictures.photo("retina.jpg", 1.4, tint=(0.9, 1.1, 1.1)), highlight=0.3),
        ),
        (
            Torus(
                np.array([-0.40, -1.03, -2.9]),
                ring_radius=0.36,
                tube_radius=0.14,
                rotation=_about_y(20.0) @ turned(about_x=-78.0),
            ),
            Material(
                pictures.photo("grass.png", 0.7, tint=(1.9, 1.35, 0.35)),
                (6.0, 2.0),
                0.6,
                60.0,
                0.0,
                (1.0, 0.86, 0.55),
            ),
        ),
    ]


def _framed(
    pictures: _Pictures, name: str, centre: Float[np.ndarray, " 3"], half: float
) -> list[tuple[Solid, Material]]:
    """A square picture on a wall that faces +z, in a wooden frame."""
    photo = pictures.photo(name, 2 * half)
    frame = Box(centre - np.array([0, 0, 0.02]), np.array([half + 0.09, half + 0.09, 0.05]))
    canvas = Rectangle(centre + np.array([0, 0, 0.04]), half, half)
    return [
        (frame, Material(plain((0.10, 0.05, 0.025)), highlight=0.3)),
        (canvas, Material(photo, highlight=0.04)),
    ]


def _about_y(degrees: float) -> Float[np.ndarray, "3 3"]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def toy_cameras(size: int, split: str, count: int, *, seed: int = 0) -> Cameras:
    """Cameras of the toy world: spread evenly over the upper hemisphere (train, val), on a
    rising and falling orbit (test).
    """
    number = np.arange(count) + 0.5
    if split == "test":
        angle, height = 2 * np.pi * number / count, 0.45 + 0.2 * np.sin(4 * np.pi * number / count)
    else:
        # A golden spiral up the hemisphere, visited in random order.
        random = np.random.default_rng([seed, len(split)])
        number = random.permutation(number)
        height = 0.05 + 0.9 * number / count
        angle = GOLDEN_ANGLE * number + random.uniform(0, 2 * np.pi)
    flat = np.sqrt(1 - height**2)
    places = BLENDER_DISTANCE * np.stack([flat * np.cos(angle), flat * np.sin(angle), height], 1)
    target, up = np.array([0.0, 0.0, -0.35]), np.array([0.0, 0.0, 1.0])
    poses = np.stack([look_at(place, target, up) for place in places])
    return Cameras(poses, Intrinsics.from_field_of_view(size, size, BLENDER_ANGLE_X))


def toy_forward_cameras(size: int, count: int, *, seed: int = 0) -> Cameras:
    """Cameras of the room: on a disc facing it, the held-out ones (every 8th) within it."""
    random = np.random.default_rng([seed, 3])
    views = np.arange(count)
    held = views % HOLD_EVERY == 0
    order = np.empty(count)
    inner = np.linspace(0.1, 0.55, int(held.sum()))
    order[held] = inner
    order[~held] = np.sqrt((np.arange(int((~held).sum())) + 0.5) / max(1, int((~held).sum())))
    angle = GOLDEN_ANGLE * views
    places = np.stack([0.55 * order * np.cos(angle), 0.36 * order * np.sin(angle)], axis=1)
    places = np.concatenate([places, random.uniform(-0.06, 0.06, (count, 1))], axis=1)
    targets = np.array([0.1, -0.15, -4.6]) + random.uniform(-0.12, 0.12, (count, 3))
    up = np.array([0.0, 1.0, 0.0])
    poses = np.stack([look_at(p, t, up) for p, t in zip(places, targets, strict=True)])
    return Cameras(poses, Intrinsics.centred(size, size * 3 // 4, 0.81 * size))


ROOM_CENTRE = np.array([0.1, -0.15, -4.6])
"""What the cameras of the room look at."""


def toy_arc_cameras(size: int, degrees: Sequence[float]) -> Cameras:
    """Cameras of the room on an arc around its centre, turned by so much from straight ahead."""
    angles = np.radians(degrees)
    radius = -ROOM_CENTRE[2]
    away = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1)
    return _facing_the_room(ROOM_CENTRE + radius * away, size)


def toy_rig_cameras(size: int) -> tuple[Cameras, Cameras]:
    """A rig of 4 x 4 cameras before the room, as for Spaces: the outer 12, and the inner 4."""
    across, up = np.meshgrid(np.linspace(-0.6, 0.6, 4), np.linspace(0.4, -0.4, 4))
    places = np.stack([across, up, np.zeros_like(up)], axis=-1)
    inner = np.zeros((4, 4), bool)
    inner[1:3, 1:3] = True
    return _facing_the_room(places[~inner], size), _facing_the_room(places[inner], size)


def _facing_the_room(places: Float[np.ndarray, "views 3"], size: int) -> Cameras:
    up = np.array([0.0, 1.0, 0.0])
    poses = np.stack([look_at(place, ROOM_CENTRE, up) for place in places])
    return Cameras(poses, Intrinsics.centred(size, size * 3 // 4, 0.81 * size))


LAYOUTS = ("toy", "toy_forward", "toy_shiny")


def toy_world_for(layout: str, size: int, *, samples: int = 3) -> World:
    """The world of a layout, with pictures fit for images `size` pixels wide."""
    if layout == "toy":
        return toy_world(BLENDER_DISTANCE * np.tan(BLENDER_ANGLE_X / 2) * 2 / (size * samples))
    if layout in ("toy_forward", "toy_shiny"):
        world = toy_forward_world if layout == "toy_forward" else toy_shiny_world
        return world(4.5 / (0.81 * size * samples))
    raise unknown_name("toy layout", layout, LAYOUTS)
