"""Collections of shapes: families, layouts, splits, and batches drawn from them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from nir.data.mesh_layouts import read_mesh_folder
from nir.data.shape_collections import ShapeBatches, open_collection
from nir.data.shape_families import FAMILIES, member
from nir.data.shape_preparation import TINY, prepare_folder, write_families
from nir.data.shape_sets import SETS, ShapeSet
from nir.data.shape_views import camera_at, depth_points
from nir.errors import InputError
from nir.geometry.rasterising import rasterise
from nir.geometry.surfaces import is_inside, signed_distances


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families") / "chairs"
    chosen = ShapeSet(families=("chairs",), train=2, val=1, test=1, preparation="tiny")
    write_families(folder, chosen)
    return open_collection(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_members_are_watertight_and_agree_with_their_parts(family):
    one = member(family, 5)
    surface = one.shape().as_trimesh()
    assert surface.is_watertight
    assert surface.is_winding_consistent
    assert surface.volume > 0
    points = np.random.default_rng(0).uniform(-0.55, 0.55, (800, 3))
    np.testing.assert_array_equal(one.is_inside(points), one.shape().is_inside(points))
    low, high = surface.bounds
    assert (high - low).max() == pytest.approx(1)
    assert np.abs(low + high).max() < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_hundreds_of_members_are_all_different(family):
    firsts = {tuple(np.concatenate(member(family, n).parts).ravel()[:30]) for n in range(300)}
    assert len(firsts) == 300


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(InputError, match="chairs"):
        member("chair", 0)


def test_no_shape_is_in_two_splits(collection):
    for first, second in itertools.combinations(collection.splits.values(), 2):
        assert not set(first) & set(second)
    assert all(collection.splits.values())


def test_registered_sets_count_members_through_their_splits():
    for chosen in SETS.values():
        assert min(chosen.train, chosen.val, chosen.test) > 0
        assert set(chosen.families) <= set(FAMILIES)


def test_batches_hold_the_truth_of_their_surface(collection):
    batches = ShapeBatches(collection, collection.names("train"))
    generator = torch.Generator().manual_seed(0)
    shapes = batches.draw(2, generator)
    surface = collection.surface(batches.names[shapes[0]])
    occupancy = batches.occupancy(shapes, 50, generator, sampling="near")
    inside = is_inside(surface.vertices, surface.faces, occupancy["points"][0].double().numpy())
    assert (inside == occupancy["inside"][0].bool().numpy()).mean() > 0.97
    distances = batches.distances(shapes, 50, generator)
    scale = collection.array(batches.names[shapes[0]], "sphere_scale")
    points = distances["points"][0].double().numpy() / scale
    truth = scale * signed_distances(surface.vertices, surface.faces, points)
    np.testing.assert_allclose(distances["distances"][0].numpy(), truth, atol=1e-4)
    assert (distances["distances"] < 0).float().mean() == 0.5


def test_batches_are_pure_in_the_generator(collection):
    batches = ShapeBatches(collection, collection.names("train"))
    first, second = (
        batches.clouds(torch.tensor([0]), 20, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    torch.testing.assert_close(first["points"], second["points"])


def test_half_of_equal_sampling_is_inside(collection):
    batches = ShapeBatches(collection, collection.names("test"))
    batch = batches.occupancy(
        torch.tensor([0]), 64, torch.Generator().manual_seed(0), sampling="equal"
    )
    assert batch["inside"].mean() == 0.5


def test_depth_points_lie_on_the_surface_with_its_normals():
    surface = member("tables", 0).shape()
    points, normals = depth_points(surface.vertices, surface.faces, camera_at(30, 25, 48))
    assert len(points) > 200
    assert np.abs(surface.signed_distances(points)).max() < 1e-6
    ahead = surface.signed_distances(points + 0.004 * normals)
    assert (ahead > 0.002).mean() > 0.9


def test_the_nearer_triangle_wins():
    near = np.array([[-1, -1, 0.2], [1, -1, 0.2], [0, 1, 0.2]])
    far = near - [0, 0, 0.4]
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    camera = camera_at(0, 0, 16)
    raster = rasterise(np.concatenate([far, near]), faces, camera)
    assert raster.face[8, 8] == 1
    assert raster.depth[8, 8] == pytest.approx(1.8)


def write_box(path, size):
    import trimesh

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(trimesh.creation.box(extents=size).export(file_type="off").encode())


def test_modelnets_folders_give_the_splits_and_equal_files_never_two(tmp_path):
    for number in range(4):
        write_box(tmp_path / f"desk/train/desk_{number}.off", (1, 1, 1 + number))
    write_box(tmp_path / "desk/test/desk_7.off", (2, 1, 1))
    write_box(tmp_path / "desk/test/desk_8.off", (1, 1, 1))
    meshes = read_mesh_folder(tmp_path)
    assert meshes.splits["test"] == ["desk/desk_7"]
    assert len(meshes.splits["train"]) == 3
    assert len(meshes.splits["val"]) == 1
    assert "desk/desk_8" in meshes.left_out


def test_lists_decide_and_a_name_in_two_lists_is_an_error(tmp_path):
    for number in range(3):
        write_box(tmp_path / f"{number}.off", (1, 1, 1 + number))
    for split, names in (("train", "0"), ("val", "1"), ("test", "2")):
        (tmp_path / f"{split}.lst").write_text(names)
    assert read_mesh_folder(tmp_path).splits == {"train": ["0"], "val": ["1"], "test": ["2"]}
    (tmp_path / "test.lst").write_text("0 2")
    with pytest.raises(InputError, match=r"train\.lst"):
        read_mesh_folder(tmp_path)


def test_preparing_goes_on_where_it_stopped_and_says_what_it_left_out(tmp_path):
    for number in range(3):
        write_box(tmp_path / f"meshes/{number}.off", (1, 1, 1 + number))
    (tmp_path / "meshes/broken.off").write_text("OFF\nnothing")
    said: list[str] = []
    prepare_folder(tmp_path / "meshes", tmp_path / "out", TINY, say=said.append)
    prepared = sorted((tmp_path / "out/shapes").glob("*.npz"))
    before = [file.stat().st_mtime_ns for file in prepared]
    assert len(prepared) == 3
    assert any("broken" in line for line in said)
    prepared[0].unlink()
    prepare_folder(tmp_path / "meshes", tmp_path / "out", TINY, say=said.append)
    after = [file.stat().st_mtime_ns for file in prepared]
    assert after[1:] == before[1:]
    assert after[0] != before[0]
    opened = open_collection(tmp_path / "out")
    assert sum(map(len, opened.splits.values())) == 3


def test_a_plain_folder_of_meshes_is_prepared_when_asked(tmp_path):
    for number in range(3):
        write_box(tmp_path / f"{number}.off", (1, 1, 1 + number))
    opened = open_collection(tmp_path, preparation=TINY)
    name = opened.names("train")[0]
    assert opened.array(name, "voxels").shape == (32, 32, 32)
    volume = 1 / (1 + int(name)) ** 2  # of a box of 1 x 1 x (1 + name), its longest edge made 1
    assert opened.array(name, "voxels").mean() == pytest.approx(volume, abs=0.12)


@pytest.fixture
def published_layout(tmp_path):
    """Two models as Occupancy Networks published them, a ball of radius 0.3."""
    draw = np.random.default_rng(0)
    for model in ("a", "b"):
        folder = tmp_path / "0300/" / model
        (folder / "img_choy2016").mkdir(parents=True)
        points = draw.uniform(-0.55, 0.55, (1003, 3)).astype(np.float16)
        inside = np.linalg.norm(points.astype(float), axis=1) < 0.3
        np.savez(folder / "points.npz", points=points, occupancies=np.packbits(inside))
        normals = draw.normal(size=(500, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        np.savez(folder / "pointcloud.npz", points=0.3 * normals, normals=normals)
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(folder / "img_choy2016/000.jpg")
        runs = np.array([1, 6, 0, 2], np.uint8)
        header = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n"
        (folder / "model.binvox").write_bytes(header + runs.tobytes())
    for split, model in (("train", "a"), ("val", ""), ("test", "b")):
        (tmp_path / f"0300/{split}.lst").write_text(model)
    return tmp_path


def test_the_published_layout_is_read(published_layout):
    opened = open_collection(published_layout)
    assert opened.splits == {"train": ["0300/a"], "val": [], "test": ["0300/b"]}
    batches = ShapeBatches(opened, opened.names("train"))
    generator = torch.Generator().manual_seed(0)
    batch = batches.occupancy(torch.tensor([0]), 200, generator)
    truth = batch["points"].norm(dim=-1) < 0.3
    assert (truth == batch["inside"].bool()).float().mean() > 0.98
    assert batches.images(torch.tensor([0]))["images"].shape == (1, 3, 8, 8)
    voxels = opened.array("0300/a", "voxels")
    # The file counts y fastest, then z, then x: the last two cells are x = z = 1.
    assert not voxels[1, :, 1].any()
    assert voxels.sum() == 6


def test_what_a_layout_lacks_is_said(published_layout):
    opened = open_collection(published_layout)
    with pytest.raises(InputError, match="distances"):
        opened.array("0300/a", "distances")
    with pytest.raises(InputError, match="val"):
        opened.names("val")
