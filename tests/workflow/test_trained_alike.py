"""Experiments that ask different things of models trained alike train one."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from projects import EXPERIMENTS

pytestmark = pytest.mark.slow

SCENE = {
    "task": "nerf",
    "title": "A scene",
    "subjects": ["toy_small"],
    "variants": {"one": {}, "other": {"width": 9}},
    "budget": {
        "smoke": {
            "steps": 2,
            "rays": 16,
            "width": 8,
            "depth": 2,
            "coarse_samples": 4,
            "fine_samples": 4,
            "watched_steps": 0,
            "occupancy_resolution": 8,
            "video_frames": 0,
            "perceptual": False,
        }
    },
    "headline": ["test psnr_8bit"],
    "figures": [],
}
RUN = "results/smoke/fourier/{}/astronaut/none/seed0"


def test_one_trains_and_the_other_takes_its_model(project):
    image = {**EXPERIMENTS["fourier/image"], "variants": {"none": {}}, "figures": []}
    experiments = {"fourier/image": image, "fourier/later": image}
    finished = project.snakemake("fourier", *project.overlay(experiments=experiments))
    assert finished.returncode == 0, finished.stdout
    first, second = (project.folder / RUN.format(name) for name in ("image", "later"))
    assert (first / "model.pt").read_bytes() == (second / "model.pt").read_bytes()
    assert f"[fourier/later/astronaut/none/seed0] takes the model of {RUN.format('image')}" in (
        finished.stdout
    )
    assert "[fourier/later/astronaut/none/seed0] trains" not in finished.stdout
    records = [json.loads((run / "training.json").read_text()) for run in (first, second)]
    assert records[1] == records[0] | {"model_of": RUN.format("image")}
    assert project.planned("fourier", *project.overlay(experiments=experiments)) == {}


def test_what_is_asked_of_a_model_may_change_without_training_it_again(project):
    def asking(**changes):
        variants = {**SCENE["variants"], "one": changes}
        experiments = {"nerf/scene": {**SCENE, "variants": variants}}
        return ("nerf", *project.overlay(experiments=experiments))

    assert project.snakemake(*asking()).returncode == 0
    run = project.folder / "results/smoke/nerf/scene/toy_small/one/seed0"
    before = (run / "model.pt").stat()
    shown = {"evaluate": 1, "tabulate": 1}
    for values in ({"occupancy_resolution": 12}, {}):
        jobs = project.plan(*asking(**values))
        assert {job.run for job in jobs if job.run} == {"nerf/scene/one"}
        assert Counter(job.rule for job in jobs) == {"predict": 1, **shown, "nerf": 1}
        finished = project.snakemake(*asking(**values))
        assert finished.returncode == 0, finished.stdout
        recipe = json.loads((run / "recipe.json").read_text())["recipe"]
        assert recipe["occupancy_resolution"] == values.get("occupancy_resolution", 8)
        assert (run / "model.pt").stat() == before
        assert project.planned(*asking(**values)) == {}
    assert project.planned(*asking(width=7))["train"] == 1
