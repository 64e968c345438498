"""Planes equal what NeX's own code recorded.

That code puts pixel centres at integers: its coordinates are ours less one half.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.fields.planes import total_variation
from nir.geometry.cameras import Intrinsics
from nir.geometry.rays import rays_of_pixels
from nir.operators.planes import (
    PlaneStack,
    composite_planes,
    homographies,
    plane_depths,
    sample_textures,
    weights_of_alpha,
)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def recorded(folder, name: str) -> dict[str, np.ndarray]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{name} was not recorded on this machine")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def camera(record, key: str) -> tuple[np.ndarray, Intrinsics]:
    to_camera = np.eye(4)
    to_camera[:3, :3] = record[f"{key}_rotation_w2c"]
    to_camera[:3, 3:] = record[f"{key}_translation_w2c"]
    focal_x, focal_y, centre_x, centre_y = record[f"{key}_intrinsics"].tolist()
    size = int(record["width"]), int(record["height"])
    intrinsics = Intrinsics(*size, focal_x, focal_y, centre_x + 0.5, centre_y + 0.5)
    return np.linalg.inv(to_camera), intrinsics


@pytest.fixture
def record(parity_folder):
    return recorded(parity_folder, "nex_warp")


@pytest.fixture
def stack(record) -> PlaneStack:
    pose, intrinsics = camera(record, "reference")
    depths = plane_depths(12, near=float(record["near"]), far=float(record["far"]))
    return PlaneStack.around(
        pose, intrinsics, depths, margin=int(record["offset"]), planes_per_group=3
    )


@pytest.fixture
def rays(record):
    pose, intrinsics = camera(record, "target")
    pixels = torch.as_tensor(record["pixels"])
    rows, columns = pixels // int(record["width"]), pixels % int(record["width"])
    return rays_of_pixels(torch.as_tensor(pose), intrinsics, columns, rows)


def test_depths_of_planes(record, stack):
    np.testing.assert_allclose(stack.depths, record["planes_inverse_depth"], rtol=1e-6)


def test_homographies(record, stack):
    pose, intrinsics = camera(record, "target")
    ours = homographies(stack, pose, intrinsics)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    outside = np.array([[1, 0, -stack.margin], [0, 1, -stack.margin], [0, 0, 1]])
    as_recorded = np.linalg.inv(half) @ outside @ ours @ half
    np.testing.assert_allclose(
        as_recorded, record["homographies_target_to_reference"], rtol=1e-4, atol=1e-4
    )


def test_positions_on_planes(record, stack, rays):
    positions = stack.positions(rays) - stack.margin - 0.5
    expected = torch.as_tensor(record["reference_pixels"], dtype=torch.float64)
    torch.testing.assert_close(positions, expected, **TOLERANCE)


def test_samples_of_pictures(record, stack, rays):
    normalised = stack.normalised(stack.positions(rays))
    textures = torch.as_tensor(record["texture"], dtype=torch.float64)
    samples = sample_textures(textures, normalised).transpose(1, 2).flatten(0, 1)
    expected = torch.as_tensor(record["sampled_texture"], dtype=torch.float64)
    torch.testing.assert_close(samples, expected, **TOLERANCE)


def test_total_variation_of_pictures(record):
    found = total_variation(torch.as_tensor(record["texture"]))
    torch.testing.assert_close(found, torch.as_tensor(record["total_variation"]), **TOLERANCE)


def test_viewing_directions_are_those_of_a_back_projection_through_the_right_camera(
    record, stack, rays
):
    """Recorded ones went through the target's intrinsics; with the reference's they are ours."""
    place = stack.in_reference_axes(rays)[0][0].numpy()

    def directions(focal_x, focal_y, centre_x, centre_y):
        across = (record["reference_pixels"][..., 0] - centre_x) / focal_x
        down = (record["reference_pixels"][..., 1] - centre_y) / focal_y
        points = np.stack([across, down, np.ones_like(down)], -1) * stack.depths[:, None, None]
        away = points - place
        return away / np.linalg.norm(away, axis=-1, keepdims=True)

    theirs = directions(*record["target_intrinsics"])
    np.testing.assert_allclose(theirs, record["viewing_directions"], atol=1e-4)
    ours = stack.directions(rays).numpy()
    right = directions(*record["reference_intrinsics"])
    np.testing.assert_allclose(np.broadcast_to(ours, right.shape), right, atol=1e-4)


def test_compositing(parity_folder):
    record = recorded(parity_folder, "nex_composite")
    alpha, rgb = torch.as_tensor(record["alpha"]), torch.as_tensor(record["rgb"])
    colour = rgb.unflatten(0, (4, 3)).transpose(1, 2)
    rendering = composite_planes(colour, weights_of_alpha(alpha), torch.ones(12, 1))
    torch.testing.assert_close(
        rendering.colour.T, torch.as_tensor(record["composite"]), **TOLERANCE
    )
