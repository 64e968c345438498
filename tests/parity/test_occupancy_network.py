"""Occupancy Networks' decoder and point encoder against outputs of the released networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from nir.networks.occupancy import ConditionalDecoder
from nir.networks.shape_encoders import PointEncoder

DECODER_NAMES = (
    ("fc_p.", "first."),
    ("fc_out.", "last."),
    ("block", "blocks."),
    ("bn_0.", "first_norm."),
    ("bn_1.", "second_norm."),
    ("fc_0.", "first."),
    ("fc_1.", "second."),
    ("conv_gamma.", "gamma."),
    ("conv_beta.", "beta."),
    ("bn.bn.", "norm.normalise."),
    ("norm.bn.", "norm.normalise."),
    ("bn.gamma", "norm.gamma"),
    ("bn.beta", "norm.beta"),
)
ENCODER_NAMES = (
    ("fc_pos.", "first."),
    ("fc_c.", "last."),
    ("block_", "blocks."),
    ("fc_0.", "first."),
    ("fc_1.", "second."),
)


def load(network: nn.Module, recorded, part: str, names) -> None:
    state = {}
    for key in recorded.files:
        if key.startswith(part):
            name = key.removeprefix(part)
            for theirs, ours in names:
                name = name.replace(theirs, ours)
            values = torch.from_numpy(np.asarray(recorded[key]))
            state[name] = values[..., 0] if values.ndim == 3 else values
    network.load_state_dict(state)
    network.eval()


def test_the_released_networks_give_the_same_code_and_logits(parity_folder):
    recorded = np.load(parity_folder / "occupancy_network.npz", allow_pickle=False)
    generator = torch.Generator()
    encoder = PointEncoder(code_size=32, width=48, generator=generator)
    decoder = ConditionalDecoder(code_size=32, width=64, generator=generator)
    load(encoder, recorded, "encoder/", ENCODER_NAMES)
    load(decoder, recorded, "decoder/", DECODER_NAMES)
    with torch.no_grad():
        code = encoder(torch.from_numpy(recorded["cloud"]))
        logits = decoder(torch.from_numpy(recorded["points"]), code)
    np.testing.assert_allclose(code, recorded["code"], atol=1e-5)
    np.testing.assert_allclose(logits, recorded["logits"], atol=1e-5)
