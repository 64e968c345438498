"""Samples: each in its cell, in order, and distributed as the weights say."""

from __future__ import annotations

import pytest
import torch

from nir.geometry.sampling import (
    cell_edges,
    fine_samples,
    importance_samples,
    sorted_union,
    stratified_samples,
)


def bounds(rays: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.linspace(1, 2, rays), torch.linspace(4, 9, rays)


@pytest.mark.parametrize("linear_in_disparity", [False, True])
def test_stratified_samples_stay_in_their_cells_and_are_sorted(linear_in_disparity):
    near, far = bounds(200)
    even = stratified_samples(near, far, 16, linear_in_disparity=linear_in_disparity)
    drawn = stratified_samples(
        near,
        far,
        16,
        generator=torch.Generator().manual_seed(0),
        linear_in_disparity=linear_in_disparity,
    )
    lower, upper = cell_edges(even)
    assert ((drawn >= lower) & (drawn <= upper)).all()
    assert (drawn.diff(dim=-1) >= 0).all()
    torch.testing.assert_close(even[:, 0], near)
    torch.testing.assert_close(even[:, -1], far)
    assert drawn.std(dim=0).min() > 0


def test_samples_linear_in_disparity_have_even_inverse_depths():
    near, far = bounds(3)
    depths = stratified_samples(near, far, 9, linear_in_disparity=True)
    steps = (1 / depths).diff(dim=-1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))


def test_the_same_generator_draws_the_same_samples():
    near, far = bounds(5)
    first, second = (
        stratified_samples(near, far, 8, generator=torch.Generator().manual_seed(7))
        for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("random", [False, True])
def test_importance_samples_follow_the_weights(random):
    edges = torch.tensor([[0.0, 1.0, 1.5, 3.0, 4.0]])
    weights = torch.tensor([[1.0, 4.0, 0.0, 3.0]])
    generator = torch.Generator().manual_seed(0) if random else None
    drawn = importance_samples(edges, weights, 80_000, generator=generator)
    share = torch.histogram(drawn[0], edges[0]).hist / 80_000
    torch.testing.assert_close(share, weights[0] / 8, atol=0.006, rtol=0)
    # Within a bin they are even: the mean of the widest occupied bin is its middle.
    last = drawn[drawn > 3]
    assert float(last.mean()) == pytest.approx(3.5, abs=0.01)


def test_importance_samples_of_nothing_spread_evenly():
    edges = torch.linspace(2, 6, 33)[None]
    drawn = importance_samples(edges, torch.zeros(1, 32), 9)
    torch.testing.assert_close(drawn[0], torch.linspace(2, 6, 9), atol=1e-4, rtol=0)


def test_importance_samples_stay_within_the_edges_and_carry_no_gradient():
    generator = torch.Generator().manual_seed(3)
    edges = torch.rand(50, 11, generator=generator).sort(dim=-1).values
    weights = (torch.rand(50, 10, generator=generator) - 0.7).relu().requires_grad_()
    drawn = importance_samples(edges, weights, 40, generator=generator)
    assert not drawn.requires_grad
    assert (drawn >= edges[:, :1]).all()
    assert (drawn <= edges[:, -1:]).all()


def test_fine_samples_hold_the_coarse_ones_and_crowd_where_weights_lie():
    depths = torch.linspace(2, 6, 64)[None]
    weights = torch.exp(-((depths - 3.3) ** 2) / 0.005)
    union = fine_samples(depths, weights, 128)
    assert union.shape == (1, 192)
    assert (union.diff(dim=-1) >= 0).all()
    assert torch.isin(depths, union).all()
    assert ((union - 3.3).abs() < 0.3).float().mean() > 0.65


def test_a_sorted_union_loses_nothing():
    union = sorted_union(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 0.0, 9.0]]))
    assert union.tolist() == [[0.0, 1.0, 2.0, 3.0, 9.0]]
