"""Baked planes show what the textures and the networks show, in less room."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math

import numpy as np
import pytest
import torch
from plane_scenes import IMAGE, harmonic_basis, random_textures, views
from torch import Tensor

from nir.bases import basis_for
from nir.errors import InputError
from nir.fields.planes import PlaneField, outputs_needed
from nir.geometry.rays import rays_of_image
from nir.networks.planes import PlaneNetwork
from nir.operators.planes import (
    PlaneStack,
    composite_planes,
    is_inside,
    plane_depths,
    sample_textures,
    weights_of_alpha,
)
from nir.viewers.planes.baked import BakeSettings, bake, tabulate_basis
from nir.viewers.planes.compaction import (
    Compaction,
    with_coarser_coefficients,
    with_functions,
)
from nir.viewers.planes.folder import SCENE, read_baked, write_baked
from nir.viewers.planes.of_field import basis_of, resampled, textures_of
from nir.viewers.planes.of_run import bake_field
from nir.viewers.planes.rendering import BakedRenderer, basis_values
from nir.viewers.planes.textures import (
    COEFFICIENT_SHRINKS,
    Basis,
    PlaneTextures,
    largest_weights,
)


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


def densely_rendered(textures: PlaneTextures, view: int) -> Tensor:
    """The same planes by the operators that training uses, without tiles or early end."""
    return densely_rendered_with(textures, harmonic_basis, view)


def densely_rendered_with(textures: PlaneTextures, basis: Basis, view: int) -> Tensor:
    stack, rays = textures.stack, rays_of_image(views(), view).flat()
    normalised = stack.normalised(stack.positions(rays))
    alpha = torch.from_numpy(textures.alpha)[:, None].float() / 255
    weights = weights_of_alpha(sample_textures(alpha, normalised)[:, 0, 0] * is_inside(normalised))
    base = torch.from_numpy(textures.base_colour).movedim(-1, 1).float() / 255
    coefficients = torch.from_numpy(textures.coefficients).movedim(-1, 2).float().flatten(1, 2)
    firsts = normalised[:: stack.planes_per_group]
    sampled = sample_textures(coefficients, firsts).unflatten(1, (-1, 3))[:, :, :, 0]
    turning = torch.einsum("gbcr,rb->gcr", sampled, basis(stack.directions(rays)))
    colour = (sample_textures(base, normalised) + turning[:, :, None]).clamp(0, 1)
    seen = composite_planes(colour, weights, torch.ones(1, 1)).colour
    return seen.reshape(IMAGE.height, IMAGE.width, 3)


@pytest.mark.parametrize(("tile", "shrink"), [(4, 1), (16, 1), (200, 1), (5, 2), (16, 4)])
def test_tiles_and_8_bits_keep_the_picture(tile, shrink):
    textures = with_coarser_coefficients(random_textures(), shrink)
    renderer = BakedRenderer(
        bake(textures, harmonic_basis, views(), BakeSettings(tile=tile)), device="cpu"
    )
    for view in (0, 3):
        drawn = renderer.render(views().camera_to_world[view], IMAGE)
        assert psnr(drawn, densely_rendered(textures, view)) > 50


def test_a_basis_evaluated_live_gives_the_same_picture():
    baked = bake(random_textures(), harmonic_basis, views())
    pose = views().camera_to_world[1]
    live = BakedRenderer(baked, device="cpu", basis=harmonic_basis).render(pose, IMAGE)
    looked_up = BakedRenderer(baked, device="cpu").render(pose, IMAGE)
    assert 45 < psnr(live, looked_up) < 100


def test_pages_stay_within_the_largest_texture_and_change_nothing():
    textures, pose = random_textures(), views().camera_to_world[2]
    one = bake(textures, harmonic_basis, views())
    many = bake(textures, harmonic_basis, views(), BakeSettings(largest_page=60))
    assert len(many.alpha_pages) > 1
    assert len(many.coefficient_pages) > 1
    for pages in (many.alpha_pages, many.base_pages):
        assert max(pages.shape[1:3]) <= 60
    assert max(many.coefficient_pages.shape[2:4]) <= 60
    drawn = [BakedRenderer(baked, device="cpu").render(pose, IMAGE) for baked in (one, many)]
    assert torch.equal(*drawn)


def test_empty_planes_and_borders_take_no_room():
    textures = random_textures(planes=16, margin=40)
    alpha = np.zeros_like(textures.alpha)
    alpha[3, 50:70, 45:80] = 200
    alpha[9, 55:65, 60:90] = 255
    sparse = dataclasses.replace(textures, alpha=alpha)
    baked = bake(sparse, harmonic_basis, views(), BakeSettings(tile=8))
    assert baked.kept.tolist() == [3, 9]
    assert baked.share_of_plain_layout < 1 / 3
    drawn = BakedRenderer(baked, device="cpu").render(views().camera_to_world[1], IMAGE)
    assert psnr(drawn, densely_rendered(sparse, 1)) > 50


def test_what_stands_behind_something_opaque_is_dropped():
    textures = random_textures()
    alpha = textures.alpha.copy()
    alpha[0] = 255
    baked = bake(dataclasses.replace(textures, alpha=alpha), harmonic_basis, views())
    assert baked.kept.tolist() == [0]


def test_planes_on_which_nothing_is_seen_are_refused():
    textures = random_textures()
    empty = dataclasses.replace(textures, alpha=np.zeros_like(textures.alpha))
    with pytest.raises(InputError, match="train longer"):
        bake(empty, harmonic_basis, views())


def test_tiles_larger_than_pages_are_refused():
    with pytest.raises(InputError, match="do not fit in pages of 16"):
        BakeSettings(tile=16, largest_page=16)


def test_fewer_planes_and_no_basis_draw_less():
    baked = bake(random_textures(), harmonic_basis, views())
    renderer, pose = BakedRenderer(baked, device="cpu"), views().camera_to_world[2]
    whole = renderer.render(pose, IMAGE)
    assert renderer.render(pose, IMAGE, planes=3).sum() < whole.sum()
    assert psnr(renderer.render(pose, IMAGE, basis_functions=0), whole) < 40
    assert torch.equal(renderer.render(pose, IMAGE, basis_functions=3), whole)
    torch.testing.assert_close(renderer.render(pose, IMAGE, rays_at_once=100), whole)


def test_quantisation_keeps_to_its_stated_ranges():
    table = tabulate_basis(harmonic_basis, (0.6, 0.5), 33)
    values = basis_values(table)
    centre = harmonic_basis(torch.tensor([[0.0, 0.0, 1.0]]))[0].numpy()
    step = (table.high - table.low) / 255
    assert (np.abs(values[:, 16, 16] - centre) <= step / 2 + 1e-6).all()
    baked = bake(random_textures(), harmonic_basis, views())
    largest = np.abs(random_textures().coefficients).max((0, 2, 3, 4))
    np.testing.assert_allclose(baked.coefficient_scales, largest)


def test_a_baked_folder_reads_back_as_it_was(tmp_path):
    baked = bake(random_textures(), harmonic_basis, views(), BakeSettings(largest_page=60))
    size = write_baked(baked, tmp_path / "viewer", name="Blobs")
    again = read_baked(tmp_path / "viewer")
    assert size == sum(p.stat().st_size for p in (tmp_path / "viewer").iterdir())
    for name in ("kept", "tiles", "coefficient_tiles", "alpha_pages", "base_pages"):
        assert np.array_equal(getattr(again, name), getattr(baked, name)), name
    pose = views().camera_to_world[1]
    drawn = [BakedRenderer(b, device="cpu").render(pose, IMAGE) for b in (baked, again)]
    assert torch.equal(*drawn)


def test_baking_twice_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        baked = bake(random_textures(), harmonic_basis, views())
        write_baked(baked, tmp_path / name, name="Blobs")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_an_interrupted_baking_leaves_the_old_folder(tmp_path, monkeypatch):
    baked = bake(random_textures(), harmonic_basis, views())
    write_baked(baked, tmp_path / "viewer", name="Before")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gzip, "compress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_baked(baked, tmp_path / "viewer", name="After")
    assert json.loads((tmp_path / "viewer" / SCENE).read_text())["name"] == "Before"
    assert [p.name for p in tmp_path.iterdir()] == ["viewer"]


@pytest.mark.parametrize("name", ["alpha-0.bytes", "tiles.bytes", "basis.bytes"])
def test_a_damaged_file_is_named(tmp_path, name):
    baked = bake(random_textures(), harmonic_basis, views())
    write_baked(baked, tmp_path / "viewer", name="Blobs")
    path = tmp_path / "viewer" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{name}: damaged"):
        read_baked(tmp_path / "viewer")


def test_textures_that_do_not_fit_the_stack_are_refused():
    textures = random_textures()
    with pytest.raises(InputError, match="alpha of shape"):
        dataclasses.replace(textures, alpha=textures.alpha[:-1])


def plane_field(*, coefficients: int = 4, base_shrink: int = 1) -> PlaneField:
    """An untrained field whose planes are neither empty nor opaque."""
    generator = torch.Generator().manual_seed(0)
    stack = PlaneStack.around(
        np.eye(4), IMAGE, plane_depths(8, near=2.0, far=8.0), margin=12, planes_per_group=4
    )
    basis = basis_for("learned", coefficients, octaves=2, width=16, generator=generator)
    network = PlaneNetwork(
        outputs=outputs_needed(basis.count, base_shrink),
        width=32,
        hidden_layers=2,
        position_octaves=4,
        plane_octaves=3,
        generator=generator,
    )
    field = PlaneField(
        stack, network=network, basis=basis, base_shrink=base_shrink, generator=generator
    )
    with torch.no_grad():
        field.network.mlp.last.weight[0] *= 12
        field.network.mlp.last.bias[0] += 4
        field.network.mlp.last.weight[1:] *= 4
    return field


@torch.no_grad()
def network_rendering(field: PlaneField, view: int) -> Tensor:
    rays, stack = rays_of_image(views(), view).flat(), field.stack
    colour, weights = field(stack.positions(rays), stack.directions(rays))
    seen = composite_planes(colour, weights, torch.ones(1, 1)).colour
    return seen.reshape(IMAGE.height, IMAGE.width, 3)


@pytest.mark.parametrize(
    "options", [{}, {"base_shrink": 3}, {"base_shrink": 0}, {"coefficients": 0}]
)
def test_fully_baked_is_what_the_networks_render(options):
    field = plane_field(**options)
    baked = bake_field(field, views(), BakeSettings())
    for view in (0, 4):
        pose, expected = views().camera_to_world[view], network_rendering(field, view)
        live = BakedRenderer(baked, device="cpu", basis=basis_of(field)).render(pose, IMAGE)
        assert expected.std() > 0.02
        assert psnr(BakedRenderer(baked, device="cpu").render(pose, IMAGE), expected) >= 38
        assert psnr(live, expected) >= 38


def test_as_many_tiles_are_left_out_as_the_picture_allows():
    field = plane_field()
    dense = bake_field(field, views(), BakeSettings(tile=4, kept_psnr=math.inf))
    sparse = bake_field(field, views(), BakeSettings(tile=4, kept_psnr=30.0))
    assert sparse.texture_bytes < dense.texture_bytes
    for pose in views().camera_to_world:
        drawn = [BakedRenderer(b, device="cpu").render(pose, IMAGE) for b in (dense, sparse)]
        assert psnr(*drawn) > 28


def compaction(textures: PlaneTextures, basis: Basis, *, kept_psnr: float = 40.0) -> Compaction:
    settings, device = BakeSettings(tile=8, kept_psnr=kept_psnr), torch.device("cpu")
    weights = largest_weights(textures, views(), tile=8, device=device)
    return Compaction(basis, views(), views(), weights, settings, device)


def test_another_order_of_the_basis_shows_the_same():
    textures = random_textures()
    ordered = compaction(textures, harmonic_basis).with_main_functions_first(textures, (0.6, 0.5))
    pose = views().camera_to_world[1]
    drawn = [
        BakedRenderer(bake(t, harmonic_basis, views()), device="cpu").render(pose, IMAGE)
        for t in (textures, ordered)
    ]
    assert psnr(*drawn) > 45
    live = BakedRenderer(bake(ordered, harmonic_basis, views()), device="cpu", basis=harmonic_basis)
    assert psnr(live.render(pose, IMAGE), drawn[0]) > 45


def test_each_function_brings_the_picture_nearer():
    textures, pose = random_textures(), views().camera_to_world[1]
    ordered = compaction(textures, harmonic_basis).with_main_functions_first(textures, (0.6, 0.5))
    expected = densely_rendered(textures, 1)
    reached = [
        psnr(
            BakedRenderer(
                bake(with_functions(ordered, count), harmonic_basis, views()), device="cpu"
            ).render(pose, IMAGE),
            expected,
        )
        for count in (1, 2, 3)
    ]
    assert reached[0] + 1 < reached[1] < reached[2] - 1


def test_functions_that_others_make_up_take_no_room():
    textures = random_textures()
    twice = dataclasses.replace(
        textures, coefficients=np.concatenate([textures.coefficients] * 2, axis=1)
    )

    def repeated(directions: Tensor) -> Tensor:
        return torch.cat([harmonic_basis(directions), -2 * harmonic_basis(directions)], dim=1)

    planes = compaction(twice, repeated)
    assert planes.with_main_functions_first(twice, (0.6, 0.5)).basis == 3
    baked = planes.most_compact(twice)
    assert baked.mixing.shape == (6, baked.basis)
    assert baked.texture_bytes < 0.75 * bake(twice, repeated, views()).texture_bytes
    drawn = BakedRenderer(baked, device="cpu").render(views().camera_to_world[1], IMAGE)
    assert psnr(drawn, densely_rendered_with(twice, repeated, 1)) > 38


def test_smooth_coefficients_are_kept_coarsely():
    textures = random_textures()
    flat = np.broadcast_to(textures.coefficients[:, :, :1, :1], textures.coefficients.shape).copy()
    smooth = dataclasses.replace(textures, coefficients=flat)
    baked = compaction(smooth, harmonic_basis, kept_psnr=42.0).most_compact(smooth)
    assert baked.coefficient_shrink == max(COEFFICIENT_SHRINKS)
    drawn = BakedRenderer(baked, device="cpu").render(views().camera_to_world[1], IMAGE)
    assert psnr(drawn, densely_rendered(smooth, 1)) > 40


def test_another_resolution_keeps_places_on_planes():
    field = plane_field()
    finer = resampled(field.stack, 2.0)
    rays = rays_of_image(views(), 1).flat()
    torch.testing.assert_close(
        finer.normalised(finer.positions(rays)),
        field.stack.normalised(field.stack.positions(rays)),
    )
    assert textures_of(field, resolution=0.5).alpha.shape[1:] == (36, 44)
    with pytest.raises(InputError, match="--resolution 0"):
        textures_of(field, resolution=0.0)
