"""Evaluation reads files alone, computes only what is not current, and says what is missing."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nir import evaluation
from nir.errors import InputError
from nir.evaluation import compute_metrics, evaluate_experiment, evaluate_run
from nir.metrics.image import psnr_float
from nir.metrics.perceptual import VGG16, tower_of
from nir.predictions import Predictions, read_predictions

RNG = np.random.default_rng(0)
A, B, C = RNG.random((3, 16, 16, 3)).astype(np.float32)


def predict(run: Path, metrics=("psnr_float",), **changes) -> Path:
    """A run's predictions: two items of one split and a number of its own."""
    folder = run / "predictions"
    predictions = Predictions(folder, "photo")
    predictions.compare("one", changes.get("one", A), B, metrics=metrics, split="tested")
    predictions.compare("two", C, B, metrics=metrics, split="tested")
    predictions.number("parameters", 7.0, "1")
    predictions.write()
    return folder


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Counts how often metrics are computed."""
    calls = []
    original = evaluation.compute_metrics

    def counting(*args, **options):
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(evaluation, "compute_metrics", counting)
    return calls


def test_a_split_is_the_mean_of_its_items_and_keeps_each(tmp_path):
    row, number = compute_metrics(read_predictions(predict(tmp_path)))
    one, two = psnr_float(A, B), psnr_float(C, B)
    assert row["items"] == {"one": one, "two": two}
    assert row["value"] == pytest.approx((one + two) / 2)
    assert (row["split"], row["metric"], row["unit"]) == ("tested", "psnr_float", "dB")
    assert (number["metric"], number["value"], number["items"]) == ("parameters", 7.0, {})


def test_protocols_are_never_averaged_together(tmp_path):
    predictions = Predictions(tmp_path, "photo")
    for protocol in ("small", "large"):
        predictions.compare(
            protocol, A, B, metrics=("psnr_float",), split="tested", protocol=protocol
        )
    rows = compute_metrics(predictions)
    assert [row["protocol"] for row in rows] == ["small", "large"]


def test_nothing_is_computed_again_while_nothing_changed(tmp_path, counted):
    predict(tmp_path)
    first = evaluate_run(tmp_path)
    content = (tmp_path / "metrics.json").read_bytes()
    assert evaluate_run(tmp_path) == first
    assert (tmp_path / "metrics.json").read_bytes() == content
    assert len(counted) == 1


def test_changed_predictions_are_evaluated_again(tmp_path, counted):
    predict(tmp_path)
    first = evaluate_run(tmp_path)
    predict(tmp_path, one=C)
    second = evaluate_run(tmp_path)
    assert len(counted) == 2
    assert first["metrics"][0]["value"] != second["metrics"][0]["value"]


def test_changed_metrics_code_evaluates_again(tmp_path, counted, monkeypatch):
    predict(tmp_path)
    evaluate_run(tmp_path)
    monkeypatch.setattr(evaluation, "fingerprint", lambda *_modules: "another")
    evaluate_run(tmp_path)
    assert len(counted) == 2


def test_metrics_of_another_version_are_computed_again(tmp_path, counted):
    predict(tmp_path)
    evaluate_run(tmp_path)
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 0}))
    evaluate_run(tmp_path)
    assert len(counted) == 2


def test_missing_weights_give_a_note_and_no_number(tmp_path):
    folder = predict(tmp_path, metrics=("psnr_float", "lpips_vgg"))
    rows = compute_metrics(read_predictions(folder), weights_folder=tmp_path / "weights")
    by_name = {row["metric"]: row for row in rows}
    assert by_name["lpips_vgg"]["value"] is None
    assert "nir fetch lpips_vgg" in by_name["lpips_vgg"]["note"]
    assert by_name["psnr_float"]["value"] > 0
    assert by_name["psnr_float"]["note"] == ""


def test_weights_that_arrive_later_are_used(tmp_path):
    predict(tmp_path, metrics=("lpips_vgg",))
    weights = tmp_path / "weights"
    assert evaluate_run(tmp_path, weights_folder=weights)["metrics"][0]["value"] is None
    make_vgg_weights(weights)
    assert evaluate_run(tmp_path, weights_folder=weights)["metrics"][0]["value"] > 0


def make_vgg_weights(folder: Path) -> None:
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    tower = {
        f"features.{key}": torch.randn(value.shape, generator=generator) * 0.05
        for key, value in tower_of(VGG16).state_dict().items()
    }
    torch.save(tower, folder / VGG16.weights)
    widths = (64, 128, 256, 512, 512)
    linear = {
        f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1, generator=generator)
        for i, w in enumerate(widths)
    }
    torch.save(linear, folder / VGG16.linear_weights)


@pytest.mark.parametrize("metric", ["psnr_float", "lpips_vgg"])
def test_different_shapes_are_one_line_that_names_the_file(tmp_path, metric):
    folder = predict(tmp_path, metrics=(metric,), one=A[:8])
    with pytest.raises(InputError) as raised:
        compute_metrics(read_predictions(folder))
    text = str(raised.value)
    assert "one-prediction.npy" in text
    assert "(8, 16, 3)" in text
    assert "(16, 16, 3)" in text
    assert "\n" not in text


def test_an_image_too_small_for_a_window_is_an_error_for_people(tmp_path):
    predictions = Predictions(tmp_path, "photo")
    predictions.compare("tiny", A[:5, :5], B[:5, :5], metrics=("ssim_tf",))
    with pytest.raises(InputError, match="window"):
        compute_metrics(predictions)


def test_an_unknown_metric_is_named_with_the_nearest_known_one(tmp_path):
    with pytest.raises(InputError, match="did you mean 'psnr_float'"):
        compute_metrics(read_predictions(predict(tmp_path, metrics=("psnr_flot",))))


def plan() -> dict:
    runs = [
        {"place": f"c/e/{s}/v/seed{k}", "group": "g", "subject": s, "variant": "v", "seed": k}
        for s in ("cat", "dog")
        for k in (0, 1)
    ]
    return {"name": "c/e", "runs": runs}


def test_an_experiment_is_one_long_table(tmp_path):
    for run in plan()["runs"]:
        predict(tmp_path / run["place"])
    out = tmp_path / "metrics.csv"
    evaluate_experiment(plan(), tmp_path, out=out)
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 4 * 2
    keys = ["group", "subject", "variant", "seed", "split", "metric", "value", "unit"]
    assert list(rows[0]) == [*keys, "protocol", "note"]
    assert {(row["subject"], row["seed"]) for row in rows} == {
        (s, k) for s in ("cat", "dog") for k in ("0", "1")
    }


def test_numbers_are_written_without_loss(tmp_path):
    for run in plan()["runs"]:
        predict(tmp_path / run["place"])
    out = tmp_path / "metrics.csv"
    evaluate_experiment(plan(), tmp_path, out=out)
    kept = json.loads((tmp_path / "c/e/cat/v/seed0/metrics.json").read_text())
    with out.open(newline="") as handle:
        first = next(csv.DictReader(handle))
    assert float(first["value"]) == kept["metrics"][0]["value"]


def test_a_missing_run_is_named_and_no_table_is_written(tmp_path):
    with pytest.raises(InputError, match=r"cat/v/seed0"):
        evaluate_experiment(plan(), tmp_path, out=tmp_path / "metrics.csv")
    assert not (tmp_path / "metrics.csv").exists()


def test_evaluation_does_without_torch_where_no_network_is_asked(tmp_path):
    predict(tmp_path)
    code = (
        "import sys, pathlib\nfrom nir.evaluation import evaluate_run\n"
        "evaluate_run(pathlib.Path(sys.argv[1]))\nassert 'torch' not in sys.modules"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
