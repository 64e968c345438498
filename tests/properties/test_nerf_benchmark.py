"""The benchmark of NeRF's step, at tiny size: both sides compute the same losses."""

from __future__ import annotations

import pytest

nerf = pytest.importorskip("benchmarks.nerf", reason="benchmarks are not on the path")

TINY = ["--device", "cpu", "--width", "16", "--rays", "16", "--coarse", "6", "--fine", "6"]


def test_the_plain_loop_and_ours_have_equal_losses_in_float32():
    result = nerf.measure(nerf.parse([*TINY, "--turns", "1"]))
    assert result["largest_relative_difference_of_losses_float32"] < 1e-5
    assert set(result["rays_per_second"]) == {"plain", "ours"}
    assert result["tflops_of_products"] > 0
    assert result["share_of_peak"] is None
