"""Leave out of baked planes what no view would miss, as far as a given error allows.

Three things are given up, in this order. **Functions** of the basis: Σ_n k_n(x) H_n(v) is a matrix
over places and directions, and its best approximation by fewer functions is its truncated singular
value decomposition. **Texels** of the coefficients, which change more slowly over a plane than its
alpha. **Tiles** that contribute little to every pixel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nir.geometry.cameras import Cameras
from nir.viewers.planes.baked import BakedPlanes, BakeSettings, bake, direction_limits
from nir.viewers.planes.rendering import BakedRenderer
from nir.viewers.planes.textures import (
    COEFFICIENT_SHRINKS,
    Basis,
    LargestWeights,
    PlaneTextures,
    grid_of_directions,
    picture_size,
)

LARGEST_LEAST_WEIGHT = 1 / 4
"""Tiles that contribute more than this to any pixel are never left out."""

HALVINGS = 6
"""Of the range of weights, in search of the largest that may be left out."""

SHARE_OF_COEFFICIENTS = 0.5
"""Of the squared error that may arise; functions and texels may use so much, tiles the rest."""

LEAST_VARIATION = 1e-9
"""Functions that vary less than this share of the first are combinations of the others."""


@dataclass(frozen=True)
class Compaction:
    """How baked planes look from some views, and which of them to bake.

    basis: the field's own. views: those that decide what is seen. probed: those that are drawn.
    weights: of the textures, seen from `views`.
    """

    basis: Basis
    views: Cameras
    probed: Cameras
    weights: LargestWeights
    settings: BakeSettings
    device: torch.device

    def most_compact(self, textures: PlaneTextures) -> BakedPlanes:
        """Bake in as few bytes as keep the probed views to `settings.kept_psnr`."""
        whole = self._baked(textures)
        if math.isinf(self.settings.kept_psnr):
            return whole
        allowed = 10 ** (-self.settings.kept_psnr / 10)
        expected = self._drawn(whole)

        def is_kept(baked: BakedPlanes, share: float = 1.0) -> bool:
            error = (self._drawn(baked) - expected).square().mean((1, 2, 3)).max()
            return bool(error <= share * allowed)

        chosen = whole
        for fewer in self._by_size(textures):
            baked = self._baked(fewer)
            if is_kept(baked, SHARE_OF_COEFFICIENTS):
                chosen, textures = baked, fewer
                break
        return self._with_fewest_tiles(textures, chosen, is_kept)

    def _with_fewest_tiles(
        self, textures: PlaneTextures, chosen: BakedPlanes, is_kept: Callable[[BakedPlanes], bool]
    ) -> BakedPlanes:
        """Halve the range of weights, on a logarithmic scale; `chosen` has all tiles."""
        least = self.settings.least_weight
        most = min(LARGEST_LEAST_WEIGHT, float(self.weights.planes.max()))
        for _ in range(HALVINGS if least < most else 0):
            middle = math.sqrt(least * most)
            sparser = self._baked(textures, middle)
            if is_kept(sparser):
                chosen, least = sparser, middle
            else:
                most = middle
        return chosen

    def _by_size(self, textures: PlaneTextures) -> Iterator[PlaneTextures]:
        """The same with fewer functions and coarser coefficients, the smallest first."""
        if not textures.basis:
            return
        limits = direction_limits(textures.stack, self.views)
        textures = self.with_main_functions_first(textures, limits)
        choices = [
            (count, shrink)
            for count in range(1, textures.basis + 1)
            for shrink in COEFFICIENT_SHRINKS
        ]
        for count, shrink in sorted(choices, key=lambda c: (-(-3 * c[0] // 4) / c[1] ** 2, c[1])):
            yield with_coarser_coefficients(with_functions(textures, count), shrink)

    def with_main_functions_first(
        self, textures: PlaneTextures, limits: tuple[float, float]
    ) -> PlaneTextures:
        """The same colours with another basis: each function adds less than the one before."""
        values = self._values(limits)
        variances, axes = np.linalg.eigh(values.T @ values / len(values))
        varied = variances > LEAST_VARIATION * variances.max()
        deviations, axes = np.sqrt(variances[varied]), axes[:, varied]
        whitened = axes * deviations
        strengths = whitened.T @ self._strengths(textures) @ whitened
        turned = np.linalg.eigh(strengths)[1][:, ::-1]
        to_new = (whitened @ turned).astype(np.float32)
        coefficients = [
            np.einsum("bhwc,bn->nhwc", of_group.astype(np.float32), to_new, optimize=True)
            for of_group in textures.coefficients
        ]
        return dataclasses.replace(
            textures,
            coefficients=np.stack(coefficients).astype(np.float16),
            mixing=(axes / deviations) @ turned,
        )

    @torch.no_grad()
    def _values(self, limits: tuple[float, float]) -> Float[np.ndarray, "directions basis"]:
        size = self.settings.table_size
        directions = grid_of_directions(limits, size, device=self.device).reshape(-1, 3)
        return self.basis(directions).double().cpu().numpy()

    def _strengths(self, textures: PlaneTextures) -> Float[np.ndarray, "basis basis"]:
        """Σ w² k k^T over all places, w being the most that any view shows of one."""
        total = np.zeros((textures.basis, textures.basis))
        for of_group, seen in zip(textures.coefficients, self._seen_texels(textures), strict=True):
            weighted = (of_group.astype(np.float32) * seen[..., None]).reshape(textures.basis, -1)
            total += (weighted @ weighted.T).astype(np.float64)
        return total

    def _seen_texels(self, textures: PlaneTextures) -> Iterator[Float[np.ndarray, "rows columns"]]:
        height, width = picture_size(textures.stack)
        tile = self.settings.tile
        for of_group in self.weights.groups[1]:
            grown = of_group.repeat(tile, axis=0).repeat(tile, axis=1)
            beyond = [
                (0, max(0, side - at))
                for side, at in zip((height, width), grown.shape, strict=True)
            ]
            yield np.pad(grown, beyond, mode="edge")[:height, :width]

    def _baked(self, textures: PlaneTextures, least_weight: float | None = None) -> BakedPlanes:
        settings = self.settings
        if least_weight is not None:
            settings = dataclasses.replace(settings, least_weight=least_weight)
        return bake(
            textures, self.basis, self.views, settings, weights=self.weights, device=self.device
        )

    def _drawn(self, baked: BakedPlanes) -> Float[Tensor, "views height width 3"]:
        renderer = BakedRenderer(baked, device=self.device)
        poses = self.probed.camera_to_world
        return torch.stack([renderer.render(pose, self.probed.intrinsics) for pose in poses])


def with_functions(textures: PlaneTextures, count: int) -> PlaneTextures:
    """The same with the first `count` functions of a mixed basis alone."""
    return dataclasses.replace(
        textures,
        coefficients=textures.coefficients[:, :count],
        mixing=textures.mixing[:, :count],
    )


def with_coarser_coefficients(textures: PlaneTextures, shrink: int) -> PlaneTextures:
    """The same with the mean of `shrink` x `shrink` texels of coefficients in the place of each."""
    if shrink == 1:
        return textures
    height, width = picture_size(textures.stack)
    beyond = [(0, -height % shrink), (0, -width % shrink)]
    coarser = []
    for of_group in textures.coefficients:
        padded = np.pad(of_group.astype(np.float32), [(0, 0), *beyond, (0, 0)], mode="edge")
        count, rows, columns, _ = padded.shape
        blocks = padded.reshape(count, rows // shrink, shrink, columns // shrink, shrink, 3)
        coarser.append(blocks.mean((2, 4)).astype(np.float16))
    return dataclasses.replace(textures, coefficients=np.stack(coarser), coefficient_shrink=shrink)
