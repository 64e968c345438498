"""The benchmarks of NeRF at tiny size: the step, a scene in pieces, rendering without the empty."""

from __future__ import annotations

import pytest

from benchmarks import nerf, rendering, scenes
from nir.data.fetch import fetch
from nir.errors import InputError
from nir.files import read_json

TINY = ["--device", "cpu", "--width", "16", "--rays", "16", "--coarse", "6", "--fine", "6"]


def test_the_plain_loop_and_ours_have_equal_losses_in_float32():
    result = nerf.measure(nerf.parse([*TINY, "--turns", "1", "--steps-compared", "3"]))
    assert result["largest_relative_difference_of_losses_float32"] < 1e-5
    assert set(result["rays_per_second"]) == {"plain", "ours"}
    assert result["tflops_of_products"] > 0
    assert result["share_of_peak"] is None
    assert abs(result["decibels_gained"]) < 1


def test_a_graph_without_a_gpu_is_refused():
    with pytest.raises(InputError, match="--graphed"):
        nerf.measure(nerf.parse([*TINY, "--graphed"]))


def test_the_share_of_the_peak_is_that_of_the_number_given():
    result = nerf.measure(nerf.parse([*TINY, "--turns", "1", "--peak-tflops", "2"]))
    assert result["share_of_peak"] == result["tflops_of_products"] / 2


SMALL_SCENE = [
    *("width=16", "depth=3", "rays=32", "coarse_samples=6", "fine_samples=6"),
    *("occupancy_resolution=16", "steps=200000"),
]


def piece(folder, minutes: float, **changes: object) -> int:
    """Run one piece of a scene's training."""
    values = [v for v in SMALL_SCENE if v.partition("=")[0] not in changes]
    values += [f"{key}={value}" for key, value in changes.items()]
    arguments = ["toy_small", "--data-root", str(folder), "--out", str(folder / "run")]
    arguments += ["--minutes", str(minutes), "--device", "cpu", "--set", *values]
    arguments += ["--json", str(folder / "reached.json")]
    return scenes.run(scenes.parse(arguments))


def test_a_scene_is_trained_in_pieces_that_end_in_time_and_go_on(tmp_path, capsys):
    fetch("toy_small", data_root=tmp_path)
    assert piece(tmp_path, 0.001) == scenes.UNFINISHED
    first = capsys.readouterr()
    assert piece(tmp_path, 0.001) == scenes.UNFINISHED
    second = capsys.readouterr()
    assert "goes on from step" in second.out + second.err
    assert "goes on" not in first.out + first.err
    assert not (tmp_path / "reached.json").exists()


def test_a_finished_scene_says_what_was_reached_and_is_rendered_faster(tmp_path):
    fetch("toy_small", data_root=tmp_path)
    assert piece(tmp_path, 5, steps=3) == 0
    result = read_json(tmp_path / "reached.json")
    assert result["reached"]["test psnr_8bit"] > 0
    assert result["training"]["steps"] == 3
    assert result["protocol"]
    options = [str(tmp_path / "run"), "--data-root", str(tmp_path), "--side", "20"]
    measured = rendering.measure(rendering.parse([*options, "--device", "cpu"]))
    for way in ("skipping", "guided"):
        assert measured[way]["times_faster"] > 0
        assert measured[way]["evaluations"] > 0
        assert measured[way]["largest_loss_of_test_psnr"] < 3
    assert measured["bytes_over_model"] >= 0
