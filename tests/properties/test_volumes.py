"""Scans are read as they were stored, and bad files are named in one line."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from nir.data.volumes import as_cube, as_square, read_slice, read_volume
from nir.errors import InputError

VOLUME = np.random.RandomState(0).rand(3, 4, 5).astype(np.float32)  # z y x


def nifti(values: np.ndarray, *, order="<", code=16, slope=0.0, shift=0.0, magic=b"n+1\0") -> bytes:
    header = bytearray(348)
    header[0:4] = struct.pack(f"{order}i", 348)
    z, y, x = values.shape
    header[40:56] = struct.pack(f"{order}8h", 3, x, y, z, 1, 1, 1, 1)
    header[70:72] = struct.pack(f"{order}h", code)
    header[108:120] = struct.pack(f"{order}3f", 352, slope, shift)
    header[344:348] = magic
    kinds = {16: "f4", 4: "i2"}
    return bytes(header) + b"\0" * 4 + values.astype(order + kinds[code]).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_nifti_file_is_read_with_x_fastest(tmp_path, order, packed):
    path = tmp_path / ("scan.nii.gz" if packed else "scan.nii")
    data = nifti(VOLUME, order=order)
    path.write_bytes(gzip.compress(data) if packed else data)
    np.testing.assert_array_equal(read_volume(path), VOLUME)


def test_a_nifti_files_scaling_is_applied_and_values_come_to_the_unit_range(tmp_path):
    path = tmp_path / "scan.nii"
    counts = np.arange(60).reshape(3, 4, 5)
    path.write_bytes(nifti(counts, code=4, slope=2.0, shift=-7.0))
    np.testing.assert_allclose(read_volume(path), counts / 59, rtol=1e-6)


@pytest.mark.parametrize("name", ["scan.npy", "scan.npz"])
def test_numpy_volumes_are_read(tmp_path, name):
    path = tmp_path / name
    np.save(path, VOLUME) if name.endswith("npy") else np.savez(path, volume=VOLUME)
    np.testing.assert_array_equal(read_volume(path), VOLUME)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.nii", nifti(VOLUME)[:400], "ends early"),
        ("a.nii", nifti(VOLUME, magic=b"what"), "NIfTI-1"),
        ("a.nii.gz", b"not gzip", "cannot be read"),
        ("a.npy", b"no array", "NumPy"),
        ("a.txt", b"", ".npy"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, name, data, says):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as raised:
        read_volume(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((2, 2, 2), np.nan), "finite"),
        (np.full((2, 2, 2), 7.0), "all values"),
        (np.zeros((2, 2)), "axes"),
    ],
)
def test_values_that_are_no_scan_are_refused(tmp_path, values, says):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=says):
        read_volume(tmp_path / "a.npy")


def test_a_slice_of_the_users_own_is_an_array_too(tmp_path):
    np.save(tmp_path / "a.npy", VOLUME[0])
    np.testing.assert_array_equal(read_slice(tmp_path / "a.npy"), VOLUME[0])


def test_the_middle_is_cut_out_and_means_are_kept():
    cube = as_cube(VOLUME[:, :, 1:4], 3)
    np.testing.assert_allclose(cube.mean(), VOLUME[:, 0:3, 1:4].mean(), rtol=1e-6)
    assert as_cube(np.random.rand(8, 8, 8).astype(np.float32), 4).shape == (4, 4, 4)
    assert as_square(np.random.rand(9, 6).astype(np.float32), 12).shape == (12, 12)
