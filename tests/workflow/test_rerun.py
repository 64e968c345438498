"""Snakemake runs everything once, and again only what a change concerns."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest

pytestmark = pytest.mark.slow

ALL_RUNS = {"fourier/image/none", "fourier/image/gaussian", "siren/image/siren"}


def test_one_run_makes_page_summary_tables_and_figures(finished):
    files = set(finished.files())
    assert {"smoke/index.html", "smoke/summary.csv"} <= files
    for name, figures in (("fourier/image", ["images", "curves"]), ("siren/image", ["curves"])):
        expected = {f"smoke/{name}/{file}" for file in ("table.csv", "table.md", "metrics.csv")}
        expected |= {f"smoke/{name}/figure-{f}.{kind}" for f in figures for kind in ("png", "pdf")}
        assert expected <= files
    run = "smoke/fourier/image/astronaut/gaussian/seed0"
    expected = {"recipe.json", "model.pt", "log.csv", "training.json", "metrics.json"}
    assert {f"{run}/{file}" for file in expected} <= files
    assert f"{run}/predictions/predictions.json" in files


def test_a_finished_run_leaves_nothing_temporary(finished):
    assert [name for name in finished.files() if re.search(r"(^|/)\.", name)] == []


def test_the_page_shows_every_experiment_and_points_at_files_that_exist(finished):
    folder = finished.folder / "results/smoke"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Fourier features on images" in page
    assert "An image" in page
    links = set(re.findall(r'(?:src|href)="([^"#:]+)"', page))
    assert any(link.endswith("figure-images.png") for link in links)
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_summary_holds_every_number_of_every_run(finished):
    with (finished.folder / "results/smoke/summary.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    runs = {f"{row['chapter']}/{row['experiment']}/{row['variant']}" for row in rows}
    assert runs == ALL_RUNS
    assert all(row["value"] and row["protocol"] for row in rows)
    names = ("experiment", "subject", "variant", "seed", "metric", "protocol")
    keys = [tuple(row[name] for name in names) for row in rows]
    assert len(keys) == len(set(keys))


def test_with_nothing_changed_there_is_nothing_to_do(finished):
    assert finished.planned() == Counter()
    assert "Nothing to be done" in finished.snakemake().stdout


def test_where_data_lies_and_whence_it_comes_runs_nothing_again(finished):
    place = f"data_root={(finished.folder / 'data').resolve()}"
    assert finished.planned("--config", place, "pins=others.json") == Counter()
    assert finished.planned("--config", 'mirrors=["https://mirror.example"]') == Counter()


def test_a_comment_in_networks_runs_nothing_again(finished):
    comment = '"""Networks: a new text about multilayer perceptrons'
    with finished.edited("nir/networks/mlp.py", '"""Networks: multilayer perceptrons', comment):
        assert finished.planned() == Counter()
    with finished.edited("nir/networks/mlp.py", "import torch\n", "import torch  # tensors\n\n\n"):
        assert finished.planned() == Counter()


def test_a_statement_in_networks_trains_everything_again(finished):
    with finished.edited("nir/networks/mlp.py", "import torch\n", "import torch\n\nEXTRA = 1\n"):
        jobs = finished.plan()
    assert {job.run for job in jobs if job.rule == "train"} == ALL_RUNS
    assert {job.run for job in jobs if job.rule == "predict"} == ALL_RUNS
    rules = Counter(job.rule for job in jobs)
    assert "fetch" not in rules
    assert rules["evaluate"] == rules["tabulate"] == 2
    assert rules["page"] == 1


def test_a_statement_in_figures_draws_again_and_trains_nothing(finished):
    statement = "\n\nEXTRA = 1\n\n\ndef plot("
    with finished.edited("nir/reporting/figures.py", "\n\ndef plot(", statement):
        assert finished.planned() == {"plot": 3, "page": 1, "all": 1}


def test_a_statement_in_tables_tabulates_again_and_trains_nothing(finished):
    with finished.edited("nir/reporting/tables.py", 'UNCHECKED = "†"', 'UNCHECKED = "*"'):
        planned = finished.planned()
    assert planned["tabulate"] == 2
    assert not {"train", "predict", "evaluate", "plot", "fetch"} & set(planned)


def test_a_statement_in_a_metric_evaluates_again_and_trains_nothing(finished):
    metrics = "PERFECT_PSNR_DB = 200.0", "PERFECT_PSNR_DB = 150.0"
    with finished.edited("nir/metrics/image.py", *metrics):
        planned = finished.planned()
    assert planned["evaluate"] == 2
    assert not {"train", "predict", "fetch"} & set(planned)


def test_the_pages_style_writes_the_page_again_alone(finished):
    with finished.edited("nir/reporting/page/style.css", "{", "{ /* changed */"):
        assert finished.planned() == {"page": 1, "all": 1}


def test_a_changed_variant_runs_that_variant_and_what_shows_it(finished):
    changed = "encoding: gaussian\n        bandwidth: 5"
    with finished.edited("config.yaml", "encoding: gaussian", changed):
        jobs = finished.plan()
    rules = Counter(job.rule for job in jobs)
    assert {job.run for job in jobs if job.run} == {"fourier/image/gaussian"}
    assert rules == {
        "train": 1,
        "predict": 1,
        "evaluate": 1,
        "tabulate": 1,
        "plot": 2,
        "summarise": 1,
        "page": 1,
        "all": 1,
    }


def test_a_new_variant_trains_that_one_alone(finished):
    added = "none: {}\n      basic: {encoding: basic}"
    with finished.edited("config.yaml", "none: {}", added):
        jobs = finished.plan()
    assert {job.run for job in jobs if job.run} == {"fourier/image/basic"}


def test_a_changed_title_trains_and_evaluates_nothing_again(finished):
    with finished.edited("config.yaml", "title: An image", "title: A picture"):
        planned = finished.planned()
    assert planned["page"] == 1
    assert not {"train", "predict", "evaluate"} & set(planned)


def test_the_order_of_keys_runs_nothing_again(finished):
    text = (finished.folder / "config.yaml").read_text(encoding="utf-8")
    lines = re.search(r"( +steps: 4\n)( +resolution: 32\n)", text)
    assert lines is not None
    with finished.edited("config.yaml", lines[0], lines[2] + lines[1]):
        assert finished.planned() == Counter()


def test_a_chapter_is_a_goal_of_its_own(project):
    planned = project.planned("siren")
    assert planned["train"] == planned["predict"] == planned["evaluate"] == planned["plot"] == 1
    assert "page" not in planned


def test_a_lost_figure_is_drawn_again_alone(finished):
    figure = finished.folder / "results/smoke/siren/image/figure-curves.png"
    kept = figure.rename(figure.with_suffix(".kept"))
    try:
        assert finished.planned() == {"plot": 1, "page": 1, "all": 1}
    finally:
        kept.rename(figure)


def test_snakemakes_own_report_is_made(finished):
    report = finished.folder / "report.html"
    run = finished.snakemake("--report", str(report))
    assert run.returncode == 0, run.stdout
    text = report.read_text(encoding="utf-8")
    assert "figure-curves" in text
    report.unlink()


def test_a_second_subject_that_a_recipe_names_is_fetched_first(project):
    budget = {"steps": 2, "resolution": 16, "width": 8, "points_per_step": 16}
    both = {
        "task": "poisson",
        "title": "Two pictures",
        "subjects": ["camera"],
        "variants": {"siren": {"composed_with": "rendered_text", "supervision": "gradient"}},
        "budget": {"smoke": budget},
    }
    goal = ("siren", *project.overlay(experiments={"siren/both": both}))
    jobs = project.plan(*goal)
    assert {job.wildcards for job in jobs if job.rule == "fetch"} == {
        "dataset=camera",
        "dataset=rendered_text",
    }
