"""Experiments that ask different things of models trained alike train one."""

from __future__ import annotations

import json

import pytest
from projects import EXPERIMENTS

pytestmark = pytest.mark.slow

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
