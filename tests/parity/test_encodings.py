"""NeRF's encodings equal what the papers' own code recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nir.encodings import nerf_encoding


@pytest.fixture(scope="module")
def recorded(parity_folder) -> dict[str, torch.Tensor]:
    path = parity_folder / "nerf_network.npz"
    if not path.is_file():
        pytest.skip("nerf_network was not recorded on this machine")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def test_positions_are_encoded_as_nerf_does(recorded):
    encoded = nerf_encoding(3, octaves=10)(recorded["points"])
    torch.testing.assert_close(encoded, recorded["encoded_points"], atol=1e-4, rtol=0)


def test_directions_are_encoded_as_nerf_does(recorded):
    encoded = nerf_encoding(3, octaves=4)(recorded["view_directions"])
    torch.testing.assert_close(encoded, recorded["encoded_directions"], atol=1e-6, rtol=0)
