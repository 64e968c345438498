"""Photos: a folder of a person's own pictures, made ready for pose estimation.

Photos are taken in the sorted order of their names, turned upright as EXIF says, and written as
8-bit PNG to a working folder: all of one size, as one camera is estimated for all. What cannot be
used is set aside with a reason, not dropped in silence.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from nir.data.images import read_image, write_png
from nir.errors import InputError

PHOTO_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
UNREAD_SUFFIXES = {".heic", ".heif", ".dng", ".cr2", ".nef", ".arw", ".raf"}
FULL_FRAME_WIDTH_MM = 36.0
"""Width of the 35 mm film that equivalent focal lengths refer to."""


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """Prepared photos: `names[i]` in the working folder comes from `sources[i]`.

    set_aside: file names of photos that cannot be used, with the reason. exif_focal: in pixels, the
    median of what the photos say of themselves, None where they are silent.
    """

    folder: Path
    names: tuple[str, ...]
    sources: tuple[Path, ...]
    width: int
    height: int
    set_aside: dict[str, str]
    exif_focal: float | None


def prepare_photos(photos: Path, folder: Path) -> PhotoSet:
    """Read all photos of a folder and write those that fit together to `folder`."""
    paths = _photo_paths(Path(photos))
    set_aside: dict[str, str] = {}
    sizes: dict[Path, tuple[int, int]] = {}
    for path, name in zip(paths, _working_names(paths), strict=True):
        try:
            image = read_image(path, background=1.0)
        except InputError as error:
            set_aside[path.name] = str(error).removeprefix(f"{path}: ")
            continue
        sizes[path] = (image.shape[1], image.shape[0])
        write_png(folder / name, image)
    if not sizes:
        raise InputError(f"{photos}: none of its {len(paths)} photos can be read ({set_aside})")
    common = Counter(sizes.values()).most_common(1)[0][0]
    names = dict(zip(paths, _working_names(paths), strict=True))
    kept = [path for path in sizes if sizes[path] == common]
    for path in sizes.keys() - set(kept):
        width, height = sizes[path]
        set_aside[path.name] = (
            f"{width} x {height} pixels, but most photos have {common[0]} x {common[1]}: "
            "hold the camera the same way and do not crop"
        )
        (folder / names[path]).unlink()
    kept.sort(key=lambda path: names[path])
    return PhotoSet(
        folder=folder,
        names=tuple(names[path] for path in kept),
        sources=tuple(kept),
        width=common[0],
        height=common[1],
        set_aside=dict(sorted(set_aside.items())),
        exif_focal=_common_focal(kept, common),
    )


def _photo_paths(photos: Path) -> list[Path]:
    if not photos.is_dir():
        raise InputError(f"{photos}: not a folder; give the folder that holds the photos")
    paths = sorted(path for path in photos.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    if len(paths) < 3:
        raw = any(path.suffix.lower() in UNREAD_SUFFIXES for path in photos.iterdir())
        hint = "; convert HEIC and raw files to JPEG" if raw else ""
        raise InputError(
            f"{photos}: holds {len(paths)} photos that can be read, at least 3 are needed and 20 "
            f"or more are better{hint}"
        )
    return paths


def _working_names(paths: list[Path]) -> list[str]:
    """PNG names that keep the photos' own, told apart where only the suffix differs."""
    stems = Counter(path.stem for path in paths)
    return [
        f"{path.stem}.png" if stems[path.stem] == 1 else f"{path.stem}-{path.suffix[1:]}.png"
        for path in paths
    ]


def _common_focal(paths: list[Path], size: tuple[int, int]) -> float | None:
    """The median focal length in pixels of the photos that state one."""
    focals = [focal for path in paths if (focal := exif_focal(path, max(size))) is not None]
    return float(np.median(focals)) if focals else None


def exif_focal(path: Path, longer_side: int) -> float | None:
    """Focal length in pixels from EXIF's 35 mm equivalent or its focal plane, None if absent.

    longer_side: of the image in pixels; the equivalent refers to the film's longer side.
    """
    try:
        with Image.open(path) as image:
            details = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError):
        return None
    tags = ExifTags.Base
    equivalent = _number(details.get(tags.FocalLengthIn35mmFilm))
    if equivalent:
        return equivalent / FULL_FRAME_WIDTH_MM * longer_side
    focal = _number(details.get(tags.FocalLength))
    density = _number(details.get(tags.FocalPlaneXResolution))
    millimetres = {2: 25.4, 3: 10.0, 4: 1.0}.get(details.get(tags.FocalPlaneResolutionUnit, 2))
    stored_width = _number(details.get(tags.ExifImageWidth))
    if not (focal and density and millimetres and stored_width):
        return None
    stored = max(stored_width, _number(details.get(tags.ExifImageHeight)) or 0)
    return focal * density / millimetres * longer_side / stored


def _number(value: object) -> float | None:
    """A positive finite number, else None; EXIF is written by many hands."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) and number > 0 else None
