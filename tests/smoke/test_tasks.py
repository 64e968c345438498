"""Every entry of config.yaml at its smallest scale: trained, predicted, evaluated.

What is tested follows config.yaml, so an experiment added there is covered here.
"""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from nir.ahead import take_predictions
from nir.configuration import SCENES, read_configuration
from nir.data.colmap import estimate_poses
from nir.data.fetch import fetch, resolve_subject
from nir.evaluation import evaluate_experiment, evaluate_run
from nir.experiments import Experiment, Run, experiments_of
from nir.files import read_json, sha256_of_file
from nir.metrics import METRICS
from nir.predictions import read_array, read_predictions
from nir.reporting.claims import verdicts
from nir.reporting.figures import plot
from nir.reporting.panels import write_panel
from nir.reporting.tables import read_published, table_of, tabulate
from nir.runs import load_run, train_run
from nir.specification import RunSpecification

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def smallest_experiments() -> dict[str, Experiment]:
    return experiments_of(read_configuration(ROOT / "config.yaml") | {"scale": "smoke"})


EXPERIMENTS = smallest_experiments()
# One run of each (experiment, variant): that of its first subject.
RUNS = {
    f"{run.experiment}/{run.variant}": run
    for experiment in EXPERIMENTS.values()
    for run in reversed(experiment.runs)
}


@pytest.fixture(scope="session")
def data_root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("inputs") / "data"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors are slower on many threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained_on(run: Run, data_root: Path) -> str:
    """The run's subject, made if it is not there; photos become a scene beside the data root."""
    if run.dataset is not None:
        fetch(run.dataset, data_root=data_root)
    if not run.photos:
        return run.subject
    scene = scenes_beside(data_root) / run.subject_name
    if not scene.exists():
        estimate_poses(resolve_subject(run.subject, data_root), scene, threads=1, say=print)
    return str(scene)


def scenes_beside(data_root: Path) -> Path:
    return data_root.parent / Path(SCENES).name


def train(run: Run, results: Path, data_root: Path, *, ahead: bool = True) -> Path:
    """Train it and, `ahead` of being asked, predict."""
    subject = trained_on(run, data_root)
    folder = results / run.place
    train_run(
        RunSpecification(task=run.task, subject=subject, seed=run.seed, recipe=run.recipe),
        folder,
        checkpoints_root=results / ".checkpoints",
        data_root=data_root,
        device=CPU,
        label=run.place,
        ahead=ahead,
    )
    return folder


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_trains_predicts_and_is_evaluated(name, tmp_path, data_root):
    run = RUNS[name]
    folder = train(run, tmp_path, data_root)
    assert take_predictions(folder)
    metrics = evaluate_run(folder)["metrics"]

    assert metrics
    for row in metrics:
        needs_weights = row["metric"] in METRICS and METRICS[row["metric"]].needs_weights
        assert finite(row["value"]) or (needs_weights and row["note"]), row
        assert row["protocol"]
        assert row["unit"]
    assert_log_is_whole(folder, run)
    assert_predictions_are_whole(folder / "predictions")
    assert not any((tmp_path / ".checkpoints").glob("*"))


def assert_log_is_whole(folder: Path, run: Run) -> None:
    with (folder / "log.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert int(rows[-1]["step"]) == run.recipe.steps
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    record = read_json(folder / "training.json")
    assert record["steps"] == run.recipe.steps
    assert record["parameters"] > 0 or run.recipe.steps == 0  # a baseline may have no model
    assert RunSpecification.read(folder).recipe == run.recipe


def assert_predictions_are_whole(folder: Path) -> None:
    manifest = json.loads((folder / "predictions.json").read_text())
    assert set(manifest["sha256"]) == {p.name for p in folder.iterdir()} - {"predictions.json"}
    assert all(sha256_of_file(folder / n) == h for n, h in manifest["sha256"].items())
    for item in read_predictions(folder).items:
        if any(METRICS[name].compares != "arrays" for name in item.metrics):
            continue
        prediction = read_array(folder / item.prediction)
        assert prediction.shape == read_array(folder / item.reference).shape


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_the_same_seed_trains_the_same_model(name, tmp_path, data_root):
    run = EXPERIMENTS[name].runs[0]
    models = [
        torch.load(
            train(run, tmp_path / attempt, data_root, ahead=False) / "model.pt", weights_only=True
        )
        for attempt in ("first", "second")
    ]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_a_saved_model_is_the_trained_one(name, tmp_path, data_root):
    run = EXPERIMENTS[name].runs[-1]
    folder = train(run, tmp_path, data_root, ahead=False)
    task = load_run(folder, data_root=data_root, device=CPU)
    saved = torch.load(folder / "model.pt", weights_only=True)
    assert all(torch.equal(saved[k], v) for k, v in task.field.state_dict().items())


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_headline_claim_and_figure_of_an_experiment_finds_its_numbers(
    name, tmp_path, data_root
):
    experiment, results = EXPERIMENTS[name], tmp_path / "smoke"
    for run in experiment.runs:
        folder = train(run, results, data_root)
        assert take_predictions(folder)
    plan = experiment.plan()
    if scenes_beside(data_root).exists():
        (tmp_path / Path(SCENES).name).symlink_to(scenes_beside(data_root))
    metrics = tmp_path / "metrics.csv"
    evaluate_experiment(plan, results, out=metrics)
    published = sorted((ROOT / "workflow/published").glob("*.csv"))
    table, markdown = tmp_path / "table.csv", tmp_path / "table.md"
    tabulate(plan, metrics=metrics, published=published, csv=table, markdown=markdown)
    written = markdown.read_text(encoding="utf-8")
    assert all(run["label"] in written for run in plan["runs"])
    numbers = pd.read_csv(metrics, keep_default_na=False)
    whole = table_of(plan, numbers, read_published(published))
    assert len(verdicts(plan, whole)) == len(plan["claims"])
    for figure in experiment.figures:
        png, pdf = tmp_path / f"{figure}.png", tmp_path / f"{figure}.pdf"
        plot(figure, plan, metrics=metrics, results=results, png=png, pdf=pdf)
        assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert pdf.read_bytes()[:5] == b"%PDF-"
    for panel in experiment.panels:
        page = tmp_path / f"{panel}.html"
        write_panel(panel, plan, metrics=metrics, results=results, out=page)
        written = page.read_text(encoding="utf-8")
        # What it shows is inside, in base 64; after three steps a field may have no surface yet.
        assert re.search(r"[A-Za-z0-9+/=]{200,}|No run wrote a model", written)
        assert "http" not in written
