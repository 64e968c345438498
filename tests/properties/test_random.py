"""Generators are decided by seed and purpose; close seeds give unrelated streams."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from nir.random import generator_for, seed_of


def draws(*parts: int | str) -> torch.Tensor:
    return torch.rand(2000, generator=generator_for(*parts))


def test_the_same_parts_give_the_same_stream():
    assert torch.equal(draws(3, "step", 7), draws(3, "step", 7))


def test_neighbouring_steps_and_seeds_are_uncorrelated():
    streams = [draws(seed, "step", step) for seed in (0, 1) for step in (0, 1, 2)]
    for a, b in itertools.combinations(streams, 2):
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1].item()) < 0.1


def test_parts_do_not_run_into_each_other():
    assert seed_of(1, 23) != seed_of(12, 3)
    assert seed_of("a", "b") != seed_of("ab")


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_every_seed_is_one_that_torch_takes(parts):
    assert 0 <= seed_of(*parts) < 2**63
    generator_for(*parts)


def test_making_a_generator_leaves_the_global_one_alone():
    before = torch.random.get_rng_state()
    generator_for(0, "start")
    assert torch.equal(torch.random.get_rng_state(), before)
