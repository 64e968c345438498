"""Operators: parallel-beam Radon transform of an image on a square grid (computed tomography).

Conventions. An image is [row, column]; x grows with the column, y with the row (downwards), both
in pixels. The ray of angle theta and detector coordinate s = x - centre passes through

    x = centre + s cos(theta) + t sin(theta),    y = centre - s sin(theta) + t cos(theta),

t running over the rows of the rotated image. At theta = 0 the rays are the columns. Every image
column is one detector bin, so that `angles x size` measurements come from one image. Samples
outside the image are 0. Angles are radians.

Fourier Features' notebook 2d_CT resamples with the *nearest* pixel and takes the *mean* over rows;
scikit-image's `radon` (circle=True) interpolates *bilinearly*, takes the *sum* and turns about
pixel size // 2: `RadonTransform.as_in_scikit_image`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from nir.errors import InputError

Interpolation = Literal["nearest", "bilinear"]
Reduction = Literal["mean", "sum"]


def equal_angles(count: int) -> Float[Tensor, " count"]:
    """Return `count` angles spread evenly over [0, pi), end excluded, in radians.

    >>> equal_angles(4).div(math.pi).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return (torch.arange(count, dtype=torch.float64) * (math.pi / count)).float()


class RadonTransform(nn.Module):
    """The linear map A from an image [size, size] to projections [angles, size], and its adjoint.

    centre: the point that rotations leave fixed, in pixels along both axes; by default the
    middle of the grid, (size - 1) / 2. reduction: "mean" or "sum" over the samples of a ray.
    """

    sampling_grid: Tensor

    def __init__(
        self,
        size: int,
        angles: Float[Tensor, " angles"],
        *,
        interpolation: Interpolation = "nearest",  # 2d_CT: map_coordinates of order 0
        reduction: Reduction = "mean",  # 2d_CT: mean over rows
        centre: float | None = None,
    ) -> None:
        super().__init__()
        _check_choice("interpolation", interpolation, ("nearest", "bilinear"))
        _check_choice("reduction", reduction, ("mean", "sum"))
        self.size = size
        self.interpolation = interpolation
        self.reduction = reduction
        self.centre = (size - 1) / 2 if centre is None else centre
        grid = _rotated_pixel_positions(size, angles, self.centre)
        # grid_sample's unit with align_corners: -1 and 1 are the centres of the outer pixels.
        normalised = grid * (2 / max(size - 1, 1)) - 1
        dtype = angles.dtype if angles.dtype.is_floating_point else torch.float32
        self.register_buffer("sampling_grid", normalised.to(dtype), persistent=False)

    @classmethod
    def as_in_scikit_image(cls, size: int, degrees: Float[Tensor, " angles"]) -> RadonTransform:
        """The operator that equals `skimage.transform.radon(image, degrees, circle=True).T`.

        That function takes degrees, interpolates bilinearly, sums along rays, turns about pixel
        size // 2, and returns [size, angles]; it expects images that vanish outside the
        inscribed circle.
        """
        return cls(
            size,
            torch.deg2rad(degrees),
            interpolation="bilinear",
            reduction="sum",
            centre=float(size // 2),
        )

    def forward(self, image: Float[Tensor, "*batch size size"]) -> Float[Tensor, "*batch a size"]:
        """Project images; differentiable to any order."""
        self._check_size(image, (self.size, self.size))
        flat = image.reshape(1, -1, self.size, self.size)
        # One angle after another: the rotated images of all angles are never held at once.
        projections = [self._project(flat, grid) for grid in self.sampling_grid]
        stacked = torch.stack(projections, dim=1)
        return stacked.reshape(*image.shape[:-2], len(self.sampling_grid), self.size)

    def _project(self, images: Tensor, grid: Tensor) -> Tensor:
        rotated = F.grid_sample(
            images,
            grid.to(images.dtype)[None],
            mode=self.interpolation,
            padding_mode="zeros",
            align_corners=True,
        )[0]
        return rotated.mean(-2) if self.reduction == "mean" else rotated.sum(-2)

    def adjoint(
        self, projections: Float[Tensor, "*batch a size"]
    ) -> Float[Tensor, "*batch size size"]:
        """Apply the exact transpose A* (back-projection without a filter).

        <A x, y> = <x, A* y> holds to rounding since A* is the transposed program of `forward`,
        not a second discretisation.
        """
        self._check_size(projections, (len(self.sampling_grid), self.size))
        with torch.enable_grad():
            image = projections.new_zeros(*projections.shape[:-2], self.size, self.size)
            image.requires_grad_()
            projected = self(image)
            (transposed,) = torch.autograd.grad(
                projected, image, projections, create_graph=projections.requires_grad
            )
        return transposed

    def project_field(
        self, field: Callable[[Float[Tensor, "points 2"]], Float[Tensor, "points 1"]]
    ) -> Float[Tensor, "a size"]:
        """Sample a field of (x, y) in [0, 1)^2 on the pixel grid and project the picture."""
        values = field(self.coordinates().reshape(-1, 2))
        return self(values.reshape(self.size, self.size))

    def coordinates(self) -> Float[Tensor, "size size 2"]:
        """Coordinates (x, y) of the pixels: k / size, end excluded, as in the notebook."""
        axis = torch.arange(self.size, device=self.sampling_grid.device) / self.size
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        return torch.stack([x, y], dim=-1)

    def _check_size(self, tensor: Tensor, expected: tuple[int, int]) -> None:
        if tensor.shape[-2:] != expected:
            raise InputError(
                f"Radon transform for {expected[0]} x {expected[1]} got "
                f"{' x '.join(map(str, tensor.shape[-2:]))}; build it for that size"
            )


def _rotated_pixel_positions(
    size: int, angles: Float[Tensor, " a"], centre: float
) -> Float[Tensor, "a size size 2"]:
    """Where row t, column s of each rotated image lies in the image, as (x, y) in pixels."""
    offset = torch.arange(size, device=angles.device, dtype=torch.float64) - centre
    t, s = torch.meshgrid(offset, offset, indexing="ij")
    cosine, sine = (f(angles.double())[:, None, None] for f in (torch.cos, torch.sin))
    return torch.stack([centre + s * cosine + t * sine, centre - s * sine + t * cosine], dim=-1)


def _check_choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{key} is {value!r}; choose one of {', '.join(known)}")
