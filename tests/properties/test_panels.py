"""Panels hold everything they show: no server, no network, no file beside them."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest
import trimesh

from nir.errors import InputError
from nir.reporting.panels import write_panel

VARIANTS = {
    "none": {"encoding": "none"},
    "narrow": {"encoding": "gaussian", "bandwidth": 1.0},
    "wide": {"encoding": "gaussian", "bandwidth": 100.0},
    "octaves": {"encoding": "positional", "log2_bandwidth": 3.1699},
}


@pytest.fixture
def experiment(tmp_path):
    runs, rows = [], []
    for number, (variant, recipe) in enumerate(VARIANTS.items()):
        place = f"chapter/bandwidths/cat/{variant}/seed0"
        folder = tmp_path / place / "predictions"
        folder.mkdir(parents=True)
        np.save(folder / "image-prediction.npy", np.full((4, 4, 3), number / 4))
        np.save(folder / "image-reference.npy", np.full((4, 4, 3), 1.0))
        label = "<script>alert(1)</script>" if variant == "none" else variant
        run = {"place": place, "subject": "cat", "variant": variant, "seed": 0, "label": label}
        runs.append({**run, "recipe": recipe})
        rows += [
            {**run, "split": s, "metric": "psnr_float", "value": 20 + number}
            for s in ("trained", "tested")
        ]
    metrics = tmp_path / "metrics.csv"
    pd.DataFrame(rows).to_csv(metrics, index=False)
    return {"title": "Bandwidths </script>", "runs": runs}, metrics, tmp_path


def written(experiment) -> str:
    plan, metrics, folder = experiment
    out = folder / "panel.html"
    write_panel("bandwidth_sliders", plan, metrics=metrics, results=folder, out=out)
    return out.read_text(encoding="utf-8")


def test_sliders_run_from_the_smallest_to_the_largest_sigma(experiment):
    page = written(experiment)
    sliders = json.loads(re.search(r"const sliders = (.*);", page).group(1))
    assert [s["title"] for s in sliders] == ["Gaussian features", "Positional encoding"]
    assert [s["label"] for s in sliders[0]["stops"]] == ["σ = 1", "σ = 100"]
    assert sliders[1]["stops"][0]["label"] == "σ = 8"
    assert "21.00 dB on trained pixels" in sliders[0]["stops"][0]["quality"]


def test_a_panel_needs_nothing_beside_itself(experiment):
    page = written(experiment)
    addresses = re.findall(r'src="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "http" not in page


def test_labels_cannot_become_code(experiment):
    page = written(experiment)
    assert page.count("<script>") == page.count("</script>") == 1


def test_an_unknown_panel_names_the_nearest(experiment):
    plan, metrics, folder = experiment
    with pytest.raises(InputError, match="bandwidth_sliders"):
        write_panel("bandwidth_slider", plan, metrics=metrics, results=folder, out=folder / "x")


def test_models_stand_in_the_page_and_large_ones_are_named(experiment, monkeypatch):
    plan, metrics, folder = experiment
    ball = trimesh.creation.icosphere(subdivisions=1).export(file_type="glb")
    for run, name in zip(plan["runs"][1:], ("decoded", "truth"), strict=False):
        (folder / run["place"] / f"predictions/{name}.glb").write_bytes(ball)
    out = folder / "models.html"
    write_panel("turning_models", plan, metrics=metrics, results=folder, out=out)
    page = out.read_text(encoding="utf-8")
    embedded = json.loads(re.search(r'id="models">(.*?)</script>', page).group(1))
    assert [base64.b64decode(model) for model in embedded] == [ball, ball]
    assert page.count("<canvas") == 2
    assert "narrow: decoded" in page
    assert "http" not in page
    monkeypatch.setattr("nir.reporting.panels.MODEL_BYTES_AT_MOST", 10)
    write_panel("turning_models", plan, metrics=metrics, results=folder, out=out)
    assert "narrow: decoded: too large" in out.read_text(encoding="utf-8")
