"""The images of a scene: read to one array of one size, put on a background, shrunk.

Values are float32 in [0, 1], as `data.images` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, UnidentifiedImageError

from nir.data.images import on_background, read_image
from nir.errors import InputError


class Views(NamedTuple):
    """Images of one size; where they stood on no background, also which pixels show anything."""

    images: Float[np.ndarray, "views height width 3"]
    covered: Bool[np.ndarray, "views height width"] | None


def read_views(paths: Sequence[Path], *, background: float | None, shrink: int) -> Views:
    """Read images of one size; composite RGBA on the background, then shrink.

    Compositing comes first, so that transparent pixels lend no colour to their neighbours. An
    image of another size, or without the alpha that a background needs, is an `InputError`.
    """
    first_size = size_and_alpha(paths[0])[:2]
    images: list[np.ndarray] = []
    covered: list[np.ndarray] = []
    for path in paths:
        _check_image(path, paths[0].name, first_size, needs_alpha=background is not None)
        image = read_image(path, colour="rgb" if background is None else "rgba")
        if image.shape[:2] != first_size[::-1]:
            raise InputError(f"{path}: carries an EXIF rotation; save it upright, as its pose is")
        if background is not None:
            covered.append(area_mean(image[..., 3:], shrink)[..., 0] > 0)
            image = on_background(image, background)
        images.append(area_mean(image, shrink))
    return Views(np.stack(images), np.stack(covered) if covered else None)


def _check_image(
    path: Path, first_name: str, first_size: tuple[int, int], *, needs_alpha: bool
) -> None:
    width, height, has_alpha = size_and_alpha(path)
    if (width, height) != first_size:
        raise InputError(
            f"{path}: {width} x {height} pixels, but {first_name} has {first_size[0]} x "
            f"{first_size[1]}; all images of a scene must be of one size"
        )
    if needs_alpha and not has_alpha:
        raise InputError(
            f"{path}: has no alpha channel, so it cannot be put on a background; give images "
            "with alpha, or choose no background"
        )


def size_and_alpha(path: Path) -> tuple[int, int, bool]:
    """Width, height and whether there is transparency, from the file's header."""
    try:
        with Image.open(path) as image:
            has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            return *image.size, has_alpha
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def area_mean(
    image: Float[np.ndarray, "height width channels"], factor: int
) -> Float[np.ndarray, "smaller_height smaller_width channels"]:
    """Average over squares of `factor` x `factor` pixels; what fills no square is cut off.

    >>> area_mean(np.arange(4.0).reshape(2, 2, 1), 2).tolist()
    [[[1.5]]]
    """
    if factor == 1:
        return image
    if not 1 <= factor <= min(image.shape[:2]):
        raise InputError(
            f"images of {image.shape[1]} x {image.shape[0]} pixels cannot be shrunk by {factor}"
        )
    height, width = image.shape[0] // factor, image.shape[1] // factor
    total = np.zeros((height, width, image.shape[2]), image.dtype)
    for row in range(factor):
        for column in range(factor):
            total += image[row : height * factor : factor, column : width * factor : factor]
    return total / image.dtype.type(factor**2)
