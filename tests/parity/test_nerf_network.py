"""NeRF's network against outputs recorded from nerf-pytorch."""

from __future__ import annotations

import numpy as np
import torch

from nir.fields.radiance import RadianceField
from nir.importing.nerf_pytorch import load_network


def test_the_network_gives_the_recorded_colours_and_densities(parity_folder):
    with np.load(parity_folder / "nerf_network.npz", allow_pickle=False) as file:
        record = {key: torch.from_numpy(file[key]) for key in file.files}
    field = RadianceField(generator=torch.Generator().manual_seed(0))
    weights = {key.removeprefix("w/"): v for key, v in record.items() if key.startswith("w/")}
    load_network(field.network, weights, source="nerf_network.npz")
    encoded = field.position_encoding(record["points"])
    assert (encoded - record["encoded_points"]).abs().max() < 1e-5
    with torch.no_grad():
        colour, density = field.network(record["encoded_points"], record["encoded_directions"])
    assert (colour - record["raw_rgb_sigma"][:, :3]).abs().max() < 1e-5
    assert (density - record["raw_rgb_sigma"][:, 3]).abs().max() < 1e-5
