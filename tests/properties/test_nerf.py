"""NeRF: the network's size and shape, what may depend on the direction, the watch over the start,
baselines, and checkpoints of nerf-pytorch.
"""

from __future__ import annotations

import dataclasses
import resource

import numpy as np
import pytest
import torch
import trimesh

from nir.cli import main
from nir.data.fetch import fetch
from nir.errors import InputError
from nir.evaluation import compute_metrics
from nir.fields.radiance import RadianceField
from nir.importing.nerf_pytorch import import_checkpoint
from nir.metrics.shape import FAILED_DISTANCE
from nir.networks.mlp import parameter_count
from nir.operators.volume import RenderedImage
from nir.predictions import read_array, read_predictions
from nir.random import generator_for
from nir.recipes.nerf import LlffNerfRecipe, NerfRecipe
from nir.runs import load_run
from nir.tasks.nerf import FLAT_STEPS, build
from nir.tasks.nerf_predictions import Renderer, truth_of
from nir.tasks.nerf_surface import box_of_ends, surface_of

CPU = torch.device("cpu")
SMALL = {
    "width": 16,
    "rays": 64,
    "coarse_samples": 8,
    "fine_samples": 8,
    "video_frames": 0,
    "occupancy_resolution": 16,
    "perceptual": False,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    return fetch("toy_small", data_root=tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy_forward(tmp_path_factory):
    return fetch("toy_forward_small", data_root=tmp_path_factory.mktemp("toy"))


def task_for(scene, recipe_class=NerfRecipe, **changes):
    recipe = recipe_class(**{**SMALL, **changes})
    return build(recipe, scene, device=CPU, generator=generator())


def empty(task):
    """Make a task's fields as dead as a collapsed start: no density anywhere, no gradient."""
    with torch.no_grad():
        for field in (task.field.coarse, task.field.fine):
            field.network.density.weight.zero_()
            field.network.density.bias.fill_(-5.0)


def test_the_networks_have_the_papers_size():
    assert parameter_count(RadianceField(generator=generator())) == 595_844
    without = RadianceField(use_view_directions=False, generator=generator())
    assert parameter_count(without) == 595_844 - 65_792 - 36_352 - 257 - 387 + 4 * 257


def test_the_view_branch_is_the_published_one_layer_by_layer():
    network = RadianceField(width=32, generator=generator(), initialisation="pytorch").network
    positions, directions = torch.randn(5, 7, 63), torch.randn(5, 1, 27)
    hidden = positions
    for depth, layer in enumerate(network.trunk):
        hidden = torch.cat([positions, hidden], -1) if depth == 5 else hidden
        hidden = torch.relu(layer(hidden))
    joined = torch.cat([network.feature(hidden), directions.expand(5, 7, 27)], -1)
    expected = network.colour(torch.relu(network.view(joined)))
    colour, density = network(positions, directions)
    torch.testing.assert_close(colour, expected)
    torch.testing.assert_close(density, network.density(hidden)[..., 0])


@pytest.mark.parametrize("use_view_directions", [True, False])
def test_density_never_depends_on_the_direction_and_colour_only_if_asked(use_view_directions):
    field = RadianceField(width=16, use_view_directions=use_view_directions, generator=generator())
    points = torch.randn(4, 3, 3)
    one = torch.nn.functional.normalize(torch.randn(4, 1, 3), dim=-1)
    (rgb, density), (other_rgb, other_density) = field(points, one), field(points, -one)
    assert torch.equal(density, other_density)
    assert torch.equal(rgb, other_rgb) is not use_view_directions
    torch.testing.assert_close(field.density(points), density)


def test_products_in_bfloat16_leave_the_encoding_exact():
    field = RadianceField(width=16, generator=generator())
    points = torch.rand(100, 1, 3) * 4 - 2
    direction = torch.tensor([[[0.0, 0.0, 1.0]]])
    with torch.no_grad():
        exact = field(points, direction)[1]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = field(points, direction)[1]
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


def test_batches_and_losses_follow_from_step_and_generator_alone(toy):
    task = task_for(toy)
    first, second = (task.batch(3, generator_for(0, "step", 3)) for _ in range(2))
    assert torch.equal(first.colours, second.colours)
    losses = [task.losses(batch) for batch in (first, second)]
    assert all(torch.equal(losses[0][name], losses[1][name]) for name in ("coarse", "fine"))
    other = task.batch(4, generator_for(0, "step", 4))
    assert not torch.equal(first.rays.directions, other.rays.directions)


def test_the_start_keeps_to_the_middle_of_the_images_if_asked(toy):
    task = task_for(toy, centre_crop_steps=10)
    forward = torch.as_tensor(task.scene.cameras.view_directions, dtype=torch.float32)

    def widest(step):
        rays = task.batch(step, generator_for(0, step)).rays
        return float((rays.view_directions @ forward.T).max(dim=1).values.min())

    assert widest(9) > widest(10)


def test_the_learning_rate_falls_tenfold_in_decay_steps_however_long_the_run_is():
    recipe = NerfRecipe(steps=100, decay_steps=1000)
    assert recipe.learning_rate_factor(0) == 1
    assert recipe.learning_rate_factor(1000) == pytest.approx(0.1)


def test_even_samples_ask_the_networks_as_often_as_two_passes():
    assert NerfRecipe().evaluations_per_ray == 256
    assert NerfRecipe(sampling="uniform").evaluations_per_ray == 256
    assert NerfRecipe(sampling="uniform").samples == (256, 0)


def test_a_collapsed_start_is_repeated_once_and_then_explained(toy):
    task = task_for(toy)
    empty(task)
    batch = task.batch(0, generator_for(0, 0))
    for _ in range(FLAT_STEPS - 1):
        task._watch(torch.ones_like(batch.colours), batch.colours)
    assert not task.restarted(FLAT_STEPS)
    assert torch.equal(task.render(batch).final.colour, torch.ones(64, 3))  # white, all empty
    task.losses(batch)
    assert task.restarted(FLAT_STEPS)
    assert task.render(batch).final.opacity.max() > 0
    assert not task.restarted(FLAT_STEPS + 50)
    empty(task)
    task.field.flat_steps.fill_(FLAT_STEPS)
    with pytest.raises(InputError, match=r"collapsed twice.*centre_crop_steps"):
        task.restarted(2 * FLAT_STEPS)


def test_the_watch_resumes_where_it_was_and_repeats_the_same_second_start(toy):
    one, other = task_for(toy), task_for(toy)
    one.field.flat_steps.fill_(FLAT_STEPS)
    other.field.load_state_dict(one.field.state_dict())
    assert one.restarted(FLAT_STEPS)
    assert other.restarted(FLAT_STEPS)
    for key, value in one.field.state_dict().items():
        assert torch.equal(value, other.field.state_dict()[key])


def test_a_start_that_shows_something_is_left_alone(toy):
    task = task_for(toy)
    for step in range(3):
        task.losses(task.batch(step, generator_for(0, step)))
    assert int(task.field.flat_steps) == 0


def test_more_training_views_than_there_are_is_an_error(toy):
    with pytest.raises(InputError, match=r"train_views 7, but there are 6"):
        task_for(toy, train_views=7)
    assert len(task_for(toy, train_views=2).training_rays.images) == 2


@pytest.mark.parametrize(
    ("key", "value"), [("rays", 0), ("shrink", 0), ("centre_crop_share", 0.0), ("fine_samples", 0)]
)
def test_values_that_no_run_can_use_are_refused_by_name(key, value):
    with pytest.raises(InputError, match=key):
        NerfRecipe.from_dict({key: value})


def test_the_nearest_photograph_is_perfect_where_a_photograph_was_taken(toy, tmp_path):
    recipe = NerfRecipe(**{**SMALL, "method": "nearest_view", "steps": 0})
    task = build(recipe, toy, device=CPU, generator=generator())
    train = task.scene.splits["train"]
    task.scene = dataclasses.replace(task.scene, splits={"train": train, "test": train[[2]]})
    assert task.nearest(int(train[2])) == train[2]
    tmp_path.mkdir(exist_ok=True)
    task.predict(tmp_path)
    items = read_predictions(tmp_path).items
    pair = [read_array(tmp_path / name) for name in (items[0].prediction, items[0].reference)]
    assert np.array_equal(*pair)


def test_depth_of_a_forward_facing_scene_is_in_the_units_of_its_files(toy_forward):
    task = task_for(toy_forward, LlffNerfRecipe, shrink=1, skip_empty_space=False)
    assert task.scene.ndc
    renderer = Renderer(task)
    view = int(task.scene.splits["test"][0])
    truth = truth_of(task).depth[0]
    in_scene = torch.from_numpy(truth) / task.scene.world_from_scene.scale
    rays = renderer.rays(task.scene.cameras, view)[0]
    # NDC's parameter of a depth, by its definition, must lead back to that depth.
    to_near = -(1 + rays.origins[..., 2]) / rays.directions[..., 2]
    origin = rays.origins[..., 2] + to_near * rays.directions[..., 2]
    beyond = in_scene - to_near
    parameter = 1 - origin / (origin + beyond * rays.directions[..., 2])
    half = torch.full_like(in_scene, 0.5).float()  # half of the light is absorbed, all of it there
    image = RenderedImage(torch.zeros(*truth.shape, 3), half, half * parameter.float(), half)
    found = renderer.depth(task.scene.cameras, view, image)
    np.testing.assert_allclose(found, truth, rtol=2e-4)


def test_the_surface_of_a_known_density_is_that_surface_and_is_compared(toy, tmp_path):
    task = task_for(toy, meshed=True, mesh_resolution=48, mesh_density=10.0)
    task.scene = dataclasses.replace(task.scene, covered=None)  # photographs show something else

    def density(points):
        return 100 * (0.6 - points.norm(dim=-1))

    for field in (task.field.coarse, task.field.fine):
        field.density = density
        field.forward = lambda points, _: (0.5 * torch.ones_like(points), density(points))
    lower, upper = box_of_ends(task, Renderer(task), None)
    assert np.abs([lower, upper]).max() < 0.8  # and not all that the cameras see
    task.predict(tmp_path)
    ball = trimesh.load(tmp_path / "mesh.ply", process=True)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)
    assert len(ball.visual.vertex_colors) == len(ball.vertices)
    assert (tmp_path / "mesh.glb").stat().st_size > 1000
    surface = next(item for item in read_predictions(tmp_path).items if item.name == "surface")
    truth = trimesh.load(tmp_path / surface.reference)
    assert truth.extents.max() == pytest.approx(1.0)
    rows = compute_metrics(read_predictions(tmp_path))
    values = {row["metric"]: row["value"] for row in rows if row["split"] == "surface"}
    assert set(values) == {"chamfer_l1", "f_score", "failed"}
    assert values["failed"] == 0


def test_fog_of_the_background_s_colour_is_no_surface(toy):
    """A shell around the scene that all photographs show as their background."""
    task = task_for(toy, meshed=True, mesh_resolution=40, mesh_density=10.0)

    def density(points):
        radius = points.norm(dim=-1)
        return 300 * torch.maximum(0.5 - radius, 0.1 - (radius - 1.25).abs())

    for field in (task.field.coarse, task.field.fine):
        field.density = density
        field.forward = lambda points, _: (torch.ones_like(points), density(points))

    def vertices_of_shell() -> int:
        vertices = np.asarray(surface_of(task, Renderer(task)).vertices)
        return (np.linalg.norm(vertices[vertices[:, 2] > 0], axis=1) > 1).sum()  # seen from above

    shown = vertices_of_shell()
    task.scene = dataclasses.replace(task.scene, covered=None)
    assert 10 * shown < vertices_of_shell()


def test_a_density_without_a_surface_has_failed_and_keeps_its_views(toy, tmp_path):
    task = task_for(toy, meshed=True, mesh_resolution=8)
    empty(task)
    task.predict(tmp_path)
    predictions = read_predictions(tmp_path)
    assert any(item.split == "test" for item in predictions.items)
    rows = [row for row in compute_metrics(predictions) if row["split"] == "surface"]
    assert {row["metric"]: row["value"] for row in rows} == {
        "chamfer_l1": 10 * FAILED_DISTANCE,
        "f_score": 0.0,
        "failed": 1.0,
    }
    assert not (tmp_path / "mesh.glb").exists()  # the page would show it
    with pytest.raises(InputError, match="no surface at level"):
        task.mesh(tmp_path / "mesh.ply")


def test_rays_are_sampled_between_the_scenes_bounds_or_the_recipes(toy, toy_forward):
    own, wide = task_for(toy), task_for(toy, near=0.5, far=24.0)
    assert (own.settings.near, own.settings.far) == (own.scene.near, own.scene.far)
    assert (wide.settings.near, wide.settings.far) == (0.5, 24.0)
    one_sided = task_for(toy_forward, LlffNerfRecipe, shrink=1, near=0.5, far=24.0)
    assert (one_sided.settings.near, one_sided.settings.far) == (0.0, 1.0)
    with pytest.raises(InputError, match="near"):
        NerfRecipe(near=6.0, far=2.0).check("recipe")


def test_scenes_seen_from_one_side_are_not_meshed(toy_forward, tmp_path):
    task = task_for(toy_forward, LlffNerfRecipe, shrink=1)
    with pytest.raises(InputError, match="NDC"):
        task.mesh(tmp_path / "mesh.ply")


def as_nerf_pytorch(field: RadianceField) -> dict[str, torch.Tensor]:
    names = {
        "view": "views_linears.0",
        "feature": "feature_linear",
        "density": "alpha_linear",
        "colour": "rgb_linear",
        "output": "output_linear",
    }
    theirs = {}
    for name, value in field.network.state_dict().items():
        layer, _, kind = name.rpartition(".")
        layer = names.get(layer, layer.replace("trunk", "pts_linears"))
        theirs[f"{layer}.{kind}"] = value
    return theirs


def test_a_checkpoint_of_nerf_pytorch_becomes_a_run(toy, tmp_path, capsys):
    fields = [RadianceField(width=24, depth=8, generator=generator(seed)) for seed in (1, 2)]
    file = tmp_path / "000100.tar"
    torch.save(
        {
            "global_step": 100,
            "network_fn_state_dict": as_nerf_pytorch(fields[0]),
            "network_fine_state_dict": as_nerf_pytorch(fields[1]),
            "optimizer_state_dict": {},
        },
        file,
    )
    run = tmp_path / "run"
    main(["import", "nerf-pytorch", str(file), str(run), "--subject", str(toy), "--set", "rays=8"])
    task = load_run(run, data_root=tmp_path, device=CPU)
    assert (task.recipe.width, task.recipe.steps, task.recipe.rays) == (24, 100, 8)
    points, direction = torch.randn(2, 3, 3), torch.tensor([[[0.0, 0.6, 0.8]]])
    for ours, theirs in zip((task.field.coarse, task.field.fine), fields, strict=True):
        for a, b in zip(ours(points, direction), theirs(points, direction), strict=True):
            assert torch.equal(a, b)


def test_the_fifth_output_of_runs_without_directions_is_left_out(toy, tmp_path):
    field = RadianceField(width=24, depth=8, use_view_directions=False, generator=generator())
    theirs = as_nerf_pytorch(field)
    for name in ("output_linear.weight", "output_linear.bias"):
        theirs[name] = torch.cat([theirs[name], torch.full_like(theirs[name][:1], 9.0)])
    file, run = tmp_path / "000100.tar", tmp_path / "run"
    torch.save({"network_fn_state_dict": theirs, "network_fine_state_dict": theirs}, file)
    import_checkpoint(file, run, subject=str(toy), changes={})
    task = load_run(run, data_root=tmp_path, device=CPU)
    points, direction = torch.randn(2, 3, 3), torch.tensor([[[0.0, 0.6, 0.8]]])
    for network in (task.field.coarse, task.field.fine):
        for a, b in zip(network(points, direction), field(points, direction), strict=True):
            assert torch.equal(a, b)


def test_an_import_to_a_full_disk_is_one_line(tmp_path):
    field = RadianceField(width=24, depth=8, generator=generator())
    file = tmp_path / "000100.tar"
    torch.save({"network_fn_state_dict": as_nerf_pytorch(field)}, file)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(InputError, match=r"model\.pt: cannot be written"):
            import_checkpoint(file, tmp_path / "run", subject="toy", changes={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "run" / "model.pt").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file"), (b"not a checkpoint", "not a checkpoint"), ({"x": 1}, "network_fn")],
)
def test_a_file_that_is_no_checkpoint_is_one_line(content, says, tmp_path):
    file = tmp_path / "x.tar"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    with pytest.raises(InputError, match=says):
        import_checkpoint(file, tmp_path / "run", subject="toy", changes={})
