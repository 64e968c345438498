"""From a task of planes to a baked folder: which views are baked for, and what to say of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nir.fields.planes import PlaneField
from nir.geometry.cameras import Cameras
from nir.viewers.planes.baked import BakedPlanes, BakeSettings
from nir.viewers.planes.compaction import Compaction
from nir.viewers.planes.folder import write_baked
from nir.viewers.planes.of_field import basis_of, textures_of
from nir.viewers.planes.textures import largest_weights
from nir.viewers.planes.views import ViewingRange

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
) -> BakedPlanes:
    """Bake a field for the views of a scene and all that the viewer may show.

    As many functions, texels of coefficients and tiles are left out as change no probed view by
    more than `settings.kept_psnr` says; what contributes less than `settings.least_weight` is
    always left out.
    """
    textures, basis = textures_of(field, resolution=resolution), basis_of(field)
    views = views_to_show(field, cameras)
    shrink = max(1, views.intrinsics.width // PROBED_WIDTH)
    views = views.resized(views.intrinsics.width // shrink, views.intrinsics.height // shrink)
    probed = views[np.linspace(0, len(views) - 1, PROBED_VIEWS).astype(int)]
    weights = largest_weights(textures, views, tile=settings.tile, device=field.device)
    compaction = Compaction(basis, views, probed, weights, settings, field.device)
    return dataclasses.replace(compaction.most_compact(textures), views=cameras)


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
