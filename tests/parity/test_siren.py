"""SIREN against outputs recorded from its authors' code: value, gradient, Laplacian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.networks.mlp import MLP
from nir.operators.calculus import value_and_gradient, value_gradient_and_laplacian


def recorded(folder, name):
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def recorded_network(record):
    """Our network with the recorded weights, layer by layer from first to last."""
    weights = [record[f"w/net.net.{i}.0.weight"] for i in range(5)]
    width, inputs = weights[0].shape
    network = MLP(
        inputs,
        len(weights[-1]),
        width=width,
        hidden_layers=3,
        activation="sine",
        generator=torch.Generator(),
    )
    with torch.no_grad():
        for i, linear in enumerate(network.linear_maps()):
            linear.weight.copy_(weights[i])
            linear.bias.copy_(record[f"w/net.net.{i}.0.bias"])
    return network


def relative_error(ours, theirs):
    return float((ours - theirs).detach().abs().max() / theirs.abs().max())


@pytest.mark.parametrize("mode", ["taylor", "autograd"])
@pytest.mark.parametrize("name", ["siren_image", "siren_shape"])
def test_value_gradient_and_laplacian_are_the_recorded_ones(parity_folder, name, mode):
    record = recorded(parity_folder, name)
    network = recorded_network(record)
    value, gradient, laplacian = value_gradient_and_laplacian(network, record["coords"], mode=mode)
    assert relative_error(network(record["coords"]), record["value"]) < 1e-4
    assert relative_error(value, record["value"]) < 1e-4
    assert relative_error(gradient[:, 0], record["gradient"]) < 1e-4
    assert relative_error(laplacian, record["laplacian"]) < 1e-4
    alone = value_and_gradient(network, record["coords"], mode=mode)[1]
    assert relative_error(alone[:, 0], record["gradient"]) < 1e-4
