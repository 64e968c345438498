"""Reference solutions of the wave and Helmholtz equations against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.data.waves import (
    AbsorbingLayer,
    Medium,
    free_wave,
    gaussian_source,
    grid_points,
    hankel_field,
    leapfrog_wave,
    medium_of,
    read_medium,
    solve_helmholtz,
)
from nir.errors import InputError

UNIFORM = Medium(np.ones((1, 1)))


def bump(n, variance=0.01, centre=(0.0, 0.0)):
    return np.exp(-((grid_points(n).numpy() - centre) ** 2).sum(-1) / (2 * variance))


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_a_free_wave_starts_as_it_was_and_keeps_its_integral():
    start = bump(61)
    waves = free_wave(start, np.array([0.0, 0.3]))
    np.testing.assert_allclose(waves[0], start, atol=1e-12)
    assert waves[1].sum() == pytest.approx(start.sum(), rel=1e-6)


def test_a_free_wave_satisfies_the_wave_equation():
    n, t, dt = 101, 0.3, 1e-3
    h = 2 / (n - 1)
    before, now, after = free_wave(bump(n, 0.02), np.array([t - dt, t, t + dt]))
    acceleration = ((after + before - 2 * now) / dt**2)[1:-1, 1:-1]
    bends = (now[2:, 1:-1] + now[:-2, 1:-1] + now[1:-1, 2:] + now[1:-1, :-2]) / h**2
    laplacian = bends - 4 * now[1:-1, 1:-1] / h**2
    assert relative(laplacian, acceleration) < 0.02


def test_finite_differences_agree_with_the_free_wave():
    start, times = bump(121, 0.01), np.array([0.1, 0.45, 0.2])
    assert relative(leapfrog_wave(start, UNIFORM, times), free_wave(start, times)) < 0.02


def test_a_medium_twice_as_fast_is_time_twice_as_far():
    start = bump(121, 0.01)
    fast = leapfrog_wave(start, Medium(np.full((1, 1), 0.25)), np.array([0.2]))
    assert relative(fast, free_wave(start, np.array([0.4]))) < 0.02


def test_the_layer_absorbs_so_that_a_uniform_medium_gives_the_hankel_function():
    n, k, variance, layer = 161, 10.0, 1e-3, AbsorbingLayer()
    points = grid_points(n)
    source = gaussian_source(points, (0.0, 0.0), variance).numpy() * (1 + 1j)
    found = solve_helmholtz(source, UNIFORM, k, layer)
    expected = hankel_field(points.numpy(), (0.0, 0.0), k, variance)
    far = layer.is_outside(points).numpy() & (points.norm(dim=-1).numpy() > 0.15)
    assert relative(found[far], expected[far]) < 0.02
    assert np.abs(found[0]).max() == 0


def test_without_absorption_the_solution_is_another_one():
    n, k, variance = 161, 10.0, 1e-3
    points = grid_points(n)
    source = gaussian_source(points, (0.0, 0.0), variance).numpy() * (1 + 1j)
    echoes = solve_helmholtz(source, UNIFORM, k, AbsorbingLayer(attenuation=0.0))
    expected = hankel_field(points.numpy(), (0.0, 0.0), k, variance)
    far = AbsorbingLayer().is_outside(points).numpy() & (points.norm(dim=-1).numpy() > 0.15)
    assert relative(echoes[far], expected[far]) > 0.3


def test_a_waves_source_and_receiver_can_be_exchanged():
    n, k, variance = 121, 8.0, 2e-3
    medium = Medium(1 / medium_of("square") ** 2)
    points = grid_points(n)
    fields = []
    for here, there in (((-0.3, 0.0), (0.2, 0.3)), ((0.2, 0.3), (-0.3, 0.0))):
        source = gaussian_source(points, here, variance, smallest=0.0).numpy() * (1 + 0j)
        field = solve_helmholtz(source, medium, k, AbsorbingLayer())
        heard = gaussian_source(points, there, variance, smallest=0.0).numpy()
        fields.append((field * heard).sum())
    assert fields[0] == pytest.approx(fields[1], rel=1e-6)


def test_the_layers_slope_is_the_derivative_of_its_stretch():
    layer, x, h = AbsorbingLayer(), torch.linspace(-0.99, 0.99, 40, dtype=torch.float64), 1e-6
    e, slope = layer.stretch(x)
    found = (layer.stretch(x + h)[0] - layer.stretch(x - h)[0]) / (2 * h)
    torch.testing.assert_close(found, slope, atol=1e-5, rtol=0)
    assert torch.equal(e[x.abs() < 0.5].imag, torch.zeros_like(e[x.abs() < 0.5].imag))


def test_a_gaussian_source_has_unit_mass():
    n = 201
    mass = gaussian_source(grid_points(n), (0.1, -0.2), 4e-3).sum() * (2 / (n - 1)) ** 2
    assert mass.item() == pytest.approx(1, rel=1e-3)


def test_a_symmetric_medium_gives_a_symmetric_wave_whose_error_falls_with_the_square_of_the_cell():
    medium, times = Medium(1 / medium_of("square") ** 2), np.array([0.3])

    def wave(count):
        initial = 0.5 * np.exp(-(grid_points(count).numpy() ** 2).sum(-1) / 0.04)
        step = (count - 1) // 60
        return leapfrog_wave(initial, medium, times)[0, ::step, ::step]

    coarse, middle, fine = (wave(count) for count in (61, 121, 241))
    np.testing.assert_allclose(coarse, coarse[::-1], atol=1e-9)
    np.testing.assert_allclose(coarse, coarse.T, atol=1e-9)
    assert relative(middle, fine) < 0.4 * relative(coarse, fine)


def test_a_node_on_a_border_stands_for_both_sides():
    medium = Medium(1 / medium_of("square") ** 2)
    nodes = torch.tensor([[0.3, 0.0], [0.3, 0.3], [0.2, 0.0]], dtype=torch.float64)
    assert medium.around(nodes, 0.05).tolist() == [0.625, 0.8125, 0.25]


def test_media_are_looked_up_where_they_lie():
    medium = Medium(1 / medium_of("square") ** 2)
    points = torch.tensor([[0.0, 0.0], [0.29, -0.29], [0.31, 0.0], [0.0, -0.9], [-1.0, 1.0]])
    assert medium.at(points).tolist() == [0.25, 0.25, 1.0, 1.0, 1.0]
    assert not medium.is_uniform


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3)), np.ones(3), np.full((2, 2), np.nan), np.array([["a"]])]
)
def test_what_is_no_medium_is_an_error_that_names_the_file(tmp_path, array):
    np.save(tmp_path / "medium.npy", array)
    with pytest.raises(InputError, match=r"medium\.npy"):
        read_medium(tmp_path / "medium.npy")
