"""Checks of content: the rules in `registry.toml` that a data set must pass once it is unpacked.

They stand in where no hash is known, and say in words what is wrong where one is: a count, a
picture's size, a pose that is no number, a page of HTML where a mesh should be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nir.errors import InputError
from nir.files import sha256_of_file

# The first bytes by which a file of each kind is known; a server that answers with a page of HTML
# and status 200 is caught by them.
_FIRST_BYTES: Mapping[str, tuple[int, tuple[bytes, ...]]] = {
    ".png": (0, (b"\x89PNG\r\n\x1a\n",)),
    ".jpg": (0, (b"\xff\xd8\xff",)),
    ".wav": (0, (b"RIFF", b"RIFX", b"RF64")),
    ".mp4": (4, (b"ftyp",)),
    ".npz": (0, (b"PK\x03\x04",)),
    ".npy": (0, (b"\x93NUMPY",)),
    ".ply": (0, (b"ply\n", b"ply\r")),
    ".pth": (0, (b"PK\x03\x04", b"\x80")),
}


def check_content(path: Path, rules: Mapping[str, Any]) -> None:
    """Raise an `InputError` that says what is wrong when `path` breaks a rule of the registry."""
    if path.is_file():
        _check_first_bytes(path)
    for name, value in rules.items():
        if name not in _RULES:
            raise ValueError(f"registry.toml: unknown rule {name!r}; known: {sorted(_RULES)}")
        _RULES[name](path, value)


def _check_first_bytes(path: Path) -> None:
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty")
    with path.open("rb") as handle:
        head = handle.read(64)
    offset, known = _FIRST_BYTES.get(path.suffix.lower(), (0, (b"",)))
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{path}: is a web page, not a {path.suffix} file")
    if not any(head[offset:].startswith(start) for start in known):
        raise InputError(f"{path}: is not a {path.suffix} file, by its first bytes")


def _files(path: Path, counts: Mapping[str, int]) -> None:
    for pattern, expected in counts.items():
        found = sum(1 for _ in path.glob(pattern))
        if found != expected:
            raise InputError(f"{path}: holds {found} files {pattern!r}, not {expected}")


def _at_least(path: Path, counts: Mapping[str, int]) -> None:
    for pattern, least in counts.items():
        found = sum(1 for _ in path.glob(pattern))
        if found < least:
            raise InputError(f"{path}: holds {found} files {pattern!r}, fewer than {least}")


def _image_size(path: Path, sizes: Mapping[str, list[int]]) -> None:
    from PIL import Image, UnidentifiedImageError

    for pattern, (width, height) in sizes.items():
        pictures = sorted(path.glob(pattern))
        if not pictures:
            raise InputError(f"{path}: holds no picture {pattern!r}")
        for picture in pictures:
            try:
                with Image.open(picture) as opened:
                    size = opened.size
            except (UnidentifiedImageError, OSError) as error:
                raise InputError(f"{picture}: is not a picture") from error
            if size != (width, height):
                raise InputError(f"{picture}: is {size[0]}x{size[1]}, not {width}x{height}")


def _frames(path: Path, counts: Mapping[str, int]) -> None:
    for name, expected in counts.items():
        try:
            scene = json.loads((path / name).read_text(encoding="utf-8"))
            frames, angle = scene["frames"], float(scene["camera_angle_x"])
            poses = [frame["transform_matrix"] for frame in frames]
            numbers = [float(x) for pose in poses for row in pose for x in row]
            pictures = [path / (frame["file_path"] + ".png") for frame in frames]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path / name}: holds no poses that can be read ({error})") from error
        if len(frames) != expected:
            raise InputError(f"{path / name}: lists {len(frames)} frames, not {expected}")
        if len(numbers) != 16 * expected or not all(map(math.isfinite, [angle, *numbers])):
            raise InputError(f"{path / name}: holds a pose that is not a finite 4x4 matrix")
        for picture in pictures:
            if not picture.is_file():
                raise InputError(f"{picture}: named by {name}, but there is no such file")


def _array_shape(path: Path, shapes: Mapping[str, list[int]]) -> None:
    import numpy as np

    for name, expected in shapes.items():
        try:
            array = np.load(path / name, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path / name}: is not an array that can be read") from error
        if list(array.shape) != expected or not np.isfinite(array).all():
            raise InputError(
                f"{path / name}: is an array {list(array.shape)}, not {expected} finite numbers"
            )


def _npz_keys(path: Path, keys: list[str]) -> None:
    import zipfile

    try:
        with zipfile.ZipFile(path) as opened:
            found = {name.removesuffix(".npy") for name in opened.namelist()}
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: is not a whole .npz file") from error
    if not found.issuperset(keys):
        raise InputError(f"{path}: holds the arrays {sorted(found)}, not {keys}")


def _sha256_prefix(path: Path, prefix: str) -> None:
    found = sha256_of_file(path)
    if not found.startswith(prefix):
        raise InputError(f"{path}: its SHA-256 starts with {found[: len(prefix)]}, not {prefix}")


def _audio(path: Path, expected: list[int]) -> None:
    from nir.data.audio import read_audio

    samples, rate = read_audio(path)
    if [rate, len(samples)] != expected:
        raise InputError(
            f"{path}: is {len(samples)} samples at {rate} Hz, not {expected[1]} at {expected[0]} Hz"
        )


def _columns(path: Path, expected: int) -> None:
    with path.open(encoding="utf-8", errors="replace") as handle:
        first = handle.readline().split()
    try:
        numbers = [float(value) for value in first]
    except ValueError:
        numbers = []
    if len(numbers) != expected:
        raise InputError(f"{path}: its first line is not {expected} numbers")


def _survey(path: Path, expected: list[int]) -> None:
    from nir.data.surveys import read_survey

    found = read_survey(path)
    counts = [len(found.sources), len(found.receivers)]
    if counts != expected:
        raise InputError(f"{path}: has {counts} sources and receivers, not {expected}")


_RULES: Mapping[str, Callable[[Path, Any], None]] = {
    "files": _files,
    "at_least": _at_least,
    "image_size": _image_size,
    "frames": _frames,
    "array_shape": _array_shape,
    "npz_keys": _npz_keys,
    "sha256_prefix": _sha256_prefix,
    "audio": _audio,
    "columns": _columns,
    "survey": _survey,
}
