"""Predictions made ahead by the training's process are those that a later process would make."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nir import runs
from nir.ahead import FOLDER, MARKER, take_predictions
from nir.cli import main
from nir.recipes.image import ImageRecipe
from nir.runs import predict_run, train_run
from nir.specification import RunSpecification

CPU = torch.device("cpu")
RECIPE = ImageRecipe(steps=4, learning_rate=1e-3, resolution=16, width=8, derivatives=False)


@pytest.fixture
def run(tmp_path) -> Path:
    """A small run, predicted ahead."""
    return trained(tmp_path / "run")


def trained(folder: Path, *, seed: int = 0) -> Path:
    train_run(
        RunSpecification(task="fourier_image", subject="camera", seed=seed, recipe=RECIPE),
        folder,
        checkpoints_root=folder.parent / ".checkpoints",
        data_root=folder.parent,
        device=CPU,
        label="ahead",
        ahead=True,
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def predicted_anew(run: Path) -> dict[str, bytes]:
    predict_run(run, data_root=run.parent, device=CPU)
    return contents(run / "predictions")


def test_they_are_what_prediction_writes(run):
    assert take_predictions(run)
    taken = contents(run / "predictions")
    assert taken == predicted_anew(run)
    assert not (run / FOLDER).exists()


def test_they_are_taken_once_and_then_predicted(run):
    assert take_predictions(run)
    assert not take_predictions(run)


def test_the_command_takes_them_without_computing(run, monkeypatch):
    def computed(*_, **__):
        raise AssertionError("predicted anew")

    monkeypatch.setattr(runs, "predict_run", computed)
    main(["predict", str(run), "--ahead"])
    assert (run / "predictions" / "predictions.json").is_file()


def test_without_being_asked_the_command_predicts_anew(run):
    (run / FOLDER / "predictions.json").write_text("{}")
    command = ["predict", str(run), "--data-root", str(run.parent), "--device", "cpu"]
    main(command)
    assert (run / "predictions" / "predictions.json").read_text() != "{}"


@pytest.mark.parametrize("changed", ["model.pt", "recipe.json"])
def test_those_of_another_model_or_recipe_are_not_taken(run, changed):
    (run / changed).write_bytes((run / changed).read_bytes() + b" ")
    assert not take_predictions(run)
    assert not (run / FOLDER).exists()


def test_those_of_another_library_are_not_taken(run, tmp_path, monkeypatch):
    monkeypatch.setattr("nir.ahead.__file__", str(tmp_path / "nir" / "ahead.py"))
    assert not take_predictions(run)


def test_without_their_marker_they_are_not_taken(run):
    (run / FOLDER / MARKER).unlink()
    assert not take_predictions(run)


def test_they_take_the_place_of_older_predictions(run):
    older = run / "predictions"
    older.mkdir()
    (older / "stale.npy").write_bytes(b"")
    assert take_predictions(run)
    assert not (older / "stale.npy").exists()


def test_while_they_are_made_no_training_is_under_way(tmp_path, monkeypatch):
    seen = []

    def look(folder, *_):
        seen.extend(folder.parent.glob(".checkpoints/*/*"))

    monkeypatch.setattr(runs, "_predict_ahead", look)
    trained(tmp_path / "run")
    assert [path.suffix for path in seen] == [".pt"]  # its checkpoint, and no progress


def test_where_prediction_fails_the_training_stands(tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ValueError("no picture")

    monkeypatch.setattr(runs, "load_run", broken)
    folder = trained(tmp_path / "run")
    assert (folder / "model.pt").is_file()
    assert not (folder / FOLDER).exists()
    assert "could not predict ahead: ValueError" in capsys.readouterr().err
