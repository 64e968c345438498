"""Planes: the operator that turns parallel pictures into views, by warping and over-compositing.

A **stack** of planes stands before a *reference camera*, parallel to its image, at depths counted
along its forward axis from near to far. Every plane carries a picture of the reference camera's
view, enlarged by a **margin** on each side. A **position** on a plane is (column, row) in pixels of
that picture, texel centres at +0.5 (`geometry.cameras`), so that texel (0, 0) has the position
(0.5, 0.5) and the reference image's corner lies at (margin, margin). Homographies carry **pixels of
a target view to positions on a plane**. Groups of neighbouring planes share a picture.

Vocabulary as in `operators.volume`: **alpha** is what a plane covers, **transmittance** what gets
past the planes before it, **weight** = transmittance x alpha, **opacity** the sum of weights.
NeX, section 3; nex-code:utils/mpi_utils.py (which has pixel centres at integers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from nir.errors import InputError
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.rays import Rays

NEAREST_CAMERA = 0.99
"""How far cameras may advance towards the nearest plane, as a share of its depth."""

FAR_OUTSIDE = 1e5
"""Positions on planes go no further, so that what is computed of them stays finite."""


def plane_depths(
    count: int, *, near: float, far: float, inverse_depth: bool = True
) -> Float[np.ndarray, " planes"]:
    """Depths of `count` planes from near to far, even in inverse depth or in depth.

    Even in inverse depth means even in parallax (NeX's `invz`). Bounds that are not
    0 < near < far are an `InputError`.

    >>> plane_depths(3, near=1, far=4).round(2).tolist()
    [1.0, 1.6, 4.0]
    """
    if not (np.isfinite([near, far]).all() and 0 < near < far):
        hint = "they are reversed" if 0 < far < near else "check the bounds of the scene"
        raise InputError(f"planes from {near:g} to {far:g}: 0 < near < far is needed; {hint}")
    if count < 2:
        raise InputError(f"{count} planes: at least 2 are needed")
    if not inverse_depth:
        return np.linspace(near, far, count)
    return near / np.linspace(1.0, near / far, count)


@dataclass(frozen=True, kw_only=True)
class PlaneStack:
    """Where the planes stand.

    camera_to_world: pose of the reference camera. intrinsics: of the planes' pictures, the
    margin included (see `around`). depths: from near to far, in world units along the reference
    camera's forward axis. planes_per_group: so many neighbours share a picture; it divides their
    number.
    """

    camera_to_world: Float[np.ndarray, "4 4"]
    intrinsics: Intrinsics
    margin: int
    depths: Float[np.ndarray, " planes"]
    planes_per_group: int = 12  # nex-code: 192 planes as 16 layers of 12 sublayers

    def __post_init__(self) -> None:
        if len(self.depths) % self.planes_per_group or self.planes_per_group < 1:
            raise InputError(
                f"{len(self.depths)} planes cannot share pictures by {self.planes_per_group}; "
                "choose a number that divides them"
            )

    @classmethod
    def around(
        cls,
        camera_to_world: Float[np.ndarray, "4 4"],
        image: Intrinsics,
        depths: Float[np.ndarray, " planes"],
        *,
        margin: int = 200,
        planes_per_group: int = 12,
    ) -> PlaneStack:
        """The stack before a reference camera whose images have the intrinsics `image`.

        margin: pixels added on each side, for what other views see beside the reference image
        (nex-code: offset 200 at a width of 1008).
        """
        enlarged = Intrinsics(
            image.width + 2 * margin,
            image.height + 2 * margin,
            image.focal_x,
            image.focal_y,
            image.centre_x + margin,
            image.centre_y + margin,
        )
        return cls(
            camera_to_world=np.asarray(camera_to_world, dtype=np.float64),
            intrinsics=enlarged,
            margin=margin,
            depths=np.asarray(depths, dtype=np.float64),
            planes_per_group=planes_per_group,
        )

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return len(self.depths)

    @property
    def groups(self) -> int:
        """How many pictures they share."""
        return self.planes // self.planes_per_group

    @cached_property
    def world_to_camera(self) -> Float[np.ndarray, "4 4"]:
        """From the world into the reference camera's axes."""
        return np.linalg.inv(self.camera_to_world)

    def in_reference_axes(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Origins and directions [... 3] of world rays, in the reference camera's axes."""
        pose = torch.as_tensor(self.world_to_camera).to(rays.origins)
        rotation = pose[:3, :3].T
        return rays.origins @ rotation + pose[:3, 3], rays.directions @ rotation

    def positions(self, rays: Rays) -> Float[Tensor, "planes rays 2"]:
        """Where each ray meets each plane; may lie outside the picture.

        Along a ray the position is a linear function of the plane's inverse depth, which is all
        that the homographies of parallel planes say. A plane that is not before the ray is given
        a position far outside.
        """
        origins, directions = self.in_reference_axes(rays)
        camera = self.intrinsics
        slopes = directions[:, :2] / directions[:, 2:]
        focal = origins.new_tensor([camera.focal_x, camera.focal_y])
        centre = origins.new_tensor([camera.centre_x, camera.centre_y])
        at_infinity = focal * slopes + centre
        parallax = focal * (origins[:, :2] - origins[:, 2:] * slopes)
        depths = torch.as_tensor(self.depths).to(origins)[:, None, None]
        met = (directions[:, 2:] > 0) & (depths > origins[:, 2:])
        found = torch.addcmul(at_infinity, 1 / depths, parallax)
        return torch.where(met, found.clamp(-FAR_OUTSIDE, FAR_OUTSIDE), -FAR_OUTSIDE)

    def ray_depths(self, rays: Rays) -> Float[Tensor, "planes rays"]:
        """Parameter t of each ray on each plane: its depth along the ray's own camera's axis."""
        origins, directions = self.in_reference_axes(rays)
        depths = torch.as_tensor(self.depths).to(origins)
        return (depths[:, None] - origins[:, 2]) / directions[:, 2]

    def directions(self, rays: Rays) -> Float[Tensor, "rays 3"]:
        """Unit vectors from the camera to what is seen, in the reference camera's axes.

        One a ray: on its way through the planes a ray keeps its direction.
        """
        return F.normalize(self.in_reference_axes(rays)[1], dim=-1)

    def normalised(self, positions: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Positions with the picture's edges at -1 and +1."""
        size = positions.new_tensor([self.intrinsics.width, self.intrinsics.height])
        return positions * (2 / size) - 1

    def texel_positions(self, *, device: torch.device | str = "cpu") -> Float[Tensor, "texels 2"]:
        """Positions of all texel centres of a plane's picture, row after row."""
        rows = torch.arange(self.intrinsics.height, device=device) + 0.5
        columns = torch.arange(self.intrinsics.width, device=device) + 0.5
        down, across = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([across, down], dim=-1).reshape(-1, 2)

    def require_views_before(self, cameras: Cameras, names: Sequence[str], source: str) -> None:
        """Refuse cameras that stand behind the nearest plane or look away from the planes.

        names: one a camera; source: what the message begins with (a folder, say).
        """
        nearest = float(self.depths[0])
        inside = cameras.positions @ self.world_to_camera[2, :3] + self.world_to_camera[2, 3]
        for name, depth in zip(names, inside, strict=True):
            if depth > NEAREST_CAMERA * nearest:
                raise InputError(
                    f"{source}: {name} was taken {depth:.3g} before the reference view, behind "
                    f"the nearest plane at {nearest:.3g}; leave it out or raise the near bound"
                )
        corners = _corner_directions(cameras.intrinsics) @ np.swapaxes(cameras.rotations, 1, 2)
        forward = corners @ self.world_to_camera[2, :3] / np.linalg.norm(corners, axis=-1)
        for name, cosine in zip(names, forward.min(axis=1), strict=True):
            if cosine < 0.02:
                angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
                raise InputError(
                    f"{source}: {name} looks up to {angle:.0f} degrees away from where the "
                    "reference view looks and never meets the planes there; choose views that "
                    "face the same way"
                )


def _corner_directions(camera: Intrinsics) -> Float[np.ndarray, "4 3"]:
    """Rays of an image's corners in its camera's axes."""
    corners = np.array([[x, y, 1.0] for x in (0, camera.width) for y in (0, camera.height)])
    return corners @ np.linalg.inv(camera.matrix).T


def homographies(
    stack: PlaneStack, camera_to_world: Float[np.ndarray, "4 4"], target: Intrinsics
) -> Float[np.ndarray, "planes 3 3"]:
    """H_d with (position, 1) ~ H_d (pixel, 1): from a target view's pixels to plane d.

    H_d = K_ref (R + o nᵀ R / (d - o_z)) K_target⁻¹, R and o being the target camera's rotation and
    place in the reference camera's axes, n = (0, 0, 1) (NeX, equation 3, the inverse homography).
    """
    relative = stack.world_to_camera @ camera_to_world
    rotation, place = relative[:3, :3], relative[:3, 3]
    between = stack.depths - place[2]
    if not (np.abs(between) > 1e-9 * stack.depths).all():
        raise InputError("a camera stands on a plane, where no homography exists; move the planes")
    shifts = place[None, :, None] * rotation[2][None, None] / between[:, None, None]
    return stack.intrinsics.matrix @ (rotation + shifts) @ np.linalg.inv(target.matrix)


def sample_textures(
    textures: Float[Tensor, "groups channels height width"],
    normalised: Float[Tensor, "planes rays 2"],
    *,
    twice_differentiable: bool = False,
) -> Float[Tensor, "groups channels members rays"]:
    """Bilinear samples of each plane's picture, at its own normalised positions.

    Planes g·m to g·m + m - 1 (m = planes / groups members) look at texture g. Beyond the outermost
    texel centres a texture continues as at its border; what lies outside is for alpha to hide.
    `twice_differentiable` is slower and lets a loss depend on derivatives by the position.
    """
    grids = normalised.reshape(len(textures), -1, *normalised.shape[1:])
    if twice_differentiable:
        return _gathered_samples(textures, grids)
    return F.grid_sample(textures, grids, padding_mode="border", align_corners=False)


def _gathered_samples(
    textures: Float[Tensor, "groups channels height width"],
    grids: Float[Tensor, "groups members rays 2"],
) -> Float[Tensor, "groups channels members rays"]:
    """`grid_sample` from four gathers: PyTorch's own has no second derivative."""
    height, width = textures.shape[-2:]
    last = grids.new_tensor([width - 1, height - 1])
    at = ((grids + 1) * ((last + 1) / 2) - 0.5).clamp_min(0).minimum(last)
    low = torch.minimum(at.detach().floor(), (last - 1).clamp_min(0))
    across, down = (at - low).unbind(-1)
    column, row = low.long().unbind(-1)
    flat = textures.flatten(2)

    def texels(rows: Tensor, columns: Tensor) -> Tensor:
        index = (rows * width + columns).flatten(1)[:, None].expand(-1, flat.shape[1], -1)
        return flat.gather(2, index).unflatten(-1, grids.shape[1:3])

    right, below = (column + 1).clamp_max(width - 1), (row + 1).clamp_max(height - 1)
    across, down = across[:, None], down[:, None]
    upper = torch.lerp(texels(row, column), texels(row, right), across)
    lower = torch.lerp(texels(below, column), texels(below, right), across)
    return torch.lerp(upper, lower, down)


def is_inside(normalised: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """1 where a normalised position lies on the picture, 0 beside it."""
    return (normalised.abs().amax(-1) <= 1).to(normalised.dtype)


def transmittances(alpha: Float[Tensor, "planes rays"]) -> Float[Tensor, "planes rays"]:
    """What gets past the planes before each: the product of their 1 - alpha, near to far.

    >>> transmittances(torch.tensor([[0.5], [0.5], [1.0]])).T
    tensor([[1.0000, 0.5000, 0.2500]])
    """
    before = torch.cumprod(1 - alpha[:-1], dim=0)
    return torch.cat([torch.ones_like(alpha[:1]), before])


def weights_of_alpha(alpha: Float[Tensor, "planes rays"]) -> Float[Tensor, "planes rays"]:
    """What each plane adds to its ray (NeX, equation 1)."""
    return alpha * transmittances(alpha)


def weights_of_logits(logits: Float[Tensor, "planes rays"]) -> Float[Tensor, "planes rays"]:
    """`weights_of_alpha(sigmoid(logits))`, as exponential of a sum.

    1 - sigmoid(x) = exp(-softplus(x)). Exact where planes cover all, and its gradient, too; one
    running sum instead of a running product, whose derivative is expensive.
    """
    thickness = F.softplus(logits)
    until = torch.cumsum(thickness, dim=0)
    return torch.exp(logits - until)


@dataclass(frozen=True)
class PlaneRendering:
    """What over-compositing says of rays.

    `depth` is Σ w·t (not divided by the opacity), in the units of the depths it was given.
    """

    colour: Float[Tensor, "rays 3"]
    opacity: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    weights: Float[Tensor, "planes rays"]


def composite_planes(
    colour: Float[Tensor, "groups 3 members rays"],
    weights: Float[Tensor, "planes rays"],
    depths: Float[Tensor, "#planes #rays"],
) -> PlaneRendering:
    """Add up the planes of rays: C = Σ w c, with nothing behind them (NeX, equation 1).

    colour: of each plane, in the layout of `sample_textures`.
    """
    groups, _, members, _ = colour.shape
    by_group = weights.unflatten(0, (groups, members))
    seen = (by_group[:, None] * colour).sum((0, 2)).T
    return PlaneRendering(seen, weights.sum(0), (weights * depths).sum(0), weights)
