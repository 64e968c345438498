"""Generated signals on regular grids: what kernels and mappings are studied on (Fourier Features).

A file holds several signals of one kind as float32 [signals, samples] or [signals, rows, columns],
on a periodic grid of [0, 1)^d, end excluded, mapped jointly onto [-0.5, 0.5]. `read_signals` reads
these and a user's own of that form. Each is a function of its name alone.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.signals import anisotropic_signals, power_law_signals, rescale
from nir.errors import InputError

SIGNALS = 8  # the notebooks take 4 (1d_scatter_plots) and 8 (1d_ntk_opt)
SAMPLES = 2048  # 1d_scatter_plots: 1024 trained and 1024 between
PLANE = 128
TURNS, RECTANGLES = 16, 60  # of the turned scene
ASPECT = 4.0  # of the anisotropic spectrum: four times narrower across than along


def write_power_law(path: Path, number: int) -> None:
    """Write signals of amplitude (1 + f)^-alpha without a band limit, alpha = number / 10."""
    alpha = number / 10
    _write(path, power_law_signals(SIGNALS, SAMPLES, alpha=alpha, generator=_generator(number)))


def write_band_limited(path: Path, number: int) -> None:
    """Write signals of alpha = 1 below frequency 64, on 8 x 32 points (1d_regression)."""
    drawn = power_law_signals(
        SIGNALS, 256, alpha=1.0, band_limit=64, generator=_generator(100 + number)
    )
    _write(path, drawn)


def write_bumps(path: Path, _number: int) -> None:
    """Write one Gaussian bump at 40 places (toy_stationary_ex: x in [-pi, pi), deviation 0.05)."""
    x = torch.arange(256) / 256
    centres = torch.arange(40)[:, None] / 40
    apart = (x - centres + 0.5) % 1.0 - 0.5
    bump = torch.exp(-((2 * math.pi * apart) ** 2) / (2 * 0.05**2))
    _write(path, bump, jointly=False)


def write_isotropic_plane(path: Path, _number: int) -> None:
    """Write 2-D signals of alpha = 1.5 with the same spectrum in all directions."""
    _write_planes(path, aspect=1.0)


def write_anisotropic_plane(path: Path, _number: int) -> None:
    """Write the same with a spectrum that is ASPECT times narrower along rows' index y."""
    _write_planes(path, aspect=ASPECT)


def _write_planes(path: Path, *, aspect: float) -> None:
    drawn = anisotropic_signals(4, PLANE, alpha=1.5, aspect=aspect, generator=_generator(200))
    _write(path, drawn)


def write_plane_waves(path: Path, _number: int) -> None:
    """Write whole wave vectors (row, column) of 16 angles in [0, pi) and radii 5, 10, 15, 20.

    axis_aligned_ex: a = round(r sin theta), b = round(r cos theta); [angles, radii, 2].
    """
    angles = torch.arange(16)[:, None] * (math.pi / 16)
    radii = torch.tensor([5.0, 10.0, 15.0, 20.0])
    waves = torch.stack([radii * torch.sin(angles), radii * torch.cos(angles)], dim=-1).round()
    _write(path, waves, jointly=False)


def write_turned_scene(path: Path, _number: int) -> None:
    """Write one scene of rectangles, turned about its centre by 0 ... 90 degrees, end excluded.

    [TURNS, PLANE, PLANE] in [0, 1]. Everything lies within a circle, on an even ground, so that no
    turn cuts anything off; each pixel is the mean of 4 x 4 points.
    """
    side = 4 * PLANE
    axis = (torch.arange(side) + 0.5) / side - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angles = torch.arange(TURNS) * (math.pi / 2 / TURNS)
    pictures = [_rectangles(x * a.cos() + y * a.sin(), y * a.cos() - x * a.sin()) for a in angles]
    scene = torch.stack(pictures).reshape(TURNS, PLANE, 4, PLANE, 4).mean((2, 4))
    _write(path, scene, jointly=False)


def _rectangles(x: Tensor, y: Tensor) -> Tensor:
    """Overlapping rectangles of random places, sizes and greys; the later ones lie on top."""
    generator = _generator(300)
    picture = torch.full_like(x, 0.5)
    for _ in range(RECTANGLES):
        place = torch.rand(2, generator=generator) * 0.56 - 0.28
        half = torch.rand(2, generator=generator) * 0.09 + 0.012
        inside = ((x - place[0]).abs() < half[0]) & ((y - place[1]).abs() < half[1])
        picture[inside] = torch.rand((), generator=generator)
    return picture


def read_signals(path: Path) -> Float[Tensor, "signals ..."]:
    """Read signals from a .npy file: [signals, samples] or [signals, rows, columns]; finite."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy array ({error})") from error
    if not isinstance(values, np.ndarray) or values.ndim not in (2, 3) or 0 in values.shape:
        raise InputError(f"{path}: signals are [signals, samples] or [signals, rows, columns]")
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InputError(f"{path}: signals must be finite real numbers")
    return torch.from_numpy(values.astype(np.float32))


def _generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def _write(path: Path, signals: Tensor, *, jointly: bool = True) -> None:
    np.save(path, (rescale(signals) if jointly else signals).numpy(), allow_pickle=False)


WRITERS = {
    "power_law": write_power_law,
    "band_limited": write_band_limited,
    "bumps": write_bumps,
    "plane_isotropic": write_isotropic_plane,
    "plane_anisotropic": write_anisotropic_plane,
    "plane_waves": write_plane_waves,
    "turned_scene": write_turned_scene,
}
