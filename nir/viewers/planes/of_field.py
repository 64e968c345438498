"""From a trained field of planes to textures: the last time that its main network is asked.

Where the base colour comes from the network, rays take it at the first plane of a group, as they
take coefficients. It is baked as one of them, the first, whose function is the constant 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nir.errors import InputError
from nir.fields.planes import PlaneField
from nir.operators.planes import PlaneStack
from nir.viewers.planes.textures import Basis, PlaneTextures, to_8_bits

TEXELS_AT_ONCE = {"cpu": 2**14, "cuda": 2**19}


@torch.no_grad()
def textures_of(field: PlaneField, *, resolution: float = 1.0) -> PlaneTextures:
    """Ask the field at the texel centres of all its planes.

    resolution: texels a pixel of the planes' pictures; above 1 where the network changes within a
    pixel, below 1 for small devices.
    """
    if not 0 < resolution <= 8:
        raise InputError(f"--resolution {resolution:g}: must lie between 0 and 8")
    stack = resampled(field.stack, resolution)
    texels = stack.texel_positions(device=field.device)
    own = texels.new_tensor([field.stack.intrinsics.width, field.stack.intrinsics.height])
    texels = (stack.normalised(texels) + 1) / 2 * own
    size = (stack.intrinsics.height, stack.intrinsics.width)

    def picture(ask: Callable[[Tensor], Tensor], keep: Callable[[Tensor], np.ndarray]):
        parts = [keep(ask(chunk)) for chunk in texels.split(TEXELS_AT_ONCE[field.device.type])]
        return np.concatenate(parts).reshape(*size, *parts[0].shape[1:])

    alpha = [picture(lambda at, d=d: field.alpha(d, at), to_8_bits) for d in range(stack.planes)]
    groups = range(stack.groups)
    base = [picture(lambda at, g=g: _base(field, g, at), to_8_bits) for g in groups]
    coefficients = [
        np.moveaxis(picture(lambda at, g=g: _coefficients(field, g, at), _to_halves), 2, 0)
        for g in groups
    ]
    return PlaneTextures(
        stack=stack,
        alpha=np.stack(alpha),
        base_colour=np.stack(base),
        coefficients=np.stack(coefficients),
    )


def basis_of(field: PlaneField) -> Basis:
    """The field's basis, as what baking and live rendering ask of one."""

    def basis(directions: Tensor) -> Tensor:
        constant = directions.new_ones(len(directions), int(field.base is None))
        if not field.basis.count:
            return constant
        return torch.cat([constant, field.basis(directions).float()], dim=1)

    return basis


def resampled(stack: PlaneStack, resolution: float) -> PlaneStack:
    """The same planes with pictures of so many times the texels along each side."""
    width = max(2, round(stack.intrinsics.width * resolution))
    height = max(2, round(stack.intrinsics.height * resolution))
    return dataclasses.replace(
        stack,
        intrinsics=stack.intrinsics.resized(width, height),
        margin=round(stack.margin * resolution),
    )


def _coefficients(field: PlaneField, group: int, positions: Tensor) -> Tensor:
    parts = [positions.new_zeros(len(positions), 0, 3)]
    if field.base is None:
        parts.append(field.base_colour(group, positions)[:, None])
    if field.basis.count:
        parts.append(field.coefficients(group, positions))
    return torch.cat(parts, dim=1)


def _base(field: PlaneField, group: int, positions: Tensor) -> Tensor:
    if field.base is None:
        return positions.new_zeros(len(positions), 3)
    return field.base_colour(group, positions)


def _to_halves(values: Tensor) -> np.ndarray:
    return values.half().cpu().numpy()
