"""Mistakes of the user are one line that says what to do, and leave nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.slow


def photo(path: Path, size: int = 48) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (size, size + 9, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    return path


def said(run: subprocess.CompletedProcess[str]) -> str:
    """The one line that nir said."""
    lines = [line for line in run.stdout.splitlines() if line.strip().startswith("nir: ")]
    assert run.returncode != 0, run.stdout
    assert "Traceback" not in run.stdout
    assert lines, run.stdout
    assert len(set(lines)) == 1, run.stdout
    return lines[0]


MISTAKES = {
    "key": ("    variants:", "    varients:", ["experiments.fourier/image", "'variants'"]),
    "recipe key": ("steps: 4", "stepz: 4", ["budget.smoke.stepz", "'steps'"]),
    "type": ("steps: 4", "steps: many", ["budget.smoke.steps", "int", "'many'"]),
    "subject": ("- astronaut", "- astronout", ["subjects", "'astronaut'"]),
    "file": ("- astronaut", "- no/photo.jpg", ["no/photo.jpg", "no such file"]),
    "scale": ("scale: smoke", "scale: smok", ["scale", "'smoke'"]),
    "figure": ("- curves", "- curvs", ["experiments.fourier/image.figures", "'curves'"]),
    "task": ("task: fourier_image", "task: fourier_imag", ["'fourier_image'"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_configuration_is_one_line(project, mistake):
    old, new, expected = MISTAKES[mistake]
    with project.edited("config.yaml", old, new):
        run = project.snakemake()
    line = said(run)
    assert "config.yaml" in line
    assert all(text in line for text in expected), line
    assert project.files() == []


@pytest.mark.parametrize("key", ["mirrors", "threads"])
def test_what_has_a_default_may_be_left_out_of_the_configuration(project, key):
    path = project.folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    del config[key]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert project.planned()["train"] == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [("half", "damaged"), (b"", "empty"), (b"this is not a picture", "not an image")],
)
def test_a_damaged_picture_is_one_line_that_names_it(project, content, expected):
    path = photo(project.folder / "photos/cat.png")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    arguments = project.overlay(experiments={"siren/image": {"subjects": ["photos/cat.png"]}})
    run = project.snakemake("results/smoke/siren/image/metrics.csv", *arguments)
    line = said(run)
    assert "photos/cat.png" in line
    assert expected in line
    assert [f for f in project.files() if not f.startswith("data/")] == []


def test_a_picture_of_ones_own_is_a_subject(project):
    photo(project.folder / "my photos/the cat.jpg")
    arguments = project.overlay(
        experiments={"siren/image": {"subjects": ["my photos/the cat.jpg"]}}
    )
    run = project.snakemake("siren", *arguments)
    assert run.returncode == 0, run.stdout
    folder = "smoke/siren/image"
    files = project.files()
    assert f"{folder}/the-cat/siren/seed0/model.pt" in files
    assert f"{folder}/figure-curves.png" in files
    table = (project.folder / "results" / folder / "table.csv").read_text()
    assert "psnr_8bit" in table
    assert project.planned("siren", *arguments) == {}
    time.sleep(0.01)
    photo(project.folder / "my photos/the cat.jpg", size=50)
    again = project.planned("siren", *arguments)
    assert again["train"] == 1


def test_a_run_that_fails_does_not_stop_the_others(project):
    exploding = "encoding: gaussian\n        learning_rate: 1.0e+38"
    with project.edited("config.yaml", "encoding: gaussian", exploding):
        run = project.snakemake("-k")
    assert "loss term 'value'" in said(run)
    files = project.files()
    assert "smoke/fourier/image/astronaut/none/seed0/model.pt" in files
    assert "smoke/siren/image/table.csv" in files
    assert "smoke/fourier/image/astronaut/gaussian/seed0/model.pt" not in files
    assert "smoke/index.html" not in files


def kill_when(project, ready) -> None:
    """Start Snakemake in a session of its own and kill all of it once `ready()`."""
    process = subprocess.Popen(
        project.command(),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and not ready() and time.monotonic() < deadline:
        time.sleep(0.02)
    ended = process.poll()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert ended is None, "it ended before it could be killed"


def test_killed_half_way_and_run_again_it_finishes(project, finished):
    manifests = "results/smoke/*/*/*/*/seed0/predictions/predictions.json"
    kill_when(project, lambda: any(project.folder.glob(manifests)))
    assert not (project.folder / "results/smoke/index.html").exists()
    models = [path.parents[1] / "model.pt" for path in project.folder.glob(manifests)]
    stamps = {path: path.stat().st_mtime_ns for path in models}

    run = project.snakemake()
    assert run.returncode == 0, run.stdout

    assert {f for f in finished.files() if f.endswith((".pt", ".csv", ".html", ".png"))} <= set(
        project.files()
    )
    table = Path("results/smoke/fourier/image/metrics.csv")
    assert (project.folder / table).read_bytes() == (finished.folder / table).read_bytes()
    assert any(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert project.planned() == {}
