"""The benchmarks of the Fourier chapter, at tiny sizes: both sides do the same work."""

from __future__ import annotations

import torch

from benchmarks import dynamics, ensembles
from benchmarks import tangent_kernels as kernels


def test_an_ensemble_in_groups_learns_what_networks_one_after_another_do():
    tiny = ["--members", "6", "--group", "4", "--width", "8", "--samples", "16", "--steps", "5"]
    sizes = ensembles.sizes_from(ensembles.parse([*tiny, "--alone", "6"]))
    record = ensembles.measure(sizes, torch.device("cpu"), turns=1)
    assert record["largest_relative_difference_of_errors"] < 1e-3
    assert record["seconds"].keys() == {"ensemble", "one_after_another"}
    assert record["ratio"] > 0


def test_the_paper_trains_thousands_of_networks():
    sizes = ensembles.sizes_from(ensembles.parse(["--paper"]))
    assert sizes["members"] == 3 * 4 * 4 * 9 * 10
    assert (sizes["width"], sizes["steps"], sizes["samples"]) == (256, 1000, 1024)


def test_predicted_and_trained_curves_are_compared_from_their_common_start():
    options = dynamics.parse(["--steps", "20", "--width", "64", "--variants", "p_1"])
    curves = dynamics.run(options)["curves"]["p_1"]
    for distances in curves.values():
        assert 0 <= distances["of_start"] < 0.1
        assert 0 < distances["last_of_first"] < 1


def test_a_kernel_without_its_scale_comes_closer():
    network = kernels.ReluNetwork(linear_maps=3, width=256)
    row = kernels.measure(network, points=4, draws=4)
    assert row["correlations"]["median"] < row["single"]["median"] < 0.5
    assert row["mean"] < row["single"]["largest"]
