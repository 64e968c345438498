"""DeepSDF's decoder against outputs recorded from the released code."""

from __future__ import annotations

import numpy as np
import torch

from nir.networks.auto_decoders import DeepSdfDecoder


def test_the_decoder_computes_what_the_released_one_does(parity_folder):
    with np.load(parity_folder / "deepsdf_decoder.npz", allow_pickle=False) as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
    inputs = arrays["codes_and_points"]
    decoder = DeepSdfDecoder(32, width=64, generator=torch.Generator().manual_seed(0)).eval()
    state = {"last_weight": arrays["w/lin8.weight"], "last_bias": arrays["w/lin8.bias"]}
    for number in range(8):
        for ours, theirs in (("direction", "weight_v"), ("gain", "weight_g"), ("bias", "bias")):
            state[f"hidden.{number}.{ours}"] = arrays[f"w/lin{number}.{theirs}"]
    decoder.load_state_dict(state)
    with torch.no_grad():
        found = decoder(inputs[:, :32], inputs[:, None, 32:])
    torch.testing.assert_close(found, arrays["sdf"], atol=1e-5, rtol=1e-5)


def test_the_paper_size_has_the_published_number_of_parameters():
    decoder = DeepSdfDecoder(256, generator=torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in decoder.parameters()) == 1_843_195
