"""Toy scenes: rays, mesh and pictures agree, and the folders are ordinary scenes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import trimesh

from nir.data import solids, toy, toy_worlds
from nir.data.raytracing import nearest_solid, pixel_rays, render_view
from nir.data.scenes import load_scene
from nir.errors import InputError
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import look_at
from nir.geometry.rays import rays_of_image

SIZE = 48


@pytest.fixture(scope="module")
def toy_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy.generate_toy_scene(folder, "toy", size=SIZE, train_views=5, test_views=4, samples=1)
    return folder


@pytest.fixture(scope="module")
def forward_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy_forward")
    toy.generate_toy_scene(
        folder, "toy_forward", size=SIZE, train_views=7, test_views=1, samples=1, factors=(1,)
    )
    return folder


def cameras_of(layout: str) -> Cameras:
    if layout == "toy":
        return toy_worlds.toy_cameras(SIZE, "test", 4)
    return toy_worlds.toy_forward_cameras(SIZE, 8)


def first_meeting(mesh: trimesh.Trimesh, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Parameters t at which rays first meet a mesh, trying every triangle (Möller 1997)."""
    corner, first, second = np.moveaxis(np.asarray(mesh.triangles), 1, 0)
    first, second = first - corner, second - corner
    met = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for origin, direction in zip(origins, directions, strict=True):
            across = np.cross(direction, second)
            scale = 1 / np.einsum("ij,ij->i", first, across)
            away = origin - corner
            u = scale * np.einsum("ij,ij->i", away, across)
            turned = np.cross(away, first)
            v = scale * (turned @ direction)
            t = scale * np.einsum("ij,ij->i", second, turned)
            met.append(np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0), t, np.inf).min())
    return np.array(met)


SOLIDS = {
    "sphere": solids.Sphere(np.array([0.1, 0.2, -0.1]), 0.8),
    "box": solids.Box(
        np.array([0.1, 0.0, 0.2]),
        np.array([0.5, 0.7, 0.3]),
        rotation=solids.turned(about_z=30.0, about_x=20.0),
    ),
    "cylinder": solids.Cylinder(
        np.array([0.0, 0.1, 0.0]), 0.8, 0.3, rotation=solids.turned(about_x=50.0)
    ),
    "torus": solids.Torus(
        np.array([0.0, 0.1, 0.1]), 0.7, 0.25, rotation=solids.turned(about_x=40.0, about_z=10.0)
    ),
    "rectangle": solids.Rectangle(
        np.array([0.0, 0.1, 0.1]), 0.9, 0.5, rotation=solids.turned(about_x=40.0)
    ),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_rays_meet_a_solid_where_they_meet_its_mesh(name):
    solid = SOLIDS[name]
    random = np.random.default_rng(0)
    origins = random.normal(size=(150, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = solid.centre + random.normal(size=(150, 3)) * 0.4 - origins
    depth = solid.intersect(origins, directions)
    expected = first_meeting(solid.mesh(), origins, directions)
    both = np.isfinite(depth) & np.isfinite(expected)
    assert (np.isfinite(depth) == np.isfinite(expected)).mean() > 0.985  # facets cut silhouettes
    assert both.sum() > 30
    assert np.quantile(np.abs(depth[both] - expected[both]), 0.95) < 2e-3


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_have_unit_length_and_face_outwards(name):
    solid = SOLIDS[name]
    mesh = solid.mesh()
    points, face = trimesh.sample.sample_surface(mesh, 400, seed=0)
    normals = solid.normals(np.asarray(points))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=2e-2)
    assert np.quantile((normals * mesh.face_normals[face]).sum(1), 0.05) > 0.99


@pytest.mark.parametrize("name", SOLIDS)
def test_pictures_cover_solids_within_bounds_or_repeat(name):
    points = trimesh.sample.sample_surface(SOLIDS[name].mesh(), 400, seed=0)[0]
    coordinates = SOLIDS[name].picture_coordinates(np.asarray(points))
    assert coordinates.min() > -0.01
    assert coordinates.max() < (1.4 if name == "cylinder" else 1.01)


@pytest.mark.parametrize("layout", toy_worlds.LAYOUTS)
def test_depth_is_where_rays_meet_the_true_mesh(layout):
    world, cameras = toy_worlds.toy_world_for(layout, SIZE), cameras_of(layout)
    mesh = toy.mesh_of(world)
    origins, directions = pixel_rays(cameras, 1, np.array([0.5, 0.5]), np.float64)
    chosen = np.random.default_rng(0).permutation(len(origins))[:60]
    origins, directions = origins[chosen], directions[chosen]
    depth, _ = nearest_solid(world.solids, origins, directions)
    expected = first_meeting(mesh, origins, directions)
    same = np.isfinite(depth) == np.isfinite(expected)
    both = np.isfinite(depth) & np.isfinite(expected)
    assert same.mean() > 0.98
    assert both.sum() > 12
    assert np.quantile(np.abs(depth[both] - expected[both]), 0.97) < 5e-3


def seen_in_both(layout: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours of the same surface points in two neighbouring views, and the solids they lie on."""
    size = 112
    if layout == "toy":
        cameras = toy_worlds.toy_cameras(size, "test", 24)[np.array([0, 1])]
    else:
        cameras = toy_worlds.toy_forward_cameras(size, 8)[np.array([1, 2])]
    world = toy_worlds.toy_world_for(layout, size)
    first, second = (render_view(world, cameras, view) for view in range(2))
    origins, directions = pixel_rays(cameras, 0, np.array([0.5, 0.5]), np.float64)
    hit = np.isfinite(first.depth.ravel())
    points = (origins + first.depth.reshape(-1, 1) * directions)[hit]
    pixels, depth = cameras[1].project(points)
    column, row = np.floor(pixels[0]).astype(int).T
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < len(second.depth))
    column, row = column[inside], row[inside]
    visible = np.abs(second.depth[row, column] - depth[0, inside]) < 0.01
    colours = first.rgba.reshape(-1, 4)[hit][inside][visible, :3]
    solid = first.solid.ravel()[hit][inside][visible]
    return colours, second.rgba[row, column][visible, :3], solid


@pytest.mark.parametrize("layout", toy_worlds.LAYOUTS)
@pytest.mark.slow
def test_a_surface_point_has_one_colour_from_both_sides_except_where_it_is_glossy(layout):
    one, other, solid = seen_in_both(layout)
    materials = toy_worlds.toy_world_for(layout, SIZE).materials
    glossy = np.array([material.is_glossy for material in materials])[solid]
    difference = np.abs(one - other).mean(1)
    shuffled = np.abs(one - np.random.default_rng(0).permutation(other)).mean(1)
    assert (~glossy).sum() > 1000
    assert np.median(difference[~glossy]) < 0.035
    assert np.median(difference[~glossy]) < 0.25 * np.median(shuffled[~glossy])
    assert glossy.sum() > 100


@pytest.mark.slow
def test_the_mirror_ball_looks_different_from_elsewhere():
    """It has one colour all over: what changes between views is highlight and reflection."""
    one, other, solid = seen_in_both("toy")
    materials = toy_worlds.toy_world_for("toy", SIZE).materials
    ball = [material.mirror > 0 for material in materials].index(True)
    difference = np.abs(one - other).mean(1)[solid == ball]
    assert len(difference) > 100
    assert np.quantile(difference, 0.98) > 0.1


def test_a_generated_toy_scene_is_an_ordinary_blender_scene(toy_scene):
    scene = load_scene(toy_scene)
    assert (scene.layout, len(scene.only("train").images), len(scene.only("test").images)) == (
        "blender",
        5,
        4,
    )
    depth, glossy = toy.read_truth(toy_scene, "test")
    assert depth.shape == glossy.shape == (4, SIZE, SIZE)
    finite = depth[np.isfinite(depth)]
    assert scene.near < finite.min() < finite.max() < scene.far
    # Nothing seen at a pixel's centre means white, but for silhouettes.
    white = (scene.only("test").images == 1).all(-1)
    assert (white == np.isinf(depth)).mean() > 0.97
    assert 0.01 < glossy.mean() < 0.3


def test_a_generated_room_is_an_ordinary_forward_facing_scene(forward_scene):
    scene = load_scene(forward_scene, factor=1)
    assert scene.ndc
    assert scene.splits["test"].tolist() == [0]
    assert scene.images.shape == (8, 36, 48, 3)
    depth, _ = toy.read_truth(forward_scene)
    assert np.isfinite(depth).all()
    scaled = depth / scene.world_from_scene.scale
    assert scaled.min() == pytest.approx(1 / 0.75, rel=1e-5)
    np.testing.assert_allclose(scene.bounds, np.stack([scaled.min((1, 2)), scaled.max((1, 2))], 1),
                               rtol=1e-5)  # fmt: skip


def test_scene_rays_at_true_depth_lie_on_the_true_surfaces(forward_scene):
    scene = load_scene(forward_scene, factor=1)
    depth, _ = toy.read_truth(forward_scene)
    rays = rays_of_image(scene.cameras, 2)
    change = scene.world_from_scene
    along = rays.origins.numpy() + rays.directions.numpy() * (depth[2] / change.scale)[..., None]
    points = change.points(along.reshape(-1, 3).astype(np.float64))
    origins, directions = pixel_rays(
        toy_worlds.toy_forward_cameras(SIZE, 8), 2, np.array([0.5, 0.5]), np.float64
    )
    np.testing.assert_allclose(points, origins + depth[2].reshape(-1, 1) * directions, atol=1e-4)


def test_the_mesh_is_written_with_the_colours_of_its_pictures(toy_scene):
    mesh = trimesh.load_mesh(toy_scene / "mesh.ply")
    assert len(mesh.faces) > 10_000
    assert np.abs(mesh.bounds).max() < 1.5
    colours = np.asarray(mesh.visual.vertex_colors)[:, :3]
    assert len(np.unique(colours, axis=0)) > 1000


def digests(folder) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_arguments_give_the_same_bytes_and_another_seed_other_views(tmp_path):
    def generate(name: str, seed: int) -> dict[str, str]:
        toy.generate_toy_scene(
            tmp_path / name, "toy", size=16, train_views=2, test_views=1, samples=1, seed=seed
        )
        return digests(tmp_path / name)

    first, again, other = generate("a", 0), generate("b", 0), generate("c", 1)
    assert first == again
    assert first["train/r_0.png"] != other["train/r_0.png"]


def test_numbers_of_views_that_do_not_fit_the_layout_are_refused(tmp_path):
    with pytest.raises(InputError, match="3 test views, not 4"):
        toy.generate_toy_scene(tmp_path, "toy_forward", train_views=16, test_views=4)
    with pytest.raises(InputError, match="toy layout"):
        toy.generate_toy_scene(tmp_path, "toys")
    with pytest.raises(InputError, match="too small"):
        toy.generate_toy_scene(tmp_path, "toy", size=2)
    with pytest.raises(InputError, match="no such file"):
        toy.read_truth(tmp_path)


def test_the_arc_turns_by_the_angles_asked_for_and_keeps_its_distance():
    cameras = toy_worlds.toy_arc_cameras(24, (0, 10, 40))
    cosines = np.clip(cameras.view_directions @ cameras.view_directions[0], -1, 1)
    np.testing.assert_allclose(np.degrees(np.arccos(cosines)), [0, 10, 40], atol=1e-5)
    distances = np.linalg.norm(cameras.positions - toy_worlds.ROOM_CENTRE, axis=1)
    np.testing.assert_allclose(distances, distances[0])


def test_the_rig_tests_the_cameras_inside_it():
    train, test = toy_worlds.toy_rig_cameras(24)
    assert (len(train), len(test)) == (12, 4)
    assert np.abs(test.positions[:, :2]).max() < np.abs(train.positions[:, :2]).max()


def test_foils_change_their_colour_with_the_eye_and_count_as_glossy():
    world = toy_worlds.toy_world_for("toy_shiny", 48, samples=1)
    foil = world.solids[-2]
    assert world.materials[-1].is_glossy
    up = np.array([0.0, 1.0, 0.0])
    places = foil.centre + np.array([[-0.4, 0.0, 5.5], [0.4, 0.0, 5.5]])
    poses = np.stack([look_at(place, foil.centre, up) for place in places])
    cameras = Cameras(poses, Intrinsics.centred(9, 9, 60.0))
    left, right = (render_view(world, cameras, view, samples=1) for view in range(2))
    assert left.glossy[4, 4]
    assert np.abs(left.rgba[4, 4, :3] - right.rgba[4, 4, :3]).max() > 0.1
