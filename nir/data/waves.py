"""Waves: media, and reference solutions that fields are compared with.

The plane is [-1, 1]^2, points are (x, y), arrays of the plane are [x, y] (first axis x). A medium
is its *squared slowness* m = 1 / c^2 on equal cells, constant in each; outside of the square it
goes on as at the border. Waves: m u_tt = Laplacian(u). Helmholtz: Laplacian(u) + m k^2 u = f, u
complex, time factor exp(+i omega t): outgoing waves are Hankel functions of the second kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from nir.errors import InputError

CELLS = 240  # of a generated medium, along a side: borders of its inclusions fall between cells


@dataclass(frozen=True)
class Medium:
    """Squared slowness on equal cells of [-1, 1]^2."""

    squared_slowness: Float[np.ndarray, "cells_x cells_y"]

    def at(self, points: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points"]:
        """Squared slowness at points (x, y), a tensor beside them."""
        table = torch.from_numpy(self.squared_slowness).to(points)
        sizes = torch.tensor(table.shape, device=points.device)
        cell = ((points + 1) / 2 * sizes).long().clamp(min=torch.zeros_like(sizes), max=sizes - 1)
        return table[cell[..., 0], cell[..., 1]]

    def around(self, points: Float[Tensor, "*points 2"], spacing: float) -> Tensor:
        """Mean squared slowness in the cell of `spacing` about each node of a grid.

        Finite differences stay of second order where a border runs through nodes: what a node
        stands for belongs in part to either side.
        """
        quarters = [(a * spacing / 4, b * spacing / 4) for a in (-1, 1) for b in (-1, 1)]
        shifts = points.new_tensor(quarters)
        return torch.stack([self.at(points + shift) for shift in shifts]).mean(dim=0)

    @property
    def is_uniform(self) -> bool:
        """Whether waves are equally fast everywhere."""
        return bool(np.ptp(self.squared_slowness) == 0)


def medium_of(name: str) -> Float[np.ndarray, "cells cells"]:
    """Velocities of a generated medium: 1, with a faster "square" or "circle", a slower "disc".

    Square |x|, |y| < 0.3 and circle r < 0.1, both of velocity 2, are those of the SIREN supplement
    (vsitzmann/siren:dataio.py get_squared_slowness). The disc about (0.1, 0.1) has radius 0.2 and
    velocity 0.75: large enough for long waves.
    """
    axis = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
    x, y = np.meshgrid(axis, axis, indexing="ij")
    inclusions = {
        "uniform": (np.zeros_like(x, dtype=bool), 1.0),
        "square": ((np.abs(x) < 0.3) & (np.abs(y) < 0.3), 2.0),
        "circle": (np.hypot(x, y) < 0.1, 2.0),
        "disc": (np.hypot(x - 0.1, y - 0.1) < 0.2, 0.75),
    }
    return np.where(inclusions[name][0], inclusions[name][1], 1.0)


def read_medium(path: Path) -> Medium:
    """Read velocities [x, y] from a .npy file; anything but positive numbers is an `InputError`."""
    try:
        velocity = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is not an array that can be read ({error})") from error
    if velocity.ndim != 2 or velocity.dtype.kind not in "fiu":
        raise InputError(f"{path}: is not an array [x, y] of velocities; save one as .npy")
    if not (np.isfinite(velocity).all() and (velocity > 0).all()):
        raise InputError(f"{path}: has velocities that are not positive; remove them")
    return Medium(1 / velocity.astype(np.float64) ** 2)


def grid_points(count: int) -> Float[Tensor, "count count 2"]:
    """Points of a grid over [-1, 1]^2 with both ends, [x, y, (x, y)]."""
    axis = torch.linspace(-1, 1, count, dtype=torch.float64)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)


# ---- waves in time ----


def free_wave(
    initial: Float[np.ndarray, "n n"], times: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t n n"]:
    """The wave of velocity 1 in free space that starts at rest as `initial`, on `grid_points(n)`.

    u^(k, t) = u^(k, 0) cos(|k| t), on a plane three times as wide, so that nothing comes back from
    its far side before t = 4 (the wave must start inside of the square).
    """
    n = len(initial)
    padded = np.pad(initial, n)
    wave_numbers = 2 * np.pi * np.fft.fftfreq(3 * n, d=2 / (n - 1))
    k = np.hypot(wave_numbers[:, None], wave_numbers[None, :])
    spectrum = np.fft.fft2(padded)
    return np.stack(
        [np.fft.ifft2(spectrum * np.cos(k * t)).real[n : 2 * n, n : 2 * n] for t in times]
    )


def leapfrog_wave(
    initial: Float[np.ndarray, "n n"], medium: Medium, times: Float[np.ndarray, " t"]
) -> Float[np.ndarray, "t n n"]:
    """The wave in any medium that starts at rest as `initial`, by finite differences in time.

    Second order in space and time, on a plane twice as wide; between steps, times are interpolated
    linearly. Stable by steps of half a cell at the largest velocity.
    """
    n, margin = len(initial), len(initial) // 2
    spacing = 2 / (n - 1)
    slowness = medium.around(grid_points(n), spacing).numpy()
    slowness = np.pad(slowness, margin, mode="edge")
    step = 0.5 * spacing * np.sqrt(slowness.min())
    factor = step**2 / slowness
    now = np.pad(initial.astype(np.float64), margin)
    before = now + 0.5 * factor * _laplacian(now, spacing)  # at rest: u(-dt) = u(+dt)
    found, time = [], 0.0
    inside = slice(margin, margin + n)
    for t in np.sort(times):
        while time + step <= t:
            before, now = now, 2 * now - before + factor * _laplacian(now, spacing)
            time += step
        ahead = 2 * now - before + factor * _laplacian(now, spacing)
        part = (t - time) / step
        found.append(((1 - part) * now + part * ahead)[inside, inside])
    return np.stack(found)[np.argsort(np.argsort(times))]


def _laplacian(u: np.ndarray, spacing: float) -> np.ndarray:
    """Five points; zero beyond the border, which waves must not reach."""
    p = np.pad(u, 1)
    return (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * u) / spacing**2


# ---- Helmholtz ----


@dataclass(frozen=True, kw_only=True)
class AbsorbingLayer:
    """A perfectly matched layer inside of the square, along all four sides.

    e(x) = 1 - i a (d / width)^2 where d is how deep x lies in the layer (SIREN supplement 6,
    vsitzmann/siren:loss_functions.py helmholtz_pml, width 0.5 and a = 5).
    """

    width: float = 0.5
    attenuation: float = 5.0

    def stretch(self, x: Float[Tensor, "*points"]) -> tuple[Tensor, Tensor]:
        """e and de/dx at coordinates along one axis, complex."""
        if self.width == 0:
            return torch.complex(torch.ones_like(x), torch.zeros_like(x)), torch.zeros_like(x) * 1j
        depth = (x.abs() - (1 - self.width)).clamp(min=0) / self.width
        slope = -self.attenuation * 2 * depth * x.sign() / self.width
        e = torch.complex(torch.ones_like(x), -self.attenuation * depth**2)
        return e, torch.complex(torch.zeros_like(x), slope)

    def is_outside(self, points: Float[Tensor, "*points 2"]) -> Tensor:
        """Whether points lie where nothing is absorbed."""
        return points.abs().amax(dim=-1) < 1 - self.width


def gaussian_source(
    points: Float[Tensor, "*points 2"],
    centre: tuple[float, float],
    variance: float,
    *,
    smallest: float = 1e-5,
) -> Float[Tensor, "*points"]:
    """A Gaussian of unit mass; values below `smallest` are zero (vsitzmann/siren:dataio.py)."""
    squared = ((points - torch.tensor(centre).to(points)) ** 2).sum(dim=-1)
    values = torch.exp(-squared / (2 * variance)) / (2 * np.pi * variance)
    return torch.where(values < smallest, 0.0, values)


def hankel_field(
    points: Float[np.ndarray, "*points 2"],
    centre: tuple[float, float],
    wave_number: float,
    variance: float,
) -> Complex[np.ndarray, "*points"]:
    """Solution for a Gaussian source of mass 1 + 1i in free space, outside of the source.

    (1 + 1i) (i / 4) H0^(2)(k r) exp(-k^2 variance / 2): a Gaussian radiates as a point does, damped
    by its own transform. At the very centre, where H0 has a pole, NaN.
    """
    from scipy.special import hankel2

    r = np.linalg.norm(points - np.asarray(centre), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        field = hankel2(0, wave_number * r)
    damping = np.exp(-(wave_number**2) * variance / 2)
    return (1 + 1j) * 0.25j * damping * np.where(r > 0, field, np.nan)


def solve_helmholtz(
    source: Complex[np.ndarray, "n n"],
    medium: Medium,
    wave_number: float,
    layer: AbsorbingLayer,
) -> Complex[np.ndarray, "n n"]:
    """Solve (A u_x)_x + (B u_y)_y + C m k^2 u = f on `grid_points(n)` by finite differences.

    A = e_y / e_x, B = e_x / e_y, C = e_x e_y; five points, coefficients between nodes, u = 0 on
    the outer border (behind the layer). Second order: about 30 nodes a wave length for 1 %.
    """
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import spsolve

    n = len(source)
    h = 2 / (n - 1)
    nodes = torch.linspace(-1, 1, n, dtype=torch.float64)
    between = (nodes[1:] + nodes[:-1]) / 2
    e, e_between = (layer.stretch(t)[0].numpy() for t in (nodes, between))
    along_x = e[None, :] / e_between[:, None] / h**2  # A at (i + 1/2, j)
    along_y = e[:, None] / e_between[None, :] / h**2  # B at (i, j + 1/2)
    centre = np.outer(e, e) * medium.around(grid_points(n), h).numpy() * wave_number**2
    east, west = (np.pad(along_x, ((0, 1), (0, 0))), np.pad(along_x, ((1, 0), (0, 0))))
    north, south = (np.pad(along_y, ((0, 0), (0, 1))), np.pad(along_y, ((0, 0), (1, 0))))
    bands = [(centre - east - west - north - south).ravel()]
    bands += [east.ravel()[:-n], west.ravel()[n:], north.ravel()[:-1], south.ravel()[1:]]
    matrix = diags_array(bands, offsets=[0, n, -n, 1, -1], format="csc")
    border = np.ones((n, n), dtype=bool)
    border[1:-1, 1:-1] = False
    inner = np.flatnonzero(~border.ravel())
    solution = np.zeros(n * n, dtype=complex)
    solution[inner] = spsolve(matrix[inner][:, inner], source.ravel()[inner])
    return solution.reshape(n, n)
