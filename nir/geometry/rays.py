"""Rays: half-lines o + t·d through pixels, and the projective space in which NeRF samples them.

A direction d is **not** normalised: it advances by one unit along the camera's forward axis, so
the parameter t of a sample is its depth, in scene units (NeRF's sense). View directions are the
same vectors at unit length, kept from before any change of space, for what depends on them.

Normalised device coordinates (NDC) serve forward-facing scenes: in a world whose cameras look
along -z (see `similarity.recentred`), the view volume from z = -near to infinity becomes the cube
[-1, 1]³, and t in [0, 1] runs evenly in inverse depth. `depth_from_ndc` is the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from nir.errors import InputError
from nir.geometry.cameras import Cameras, Intrinsics

PIXEL_CENTRE = 0.5
"""The project's pixel centres. NeRF's code uses 0 (integer pixel coordinates, run_nerf_helpers)."""


@dataclass(frozen=True)
class Rays:
    """A bundle of rays of any leading shape; indexing and reshaping act on the leading axes."""

    origins: Float[Tensor, "*batch 3"]
    directions: Float[Tensor, "*batch 3"]
    view_directions: Float[Tensor, "*batch 3"]

    @property
    def shape(self) -> torch.Size:
        """The leading shape: (rays,) of a batch, (height, width) of an image."""
        return self.origins.shape[:-1]

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, index: slice | Tensor | tuple[slice | Tensor, ...]) -> Rays:
        return Rays(self.origins[index], self.directions[index], self.view_directions[index])

    def flat(self) -> Rays:
        """The same rays as one list."""
        return Rays(
            self.origins.reshape(-1, 3),
            self.directions.reshape(-1, 3),
            self.view_directions.reshape(-1, 3),
        )

    def to(self, device: torch.device | str) -> Rays:
        """The same rays on another device."""
        return Rays(
            self.origins.to(device), self.directions.to(device), self.view_directions.to(device)
        )

    def points(self, depths: Float[Tensor, "*batch samples"]) -> Float[Tensor, "*batch samples 3"]:
        """The points o + t·d at the given parameters t.

        >>> one = torch.tensor([[0.0, 0.0, 2.0]])
        >>> Rays(torch.zeros(1, 3), one, one / 2).points(torch.tensor([[0.5, 3.0]])).tolist()
        [[[0.0, 0.0, 1.0], [0.0, 0.0, 6.0]]]
        """
        return self.origins[..., None, :] + depths[..., None] * self.directions[..., None, :]


def rays_of_pixels(
    camera_to_world: Float[Tensor, "#*batch 4 4"],
    intrinsics: Intrinsics,
    columns: Int[Tensor, "*batch"],
    rows: Int[Tensor, "*batch"],
    *,
    pixel_offset: float = PIXEL_CENTRE,
) -> Rays:
    """Rays through pixels, given the pose each pixel belongs to (one pose, or one a pixel).

    `pixel_offset` is where in the pixel the ray passes: 0.5 its centre, 0 for NeRF's code.
    """
    dtype = camera_to_world.dtype
    across = (columns.to(dtype) + pixel_offset - intrinsics.centre_x) / intrinsics.focal_x
    down = (rows.to(dtype) + pixel_offset - intrinsics.centre_y) / intrinsics.focal_y
    in_camera = torch.stack([across, down, torch.ones_like(across)], dim=-1)
    directions = (camera_to_world[..., :3, :3] @ in_camera[..., None])[..., 0]
    origins = camera_to_world[..., :3, 3].expand(directions.shape)
    return Rays(origins, directions, torch.nn.functional.normalize(directions, dim=-1))


def rays_of_image(
    cameras: Cameras,
    view: int,
    *,
    pixel_offset: float = PIXEL_CENTRE,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Rays:
    """All rays of one view, of leading shape (height, width)."""
    pose = torch.as_tensor(cameras.camera_to_world[view], dtype=dtype, device=device)
    rows, columns = torch.meshgrid(
        torch.arange(cameras.intrinsics.height, device=device),
        torch.arange(cameras.intrinsics.width, device=device),
        indexing="ij",
    )
    return rays_of_pixels(pose, cameras.intrinsics, columns, rows, pixel_offset=pixel_offset)


@dataclass(frozen=True)
class Pixels:
    """A batch of pixels, each in its own view: `images[views, rows, columns]` are their colours."""

    views: Int[Tensor, " rays"]
    rows: Int[Tensor, " rays"]
    columns: Int[Tensor, " rays"]


def random_pixels(
    count: int,
    *,
    views: int,
    width: int,
    height: int,
    generator: torch.Generator,
    one_view: bool = False,
    centre_share: float = 1.0,
) -> Pixels:
    """Draw `count` pixels uniformly, with replacement, on the generator's device.

    `one_view` takes them all from one random view (NeRF's `no_batching`); `centre_share` < 1
    keeps to the middle of the images, that share of each side (`precrop_frac`).
    """
    if not 0 < centre_share <= 1:
        raise InputError(f"centre share {centre_share}: must lie in (0, 1]")

    def draw(first: int, end: int, number: int) -> Tensor:
        return torch.randint(first, end, (number,), generator=generator, device=generator.device)

    def middle(size: int) -> tuple[int, int]:
        kept = max(1, round(size * centre_share))
        return (size - kept) // 2, (size - kept) // 2 + kept

    drawn_views = draw(0, views, 1).expand(count) if one_view else draw(0, views, count)
    return Pixels(drawn_views, draw(*middle(height), count), draw(*middle(width), count))


def rays_of_batch(
    poses: Float[Tensor, "views 4 4"],
    intrinsics: Intrinsics,
    pixels: Pixels,
    *,
    pixel_offset: float = PIXEL_CENTRE,
) -> Rays:
    """Rays of a batch of pixels; `poses` are the camera-to-world matrices of all views."""
    return rays_of_pixels(
        poses[pixels.views], intrinsics, pixels.columns, pixels.rows, pixel_offset=pixel_offset
    )


def ndc_rays(rays: Rays, intrinsics: Intrinsics, *, near: float = 1.0) -> Rays:
    """Carry rays into normalised device coordinates (NeRF, appendix C).

    Origins are first moved onto the plane z = -near; then t = 0 is the near plane (z' = -1) and
    t = 1 infinity (z' = +1). The world must look along -z. View directions stay the world's.
    """
    directions = rays.directions
    origins = rays.origins + _depth_of_near_plane(rays, near)[..., None] * directions
    scale = torch.tensor(
        [2 * intrinsics.focal_x / intrinsics.width, 2 * intrinsics.focal_y / intrinsics.height],
        dtype=origins.dtype,
        device=origins.device,
    )
    origin_z, direction_z = origins[..., 2:], directions[..., 2:]
    slope = origins[..., :2] / origin_z
    ndc_origins = torch.cat([-scale * slope, 1 + 2 * near / origin_z], dim=-1)
    ndc_directions = torch.cat(
        [-scale * (directions[..., :2] / direction_z - slope), -2 * near / origin_z], dim=-1
    )
    return Rays(ndc_origins, ndc_directions, rays.view_directions)


def depth_from_ndc(
    ndc_depths: Float[Tensor, "*batch"],
    rays: Rays,
    *,
    near: float = 1.0,
    farthest: float = 1e6,
) -> Float[Tensor, "*batch"]:
    """Depth in scene units of samples at parameters `ndc_depths` of `ndc_rays(rays, ...)`.

    `rays` are the rays **before** the change to NDC, of the same leading shape as `ndc_depths`.
    With t' = 1 - o_z / (o_z + t·d_z) (NeRF, appendix C) depth is t, plus the way to the near plane;
    parameters that reach infinity give `farthest`.
    """
    to_near = _depth_of_near_plane(rays, near)
    remaining = (1 - ndc_depths).clamp_min(torch.finfo(ndc_depths.dtype).tiny)
    beyond = -near * ndc_depths / (remaining * rays.directions[..., 2])
    return (to_near + beyond).clamp_max(farthest)


def _depth_of_near_plane(rays: Rays, near: float) -> Float[Tensor, "*batch"]:
    return -(near + rays.origins[..., 2]) / rays.directions[..., 2]
