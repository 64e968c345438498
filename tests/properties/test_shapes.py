"""Shapes: read from files of all kinds, repaired, normalised and sampled; references by force."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from nir.data.mesh_repair import repaired
from nir.data.shape_sampling import (
    box_around,
    distance_samples,
    occupancy_near_surface,
    occupancy_samples,
)
from nir.data.shapes import (
    NORMALISATIONS,
    Shape,
    normalised,
    read_point_cloud,
    read_shape,
    shape_of,
    write_shape,
)
from nir.errors import InputError
from nir.geometry.surfaces import (
    face_normals,
    is_inside,
    nearest_on_surface,
    sample_surface,
    winding_numbers,
)


@pytest.fixture(scope="module")
def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=3, radius=1.0)


@pytest.fixture(scope="module")
def knot() -> Shape:
    """Something neither convex nor symmetric: a torus with a box through it."""
    torus = trimesh.creation.torus(0.7, 0.25, major_sections=24, minor_sections=12)
    box = trimesh.creation.box((0.3, 0.4, 1.5))
    whole = trimesh.util.concatenate([torus, box])
    return shape_of(np.array(whole.vertices), np.array(whole.faces))


def random_points(count: int, half: float = 1.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-half, half, (count, 3))


def solid_angles(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Winding numbers, face by face (Van Oosterom and Strackee 1983)."""
    a, b, c = (vertices[faces[:, i]][None] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(corner, axis=2) for corner in (a, b, c))
    numerator = (a * np.cross(b, c)).sum(axis=2)
    ab, bc, ca = (a * b).sum(2), (b * c).sum(2), (c * a).sum(2)
    denominator = la * lb * lc + ab * lc + bc * la + ca * lb
    return np.arctan2(numerator, denominator).sum(axis=1) / (2 * np.pi)


def distances_by_force(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance to every triangle: to its inside if the point projects into it, else its edges."""
    corners = vertices[faces]
    normals, _ = face_normals(vertices, faces)
    offset = points[:, None] - corners[None, :, 0]
    height = (offset * normals).sum(2)
    foot = points[:, None] - height[..., None] * normals
    within = np.ones(height.shape, dtype=bool)
    to_edges = np.full(height.shape, np.inf)
    for i in range(3):
        start, along = corners[:, i], corners[:, (i + 1) % 3] - corners[:, i]
        within &= (np.cross(along, foot - start) * normals).sum(2) >= 0
        share = ((points[:, None] - start) * along).sum(2) / (along**2).sum(1)
        nearest = start + np.clip(share, 0, 1)[..., None] * along
        to_edges = np.minimum(to_edges, np.linalg.norm(points[:, None] - nearest, axis=2))
    return np.where(within, np.abs(height), to_edges).min(axis=1)


def test_winding_numbers_agree_with_the_sum_of_all_solid_angles(knot):
    points = random_points(500)
    fast = winding_numbers(knot.vertices, knot.faces, points)
    assert np.abs(fast - solid_angles(knot.vertices, knot.faces, points)).max() < 0.01


def test_winding_numbers_do_not_depend_on_where_the_shape_lies(knot):
    points, far = random_points(200), np.array([3e6, -2e6, 1e6])
    here = winding_numbers(knot.vertices, knot.faces, points)
    there = winding_numbers(knot.vertices + far, knot.faces, points + far)
    np.testing.assert_allclose(here, there, atol=1e-4)


def test_signed_distances_agree_with_all_triangles_by_force(knot):
    points = random_points(300)
    inside = np.abs(solid_angles(knot.vertices, knot.faces, points)) > 0.5
    expected = distances_by_force(knot.vertices, knot.faces, points) * np.where(inside, -1, 1)
    np.testing.assert_allclose(knot.signed_distances(points), expected, atol=1e-9)
    assert 10 < inside.sum() < 290


def test_signed_distance_of_a_ball_is_radius_minus_one(ball):
    shape = shape_of(np.array(ball.vertices), np.array(ball.faces))
    points = random_points(500)
    np.testing.assert_allclose(
        shape.signed_distances(points), np.linalg.norm(points, axis=1) - 1, atol=0.01
    )


def test_distances_have_slope_one(knot):
    points = random_points(200)
    distance, _, nearest = nearest_on_surface(knot.vertices, knot.faces, points)
    halfway, _, _ = nearest_on_surface(knot.vertices, knot.faces, (points + nearest) / 2)
    np.testing.assert_allclose(halfway, distance / 2, atol=1e-12)


def test_inside_is_bridged_where_a_mesh_has_holes(ball):
    faces = np.array(ball.faces)
    pole = np.array(ball.vertices)[faces].mean(1)[:, 2] > 0.95
    points = random_points(2000)
    radius = np.linalg.norm(points, axis=1)
    clear = (np.abs(radius - 1) > 0.1) & (points[:, 2] < 0.8)
    inside = is_inside(np.array(ball.vertices), faces[~pole], points)
    np.testing.assert_array_equal(inside[clear], radius[clear] < 1)


def test_surface_samples_are_uniform_and_lie_on_the_surface():
    box = trimesh.creation.box((1.0, 2.0, 4.0))
    points, normals = sample_surface(
        np.array(box.vertices), np.array(box.faces), 20_000, np.random.default_rng(0)
    )
    assert nearest_on_surface(np.array(box.vertices), np.array(box.faces), points)[0].max() < 1e-12
    share = [float((np.abs(normals[:, axis]) > 0.5).mean()) for axis in range(3)]
    np.testing.assert_allclose(share, np.array([8, 4, 2]) / 14, atol=0.015)
    top = points[normals[:, 0] > 0.5]
    np.testing.assert_allclose(top.mean(0), [0.5, 0, 0], atol=0.04)
    np.testing.assert_allclose(top.var(0), [0, 4 / 12, 16 / 12], atol=0.04)


@pytest.mark.parametrize("suffix", ["obj", "ply", "off", "stl", "glb"])
def test_every_format_gives_the_same_surface(suffix, knot, tmp_path):
    path = tmp_path / f"knot.{suffix}"
    knot.as_trimesh().export(path)
    read = read_shape(path)
    points = random_points(300)
    np.testing.assert_allclose(
        read.signed_distances(points), knot.signed_distances(points), atol=1e-5
    )
    assert read.report.open_edges == read.report.branching_edges == 0


def test_parts_of_a_scene_stand_in_their_places(tmp_path):
    scene = trimesh.Scene()
    for shift in (-2.0, 3.0):
        scene.add_geometry(
            trimesh.creation.box(),
            transform=trimesh.transformations.translation_matrix([shift] * 3),
        )
    path = tmp_path / "scene.glb"
    scene.export(path)
    np.testing.assert_allclose(read_shape(path).box, [[-2.5] * 3, [3.5] * 3])


def test_a_polygon_and_a_file_name_that_leads_away_are_harmless(tmp_path):
    path = tmp_path / "house.obj"
    path.write_text(
        "mtllib ../../../../etc/hostname\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv .5 2 0\nv 0 1 0\n"
        "usemtl x\nf 1 2 3 4 5\n"
    )
    assert read_shape(path).area == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.obj", b""),
        ("empty.stl", b""),
        ("empty.ply", b""),
        ("empty.glb", b""),
        ("empty.off", b""),
        ("points.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
        ("missing_vertex.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 9\n"),
        ("not_finite.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("line.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n"),
        ("noise.glb", bytes(range(256))),
        ("noise.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 9\n"),
        ("short.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n"),
        ("shape.fbx", b"whatever"),
    ],
)
def test_what_is_no_surface_is_refused_in_one_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=name) as refused:
        read_shape(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", ["obj", "ply", "off", "stl", "glb"])
def test_a_truncated_file_is_read_in_part_or_refused(suffix, knot, tmp_path):
    whole = tmp_path / f"whole.{suffix}"
    knot.as_trimesh().export(whole)
    content = whole.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(content[: int(share * len(content))])
        try:
            faces = len(read_shape(path).faces)
        except InputError:
            faces = 0
        assert faces <= len(knot.faces)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.obj"):
        read_shape(tmp_path / "none.obj")


def test_the_repair_report_counts_what_was_done(ball):
    vertices, faces = np.array(ball.vertices), np.array(ball.faces)
    vertices = np.concatenate([vertices, vertices[:3], [[np.nan, 0, 0]]])
    last = len(vertices) - 1
    extra = [[0, 0, 1], [last, 1, 2], faces[5][[1, 2, 0]], [0, 1, 99_999]]
    _, _, report = repaired(vertices, np.concatenate([faces[7:], faces[:7], extra]))
    assert report.zero_area_faces == 1
    assert report.broken_faces == 2
    assert report.repeated_faces == 1
    assert report.open_edges == report.branching_edges == 0
    assert len(report.sentences()) == 3


def test_triangles_without_shared_vertices_are_joined(ball):
    soup = np.array(ball.vertices)[np.array(ball.faces)].reshape(-1, 3)
    vertices, faces, report = repaired(soup, np.arange(len(soup)).reshape(-1, 3))
    assert len(vertices) == len(ball.vertices)
    assert report.open_edges == report.branching_edges == 0
    assert report.patches == 1
    assert len(faces) == len(ball.faces)


@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_faces_turned_at_random_are_turned_back(seed, share):
    mesh = trimesh.creation.torus(0.7, 0.25, major_sections=16, minor_sections=8)
    faces = np.array(mesh.faces)
    turned = np.random.default_rng(seed).random(len(faces)) < share
    faces[turned] = faces[turned][:, ::-1]
    vertices, kept, report = repaired(np.array(mesh.vertices), faces)
    again = trimesh.Trimesh(vertices, kept, process=False)
    assert again.is_winding_consistent
    assert again.volume == pytest.approx(mesh.volume)
    assert report.turned_faces == turned.sum()


def test_a_part_inside_out_is_turned_and_a_cavity_is_not():
    outer, cavity = trimesh.creation.box((2, 2, 2)), trimesh.creation.box((1, 1, 1))
    cavity.invert()
    beside = trimesh.creation.box((1, 1, 1)).apply_translation([5, 0, 0])
    beside.invert()
    whole = trimesh.util.concatenate([outer, cavity, beside])
    shape = shape_of(np.array(whole.vertices), np.array(whole.faces))
    assert shape.as_trimesh().volume == pytest.approx(8 - 1 + 1)
    assert shape.report.turned_faces == 12
    points = np.array([[0.0, 0, 0], [0.8, 0, 0], [5, 0, 0], [3, 0, 0]])
    assert shape.is_inside(points).tolist() == [False, True, True, False]


def test_a_single_sheet_stays_as_it_is():
    sheet = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    faces = np.array([[0, 2, 1], [1, 2, 3]])
    _, kept, report = repaired(sheet, faces)
    np.testing.assert_array_equal(kept, faces)
    assert report.turned_faces == 0
    assert report.open_edges == 4


def test_a_mesh_doubled_on_both_sides_becomes_a_solid(ball):
    faces = np.array(ball.faces)
    both = np.concatenate([faces, faces[:, ::-1]])
    shape = shape_of(np.array(ball.vertices), both)
    assert shape.is_inside(np.zeros((1, 3))).all()
    assert shape.report.repeated_faces == len(faces)


@pytest.mark.parametrize("name", sorted(NORMALISATIONS))
def test_normalisations_lead_back(name, knot):
    moved, similarity = normalised(knot, name)
    np.testing.assert_allclose(moved.moved(similarity.inverse()).vertices, knot.vertices, atol=1e-9)


@given(
    shift=st.tuples(*[st.floats(-100, 100)] * 3),
    size=st.floats(1e-3, 1e3),
)
@settings(max_examples=20, deadline=None)
def test_normalisations_forget_place_and_size(shift, size):
    points = np.random.default_rng(0).normal(size=(50, 3)) * [1, 2, 3] + [0.5, 0, 0]
    for normalise in NORMALISATIONS.values():
        one = normalise(points).points(points)
        other = points * size + np.array(shift)
        np.testing.assert_allclose(normalise(other).points(other), one, atol=1e-6)


def test_normalisations_reach_what_their_papers_say(knot):
    cube = normalised(knot, "unit_cube")[0]
    assert np.ptp(cube.vertices, axis=0).max() == pytest.approx(1)
    np.testing.assert_allclose(cube.box.sum(0), 0, atol=1e-12)
    sphere = normalised(knot, "unit_sphere")[0]
    assert np.linalg.norm(sphere.vertices, axis=1).max() == pytest.approx(1 / 1.03)
    siren = normalised(knot, "siren")[0]
    assert (siren.vertices.min(), siren.vertices.max()) == (pytest.approx(-1), pytest.approx(1))
    fourier = normalised(knot, "fourier_features")[0]
    np.testing.assert_allclose(fourier.vertices.mean(0), 0.5)
    assert np.abs(fourier.vertices - 0.5).max() == pytest.approx(0.5)


def test_a_shape_in_one_point_cannot_be_normalised():
    with pytest.raises(InputError, match="extent"):
        NORMALISATIONS["unit_cube"](np.ones((4, 3)))


def test_an_unknown_normalisation_names_the_nearest(knot):
    with pytest.raises(InputError, match="unit_cube"):
        normalised(knot, "unit_cub")


def test_occupancy_samples_fill_the_padded_cube_and_measure_the_volume(knot):
    cube, _ = normalised(knot, "unit_cube")
    samples = occupancy_samples(cube, 50_000, np.random.default_rng(0))
    assert 0.549 < np.abs(samples.points).max() <= 0.5500001
    # Box and torus overlap, so the volume is counted by force.
    grid = random_points(8_000, 0.55, seed=1)
    expected = (np.abs(solid_angles_by_parts(cube, grid)) > 0.5).mean()
    assert samples.inside.mean() == pytest.approx(expected, abs=0.012)


def solid_angles_by_parts(shape: Shape, points: np.ndarray) -> np.ndarray:
    parts = np.array_split(points, 20)
    return np.concatenate([solid_angles(shape.vertices, shape.faces, part) for part in parts])


def test_distance_samples_follow_the_papers_shares_and_variances(ball):
    shape, _ = normalised(shape_of(np.array(ball.vertices), np.array(ball.faces)), "unit_sphere")
    samples = distance_samples(shape, 20_000, np.random.default_rng(0), near_share=1.0)
    assert len(samples.points) == len(samples.distances) == 20_000
    np.testing.assert_allclose(
        samples.distances, shape.signed_distances(samples.points.astype(float)), atol=1e-6
    )
    # Across a nearly flat surface the distance is one coordinate of the Gaussian.
    expected = (0.0025 + 0.00025) / 2
    assert (samples.distances**2).mean() == pytest.approx(expected, rel=0.05)
    mixed = distance_samples(shape, 20_000, np.random.default_rng(0))
    far = np.abs(mixed.points).max(axis=1) > 1.2
    assert not far.any()
    corner = (np.abs(mixed.points) > 0.8).all(axis=1)
    assert corner.mean() == pytest.approx(3 / 50 * 0.2**3, abs=0.0006)


def test_samples_are_a_function_of_the_generator(knot):
    one, same, other = (
        distance_samples(knot, 1001, np.random.default_rng(seed)).points for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert len(one) == 1001
    assert not np.array_equal(one, other)


def test_near_surface_samples_lie_on_both_sides(knot):
    samples = occupancy_near_surface(knot, 5000, np.random.default_rng(0))
    assert 0.4 < samples.inside.mean() < 0.6
    assert np.abs(knot.signed_distances(samples.points.astype(float))).max() < 0.06
    assert (box_around(knot)[1] > knot.box[1]).all()


def test_point_clouds_come_with_their_normals_from_every_format(knot, tmp_path):
    points, normals = knot.sample(50, np.random.default_rng(0))
    np.savetxt(tmp_path / "cloud.xyz", np.hstack([points, 2 * normals]))
    np.savez(tmp_path / "cloud.npz", points=points, normals=normals)
    header = "ply\nformat ascii 1.0\nelement vertex 50\n" + "".join(
        f"property double {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz")
    )
    rows = "\n".join(" ".join(map(repr, map(float, row))) for row in np.hstack([points, normals]))
    (tmp_path / "cloud.ply").write_text(f"{header}end_header\n{rows}\n")
    for name in ("cloud.xyz", "cloud.npz", "cloud.ply"):
        cloud = read_point_cloud(tmp_path / name)
        np.testing.assert_allclose(cloud.points, points, atol=1e-7)
        np.testing.assert_allclose(cloud.normals, normals, atol=1e-6)


def test_a_point_cloud_without_normals_says_so(tmp_path):
    np.savetxt(tmp_path / "bare.xyz", random_points(5))
    assert read_point_cloud(tmp_path / "bare.xyz").normals is None


@pytest.mark.parametrize("content", ["1 2\n", "a b c\n", "1 2 3 4 5 6 7\n", "1 2 3 0 0 0\n", ""])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_damaged_point_cloud_is_refused(content, tmp_path):
    path = tmp_path / "bad.xyz"
    path.write_text(content)
    with pytest.raises(InputError, match=r"bad\.xyz"):
        read_point_cloud(path)


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", points=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"evil\.npz"):
        read_point_cloud(tmp_path / "evil.npz")


def test_a_written_shape_is_read_back(knot, tmp_path):
    write_shape(tmp_path / "out" / "knot.ply", knot)
    read = read_shape(tmp_path / "out" / "knot.ply")
    assert read.area == pytest.approx(knot.area, rel=1e-5)
    assert read.report.sentences() == ()


def test_the_bunny_is_read_with_its_holes(real_data):
    bunny = read_shape(real_data / "meshes" / "stanford-bunny.obj")
    assert bunny.report.open_edges > 0
    assert "open edges" in bunny.report.sentences()[0]
    cube, _ = normalised(bunny, "unit_cube")
    samples = occupancy_samples(cube, 20_000, np.random.default_rng(0))
    exact = np.abs(solid_angles(cube.vertices, cube.faces, samples.points[:10].astype(float)))
    np.testing.assert_array_equal(samples.inside[:10], exact > 0.5)
