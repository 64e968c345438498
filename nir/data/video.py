"""Video: read to bytes [time, height, width, 3], written as MP4.

A video is a file that ffmpeg decodes (MP4, MOV, WEBM, AVI ...), an animated GIF, a folder of frames
in the order of the numbers in their names, or an array in an .npy or .npz file. ffmpeg comes with
imageio-ffmpeg; nothing has to be installed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageSequence

from nir.data.images import read_image, to_8bit
from nir.errors import InputError
from nir.files import written_whole

_FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_BYTES_AT_MOST = 8 << 30


def read_video(
    path: Path, *, frames: int | None = None
) -> UInt8[np.ndarray, "time height width 3"]:
    """Read a video, or its first `frames` frames, as 8-bit RGB.

    A file that cannot be decoded, holds no frame or frames of different sizes, or would take more
    than 8 GiB of memory is an `InputError`.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such video")
    if frames is not None and frames < 1:
        raise InputError(f"{path}: {frames} frames were asked for; ask for at least 1")
    found: list[np.ndarray] = []
    for frame in itertools.islice(_frames_of(path), frames):
        if found and frame.shape != found[0].shape:
            raise InputError(f"{path}: frame {len(found)} differs in size from the first")
        if (len(found) + 1) * frame.nbytes > _BYTES_AT_MOST:
            raise InputError(
                f"{path}: does not fit in {_BYTES_AT_MOST >> 30} GiB; read its first {len(found)} "
                "frames"
            )
        found.append(frame)
    if not found:
        raise InputError(f"{path}: holds no frame that can be read; save it as MP4 (H.264)")
    return np.stack(found)


def write_mp4(path: Path, frames: Iterable[np.ndarray], *, frames_per_second: float | int) -> None:
    """Write frames [height, width, 3], of bytes or of floats in [0, 1], as H.264, whole or not at
    all.

    Pixels are yuv420p, which every player shows; it needs even sizes, so that an odd edge is
    doubled. Quality is x264's rate factor 18, next to invisible loss.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError(f"{path}: there is no frame to write")
    first = _even(first)
    height, width = first.shape[:2]
    with written_whole(Path(path)) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (width, height),
            fps=frames_per_second,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=1,
            quality=None,
            ffmpeg_log_level="error",
            output_params=["-crf", "18", "-movflags", "+faststart", "-fflags", "+bitexact"],
        )
        writer.send(None)
        try:
            for frame in itertools.chain([first], map(_even, frames)):
                if frame.shape != first.shape:
                    raise ValueError(f"a frame {frame.shape} after frames {first.shape}")
                writer.send(np.ascontiguousarray(frame))
        finally:
            writer.close()


def _even(frame: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    frame = frame if frame.dtype == np.uint8 else to_8bit(frame)
    odd_rows, odd_columns = (extent % 2 for extent in frame.shape[:2])
    return np.pad(frame, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")


def _frames_of(path: Path) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    if path.is_dir():
        return _frames_of_folder(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy or download it again")
    if path.suffix.lower() in (".npy", ".npz"):
        return iter(_frames_of_array(path))
    if path.suffix.lower() == ".gif":
        return _frames_of_gif(path)
    return _frames_of_film(path)


def _frames_of_folder(folder: Path) -> Iterator[np.ndarray]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in _FRAME_SUFFIXES]
    for file in sorted(files, key=_number_order):
        yield to_8bit(read_image(file, background=1.0))


def _number_order(file: Path) -> list[tuple[int, int, str]]:
    """Order frame_2 before frame_10: digits by their value, the rest by letters."""
    pieces = re.split(r"(\d+)", file.name)
    return [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces]


def _frames_of_array(path: Path) -> UInt8[np.ndarray, "time height width 3"]:
    try:
        loaded = np.load(path, allow_pickle=False)
        video = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise InputError(f"{path}: is not an array that can be read ({error})") from error
    if video.ndim != 4 or video.shape[-1] != 3:
        raise InputError(f"{path}: is an array {list(video.shape)}, not [time, height, width, 3]")
    if video.dtype == np.uint8:
        return video
    if not (np.isfinite(video).all() and video.min() >= 0 and video.max() <= 1):
        raise InputError(f"{path}: has values outside of [0, 1]; rescale them or save bytes")
    return to_8bit(video)


def _frames_of_gif(path: Path) -> Iterator[np.ndarray]:
    try:
        with Image.open(path) as opened:
            for frame in ImageSequence.Iterator(opened):
                yield np.asarray(frame.convert("RGB"))
    except (OSError, SyntaxError, EOFError) as error:
        raise InputError(f"{path}: is damaged ({error}); copy or download it again") from error


def _frames_of_film(path: Path) -> Iterator[np.ndarray]:
    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
    try:
        width, height = next(reader)["size"]
        for raw in reader:
            yield np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError, ValueError, KeyError, StopIteration) as error:
        reason = str(error).strip().splitlines() or ["no frame in it"]
        raise InputError(
            f"{path}: is not a video that can be read ({reason[-1].strip()}); "
            "save it as MP4 (H.264)"
        ) from error
    finally:
        reader.close()
