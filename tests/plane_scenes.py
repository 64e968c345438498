"""Synthetic stacks of planes for tests: smooth random pictures, a basis, cameras before them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from nir.geometry.cameras import Cameras, Intrinsics
from nir.operators.planes import PlaneStack, plane_depths
from nir.viewers.planes.textures import PlaneTextures

IMAGE = Intrinsics.centred(64, 48, focal=60.0)


def harmonic_basis(directions: Tensor) -> Tensor:
    """Three smooth functions of the direction."""
    x, y, z = directions.unbind(-1)
    return torch.stack([torch.sin(3 * x), torch.sin(4 * y + 1), torch.cos(5 * x * y) * z], dim=-1)


def random_textures(*, planes: int = 8, margin: int = 12, seed: int = 0) -> PlaneTextures:
    """Blobs of alpha on every plane (opaque on the farthest), colours that depend on direction."""
    stack = PlaneStack.around(
        np.eye(4), IMAGE, plane_depths(planes, near=2.0, far=8.0), margin=margin, planes_per_group=4
    )
    random = np.random.default_rng(seed)
    size = (stack.intrinsics.height, stack.intrinsics.width)
    alpha = smooth(random, (planes, *size), 5)
    alpha = np.clip(3 * (alpha - 0.65), 0, 1)
    alpha[-1] = 1
    base = smooth(random, (stack.groups, 3, *size), 3)
    coefficients = smooth(random, (stack.groups, 3, 3, *size), 3) - 0.5
    return PlaneTextures(
        stack=stack,
        alpha=np.round(alpha * 255).astype(np.uint8),
        base_colour=np.round(np.moveaxis(base, 1, -1) * 255).astype(np.uint8),
        coefficients=np.moveaxis(coefficients, 2, -1).astype(np.float16),
    )


def smooth(random: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    """Noise in [0, 1] that changes over `width` texels."""
    noise = random.standard_normal(shape)
    flat = noise.reshape(-1, *shape[-2:])
    for picture in flat:
        blurred = gaussian_filter(picture, width)
        picture[:] = (blurred - blurred.min()) / np.ptp(blurred)
    return flat.reshape(shape)


def views(count: int = 5) -> Cameras:
    """Cameras beside the reference camera, at the origin."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = np.linspace(-0.25, 0.25, count)
    poses[:, 1, 3] = np.linspace(0.1, -0.1, count)
    return Cameras(poses, IMAGE)
