"""A model is trained once, whatever several experiments ask of it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from projects import EXPERIMENTS

from nir.cli import main
from nir.data.fetch import fetch
from nir.data.shape_preparation import write_families
from nir.data.shape_sets import ShapeSet
from nir.errors import InputError
from nir.experiments import experiments_of, trained_alike
from nir.recipes.base import Recipe
from nir.recipes.image import ImageRecipe
from nir.recipes.nerf import NerfRecipe
from nir.recipes.nex import NexRecipe
from nir.recipes.shape_decoder import ShapeDecoderRecipe
from nir.runs import adopt_model, build_task, predict_run, train_run
from nir.specification import RunSpecification, ask_of_run

CPU = torch.device("cpu")
IMAGE = ImageRecipe(steps=4, learning_rate=1e-3, resolution=16, width=8, derivatives=False)
SCENES = {
    "nerf": NerfRecipe(
        steps=2, rays=16, width=8, depth=2, coarse_samples=4, fine_samples=4, watched_steps=0
    ),
    "nex": NexRecipe(
        steps=2, rays=12, planes=4, planes_per_group=2, width=8, margin=2, basis_width=4, shrink=1
    ),
}
SHAPES = ShapeDecoderRecipe(
    steps=2, shapes_per_step=2, points_per_shape=16, code_size=4, width=12, layers=3, skip=1
)
OTHER = {bool: True, int: 3, float: 0.375}


def asked_otherwise(recipe: Recipe) -> Recipe:
    """The same recipe with another value for every key that training does not read."""
    deciding = recipe.of_training()
    asked = {key: value for key, value in recipe.to_dict().items() if key not in deciding}
    assert asked
    changes = {
        key: (not value if isinstance(value, bool) else OTHER.get(type(value), value))
        for key, value in asked.items()
    }
    return dataclasses.replace(recipe, **changes)


def weights(task_name: str, recipe: Recipe, folder, data_root, subject: str) -> bytes:
    specification = RunSpecification(task=task_name, subject=subject, seed=0, recipe=recipe)
    train_run(
        specification,
        folder,
        checkpoints_root=folder / ".checkpoints",
        data_root=data_root,
        device=CPU,
        label="alike",
    )
    return (folder / "model.pt").read_bytes()


@pytest.mark.parametrize(("task", "scene"), [("nerf", "toy_small"), ("nex", "toy_forward_small")])
def test_what_is_asked_of_a_scene_does_not_change_its_training(tmp_path, task, scene):
    fetch(scene, data_root=tmp_path)
    recipe = SCENES[task]
    one = weights(task, recipe, tmp_path / "one", tmp_path, scene)
    assert weights(task, asked_otherwise(recipe), tmp_path / "two", tmp_path, scene) == one


def test_what_is_asked_of_a_decoder_does_not_change_its_training(tmp_path):
    shapes = ShapeSet(families=("tables",), train=2, val=1, test=1, preparation="tiny")
    write_families(tmp_path / "tables", shapes)
    subject = str(tmp_path / "tables")
    one = weights("deepsdf", SHAPES, tmp_path / "one", tmp_path, subject)
    other = dataclasses.replace(asked_otherwise(SHAPES), asks="completion")
    assert weights("deepsdf", other, tmp_path / "two", tmp_path, subject) == one


def image_run(folder, *, seed: int = 0) -> RunSpecification:
    specification = RunSpecification(
        task="fourier_image", subject="camera", seed=seed, recipe=IMAGE
    )
    if not folder.exists():
        weights("fourier_image", IMAGE, folder, folder.parent, "camera")
    return specification


def test_an_adopted_model_predicts_what_its_own_run_predicts(tmp_path, capsys):
    specification = image_run(tmp_path / "trained")
    adopted = tmp_path / "adopted"
    places = {"data_root": tmp_path, "device": CPU}
    adopt_model(specification, adopted, tmp_path / "trained", label="adopted", **places)
    assert "takes the model of" in capsys.readouterr().err
    for run in (tmp_path / "trained", adopted):
        predict_run(run, **places)
    files = {
        run.name: {
            p.relative_to(run): p.read_bytes()
            for p in run.rglob("*")
            if p.is_file() and ".checkpoints" not in p.parts
        }
        for run in (tmp_path / "trained", adopted)
    }
    records = [json.loads(files[run].pop(Path("training.json"))) for run in ("trained", "adopted")]
    assert files["trained"] == files["adopted"]
    assert records[1] == records[0] | {"model_of": str(tmp_path / "trained")}


def test_a_model_that_was_trained_otherwise_is_refused(tmp_path):
    image_run(tmp_path / "trained")
    other = image_run(tmp_path / "trained", seed=1)
    places = {"data_root": tmp_path, "device": CPU}
    with pytest.raises(InputError, match="trained: another recipe, subject or seed"):
        adopt_model(other, tmp_path / "out", tmp_path / "trained", label="out", **places)
    assert not (tmp_path / "out").exists()


def adopting(folder, specification, origin) -> None:
    places = {"data_root": folder, "device": CPU}
    adopt_model(specification, folder / "out", origin, label="out", **places)


def test_a_model_of_other_code_is_refused(tmp_path, monkeypatch):
    origin = tmp_path / "trained"
    specification = image_run(origin)
    monkeypatch.setattr("nir.specification.training_code", lambda task: "changed")
    with pytest.raises(InputError, match="not known to be trained by today's code"):
        adopting(tmp_path, specification, origin)
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_tell_its_code_is_refused(tmp_path):
    origin = tmp_path / "trained"
    specification = image_run(origin)
    record = json.loads((origin / "training.json").read_text())
    del record["code"], record["subject_stamp"]
    (origin / "training.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="train it again"):
        adopting(tmp_path, specification, origin)


def test_a_model_of_a_file_that_changed_is_refused(tmp_path):
    photo, origin = tmp_path / "photo.png", tmp_path / "trained"
    iio.imwrite(photo, np.zeros((16, 16, 3), dtype="u1"))
    weights("fourier_image", IMAGE, origin, tmp_path, str(photo))
    specification = RunSpecification.read(origin)
    adopting(tmp_path, specification, origin)
    os.utime(photo, ns=(0, 0))
    with pytest.raises(InputError, match=r"trained before .*photo\.png changed"):
        adopting(tmp_path, specification, origin)


@pytest.mark.parametrize("name", ["recipe.json", "training.json", "log.csv", "model.pt"])
def test_a_run_that_lacks_a_file_is_refused(tmp_path, name):
    origin = tmp_path / "trained"
    specification = image_run(origin)
    (origin / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        adopting(tmp_path, specification, origin)
    assert not (tmp_path / "out").exists()


def test_adopting_removes_what_a_kill_left(tmp_path):
    specification = image_run(tmp_path / "trained")
    leftover = tmp_path / "out" / ".model-01234567.pt"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    adopting(tmp_path, specification, tmp_path / "trained")
    assert not leftover.exists()


def test_who_takes_a_taken_model_names_the_run_that_trained_it(tmp_path):
    specification = image_run(tmp_path / "trained")
    adopting(tmp_path, specification, tmp_path / "trained")
    places = {"data_root": tmp_path, "device": CPU}
    adopt_model(specification, tmp_path / "third", tmp_path / "out", label="third", **places)
    record = json.loads((tmp_path / "third" / "training.json").read_text())
    assert record["model_of"] == str(tmp_path / "trained")


def test_adopting_builds_the_task_that_its_own_recipe_asks_for(tmp_path):
    fetch("toy_small", data_root=tmp_path)
    recipe = SCENES["nerf"]
    weights("nerf", recipe, tmp_path / "trained", tmp_path, "toy_small")
    asked = dataclasses.replace(recipe, video_frames=7)
    specification = RunSpecification(task="nerf", subject="toy_small", seed=0, recipe=asked)
    adopt_model(
        specification,
        tmp_path / "out",
        tmp_path / "trained",
        data_root=tmp_path,
        device=CPU,
        label="out",
    )
    task = build_task(RunSpecification.read(tmp_path / "out"), tmp_path, CPU)
    assert task.recipe.video_frames == 7


def configured(**variants) -> dict:
    """Two experiments: the small image's variants, and `variants` of the same task."""
    image = EXPERIMENTS["fourier/image"]
    other = {**image, "variants": variants}
    experiments = {"fourier/image": image, "fourier/other": other}
    return {"scale": "smoke", "seeds": {"smoke": 2}, "experiments": experiments}


def test_the_first_of_those_alike_trains_for_the_others():
    config = configured(again={}, wider={"width": 9}, third={"encoding": "gaussian"})
    place = "fourier/{}/astronaut/{}/seed{}".format
    assert trained_alike(experiments_of(config)) == {
        place("other", variant, seed): place("image", origin, seed)
        for variant, origin in (("again", "none"), ("third", "gaussian"))
        for seed in (0, 1)
    }


def test_what_has_no_training_takes_no_model():
    config = configured(again={"steps": 0}, once_more={"steps": 0})
    assert trained_alike(experiments_of(config)) == {}


def test_a_trained_run_is_asked_otherwise_without_a_sign_in_its_time(tmp_path):
    fetch("toy_small", data_root=tmp_path)
    recipe = SCENES["nerf"]
    weights("nerf", recipe, tmp_path / "run", tmp_path, "toy_small")
    path = tmp_path / "run" / "recipe.json"
    before = path.stat().st_mtime_ns
    asked = dataclasses.replace(recipe, occupancy_resolution=9)
    ask_of_run(tmp_path / "run", asked.to_dict())
    assert RunSpecification.read(tmp_path / "run").recipe == asked
    assert path.stat().st_mtime_ns == before


def test_other_values_of_training_cannot_be_asked_of_a_trained_run(tmp_path):
    image_run(tmp_path / "trained")
    written = (tmp_path / "trained" / "recipe.json").read_bytes()
    other = dataclasses.replace(IMAGE, width=9)
    with pytest.raises(InputError, match=r"trained/recipe\.json: the model was trained with other"):
        ask_of_run(tmp_path / "trained", other.to_dict())
    assert (tmp_path / "trained" / "recipe.json").read_bytes() == written


@pytest.mark.parametrize("command", ["predict", "mesh"])
def test_a_command_that_is_told_other_values_of_training_says_so(tmp_path, capsys, command):
    image_run(tmp_path / "trained")
    asked = json.dumps(dataclasses.replace(IMAGE, width=9).to_dict())
    with pytest.raises(SystemExit):
        main([command, str(tmp_path / "trained"), "--recipe", asked])
    assert "train the run again" in capsys.readouterr().err
