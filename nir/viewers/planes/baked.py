"""Baked planes: tiles of 8-bit textures, packed, with a table of the basis; no network.

Quantisation, all to 8 bits. Alpha and base colour: q / 255. Coefficients: scale_n (q - 127) / 127,
scale_n being the largest magnitude of the n-th coefficient anywhere, so that 0 stays 0. Basis:
low_n + (high_n - low_n) q / 255. A texel of the coefficient atlas holds red, green and blue of each
coefficient, four numbers a **layer**.

A tile of T x T cells between texel centres is stored with its T + 1 texels a side, so that bilinear
sampling never leaves its slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

from nir.errors import InputError
from nir.geometry.cameras import Cameras
from nir.operators.planes import PlaneStack
from nir.viewers.planes.textures import (
    Basis,
    LargestWeights,
    PlaneTextures,
    grid_of_directions,
    largest_weights,
    mixed,
)

COEFFICIENT_ZERO = 127


@dataclass(frozen=True, kw_only=True)
class BakeSettings:
    """How planes are baked.

    tile: cells a side. largest_page: pixels a side that no page of an atlas exceeds (WebGL2
    promises 2048; nearly all devices have 4096, the paper's viewer needs 16000). least_weight:
    tiles that contribute less to every pixel of every view are dropped. kept_psnr: of views drawn
    from what compaction keeps against views drawn from everything, in dB. margin_tiles: so many
    neighbours of a kept tile are kept as well, for views beside those. table_size: of the basis
    table.
    """

    tile: int = 16
    largest_page: int = 4096
    least_weight: float = 1 / 255
    kept_psnr: float = 39.5
    margin_tiles: int = 0
    table_size: int = 64

    def __post_init__(self) -> None:
        if self.tile < 1 or self.largest_page < self.tile + 1:
            raise InputError(
                f"tiles of {self.tile} cells do not fit in pages of {self.largest_page} pixels; "
                "choose smaller tiles or larger pages"
            )
        if self.table_size < 2:
            raise InputError(f"a basis table of {self.table_size} entries: at least 2 are needed")


@dataclass(frozen=True, kw_only=True)
class BasisTable:
    """The basis on a grid of (v_x, v_y) from -limits to +limits, ends included.

    levels: 8-bit values, rows along v_y. low, high: the range of each function.
    """

    levels: UInt8[np.ndarray, "basis rows columns"]
    low: Float[np.ndarray, " basis"]
    high: Float[np.ndarray, " basis"]
    limits: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class BakedPlanes:
    """All that a renderer needs.

    kept: numbers of the planes that were kept, near to far; depths, groups: of those. tiles: for
    every kept plane and tile, slot + 1 in the alpha atlas and in the base atlas; coefficient_tiles:
    for every group and tile of its coarser picture, in the coefficient atlas; 0 where there is
    nothing. mixing: makes the basis of the field's own (`textures.PlaneTextures`). views: those it
    was baked for, with the image that they have.
    """

    stack: PlaneStack
    kept: Int64[np.ndarray, " planes"]
    tile: int
    tiles: UInt32[np.ndarray, "planes rows columns 2"]
    coefficient_tiles: UInt32[np.ndarray, "groups coarse_rows coarse_columns"]
    coefficient_shrink: int
    mixing: Float[np.ndarray, "field_basis basis"]
    alpha_pages: UInt8[np.ndarray, "pages height width"]
    base_pages: UInt8[np.ndarray, "base_pages base_height base_width 3"]
    coefficient_pages: UInt8[np.ndarray, "turn_pages layers turn_height turn_width 4"]
    coefficient_scales: Float[np.ndarray, " basis"]
    basis_table: BasisTable
    plain_bytes: int
    views: Cameras

    @property
    def depths(self) -> Float[np.ndarray, " planes"]:
        """Of the kept planes."""
        return self.stack.depths[self.kept]

    @property
    def groups(self) -> Int64[np.ndarray, " planes"]:
        """Of the kept planes."""
        return self.kept // self.stack.planes_per_group

    @property
    def first_depths(self) -> Float[np.ndarray, " planes"]:
        """Depth of the first plane of each kept plane's group."""
        return self.stack.depths[self.groups * self.stack.planes_per_group]

    @property
    def basis(self) -> int:
        """How many basis functions there are."""
        return len(self.coefficient_scales)

    @property
    def texture_bytes(self) -> int:
        """What a renderer holds in memory."""
        pages = (self.alpha_pages, self.base_pages, self.coefficient_pages)
        tables = (self.tiles, self.coefficient_tiles, self.basis_table.levels)
        return sum(part.nbytes for part in pages + tables)

    @property
    def share_of_plain_layout(self) -> float:
        """Size over that of all planes whole."""
        return self.texture_bytes / self.plain_bytes


def bake(
    textures: PlaneTextures,
    basis: Basis,
    views: Cameras,
    settings: BakeSettings | None = None,
    *,
    weights: LargestWeights | None = None,
    device: torch.device | str = "cpu",
) -> BakedPlanes:
    """Drop what `views` never see, quantise, pack.

    The views decide which tiles stay and which directions the basis table spans. basis: the
    field's own. weights: those of `largest_weights`, where they are known already. Textures of
    which nothing is seen are an `InputError`.
    """
    settings = settings or BakeSettings()
    device = torch.device(device)
    stack = textures.stack
    if weights is None:
        weights = largest_weights(textures, views, tile=settings.tile, device=device)
    in_planes = _seen(weights.planes, settings)
    in_groups = in_planes.reshape(stack.groups, -1, *in_planes.shape[1:]).any(1)
    kept = in_planes.any((1, 2)).nonzero()[0]
    if not len(kept):
        raise InputError("nothing is to be seen on the planes; train longer before baking")
    scales = np.abs(textures.coefficients).max((0, 2, 3, 4), initial=0).astype(np.float64)
    tiles = np.stack(
        [_numbered(in_planes)[kept], _numbered(in_groups)[kept // stack.planes_per_group]], axis=-1
    )
    tiles[tiles[..., 0] == 0] = 0
    of_groups = weights.groups[textures.coefficient_shrink]
    with_coefficients = _seen(of_groups, settings) & (len(scales) > 0)
    return BakedPlanes(
        stack=stack,
        kept=kept,
        tile=settings.tile,
        tiles=tiles.astype(np.uint32),
        coefficient_tiles=_numbered(with_coefficients).astype(np.uint32),
        coefficient_shrink=textures.coefficient_shrink,
        mixing=np.eye(len(scales)) if textures.mixing is None else textures.mixing,
        alpha_pages=_packed(textures.alpha, in_planes, settings),
        base_pages=_packed(textures.base_colour, in_groups, settings),
        coefficient_pages=_layers(textures.coefficients, scales, with_coefficients, settings),
        coefficient_scales=scales,
        basis_table=tabulate_basis(
            mixed(basis, textures.mixing),
            direction_limits(stack, views),
            settings.table_size,
            device=device,
        ),
        plain_bytes=textures.plain_bytes,
        views=views,
    )


def _seen(
    weights: Float[np.ndarray, "pictures rows columns"], settings: BakeSettings
) -> Bool[np.ndarray, "pictures rows columns"]:
    """Tiles that some view sees, and their neighbours."""
    kept = weights >= settings.least_weight
    reach = 2 * settings.margin_tiles + 1
    padded = np.pad(kept, [(0, 0)] + [(settings.margin_tiles,) * 2] * 2)
    return sliding_window_view(padded, (1, reach, reach)).any((3, 4, 5))


def direction_limits(stack: PlaneStack, views: Cameras) -> tuple[float, float]:
    """Largest |v_x| and |v_y| of unit directions of the views' pixels, a tenth added."""
    camera = views.intrinsics
    edge = np.array([[x, y, 1.0] for x in (0, camera.width) for y in (0, camera.height)])
    directions = edge @ np.linalg.inv(camera.matrix).T @ np.swapaxes(views.rotations, 1, 2)
    directions = directions @ stack.camera_to_world[:3, :3]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    across, down = np.minimum(1.1 * np.abs(directions[..., :2]).max((0, 1)), 1.0)
    return float(across), float(down)


@torch.no_grad()
def tabulate_basis(
    basis: Basis, limits: tuple[float, float], size: int, *, device: torch.device | str = "cpu"
) -> BasisTable:
    """Evaluate the basis on a grid of directions."""
    directions = grid_of_directions(limits, size, device=device)
    values = basis(directions.reshape(-1, 3)).unflatten(0, (size, size)).double().cpu().numpy()
    values = np.moveaxis(values, -1, 0)
    low, high = values.min((1, 2)), values.max((1, 2))
    span = np.where(high > low, high - low, 1.0)[:, None, None]
    levels = np.round((values - low[:, None, None]) / span * 255).astype(np.uint8)
    return BasisTable(levels=levels, low=low, high=high, limits=limits)


def _packed(
    pictures: np.ndarray, kept: Bool[np.ndarray, "pictures rows columns"], settings: BakeSettings
) -> np.ndarray:
    """The kept tiles of pictures [pictures height width ...] on pages."""
    cut = [_cut(picture, keep, settings.tile) for picture, keep in zip(pictures, kept, strict=True)]
    return _laid_out(np.concatenate(cut), settings.largest_page)


def _layers(
    coefficients: np.ndarray,
    scales: Float[np.ndarray, " basis"],
    kept: Bool[np.ndarray, "groups rows columns"],
    settings: BakeSettings,
) -> UInt8[np.ndarray, "pages layers height width 4"]:
    """The kept tiles of coefficients as levels, four numbers of a texel a layer."""
    cut = []
    for of_group, keep in zip(coefficients, kept, strict=True):
        channels = _levels(of_group, scales).transpose(1, 2, 0, 3)
        size = channels.shape[:2]
        cut.append(_cut(channels.reshape(*size, 3 * len(scales)), keep, settings.tile))
    tiles = np.concatenate(cut)
    spare = -tiles.shape[-1] % 4
    pages = _laid_out(np.pad(tiles, [(0, 0)] * 3 + [(0, spare)]), settings.largest_page)
    by_layer = pages.reshape(*pages.shape[:3], pages.shape[3] // 4, 4)
    return np.ascontiguousarray(np.moveaxis(by_layer, 3, 1))


def _levels(
    coefficients: np.ndarray, scales: Float[np.ndarray, " basis"]
) -> UInt8[np.ndarray, "basis height width 3"]:
    span = np.where(scales > 0, scales, 1.0)[:, None, None, None]
    levels = np.round(coefficients / span * COEFFICIENT_ZERO) + COEFFICIENT_ZERO
    return levels.astype(np.uint8)


def _numbered(kept: Bool[np.ndarray, "*shape"]) -> np.ndarray:
    """1, 2, 3 ... where kept, 0 elsewhere."""
    return np.cumsum(kept, dtype=np.int64).reshape(kept.shape) * kept


def _cut(picture: np.ndarray, keep: Bool[np.ndarray, "rows columns"], tile: int) -> np.ndarray:
    """The kept tiles of a picture [height width ...] as [slots tile+1 tile+1 ...]."""
    sides = [
        count * tile + 1 - side for count, side in zip(keep.shape, picture.shape, strict=False)
    ]
    rest = [(0, 0)] * (picture.ndim - 2)
    padded = np.pad(picture, [(0, sides[0]), (0, sides[1]), *rest], mode="edge")
    windows = sliding_window_view(padded, (tile + 1, tile + 1), axis=(0, 1))[::tile, ::tile]
    return np.moveaxis(windows[keep], (-2, -1), (1, 2))


def _laid_out(tiles: np.ndarray, largest_page: int) -> np.ndarray:
    """Slots [slots side side ...] beside each other on as few, equal pages as fit; at least one."""
    count, side = max(len(tiles), 1), tiles.shape[1]
    most = largest_page // side
    pages = -(-count // most**2)
    columns = min(most, int(np.ceil(np.sqrt(count / pages))))
    rows = -(-count // (pages * columns))
    empty = pages * rows * columns - len(tiles)
    tiles = np.pad(tiles, [(0, empty)] + [(0, 0)] * (tiles.ndim - 1))
    grid = tiles.reshape(pages, rows, columns, *tiles.shape[1:])
    grid = np.swapaxes(grid, 2, 3)
    return np.ascontiguousarray(grid.reshape(pages, rows * side, columns * side, *tiles.shape[3:]))
