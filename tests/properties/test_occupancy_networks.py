"""Networks of Occupancy Networks and of the methods beside it: what must hold of each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from nir.networks.explicit_shapes import PatchDecoder, PointSetDecoder, VoxelDecoder
from nir.networks.mlp import parameter_count
from nir.networks.occupancy import (
    AddedCodeDecoder,
    ConditionalBatchNorm,
    ConditionalDecoder,
    PlainConditionalDecoder,
)
from nir.networks.shape_encoders import (
    ImageEncoder,
    PointEncoder,
    PosteriorEncoder,
    ResNet18,
    VoxelEncoder,
    divergence_from_standard_normal,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("kind", [ConditionalDecoder, PlainConditionalDecoder])
def test_a_conditional_decoder_ignores_the_code_at_the_start(kind, generator):
    decoder = kind(code_size=6, width=8, generator=generator)
    points = torch.randn(2, 5, 3, generator=generator)
    codes = torch.randn(2, 2, 6, generator=generator)
    torch.testing.assert_close(decoder(points, codes[0]), decoder(points, codes[1]))


def test_folded_statistics_normalise_as_batch_normalisation_does(generator):
    norm = ConditionalBatchNorm(3, 4)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x, code = torch.randn(2, 7, 4, generator=generator), torch.randn(2, 3, generator=generator)
    norm(x, code)
    norm.eval()
    normalised = norm.normalise(x.flatten(0, 1)).view_as(x)
    expected = norm.gamma(code)[:, None] * normalised + norm.beta(code)[:, None]
    torch.testing.assert_close(norm(x, code), expected)


def test_shapes_do_not_mix_in_evaluation(generator):
    decoder = ConditionalDecoder(code_size=6, width=8, generator=generator).eval()
    torch.nn.init.normal_(decoder.norm.gamma.weight, generator=generator)
    points, codes = torch.randn(3, 5, 3, generator=generator), torch.randn(3, 6)
    together = decoder(points, codes)
    alone = torch.cat([decoder(p[None], c[None]) for p, c in zip(points, codes, strict=True)])
    torch.testing.assert_close(together, alone)


def test_the_unconditional_decoder_takes_a_latent_and_no_code(generator):
    decoder = AddedCodeDecoder(
        code_size=0, latent_size=4, width=8, normalised=False, generator=generator
    )
    points = torch.randn(2, 5, 3, generator=generator)
    latents = torch.randn(2, 2, 4, generator=generator)
    nothing = torch.zeros(2, 0)
    first, second = (decoder(points, nothing, latent) for latent in latents)
    assert not torch.allclose(first, second)


def test_the_order_of_points_does_not_matter(generator):
    points, inside = torch.randn(2, 9, 3, generator=generator), torch.ones(2, 9)
    inside[:, :4] = 0
    order = torch.randperm(9, generator=generator)
    encoder = PointEncoder(code_size=5, width=8, generator=generator)
    torch.testing.assert_close(encoder(points), encoder(points[:, order]))
    posterior = PosteriorEncoder(latent_size=3, width=8, generator=generator)
    before, after = posterior(points, inside), posterior(points[:, order], inside[:, order])
    torch.testing.assert_close(before, after)


def test_resnet_18_is_the_published_network(generator):
    network = ResNet18(generator=generator)
    assert parameter_count(network) == 11_689_512 - (512 * 1000 + 1000)
    names = set(network.state_dict())
    assert {"layer4.1.bn2.running_var", "layer2.0.downsample.0.weight", "conv1.weight"} <= names
    assert len(names) == 120
    maps = network.eval()(torch.rand(1, 3, 64, 64))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]


def test_paper_sizes_of_encoders_and_voxel_decoder(generator):
    assert ImageEncoder(generator=generator)(torch.rand(2, 3, 32, 32)).shape == (2, 256)
    assert VoxelEncoder(generator=generator).last.in_features == 512 * 2**3
    decoder = VoxelDecoder(generator=generator)
    assert [layer.in_channels for layer in decoder.layers] == [256, 128, 64]
    assert decoder(torch.zeros(1, 256)).shape == (1, 32, 32, 32)
    assert PointSetDecoder(generator=generator)(torch.zeros(1, 256)).shape == (1, 1024, 3)


def test_the_divergence_is_that_of_normal_distributions(generator):
    mean, log_deviation = torch.randn(2, 4, 3, generator=generator)
    standard = Normal(torch.zeros(3), torch.ones(3))
    expected = kl_divergence(Normal(mean, log_deviation.exp()), standard).sum(-1)
    torch.testing.assert_close(divergence_from_standard_normal(mean, log_deviation), expected)


def test_each_patch_has_a_network_of_its_own(generator):
    decoder = PatchDecoder(code_size=30, patches=3, template_size=2, generator=generator).eval()
    code, template = torch.randn(2, 30), torch.rand(3, 5, 2)
    before = decoder(code, template).reshape(2, 3, 5, 3)
    with torch.no_grad():
        decoder.layers[0].weight[1] += 1
    after = decoder(code, template).reshape(2, 3, 5, 3)
    torch.testing.assert_close(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_patches_are_normalised_over_their_own_points(generator):
    decoder = PatchDecoder(code_size=4, patches=2, template_size=2, generator=generator)
    code = torch.randn(3, 4, generator=generator)
    template = torch.rand(2, 5, 2, generator=generator)
    moved = template.clone()
    moved[1] += 1
    before, after = decoder(code, template), decoder(code, moved)
    torch.testing.assert_close(before[:, :5], after[:, :5])


def test_a_network_starts_the_same_from_the_same_generator():
    first, second = (
        ImageEncoder(code_size=4, width=4, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(one.detach(), other.detach())
