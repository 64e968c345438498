"""Rays, importance samples and compositing equal what NeRF's own code recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.geometry.cameras import Cameras, Intrinsics, opencv_from_opengl
from nir.geometry.rays import ndc_rays, rays_of_image
from nir.geometry.sampling import importance_samples
from nir.operators.volume import composite

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def recorded(folder, name: str) -> dict[str, torch.Tensor]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{name} was not recorded on this machine")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.as_tensor(arrays[key]) for key in arrays.files}


def camera(record: dict[str, torch.Tensor], key: str) -> Cameras:
    intrinsics = Intrinsics.centred(int(record["W"]), int(record["H"]), float(record["focal"]))
    return Cameras(opencv_from_opengl(record[key].numpy()[None].astype(np.float64)), intrinsics)


def test_rays_of_pixels(parity_folder):
    record = recorded(parity_folder, "nerf_rays")
    rays = rays_of_image(camera(record, "c2w"), 0, pixel_offset=0.0)
    torch.testing.assert_close(rays.origins, record["origins"], **TOLERANCE)
    torch.testing.assert_close(rays.directions, record["directions"], **TOLERANCE)


def test_rays_in_normalised_device_coordinates(parity_folder):
    record = recorded(parity_folder, "nerf_rays")
    cameras = camera(record, "c2w_forward")
    rays = ndc_rays(rays_of_image(cameras, 0, pixel_offset=0.0), cameras.intrinsics, near=1.0)
    torch.testing.assert_close(rays.origins, record["ndc_origins"], **TOLERANCE)
    torch.testing.assert_close(rays.directions, record["ndc_directions"], **TOLERANCE)


def test_importance_samples(parity_folder):
    record = recorded(parity_folder, "nerf_importance")
    samples = importance_samples(record["bins"], record["weights"], 24)
    torch.testing.assert_close(samples, record["samples_deterministic"], **TOLERANCE)


@pytest.mark.parametrize(("background", "key"), [(1.0, "rgb_white"), (None, "rgb_black")])
def test_compositing(parity_folder, background, key):
    record = recorded(parity_folder, "nerf_volume")
    raw = record["raw"]
    rendering = composite(
        torch.sigmoid(raw[..., :3]),
        raw[..., 3],
        record["depths"],
        record["directions"],
        background=background,
    )
    torch.testing.assert_close(rendering.colour, record[key], **TOLERANCE)
    for name in ("disparity", "opacity", "weights", "depth"):
        torch.testing.assert_close(getattr(rendering, name), record[name], **TOLERANCE)
