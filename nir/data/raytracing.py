"""A small ray tracer: solids with pictures on them, one soft lamp, highlights and reflections.

It exists to make scenes of which everything is known. Light is linear inside, and each ray's
colour is encoded (sRGB's power law, 1 / 2.2) before rays are averaged over a pixel, so that what
volume rendering does with encoded colours is exact at silhouettes too.

Shading: hemispherical ambient light with contact shadows, a lamp with Lambert's law and soft
shadows, Blinn-Phong highlights, and one mirrored bounce weighted by Schlick's Fresnel term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from nir.data.solids import Solid, Values, Vectors, dot
from nir.geometry.cameras import Cameras

GAMMA = 2.2
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    picture: linear light [rows columns 3], laid on by the solid's picture coordinates, `repeats`
    times and mirrored at each repetition (no seams). highlight: strength and sharpness of the
    lamp's image. mirror: reflectance at normal incidence. `tint` colours highlight and mirror.
    iridescence: share of the light that a grating of fine lines (along the solid's y) sends in
    colours which turn with the eye, as a compact disc does; the picture's brightness shifts the
    lines, 1 by a whole line.
    """

    picture: Float[np.ndarray, "rows columns 3"]
    repeats: tuple[float, float] = (1.0, 1.0)
    highlight: float = 0.1
    sharpness: float = 30.0
    mirror: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    iridescence: float = 0.0

    @property
    def is_glossy(self) -> bool:
        """Whether the look depends strongly on the viewing direction."""
        return self.mirror > 0 or self.highlight >= 0.4 or self.iridescence > 0


@dataclass(frozen=True)
class Lamp:
    """A spherical lamp, given by its place, radius and colour, and the ambient light around."""

    position: Float[np.ndarray, " 3"]
    radius: float = 0.4
    colour: tuple[float, float, float] = (0.95, 0.90, 0.82)
    sky: tuple[float, float, float] = (0.50, 0.56, 0.66)
    ground: tuple[float, float, float] = (0.30, 0.26, 0.22)


@dataclass(frozen=True)
class World:
    """Solids with their materials, under one lamp; `up` is where the sky is."""

    solids: Sequence[Solid]
    materials: Sequence[Material]
    lamp: Lamp
    up: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class View:
    """What one camera sees. `depth` (along the forward axis; infinite where nothing is), `solid`
    (index, -1 for none) and `glossy` belong to pixel centres; alpha is straight.
    """

    rgba: Float[np.ndarray, "height width 4"]
    depth: Float[np.ndarray, "height width"]
    solid: Int[np.ndarray, "height width"]
    glossy: Bool[np.ndarray, "height width"]


def render_view(world: World, cameras: Cameras, view: int, *, samples: int = 3) -> View:
    """Trace one view with `samples`² rays a pixel."""
    width, height = cameras.intrinsics.width, cameras.intrinsics.height
    total = np.zeros((height * width, 4), np.float32)
    for number in range(samples**2):
        offset = (np.array([number % samples, number // samples]) + 0.5) / samples
        origins, directions = pixel_rays(cameras, view, offset, np.float32)
        lamp = _point_on_lamp(world.lamp, number, samples**2)
        light, hit = _trace(world, origins, directions, lamp)
        total[:, :3] += hit[:, None] * np.clip(light, 0, 1) ** (1 / GAMMA)
        total[:, 3] += hit
    rgba = total / np.float32(samples**2)
    rgba[:, :3] /= np.maximum(rgba[:, 3:], 1e-6)
    origins, directions = pixel_rays(cameras, view, np.array([0.5, 0.5]), np.float64)
    depth, solid = nearest_solid(world.solids, origins, directions)
    glossy = np.array([material.is_glossy for material in world.materials] + [False])[solid]
    shape = (height, width)
    return View(
        rgba.reshape(*shape, 4),
        depth.reshape(shape),
        solid.reshape(shape),
        glossy.reshape(shape),
    )


def pixel_rays(
    cameras: Cameras, view: int, offset: Float[np.ndarray, " 2"], dtype: type
) -> tuple[Vectors, Vectors]:
    """Rays through all pixels, at `offset` (x, y) in each; one unit of t is one unit of depth."""
    camera, pose = cameras.intrinsics, cameras.camera_to_world[view]
    rows, columns = np.mgrid[: camera.height, : camera.width]
    inside = np.stack(
        [
            (columns.ravel() + offset[0] - camera.centre_x) / camera.focal_x,
            (rows.ravel() + offset[1] - camera.centre_y) / camera.focal_y,
            np.ones(rows.size),
        ],
        axis=1,
    )
    directions = (inside @ pose[:3, :3].T).astype(dtype)
    return np.broadcast_to(pose[:3, 3].astype(dtype), directions.shape), directions


def nearest_solid(
    solids: Sequence[Solid], origins: Vectors, directions: Vectors
) -> tuple[Values, Int[np.ndarray, " rays"]]:
    """The first solid on each ray: its parameter t (infinite for none) and its index (-1)."""
    nearest = np.full(len(origins), np.inf, origins.dtype)
    index = np.full(len(origins), -1)
    for number, solid in enumerate(solids):
        near = _rays_near(solid, origins, directions)
        if len(near) == 0:
            continue
        t = solid.intersect(origins[near], directions[near])
        closer = t < nearest[near]
        nearest[near[closer]] = t[closer]
        index[near[closer]] = number
    return nearest, index


def _rays_near(solid: Solid, origins: Vectors, directions: Vectors) -> Int[np.ndarray, " some"]:
    """Rays that pass through the sphere around a solid: the others need no exact answer."""
    away = origins - solid.centre.astype(origins.dtype)
    along = dot(away, directions)
    beyond = dot(away, away) - origins.dtype.type(1.01 * solid.extent**2)
    length = dot(directions, directions)
    return np.flatnonzero((along * along > length * beyond) & ((along < 0) | (beyond < 0)))


def _trace(
    world: World,
    origins: Vectors,
    directions: Vectors,
    lamp: Float[np.ndarray, " 3"],
    *,
    mirrored: bool = False,
) -> tuple[Vectors, Bool[np.ndarray, " rays"]]:
    """Linear light along rays, and whether they meet anything; mirrored ones may see the sky."""
    t, index = nearest_solid(world.solids, origins, directions)
    light = np.zeros_like(origins)
    if mirrored:
        light = _sky(world, directions)
    for number, material in enumerate(world.materials):
        rays = np.flatnonzero(index == number)
        if len(rays):
            points = origins[rays] + t[rays, None] * directions[rays]
            light[rays] = _shade(
                world, number, material, points, directions[rays], lamp, mirrored=mirrored
            )
    return light, index >= 0


def _shade(
    world: World,
    number: int,
    material: Material,
    points: Vectors,
    directions: Vectors,
    lamp: Float[np.ndarray, " 3"],
    *,
    mirrored: bool,
) -> Vectors:
    solid = world.solids[number]
    towards_eye = -_unit(directions)
    normals = solid.normals(points).astype(points.dtype)
    facing = dot(normals, towards_eye)[:, None]
    normals, facing = np.where(facing < 0, -normals, normals), np.abs(facing)
    albedo = picture_colour(solid, material, points)
    points = points + normals * points.dtype.type(1e-3)
    lit, towards_lamp = _lamp_light(world, points, normals, lamp)
    light = albedo * (_ambient(world, number, points, normals) + lit)
    half = _unit(towards_lamp + towards_eye)
    gloss = np.maximum(dot(normals, half)[:, None], 0) ** material.sharpness
    tint = np.array(material.tint, points.dtype)
    light += (
        material.highlight * gloss * tint * (lit > 0) * np.array(world.lamp.colour, points.dtype)
    )
    if material.iridescence > 0:
        across = solid.rotation[:, 0].astype(points.dtype)
        path = (towards_lamp + towards_eye) @ across * points.dtype.type(GRATING_LINES)
        grating = _grating_light(path + albedo.mean(axis=1))
        light = light * (1 - material.iridescence) + material.iridescence * grating
    if material.mirror > 0 and not mirrored:
        fresnel = material.mirror + (1 - material.mirror) * (1 - facing) ** 5
        reflected = 2 * facing * normals - towards_eye
        seen, _ = _trace(world, points, reflected.astype(points.dtype), lamp, mirrored=True)
        light = light * (1 - fresnel) + fresnel * tint * seen
    return light.astype(points.dtype)


GRATING_LINES = 4.0
"""Wavelengths of green between the lines of a grating."""


def _grating_light(path: Values) -> Vectors:
    """Colours by the difference of path, in wavelengths, of light from neighbouring lines."""
    waves = np.array([1.18, 1.0, 0.82], path.dtype)  # of red, green and blue, to green's
    phases = 2 * np.pi * path[:, None] / waves
    return (0.3 + 0.3 * np.cos(phases)).astype(path.dtype)


def picture_colour(solid: Solid, material: Material, points: Vectors) -> Vectors:
    """The material's picture at surface points, bilinear."""
    picture = material.picture
    if picture.shape[:2] == (1, 1):
        return np.broadcast_to(picture[0], points.shape).astype(points.dtype)
    wrapped = solid.picture_coordinates(points) * np.array(material.repeats, points.dtype)
    mirrored = np.abs((wrapped + 1) % 2 - 1) if max(material.repeats) > 1 else wrapped
    size = np.array([picture.shape[1], picture.shape[0]])
    at = np.clip(mirrored * size.astype(points.dtype) - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), np.maximum(size - 2, 0))
    (across, down), (x, y) = (at - low).astype(points.dtype).T[..., None], low.T
    x1, y1 = np.minimum(x + 1, size[0] - 1), np.minimum(y + 1, size[1] - 1)
    top = picture[y, x] * (1 - across) + picture[y, x1] * across
    bottom = picture[y1, x] * (1 - across) + picture[y1, x1] * across
    return (top * (1 - down) + bottom * down).astype(points.dtype)


def _lamp_light(
    world: World, points: Vectors, normals: Vectors, lamp: Float[np.ndarray, " 3"]
) -> tuple[Vectors, Vectors]:
    """Light of the lamp that falls on points, and unit vectors towards it."""
    towards = lamp.astype(points.dtype) - points
    unit = _unit(towards)
    cosine = np.maximum(dot(normals, unit), 0)
    lit = np.flatnonzero(cosine > 0)
    t, _ = nearest_solid(world.solids, points[lit], towards[lit])
    cosine[lit[t < 1]] = 0
    return cosine[:, None] * np.array(world.lamp.colour, points.dtype), unit


def _ambient(world: World, number: int, points: Vectors, normals: Vectors) -> Vectors:
    """Sky from above, ground from below, less what the solids around hide of it."""
    upward = 0.5 + 0.5 * (normals @ world.up.astype(points.dtype))[:, None]
    light = _hemisphere(world.lamp, upward)
    open_share = np.ones(len(points), points.dtype)
    for other, solid in enumerate(world.solids):
        if other == number or not 0 < solid.extent < 0.8:
            continue  # what is large surrounds rather than hides
        away = solid.centre.astype(points.dtype) - points
        distance = np.maximum(np.sqrt(dot(away, away)), solid.extent * 0.8)
        cosine = np.maximum(dot(normals, away) / distance, 0)
        # The share of the hemisphere, weighted by the cosine, that a distant ball hides.
        open_share *= 1 - 0.8 * np.minimum(cosine * (0.75 * solid.extent / distance) ** 2, 1)
    return (light * open_share[:, None]).astype(points.dtype)


def _sky(world: World, directions: Vectors) -> Vectors:
    upward = 0.5 + 0.5 * (_unit(directions) @ world.up.astype(directions.dtype))[:, None]
    horizon = np.exp(-((upward - 0.5) ** 2) / 0.01)
    light = _hemisphere(world.lamp, upward)
    return (1.3 * light + 0.35 * horizon).astype(directions.dtype)


def _hemisphere(lamp: Lamp, upward: Float[np.ndarray, "rays 1"]) -> Vectors:
    sky, ground = (np.array(colour, upward.dtype) for colour in (lamp.sky, lamp.ground))
    return upward * sky + (1 - upward) * ground


def _point_on_lamp(lamp: Lamp, number: int, count: int) -> Float[np.ndarray, " 3"]:
    """One of `count` points spread over the lamp's disc, so that a pixel's shadow is soft."""
    radius = lamp.radius * np.sqrt((number * 5 % count + 0.5) / count)
    angle = GOLDEN_ANGLE * number
    across = _unit(np.cross(lamp.position, [0.3, 0.5, 0.8])[None])[0]
    along = _unit(np.cross(lamp.position, across)[None])[0]
    return lamp.position + radius * (np.cos(angle) * across + np.sin(angle) * along)


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.sqrt(dot(vectors, vectors)), 1e-12)[:, None]
