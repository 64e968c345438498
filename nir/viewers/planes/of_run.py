"""From a task of planes to a baked folder: which views are baked for, and what to say of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nir.fields.planes import PlaneField
from nir.geometry.cameras import Cameras
from nir.viewers.planes.baked import BakedPlanes, BakeSettings, bake
from nir.viewers.planes.folder import write_baked
from nir.viewers.planes.of_field import basis_of, textures_of
from nir.viewers.planes.rendering import BakedRenderer
from nir.viewers.planes.textures import largest_weights
from nir.viewers.planes.views import ViewingRange

KEPT_PSNR = 42.0
"""Of views without the tiles that are left out against views with them, in dB."""

LEAST_WEIGHTS = (1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24, 1 / 32, 1 / 64, 1 / 128)
"""Tried in turn: what contributes less to every pixel is left out."""

PROBED_VIEWS = 4
PROBED_WIDTH = 400
"""Views are looked at no finer than this to see which tiles matter: a tile has several pixels."""


@dataclass(frozen=True)
class BakeReport:
    """What baking made."""

    baked: BakedPlanes
    bytes_on_disk: int
    folder: Path

    def line(self) -> str:
        """One line for people."""
        baked = self.baked
        return (
            f"{self.folder}: {len(baked.kept)} of {baked.stack.planes} planes, "
            f"{_megabytes(baked.texture_bytes)} of textures "
            f"({100 * baked.share_of_plain_layout:.0f} % of the plain layout's "
            f"{_megabytes(baked.plain_bytes)}), {_megabytes(self.bytes_on_disk)} on disk"
        )


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.2f} MB"


def bake_field(
    field: PlaneField,
    cameras: Cameras,
    settings: BakeSettings,
    *,
    resolution: float = 1.0,
    kept_psnr: float = KEPT_PSNR,
) -> BakedPlanes:
    """Bake a field for the views of a scene and all that the viewer may show.

    As many tiles are left out as change no probed view by more than `kept_psnr` (dB) says; what
    contributes less than `settings.least_weight` is always left out.
    """
    textures = textures_of(field, resolution=resolution)
    views = views_to_show(field, cameras)
    shrink = max(1, views.intrinsics.width // PROBED_WIDTH)
    size = (views.intrinsics.width // shrink, views.intrinsics.height // shrink)
    views = views.resized(*size)
    weights = largest_weights(textures, views, tile=settings.tile, device=field.device)

    def baked_with(least_weight: float) -> BakedPlanes:
        changed = dataclasses.replace(settings, least_weight=least_weight)
        return bake(textures, basis_of(field), views, changed, weights=weights, device=field.device)

    chosen = baked_with(settings.least_weight)
    probed = views[np.linspace(0, len(views) - 1, PROBED_VIEWS).astype(int)]
    expected = _drawn(chosen, probed, field.device)
    for least_weight in LEAST_WEIGHTS:
        if least_weight <= settings.least_weight or weights.planes.max() < least_weight:
            continue
        sparser = baked_with(least_weight)
        error = (_drawn(sparser, probed, field.device) - expected).square().mean((1, 2, 3)).max()
        if error <= 10 ** (-kept_psnr / 10):
            chosen = sparser
            break
    return dataclasses.replace(chosen, views=cameras)


def _drawn(baked: BakedPlanes, views: Cameras, device: torch.device) -> Tensor:
    """Pictures [views height width 3]."""
    renderer = BakedRenderer(baked, device=device)
    poses = views.camera_to_world
    return torch.stack([renderer.render(pose, views.intrinsics) for pose in poses])


def views_to_show(field: PlaneField, cameras: Cameras) -> Cameras:
    """The scene's cameras, and where the viewer's may go."""
    inside = ViewingRange.of(field.stack, cameras).poses()
    poses = [cameras.camera_to_world, field.stack.camera_to_world @ inside]
    return Cameras(np.concatenate(poses), cameras.intrinsics)


def write_viewer(
    field: PlaneField,
    cameras: Cameras,
    folder: Path,
    *,
    name: str,
    settings: BakeSettings,
    resolution: float,
) -> BakeReport:
    """Bake a field and write the viewer's folder, whole or not at all."""
    baked = bake_field(field, cameras, settings, resolution=resolution)
    return BakeReport(baked, write_baked(baked, folder, name=name), folder)
