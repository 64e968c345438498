"""Pre-flight: what is missing, how long it takes and whether it fits, before anything starts."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from nir import preflight
from nir.configuration import SCHEMA, load_configuration
from nir.errors import InputError
from nir.experiments import Run, experiments_of
from nir.preflight import _at_most, _TooSlowError, cost_of, examine_plan, missing_data

CPU = torch.device("cpu")
FLOAT_BYTES = 4


def configuration(**values: object) -> dict:
    entry = {
        "task": "siren_image",
        "subjects": ["camera"],
        "variants": {"small": {"width": 16}, "large": {"width": 64}},
        "budget": {"smoke": {"steps": 50, "resolution": 32, "derivatives": False}},
        **values,
    }
    seeds = {"smoke": 1, "quick": 1, "paper": 3}
    shared = {"scale": "smoke", "data_root": "data", "seeds": seeds}
    return {**shared, "experiments": {"siren/image": entry}}


def runs(**values: object) -> dict[str, Run]:
    found = experiments_of(configuration(**values))
    return {run.variant: run for run in found["siren/image"].runs}


def written(folder: Path, **values: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(configuration(**values)))
    (folder / SCHEMA).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).resolve().parents[2] / SCHEMA, folder / SCHEMA)
    return path


def examine(path: Path, *, scale: str | None = None, **options: object) -> list[str]:
    config = load_configuration(path, {"scale": scale} if scale else {})
    defaults = {"data_root": path.parent, "seconds": 30.0}
    return list(examine_plan(config, **{**defaults, **options}))


def test_memory_holds_at_least_every_layers_activation(tmp_path):
    pixels, layers = 32 * 32, 3
    for width, run in ((16, runs()["small"]), (64, runs()["large"])):
        least = pixels * width * layers * FLOAT_BYTES
        held = cost_of(run, tmp_path, CPU).bytes
        assert least < held < 8 * least


def test_memory_grows_with_the_batch_and_time_with_steps(tmp_path):
    run = runs()["large"]
    larger = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, resolution=64))
    sizes = [cost_of(each, tmp_path, CPU).bytes for each in (run, larger)]
    assert sizes[1] == pytest.approx(4 * sizes[0], rel=0.3)
    longer = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, steps=500_000))
    assert cost_of(longer, tmp_path, CPU).seconds > 10 * cost_of(run, tmp_path, CPU).seconds


def test_the_report_names_each_experiment_and_a_total(tmp_path):
    lines = examine(written(tmp_path))
    assert lines[0] == "scale smoke: 1 experiments, 2 trainings"
    assert any(line.startswith("siren/image") and "2 trainings" in line for line in lines)
    assert any("2 of 2 recipes measured" in line for line in lines)
    assert lines[-1].startswith("memory: the largest training takes")


def test_what_does_not_fit_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("nir.preflight.available_memory_bytes", lambda: 300_000)
    lines = examine(written(tmp_path))
    large = [line for line in lines if line.startswith("TOO LARGE")]
    assert any("siren/image/camera/large/seed0" in line for line in large)


def full_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("where", ["build_task", "_step"])
@pytest.mark.parametrize(
    "too_much",
    [lambda: torch.empty(10**15), lambda: np.zeros(10**15), full_gpu],  # no machine has petabytes
)
def test_what_runs_out_of_memory_is_named_and_the_others_are_measured(
    tmp_path, monkeypatch, where, too_much
):
    original = getattr(preflight, where)
    places = []

    def greedy(*arguments, **options):
        places.append(where)
        if len(places) == 1:
            too_much()
        return original(*arguments, **options)

    monkeypatch.setattr(preflight, where, greedy)
    lines = examine(written(tmp_path))
    assert [line for line in lines if line.startswith("TOO LARGE")] == [
        "TOO LARGE: siren/image/camera/small/seed0 ran out of this machine's memory; "
        "give it a smaller budget in config.yaml"
    ]
    assert any("more than" in line and "2 trainings" in line for line in lines)


def test_where_nothing_fits_all_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "build_task", lambda *_: torch.empty(10**15))
    lines = examine(written(tmp_path))
    assert sum(line.startswith("TOO LARGE") for line in lines) == 2
    assert any(line.startswith("siren/image  not measured") for line in lines)


def test_another_error_while_measuring_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "build_task", lambda *_: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        examine(written(tmp_path))


def test_a_plan_without_variants_is_one_line(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text().replace("variants:", "varients:"))
    with pytest.raises(InputError, match=r"^config.yaml: experiments.siren/image.varients: "):
        examine(path)


def test_without_measuring_it_says_what_is_missing_at_once(tmp_path):
    path = written(tmp_path, task="nerf", subjects=["lego"], variants={"full": {}}, budget={})
    lines = examine(path, seconds=0.0)
    assert lines[-1] == "MISSING lego, for siren/image: nir fetch lego"
    (tmp_path / "nerf_synthetic/lego").mkdir(parents=True)
    assert not any("MISSING" in line for line in examine(path, seconds=0.0))


def test_each_missing_set_is_named_once_with_all_who_need_it(tmp_path):
    config = configuration(task="nerf", subjects=["lego"], variants={"full": {}}, budget={})
    config["experiments"]["nerf/other"] = config["experiments"]["siren/image"]
    lines = list(missing_data(experiments_of(config), tmp_path))
    assert lines == ["MISSING lego, for siren/image, nerf/other: nir fetch lego"]


def test_what_a_recipe_names_beside_the_subject_is_needed_too(tmp_path):
    variants = {"full": {"supervision": "gradient", "composed_with": "lego"}}
    config = configuration(task="poisson", variants=variants, budget={})
    lines = list(missing_data(experiments_of(config), tmp_path))
    assert lines == ["MISSING lego, for siren/image: nir fetch lego"]
    variants["full"]["composed_with"] = "leg"
    with pytest.raises(InputError, match=r"composed_with of full: .*'lego'"):
        experiments_of(config)


def test_an_unmeasured_experiment_says_so(tmp_path):
    path = written(tmp_path, task="nerf", subjects=["lego"], variants={"full": {}}, budget={})
    assert any(line.startswith("siren/image  not measured") for line in examine(path))


def test_a_step_that_takes_too_long_is_given_up():
    began = time.monotonic()
    with pytest.raises(_TooSlowError), _at_most(0.1):
        time.sleep(20)
    assert time.monotonic() - began < 5
