"""Generated signals: what an experiment without a network and without downloads is run on.

Rendered text, Shepp-Logan phantoms in the plane and in space, a melody, a moving picture cut from
a photo, and toy scenes. Each is a function of its name alone: the same bytes on every run.

Phantom coordinates are x to the right and y up in [-1, 1], sampled at pixel centres; an image has
row 0 on top (y near 1), a volume is [z, y, x] with y running down as in an image and z up.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.random import RandomState
from PIL import Image, ImageDraw, ImageFont

from nir.data.audio import write_wav
from nir.data.images import read_image, write_png
from nir.data.registry import bundled_folder
from nir.data.shape_sets import SETS
from nir.errors import unknown_name

# Toft's contrast of the ellipsoids of Shepp and Logan (1974), as in MATLAB's `phantom` and, in
# space, M. Schabel's `phantom3d`. Intensity; semi-axes a b c; centre x y z; Euler angles phi theta
# psi in degrees. The first two are skull and brain.
_ELLIPSOIDS = np.array(
    [
        [1.0, 0.6900, 0.920, 0.810, 0.00, 0.0000, 0.00, 0, 0, 0],
        [-0.8, 0.6624, 0.874, 0.780, 0.00, -0.0184, 0.00, 0, 0, 0],
        [-0.2, 0.1100, 0.310, 0.220, 0.22, 0.0000, 0.00, -18, 0, 10],
        [-0.2, 0.1600, 0.410, 0.280, -0.22, 0.0000, 0.00, 18, 0, 10],
        [0.1, 0.2100, 0.250, 0.410, 0.00, 0.3500, -0.15, 0, 0, 0],
        [0.1, 0.0460, 0.046, 0.050, 0.00, 0.1000, 0.25, 0, 0, 0],
        [0.1, 0.0460, 0.046, 0.050, 0.00, -0.1000, 0.25, 0, 0, 0],
        [0.1, 0.0460, 0.023, 0.050, -0.08, -0.6050, 0.00, 0, 0, 0],
        [0.1, 0.0230, 0.023, 0.020, 0.00, -0.6060, 0.00, 0, 0, 0],
        [0.1, 0.0230, 0.046, 0.020, 0.06, -0.6050, 0.00, 0, 0, 0],
    ]
)
_TEXT_SIZE = 512  # pixels, as the Text images of Fourier Features
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono")
_RATE = 44_100


def generate(name: str, path: Path) -> None:
    """Write the generated signal `name` to `path`."""
    family, _, number = name.rpartition("_")
    if name in _GENERATORS or not number.isdecimal():
        family, number = name, "0"
    if family not in _GENERATORS:
        raise unknown_name("generated signal", name, _GENERATORS)
    _GENERATORS[family](path, int(number))


def shepp_logan_image(
    side: int, *, variation: RandomState | None = None
) -> Float[np.ndarray, "side side"]:
    """Return the modified Shepp-Logan phantom in the plane, values in [0, 1].

    variation: draws N(0, 1) / 20 to add to each number of each ellipse, as the phantoms of Fourier
        Features (Experiments/2d_CT), before values are clipped.
    """
    # The plane's ellipses are the ellipsoids without z; those at z = 0.25 belong to it, too.
    columns = _ELLIPSOIDS[:, [0, 1, 2, 4, 5, 7]]
    if variation is not None:
        columns = columns + variation.normal(size=columns.shape) / 20
    x, y = np.meshgrid(_centres(side), -_centres(side))
    image = np.zeros((side, side))
    for intensity, a, b, x0, y0, degrees in columns:
        phi = np.deg2rad(degrees)
        along = (x - x0) * np.cos(phi) + (y - y0) * np.sin(phi)
        across = (y - y0) * np.cos(phi) - (x - x0) * np.sin(phi)
        image += intensity * ((along / a) ** 2 + (across / b) ** 2 <= 1)
    return np.clip(image, 0, 1).astype(np.float32)


def shepp_logan_volume(
    side: int, *, variation: RandomState | None = None
) -> Float[np.ndarray, "side side side"]:
    """Return the modified Shepp-Logan phantom in space, [z, y, x], values in [0, 1].

    variation: as for `shepp_logan_image` (Experiments/3d_MRI).
    """
    ellipsoids = _ELLIPSOIDS
    if variation is not None:
        ellipsoids = ellipsoids + variation.normal(size=ellipsoids.shape) / 20
    z, y, x = np.meshgrid(_centres(side), -_centres(side), _centres(side), indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    volume = np.zeros((side, side, side))
    for intensity, *rest in ellipsoids:
        axes, centre, angles = np.split(np.array(rest), 3)
        turned = (points - centre) @ _euler_rotation(np.deg2rad(angles)).T
        volume += intensity * (((turned / axes) ** 2).sum(axis=-1) <= 1)
    return np.clip(volume, 0, 1).astype(np.float32)


def _euler_rotation(angles: np.ndarray) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of z-x-z Euler angles phi, theta, psi (Goldstein's x-convention)."""
    phi, theta, psi = angles
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(theta), np.sin(theta)], [0, -np.sin(theta), np.cos(theta)]]
    )
    return _turn_about_z(psi) @ tilt @ _turn_about_z(phi)


def _turn_about_z(angle: float) -> Float[np.ndarray, "3 3"]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])


def _centres(side: int) -> Float[np.ndarray, " side"]:
    return (np.arange(side) + 0.5) * 2 / side - 1


def _write_text(path: Path, number: int) -> None:
    """Draw random strings of several sizes and colours, apart from each other, on white."""
    draw_numbers = RandomState(1000 + number)
    canvas = Image.new("RGB", (_TEXT_SIZE, _TEXT_SIZE), "white")
    draw = ImageDraw.Draw(canvas)
    taken: list[tuple[int, int, int, int]] = []
    sizes = np.sort(draw_numbers.choice([14, 18, 24, 32, 44, 60, 84], size=160))[::-1]
    for size in sizes:
        face = _FACES[draw_numbers.randint(len(_FACES))]
        font = ImageFont.truetype(
            _font_folder() / f"{face}.ttf", int(size), layout_engine=ImageFont.Layout.BASIC
        )
        length = draw_numbers.randint(3, 9)
        letters = "".join(_LETTERS[i] for i in draw_numbers.randint(len(_LETTERS), size=length))
        colour = tuple(int(value) for value in draw_numbers.randint(0, 200, size=3))
        left, top = (int(value) for value in draw_numbers.randint(-20, _TEXT_SIZE - 20, size=2))
        box = draw.textbbox((left, top), letters, font=font)
        if not any(_overlap(box, other) for other in taken):
            draw.text((left, top), letters, font=font, fill=colour)
            taken.append(box)
    write_png(path, np.asarray(canvas))


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _font_folder() -> Path:
    found = importlib.util.find_spec("matplotlib")  # not imported: its fonts are enough
    return Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"


def _write_phantom(path: Path, number: int) -> None:
    write_png(path, shepp_logan_image(512, variation=RandomState(number)), bits=16)


def _write_phantom_volume(path: Path, number: int) -> None:
    variation = RandomState(number) if number else None
    np.savez_compressed(path, volume=shepp_logan_volume(96, variation=variation))


# Semitones from A4, and beats, at 132 beats a minute: a tune over the chords C, A minor, F, G, C.
_TUNE = [
    [(-5, 0.5), (-2, 0.5), (3, 1.0), (2, 0.5), (3, 0.5)],
    [(0, 0.5), (3, 0.5), (7, 1.0), (5, 0.5), (3, 0.5)],
    [(3, 0.5), (0, 0.5), (5, 1.0), (3, 0.5), (0, 0.5)],
    [(2, 1.0), (-2, 0.5), (2, 0.5), (5, 0.5), (2, 0.5)],
    [(3, 3.0)],
]
_CHORDS = [(-21, -17, -14), (-24, -21, -17), (-28, -24, -21), (-26, -22, -19), (-21, -17, -14)]
_BEAT_SECONDS = 60 / 132


def _write_melody(path: Path, _number: int) -> None:
    """Synthesise a tune over broken chords, plucked: harmonics that fade the faster the higher."""
    bars = len(_TUNE)
    sound = np.zeros(int((3 * bars + 0.5) * _BEAT_SECONDS * _RATE))
    for bar, (tune, chord) in enumerate(zip(_TUNE, _CHORDS, strict=True)):
        beat = 3.0 * bar
        for pitch, beats in tune:
            _add_note(sound, beat, beats + 0.5, pitch, loudness=1.0)
            beat += beats
        for step, pitch in enumerate((*chord, *chord[1:])):
            _add_note(sound, 3.0 * bar + 0.5 * step, 1.5, pitch, loudness=0.55)
        _add_note(sound, 3.0 * bar, 3.0, chord[0] - 12, loudness=0.6)
    write_wav(path, 0.8 * sound / np.abs(sound).max(), rate=_RATE)


def _add_note(sound: np.ndarray, beat: float, beats: float, pitch: int, *, loudness: float) -> None:
    start = int(beat * _BEAT_SECONDS * _RATE)
    stop = min(start + int(beats * _BEAT_SECONDS * _RATE), len(sound))
    seconds = np.arange(stop - start) / _RATE
    frequency = 440 * 2 ** (pitch / 12)
    note = sum(
        np.sin(2 * np.pi * frequency * harmonic * seconds)
        * np.exp(-1.8 * harmonic * seconds)
        / harmonic**1.5
        for harmonic in range(1, 7)
    )
    attack = np.clip(seconds / 0.008, 0, 1)
    release = np.clip((stop - start - np.arange(stop - start)) / (0.05 * _RATE), 0, 1)
    sound[start:stop] += loudness * note * attack * release


def _write_moving_crop(folder: Path, _number: int) -> None:
    """Move a window over a photo on a closed curve, with a slow zoom, as PNG frames (lossless)."""
    photo = read_image(bundled_folder() / "chelsea.png")
    side, count = 128, 48
    grid = np.arange(side) - (side - 1) / 2
    folder.mkdir(parents=True)
    for frame in range(count):
        angle = 2 * np.pi * frame / count
        zoom = 1.1 + 0.25 * np.cos(angle)
        row = 120 + 18 * np.sin(2 * angle) + zoom * grid
        column = 190 + 45 * np.sin(angle) + zoom * grid
        write_png(folder / f"frame_{frame:03d}.png", _sample_bilinear(photo, row, column))


def _write_trefoil_knot(path: Path, _number: int) -> None:
    from nir.data.oriented_clouds import trefoil_knot  # it needs trimesh, which is slow to start

    path.write_bytes(trefoil_knot().export(file_type="ply"))


def _medium_writer(name: str) -> Callable[[Path, int], None]:
    def write(path: Path, _number: int) -> None:
        from nir.data.waves import medium_of  # it needs torch, which other signals do without

        np.save(path, medium_of(name))

    return write


def _sample_bilinear(
    image: Float[np.ndarray, "height width channels"],
    row: Float[np.ndarray, " rows"],
    column: Float[np.ndarray, " columns"],
) -> Float[np.ndarray, "rows columns channels"]:
    """Interpolate between pixel centres at whole coordinates, on the grid rows x columns."""
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = (row - top)[:, None, None], (column - left)[None, :, None]
    upper = image[top][:, left] * (1 - right) + image[top][:, left + 1] * right
    lower = image[top + 1][:, left] * (1 - right) + image[top + 1][:, left + 1] * right
    return upper * (1 - down) + lower * down


def _carved_ball_writer(*, turned: bool) -> Callable[[Path, int], None]:
    def write(path: Path, _number: int) -> None:
        # Imported here: meshes need trimesh, the others should not wait for it.
        from nir.data.generated_shapes import write_carved_ball

        write_carved_ball(path, turned=turned)

    return write


def _write_signals(family: str) -> Callable[[Path, int], None]:
    def write(path: Path, number: int) -> None:
        # Imported here: these signals need torch, the others should not wait for it.
        from nir.data.generated_signals import WRITERS

        WRITERS[family](path, number)

    return write


def _write_scene(name: str) -> Callable[[Path, int], None]:
    def write(path: Path, number: int) -> None:
        # Imported here: a scene's surfaces need trimesh, the others should not wait for it.
        from nir.data.generated_scenes import WRITERS

        WRITERS[name](path, number)

    return write


_SIGNALS = (
    "power_law",
    "band_limited",
    "bumps",
    "plane_isotropic",
    "plane_anisotropic",
    "plane_waves",
    "turned_scene",
)
_SCENES = ("toy", "toy_forward", "toy_shiny", "toy_arc", "toy_rig", "toy_photos")


def _families_writer(name: str) -> Callable[[Path, int], None]:
    def write(path: Path, number: int) -> None:
        from nir.data.shape_preparation import write_families

        write_families(path, SETS[name])

    return write


_GENERATORS: Mapping[str, Callable[[Path, int], None]] = {
    "rendered_text": _write_text,
    "shepp_logan": _write_phantom,
    "shepp_logan_volume": _write_phantom_volume,
    "carved_ball": _carved_ball_writer(turned=False),
    "carved_ball_turned": _carved_ball_writer(turned=True),
    "melody": _write_melody,
    "moving_crop": _write_moving_crop,
    **{family: _write_signals(family) for family in _SIGNALS},
    **{name + size: _write_scene(name + size) for name in _SCENES for size in ("", "_small")},
    "trefoil_knot": _write_trefoil_knot,
    **{name: _families_writer(name) for name in SETS},
    "uniform_medium": _medium_writer("uniform"),
    "square_medium": _medium_writer("square"),
    "circle_medium": _medium_writer("circle"),
    "disc_medium": _medium_writer("disc"),
}

NAMES = frozenset(_GENERATORS)
"""Of what can be generated; a number may follow, as in `rendered_text_3`."""
