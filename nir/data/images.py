"""Images: read to float32 in [0, 1], resized, cropped, written.

Convention: an image is an array [height, width, channels], row 0 on top, values in [0, 1] as stored
in the file (display-referred, mostly sRGB; profiles are not applied), alpha straight, not
premultiplied. Channels are red green blue, or one of grey, or red green blue alpha.

Grey is Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B, as Pillow's mode L takes it (the papers' code
reads grey images with it); scikit-image's rgb2gray weighs by Rec. 709 instead.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from nir.errors import InputError, unknown_name
from nir.files import written_whole

COLOURS = ("rgb", "grey", "rgba")
_REC_601 = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_EXIF_ORIENTATION = 0x0112
_PILLOW_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FILTERS = ("area", *_PILLOW_FILTERS)


def read_image(
    path: Path,
    *,
    colour: str = "rgb",
    background: float | int | Sequence[float] | None = None,
) -> Float[np.ndarray, "height width channels"]:
    """Read an image of 8 or 16 bits, upright (EXIF), as float32 in [0, 1].

    colour: `rgb`, `grey` (one channel) or `rgba` (opaque where the file has no alpha).
    background: what shows through, one number or three in [0, 1]. An image with transparent pixels
        needs it unless `rgba` is asked for; blending is done on the stored values, as in NeRF's
        loader.

    Damaged, empty, animated and unknown files are `InputError`s that name the file.
    """
    path = Path(path)
    if colour not in COLOURS:
        raise unknown_name("colour", colour, COLOURS)
    rgba = _read_rgba(path)
    if colour == "rgba":
        return rgba
    if background is None and (rgba[..., 3] < 1).any():
        raise InputError(
            f"{path}: has transparent pixels; say what shows through (background), or read rgba"
        )
    rgb = rgba[..., :3] if background is None else on_background(rgba, background)
    return to_grey(rgb) if colour == "grey" else rgb


def on_background(
    rgba: Float[np.ndarray, "height width 4"], background: float | int | Sequence[float]
) -> Float[np.ndarray, "height width 3"]:
    """Blend straight alpha with what shows through, one number or three in [0, 1]."""
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    return rgb * alpha + (1 - alpha) * np.asarray(background, dtype=np.float32)


def to_grey(
    image: Float[np.ndarray, "height width 3"],
) -> Float[np.ndarray, "height width 1"]:
    """Return Rec. 601 luma (ITU-R BT.601-7, 2.5.1). Equal channels stay exactly as they are.

    >>> to_grey(np.full((1, 1, 3), 0.25, np.float32)).item()
    0.25
    """
    if np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(
        image[..., 0], image[..., 2]
    ):
        return image[..., :1]
    return (image @ _REC_601.astype(image.dtype))[..., None]


def to_8bit(image: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Round values in [0, 1] to the nearest of 256 levels; what lies outside is clipped.

    Rounded, not truncated: truncation darkens a picture by half a level.

    >>> to_8bit(np.array([-1.0, 0.5, 0.999, 2.0])).tolist()
    [0, 128, 255, 255]
    """
    if not np.isfinite(image).all():
        raise ValueError("an image with a value that is not finite cannot be written")
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def write_png(path: Path, image: np.ndarray, *, bits: int = 8) -> None:
    """Write an image [height, width(, channels)] in [0, 1], or of bytes, as PNG, whole or not at
    all.

    bits: 8, or 16 for a grey image.
    """
    image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    if bits == 16:
        levels = np.round(np.clip(image, 0, 1) * 65535).astype(np.uint16)
    else:
        levels = image if image.dtype == np.uint8 else to_8bit(image)
    with written_whole(Path(path)) as temporary:
        Image.fromarray(levels).save(temporary, format="PNG")


def centre_crop_square(
    image: Float[np.ndarray, "height width channels"],
) -> Float[np.ndarray, "side side channels"]:
    """Cut the largest square from the middle; an odd remainder is left at the bottom or right.

    >>> centre_crop_square(np.zeros((4, 7, 3))).shape
    (4, 4, 3)
    """
    side = min(image.shape[:2])
    top, left = ((extent - side) // 2 for extent in image.shape[:2])
    return image[top : top + side, left : left + side]


def resize_image(
    image: Float[np.ndarray, "height width channels"],
    *,
    height: int,
    width: int,
    filter: str = "area",
) -> Float[np.ndarray, "new_height new_width channels"]:
    """Resize each channel on its own, result clipped to [0, 1].

    filter: `area` averages what a new pixel covers, with fractions of pixels, as OpenCV's
    INTER_AREA
        does when shrinking; the others are Pillow's, antialiased when shrinking.

    Colours of transparent pixels bleed in when alpha is a channel: blend with the background
    before.
    """
    if filter not in FILTERS:
        raise unknown_name("filter", filter, FILTERS)
    if min(height, width) < 1:
        raise InputError(f"an image cannot be resized to {width}x{height} pixels")
    image = image.astype(np.float32)
    if filter == "area":
        rows = _area_weights(image.shape[0], height)
        columns = _area_weights(image.shape[1], width)
        resized = np.einsum("ai,ijc,bj->abc", rows, image, columns, optimize=True)
    else:
        method = _PILLOW_FILTERS[filter]
        channels = [
            np.asarray(Image.fromarray(channel).resize((width, height), method))
            for channel in np.moveaxis(image, -1, 0)
        ]
        resized = np.stack(channels, axis=-1)
    return np.clip(resized, 0, 1).astype(np.float32)


def _area_weights(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Return the share that each old pixel has in each new one; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    covered = np.clip(covered, 0, None)
    return (covered / covered.sum(axis=1, keepdims=True)).astype(np.float32)


def _read_rgba(path: Path) -> Float[np.ndarray, "height width 4"]:
    if not path.is_file():
        raise InputError(f"{path}: no such image file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy or download it again")
    try:
        with Image.open(path) as opened:
            # A phone's MPO is a photo with a second, auxiliary one.
            if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":
                raise InputError(
                    f"{path}: holds {opened.n_frames} pictures; save one, or use it as a video"
                )
            orientation = opened.getexif().get(_EXIF_ORIENTATION, 1)
            opened.load()
            image = _decoded(path, opened)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: is not an image that can be read; save it as PNG") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: is too large an image ({error}); shrink it") from error
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is damaged ({error}); copy or download it again") from error
    return np.ascontiguousarray(_upright(image, orientation))


def _decoded(path: Path, opened: Image.Image) -> Float[np.ndarray, "height width 4"]:
    """Turn a loaded picture of any of Pillow's modes into RGBA."""
    deep = _deep_colour(path, opened)
    if deep is not None:
        return _as_rgba(deep.astype(np.float32) / 65535)
    if opened.mode.startswith("I"):  # 16-bit grey; Pillow also gives I for 32-bit integers
        grey = np.asarray(opened)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{path}: has 32-bit integers; save it with 8 or 16 bits")
        return _as_rgba(grey[..., None].astype(np.float32) / 65535)
    if opened.mode == "F":
        grey = np.asarray(opened)
        if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
            raise InputError(f"{path}: has floating-point values outside of [0, 1]; rescale it")
        return _as_rgba(grey[..., None])
    if opened.mode == "LAB":
        raise InputError(f"{path}: is in CIELAB; save it as RGB")
    return np.asarray(opened.convert("RGBA")).astype(np.float32) / 255


def _as_rgba(image: Float[np.ndarray, "height width channels"]) -> np.ndarray:
    """Complete grey (1), grey with alpha (2), RGB (3) or RGBA (4) channels to RGBA."""
    channels = image.shape[-1]
    colour = image[..., :3] if channels >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    opaque = np.ones_like(image[..., :1])
    alpha = image[..., -1:] if channels in (2, 4) else opaque
    return np.concatenate([colour, alpha], axis=-1)


def _deep_colour(path: Path, opened: Image.Image) -> np.ndarray | None:
    """Return the 16-bit values of a colour PNG or TIFF, which Pillow would cut to 8; else None."""
    if opened.format == "PNG":
        with path.open("rb") as handle:
            header = handle.read(26)
        depth, colour_type = header[24], header[25]  # PNG specification, 11.2.1, IHDR
        if depth == 16 and colour_type in (2, 4, 6):
            return _deep_png(path, opened.size, alpha=colour_type != 2)
    if opened.format == "TIFF":
        import tifffile

        pixels = tifffile.imread(path)
        if pixels.dtype == np.uint16 and pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
            return pixels
    return None


def _deep_png(path: Path, size: tuple[int, int], *, alpha: bool) -> np.ndarray:
    import imageio_ffmpeg

    layout, channels = ("rgba64le", 4) if alpha else ("rgb48le", 3)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", f"file:{path}"]
    command += ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", layout, "pipe:1"]
    finished = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    width, height = size
    if len(finished.stdout) != width * height * channels * 2:
        reason = finished.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"{path}: is damaged ({reason[-1] if reason else 'no picture in it'})")
    return np.frombuffer(finished.stdout, dtype="<u2").reshape(height, width, channels)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the camera's rotation (Exif 2.3, tag 0x0112; values 1 to 8, others mean upright)."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
