"""Volumes and slices: scans as arrays, read from NumPy and NIfTI-1 files.

A volume is [z, y, x], float32, its values mapped to [0, 1] by its own range if they leave it; a
slice is [row, column]. NIfTI stores x fastest, which is this order; the file's orientation matrix
is not applied, so axes stand as they were stored.
"""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from nir.data.images import read_image, resize_image
from nir.errors import InputError

# NIfTI-1 codes of the numbers that scanners' files hold.
_NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_NIFTI_HEADER = 348
_LARGEST_NUMBERS = 2**31  # 8 GiB of float32


def read_volume(path: Path) -> Float[np.ndarray, "z y x"]:
    """Read a volume from .npy, .npz (its only array, or `volume`), .nii or .nii.gz."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        values = _read_nifti(path)
    elif name.endswith((".npy", ".npz")):
        values = _read_numpy(path)
    else:
        raise InputError(f"{path}: a volume is a .npy, .npz, .nii or .nii.gz file")
    return _in_unit_range(path, values, dimensions=3)


def read_slice(path: Path) -> Float[np.ndarray, "rows columns"]:
    """Read a slice from a .npy file or, as grey values, from any image."""
    if path.suffix.lower() == ".npy":
        return _in_unit_range(path, _read_numpy(path), dimensions=2)
    return read_image(path, colour="grey", background=0.0)[..., 0]


def as_cube(volume: Float[np.ndarray, "z y x"], side: int) -> Float[np.ndarray, "side side side"]:
    """Cut the central cube out of a volume and average (or repeat) it to `side` samples."""
    cube = torch.from_numpy(np.ascontiguousarray(_central(volume)))
    return F.adaptive_avg_pool3d(cube[None], side)[0].numpy()


def as_square(
    image: Float[np.ndarray, "rows columns"], side: int
) -> Float[np.ndarray, "side side"]:
    """Cut the central square out of a slice and resample it to `side` pixels."""
    cut = _central(image)
    kind = "area" if side <= cut.shape[0] else "bilinear"
    return resize_image(cut[..., None], height=side, width=side, filter=kind)[..., 0]


def _central(values: np.ndarray) -> np.ndarray:
    size = min(values.shape)
    return values[tuple(slice((n - size) // 2, (n - size) // 2 + size) for n in values.shape)]


def _in_unit_range(path: Path, values: np.ndarray, *, dimensions: int) -> np.ndarray:
    values = np.squeeze(values)
    if values.ndim != dimensions or 0 in values.shape:
        shape = " x ".join(map(str, values.shape))
        raise InputError(f"{path}: {dimensions} axes are expected, the file has {shape}")
    if values.dtype.kind not in "fiu":
        raise InputError(f"{path}: numbers are expected, not {values.dtype}")
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds values that are not finite; replace them")
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return values
    if high == low:
        raise InputError(f"{path}: all values are {low:g}; there is nothing to reconstruct")
    return (values - low) / (high - low)


def _read_numpy(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            name = "volume" if "volume" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise InputError(f"{path}: several arrays; name the one that counts `volume`")
            return loaded[name]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable NumPy file ({error})") from error


def _read_nifti(path: Path) -> np.ndarray:
    """Read the first volume of a single-file NIfTI-1 image, scaled as its header says."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as handle:
            header = handle.read(_NIFTI_HEADER)
            shape, kind, offset, slope, shift = _parse_nifti(path, header)
            handle.read(offset - _NIFTI_HEADER)
            count = math.prod(shape)
            data = handle.read(count * np.dtype(kind).itemsize)
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if len(data) < count * np.dtype(kind).itemsize:
        raise InputError(f"{path}: ends early; fetch or copy the file again")
    values = np.frombuffer(data, dtype=kind).reshape(shape[::-1]).astype(np.float32)
    return values * slope + shift if slope else values


def _parse_nifti(path: Path, header: bytes) -> tuple[tuple[int, ...], str, int, float, float]:
    """Shape (x, y, z), NumPy type, where the data begins, and the scaling of a NIfTI-1 header."""
    if len(header) < _NIFTI_HEADER or header[344:348] not in (b"n+1\0", b"ni1\0"):
        raise InputError(f"{path}: not a single-file NIfTI-1 image")
    order = "<" if struct.unpack("<i", header[:4])[0] == _NIFTI_HEADER else ">"
    dim = struct.unpack(f"{order}8h", header[40:56])
    (code,) = struct.unpack(f"{order}h", header[70:72])
    offset, slope, shift = struct.unpack(f"{order}3f", header[108:120])
    if code not in _NIFTI_TYPES:
        raise InputError(f"{path}: NIfTI data type {code} is not supported; convert it to float32")
    if not 3 <= dim[0] <= 7 or min(dim[1:4]) < 1 or math.prod(dim[1:4]) > _LARGEST_NUMBERS:
        raise InputError(f"{path}: NIfTI dimensions {dim[1:4]} cannot be a volume")
    if not _NIFTI_HEADER <= offset < 2**31:
        raise InputError(f"{path}: NIfTI data offset {offset:g} cannot be right")
    return tuple(dim[1:4]), order + _NIFTI_TYPES[code], int(offset), slope, shift
