"""Planes: placement, homographies, warping, compositing, their field and the bases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import eval_jacobi

from nir.bases import FAMILIES, FixedBasis, LearnedBasis, basis_for, jacobi_polynomial
from nir.encodings import nex_encoding
from nir.errors import InputError
from nir.fields.planes import PlaneField, outputs_needed, total_variation
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import look_at
from nir.geometry.rays import rays_of_image
from nir.networks.mlp import parameter_count
from nir.networks.planes import OctaveEncoding, PlaneNetwork
from nir.operators.planes import (
    PlaneStack,
    composite_planes,
    homographies,
    plane_depths,
    sample_textures,
    weights_of_alpha,
    weights_of_logits,
)

IMAGE = Intrinsics(16, 12, 14.0, 15.0, 7.5, 6.5)
UP = np.array([0.0, 1.0, 0.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stack(**changes) -> PlaneStack:
    pose = look_at(np.array([0.2, -0.1, 5.0]), np.array([0.1, 0.0, 0.0]), UP)
    depths = changes.pop("depths", plane_depths(6, near=2.0, far=8.0))
    return PlaneStack.around(pose, IMAGE, depths, **{"margin": 3, "planes_per_group": 2, **changes})


def target(x: float = 0.4, z: float = 4.6) -> Cameras:
    return Cameras(look_at(np.array([x, 0.1, z]), np.zeros(3), UP)[None], IMAGE)


def field(planes: PlaneStack, *, count: int = 4, base_shrink: int = 1, **network) -> PlaneField:
    return PlaneField(
        planes,
        network=PlaneNetwork(
            outputs=outputs_needed(count, base_shrink),
            **{"width": 8, "hidden_layers": 1, "generator": generator(1), **network},
        ),
        basis=basis_for("learned", count, octaves=2, width=8, generator=generator(2)),
        base_shrink=base_shrink,
        transparency=1.0,
        generator=generator(3),
    )


def test_the_networks_have_the_papers_size():
    assert parameter_count(PlaneNetwork(outputs=25, generator=generator())) == 622_873
    assert parameter_count(PlaneNetwork(outputs=25, width=256, generator=generator())) == 284_185
    assert parameter_count(LearnedBasis(generator=generator())) == 5_512


def test_planes_are_even_in_parallax_or_in_depth():
    steps = np.diff(1 / plane_depths(9, near=1.5, far=20))
    np.testing.assert_allclose(steps, steps[0])
    np.testing.assert_allclose(np.diff(plane_depths(9, near=1, far=9, inverse_depth=False)), 1)


@pytest.mark.parametrize(
    ("near", "far", "says"),
    [(0, 4, "0 < near < far"), (5, 2, "reversed"), (-1, 4, "check"), (1, np.nan, "check")],
)
def test_bounds_that_are_zero_or_reversed_are_refused(near, far, says):
    with pytest.raises(InputError, match=says):
        plane_depths(4, near=near, far=far)


def test_positions_are_where_points_of_the_plane_project():
    planes, cameras = stack(), target()
    rays = rays_of_image(cameras, 0, dtype=torch.float64).flat()
    points = rays.origins + planes.ray_depths(rays)[..., None] * rays.directions
    reference = Cameras(planes.camera_to_world[None], planes.intrinsics)
    for plane, depth in enumerate(planes.depths):
        projected, depths = reference.project(points[plane].numpy())
        np.testing.assert_allclose(depths[0], depth)
        np.testing.assert_allclose(planes.positions(rays)[plane], projected[0], atol=1e-9)


def test_homographies_carry_pixels_to_the_same_positions():
    planes, cameras = stack(), target()
    rays = rays_of_image(cameras, 0, dtype=torch.float64).flat()
    across, down = np.meshgrid(np.arange(16) + 0.5, np.arange(12) + 0.5)
    pixels = np.stack([across.ravel(), down.ravel(), np.ones(across.size)])
    carried = homographies(planes, cameras.camera_to_world[0], IMAGE) @ pixels
    found = np.moveaxis(carried[:, :2] / carried[:, 2:], 1, 2)
    np.testing.assert_allclose(planes.positions(rays), found, atol=1e-9)


def test_the_reference_view_looks_through_all_planes_at_its_own_pixels():
    planes = stack()
    rays = rays_of_image(Cameras(planes.camera_to_world[None], IMAGE), 0, dtype=torch.float64)
    positions = planes.positions(rays.flat()).unflatten(1, (12, 16))
    assert torch.allclose(positions[:, 2, 5], torch.tensor([8.5, 5.5], dtype=torch.float64))
    inside = planes.texel_positions().reshape(18, 22, 2)[3:15, 3:19]
    assert torch.allclose(positions[4].float(), inside)


def test_planes_behind_a_camera_are_not_met():
    planes = stack()
    behind_the_first = target(z=2.5)  # 2.4 before the reference camera; the first plane is at 2
    rays = rays_of_image(behind_the_first, 0).flat()
    normalised = planes.normalised(planes.positions(rays))
    assert (normalised[0].abs() > 1).all()
    assert (normalised[2].abs() < 1).any()


def test_samples_equal_those_of_gathering():
    textures = torch.rand(3, 2, 5, 7, generator=generator(), dtype=torch.float64)
    places = torch.rand(6, 40, 2, generator=generator(1), dtype=torch.float64) * 2.6 - 1.3
    fast = sample_textures(textures, places)
    assert fast.shape == (3, 2, 2, 40)
    torch.testing.assert_close(sample_textures(textures, places, twice_differentiable=True), fast)


def test_samples_at_texel_centres_are_the_texels():
    planes = stack()
    textures = torch.rand(3, 3, 18, 22, generator=generator())
    places = planes.normalised(planes.texel_positions()).expand(6, -1, -1)
    found = sample_textures(textures, places)
    torch.testing.assert_close(found[:, :, 1], textures.flatten(2))


def test_weights_of_logits_are_those_of_alpha_and_stay_finite():
    logits = torch.randn(7, 30, generator=generator(), dtype=torch.float64) * 3
    expected = weights_of_alpha(torch.sigmoid(logits))
    torch.testing.assert_close(weights_of_logits(logits), expected)
    extreme = torch.tensor([[60.0, -60.0], [-1e4, 60.0], [1e4, 3.0]], requires_grad=True)
    weights = weights_of_logits(extreme)
    weights.sum().backward()
    assert torch.isfinite(weights).all()
    assert torch.isfinite(extreme.grad).all()


def test_compositing_conserves_light_and_orders_planes():
    alpha = torch.rand(6, 20, generator=generator(), dtype=torch.float64)
    ones = torch.ones(3, 3, 2, 20, dtype=torch.float64)
    depths = torch.arange(1.0, 7.0, dtype=torch.float64)[:, None]
    rendering = composite_planes(ones, weights_of_alpha(alpha), depths)
    left = torch.prod(1 - alpha, dim=0)
    torch.testing.assert_close(rendering.opacity, 1 - left)
    torch.testing.assert_close(rendering.colour, (1 - left)[:, None].expand(-1, 3))
    alpha[1] = 1
    hidden = weights_of_alpha(alpha)
    assert (hidden[2:] == 0).all()


def test_the_octave_encoding_is_nex_encoding_in_another_order():
    coordinates = torch.rand(50, 2, generator=generator()) * 2 - 1
    ours = OctaveEncoding(2, octaves=10)(coordinates)
    theirs = nex_encoding(2, octaves=10)(coordinates)
    reordered = theirs.unflatten(-1, (2, 2, 10)).transpose(-1, -2).flatten(-3)
    torch.testing.assert_close(ours, reordered, rtol=0, atol=1e-3)


@pytest.mark.parametrize("network", [{}, {"activation": "sine", "initialisation": "siren"}])
def test_hidden_features_equal_the_network_on_whole_encodings(network):
    net = PlaneNetwork(outputs=3, width=8, hidden_layers=1, generator=generator(), **network)
    places = torch.rand(4, 9, 2, generator=generator(1)) * 2 - 1
    heights = torch.linspace(-1, 1, 4)
    plane = net.plane_encoding(heights[:, None])[:, None].expand(-1, 9, -1)
    whole = net.mlp(torch.cat([net.position_encoding(places), plane], dim=-1))
    hidden = net.hidden(places, heights)
    torch.testing.assert_close(net.read(hidden, 0, 3), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("base_shrink", [0, 1, 2])
def test_rays_see_what_is_read_from_planes_one_by_one(base_shrink):
    planes = stack()
    planar = field(planes, base_shrink=base_shrink)
    rays = rays_of_image(target(), 0).flat()
    positions, directions = planes.positions(rays), planes.directions(rays)
    colour, weights = planar(positions, directions)
    alpha = torch.stack([planar.alpha(d, positions[d]) for d in range(planes.planes)])
    torch.testing.assert_close(weights, weights_of_alpha(alpha), rtol=1e-4, atol=1e-5)
    basis = planar.basis(directions)
    for plane in range(planes.planes):
        group, first = plane // 2, plane // 2 * 2
        places = positions[plane] if base_shrink else positions[first]
        turning = planar.coefficients(group, positions[first]) * basis[..., None]
        expected = (planar.base_colour(group, places) + turning.sum(-2)).clamp(0, 1)
        torch.testing.assert_close(colour[group, :, plane % 2].T, expected, rtol=1e-4, atol=1e-5)


def test_the_base_colour_at_texels_is_its_texture():
    for base_shrink in (0, 1):
        planar = field(stack(), base_shrink=base_shrink)
        texels = planar.stack.texel_positions()
        pictures = planar.base_texture()
        assert pictures.shape == (3, 3, 18, 22)
        torch.testing.assert_close(planar.base_colour(2, texels).T, pictures[2].flatten(1))


def test_nothing_is_seen_beside_the_planes():
    planar = field(stack())
    beside = torch.tensor([[-0.01, 5.0], [22.1, 5.0], [5.0, 18.2], [11.0, 9.0]])
    alpha = planar.alpha(1, beside)
    assert (alpha[:3] == 0).all()
    assert alpha[3] > 0


def test_colours_turn_with_the_view_only_if_there_is_a_basis():
    planes = stack()
    rays = rays_of_image(target(), 0).flat()
    positions, directions = planes.positions(rays), planes.directions(rays)
    other = directions.roll(40, dims=0)
    for count, turns in ((0, False), (4, True)):
        planar = field(planes, count=count)
        seen, turned = (planar(positions, d)[0] for d in (directions, other))
        assert torch.equal(seen, turned) != turns


def test_total_variation_of_a_step_is_its_height():
    picture = torch.zeros(1, 1, 4, 6)
    picture[..., 3:] = 0.5
    assert total_variation(picture).item() == pytest.approx(0.5 * 4 / (3 * 5))


def test_views_behind_the_planes_are_named():
    inside = target(z=2.9)
    with pytest.raises(InputError, match=r"scene: b\.png .* behind the nearest plane at 2"):
        stack().require_views_before(inside, ["b.png"], "scene")


def test_views_that_look_away_are_named_with_their_angle():
    pose = look_at(np.array([0.0, 0.0, 5.0]), np.array([5.0, 0.0, 4.5]), UP)
    with pytest.raises(InputError, match=r"a\.png looks up to 1\d\d degrees away"):
        stack().require_views_before(Cameras(pose[None], IMAGE), ["a.png"], "scene")


def test_a_group_must_divide_the_planes():
    with pytest.raises(InputError, match="cannot share"):
        stack(planes_per_group=4)


def unit_directions(count: int) -> torch.Tensor:
    directions = torch.randn(count, 3, generator=generator(), dtype=torch.float64)
    return torch.nn.functional.normalize(directions, dim=-1)


def test_spherical_harmonics_are_orthogonal_and_semi_normalised():
    directions = unit_directions(200_000)
    values = FixedBasis("spherical", 15)(directions)
    products = values.T @ values / len(directions)
    degrees = torch.tensor([1] * 3 + [2] * 5 + [3] * 7)
    expected = torch.diag(1 / (2 * degrees + 1)).double()
    assert (products - expected).abs().max() < 0.01


def test_jacobi_polynomials_are_scipys():
    x = np.linspace(-1, 1, 31)
    for degree in range(6):
        for beta in range(4):
            ours = jacobi_polynomial(degree, beta, torch.from_numpy(x))
            np.testing.assert_allclose(ours, eval_jacobi(degree, 0, beta, x), atol=1e-10)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_fixed_bases_are_bounded_and_independent_before_the_camera(name):
    directions = unit_directions(4000)
    before = directions[directions[:, 2] > 0]
    values = FixedBasis(name, 12)(before)
    assert values.shape == (len(before), 12)
    assert values.abs().max() < 1.7
    assert torch.linalg.matrix_rank(values - values.mean(0)) == 12
    fewer = FixedBasis(name, 5)(before)
    assert torch.equal(fewer, values[:, :5])


def test_an_unknown_basis_is_named():
    with pytest.raises(InputError, match="spherical"):
        FixedBasis("spherica", 4)
