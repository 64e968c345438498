"""Operators: the discrete Fourier transform of a grid, of which a mask keeps a part (MRI).

Conventions. A grid has two or three axes (any number works). A mask is *centred*: the zero
frequency stands at index size // 2 of every axis, as after `fftshift`. Coefficients are returned
in torch's own order, zero frequency first, with zeros where the mask is False. Fourier Features'
notebook 3d_MRI uses the unnormalised transform; "ortho" divides by the root of the point count,
which makes the unmasked operator an isometry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Complex, Float
from torch import Generator, Tensor, nn

from nir.errors import InputError

Normalisation = Literal["none", "ortho"]


def gaussian_mask(
    shape: Sequence[int],
    *,
    draws: int = 200_000,  # 3d_MRI, for 96^3
    variance: float | None = None,
    generator: Generator,
) -> Bool[Tensor, "*grid"]:
    """Mark the coefficients hit by `draws` rounded draws of N(centre, variance I).

    The default variance is 2 x the size of the first axis, in squared samples (3d_MRI: 2 * 96).
    Draws that fall outside the grid are dropped, repeated ones count once: at 96^3 one coefficient
    in eight remains (12.56 % in the notebook).

    >>> mask = gaussian_mask((96, 96, 96), generator=torch.Generator().manual_seed(0))
    >>> bool(mask[48, 48, 48]), round(100 * mask.double().mean().item(), 1)
    (True, 12.6)
    """
    shape = tuple(shape)
    spread = math.sqrt(2 * shape[0] if variance is None else variance)
    extent = torch.tensor(shape)
    offsets = torch.randn(draws, len(shape), generator=generator) * spread
    indices = torch.round(offsets + extent // 2).long()
    inside = ((indices >= 0) & (indices < extent)).all(dim=-1)
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(indices[inside].T)] = True
    return mask


def scaled_gaussian_mask(shape: Sequence[int], *, generator: Generator) -> Bool[Tensor, "*grid"]:
    """The notebook's mask carried over to another grid: same share of coefficients, same form.

    The spread grows with the size (sqrt(192) / 96 of it) and the draws with the point count.

    >>> mask = scaled_gaussian_mask((24, 24, 24), generator=torch.Generator().manual_seed(0))
    >>> 0.1 < mask.double().mean().item() < 0.15
    True
    """
    draws = round(200_000 * math.prod(shape) / 96**3)
    # sd = sqrt(2 * 96) at 96 samples, hence proportional to the size: variance = size^2 / 48.
    return gaussian_mask(shape, draws=draws, variance=shape[0] ** 2 / 48, generator=generator)


class MaskedFourierTransform(nn.Module):
    """The linear map A = mask . F from a grid to its kept Fourier coefficients, and its adjoint.

    For loss 1/2 mean |A x - y|^2 the mean runs over all coefficients, dropped ones being zero in
    both, as in the notebook (whose y is unmasked: a constant more, the same gradient).
    """

    mask: Tensor

    def __init__(
        self, mask: Bool[Tensor, "*grid"], *, normalisation: Normalisation = "none"
    ) -> None:
        super().__init__()
        if normalisation not in ("none", "ortho"):
            raise InputError(f"normalisation is {normalisation!r}; choose none or ortho")
        if not mask.any():
            raise InputError("the mask keeps no Fourier coefficient; draw more of them")
        self.normalisation = normalisation
        self.register_buffer("mask", torch.fft.ifftshift(mask))

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the grid along each axis."""
        return tuple(self.mask.shape)

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-self.mask.ndim, 0))

    def forward(self, grid: Float[Tensor, "*batch"]) -> Complex[Tensor, "*batch"]:
        """Transform real grids [*batch, *shape] and keep the masked coefficients."""
        self._check_shape(grid)
        norm = "ortho" if self.normalisation == "ortho" else "backward"
        return torch.fft.fftn(grid, dim=self._axes, norm=norm) * self.mask

    def adjoint(self, coefficients: Complex[Tensor, "*batch"]) -> Complex[Tensor, "*batch"]:
        """Apply the exact adjoint A^H = F^H . mask; its real part is the adjoint on real grids.

        Re <A x, y> = <x, Re A^H y>. F^H is the inverse transform without its 1 / N.
        """
        self._check_shape(coefficients)
        norm = "ortho" if self.normalisation == "ortho" else "forward"
        return torch.fft.ifftn(coefficients * self.mask, dim=self._axes, norm=norm)

    def measure_field(
        self, field: Callable[[Float[Tensor, "points d"]], Float[Tensor, "points 1"]]
    ) -> Complex[Tensor, "*grid"]:
        """Sample a field on the grid's coordinates and measure it."""
        points = self.coordinates()
        values = field(points.reshape(-1, points.shape[-1]))
        return self(values.reshape(self.shape))

    def coordinates(self) -> Float[Tensor, "*grid d"]:
        """Coordinates of the grid points: index / size along each axis, end excluded."""
        axes = [torch.arange(n, device=self.mask.device) / n for n in self.shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)

    def _check_shape(self, tensor: Tensor) -> None:
        if tuple(tensor.shape[-self.mask.ndim :]) != self.shape:
            raise InputError(
                f"the Fourier mask is for {' x '.join(map(str, self.shape))}, "
                f"the grid has {' x '.join(map(str, tensor.shape))}; resample one of them"
            )
