"""NeX in real time: every way to draw is timed, compared and told with what drew it."""

from __future__ import annotations

import functools
import itertools
import time

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

from nir.data.fetch import fetch
from nir.errors import InputError
from nir.predictions import read_predictions
from nir.random import generator_for
from nir.recipes.nex_real_time import RealTimeRecipe
from nir.reporting.drawings.frame_rates import frame_rates
from nir.reporting.results import Results
from nir.tasks.nex_real_time import build
from nir.tasks.nex_timings import seconds_a_frame

SMALL = {
    "steps": 2,
    "rays": 24,
    "planes": 6,
    "planes_per_group": 3,
    "margin": 4,
    "width": 16,
    "hidden_layers": 1,
    "coefficients": 2,
    "basis_width": 8,
    "shrink": 1,
    "timed_seconds": 0.0,
    "nerf_rays": 4,
    "in_browser": False,
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """What a run that was hardly trained tells."""
    folder = tmp_path_factory.mktemp("real_time")
    scene = fetch("toy_forward_small", data_root=folder)
    task = build(RealTimeRecipe(**SMALL), scene, device=CPU, generator=generator_for(0, "start"))
    out = folder / "predictions"
    out.mkdir()
    task.predict(out)
    return read_predictions(out)


def numbers_of(predicted, metric: str) -> dict[str, float]:
    return {n.split: n.value for n in predicted.numbers if n.metric == metric}


def test_every_way_to_draw_is_timed(predicted):
    seconds = numbers_of(predicted, "seconds_a_frame")
    assert set(seconds) == {"network", "live_basis", "baked", "nerf"}
    rates = numbers_of(predicted, "frames_per_second")
    for way, value in seconds.items():
        assert rates[way] == pytest.approx(1 / value)
    faster = numbers_of(predicted, "times_as_fast_as_nerf")["baked"]
    assert faster == pytest.approx(seconds["nerf"] / seconds["baked"])


def test_speeds_name_what_was_drawn_and_on_what(predicted):
    protocols = {n.protocol for n in predicted.numbers if n.metric == "frames_per_second"}
    assert all("-6-planes-" in name and "cpu" in name for name in protocols)
    assert protocols.isdisjoint({predicted.protocol})


def test_baked_views_are_compared_with_photographs_and_networks(predicted):
    splits = {item.split for item in predicted.items}
    assert splits == {
        "network",
        "live_basis",
        "live_basis_against_network",
        "baked",
        "baked_against_network",
    }


def test_sizes_are_told(predicted):
    share = numbers_of(predicted, "share_of_plain_layout")[""]
    texture, plain = (numbers_of(predicted, f"{k}_bytes")[""] for k in ("texture", "plain"))
    assert share == pytest.approx(texture / plain)


def test_ways_to_draw_take_turns_for_as_long_as_asked():
    drawn: list[str] = []

    def drawing(way: str, seconds: float) -> None:
        drawn.append(way)
        time.sleep(seconds)

    ways = {
        way: (functools.partial(drawing, way, seconds), CPU)
        for way, seconds in (("slow", 0.05), ("fast", 0.01))
    }
    seconds = seconds_a_frame(ways, at_least=0.2)
    assert seconds["slow"] >= 0.05 > seconds["fast"] >= 0.01
    turns = [way for way, _ in itertools.groupby(drawn[2:])]
    assert turns == ["slow", "fast"] * 5
    assert drawn[:2] == ["slow", "fast"]  # for warmth, not timed
    assert drawn.count("fast") > drawn.count("slow") == 6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "nearest_view", "steps": 0}, "only nex has planes"),
        ({"resolution": 0.0}, "resolution"),
        ({"nerf_rays": 0}, "nerf_rays"),
    ],
)
def test_recipes_that_cannot_be_timed_are_refused(change, says):
    with pytest.raises(InputError, match=says):
        RealTimeRecipe.from_dict({**SMALL, **change})


def test_the_figure_shows_every_rate_beside_the_published_ones(tmp_path):
    mpl.use("agg")
    rates = {"nerf": 0.05, "network": 1.5, "live_basis": 60.0, "baked": 80.0, "browser": 20.0}
    rows = [("frames_per_second", way, rate) for way, rate in rates.items()]
    rows += [("psnr_8bit", "baked", 25.0), ("psnr_8bit", "baked_against_network", 43.2)]
    table = pd.DataFrame(rows, columns=["metric", "split", "value"])
    table = table.assign(subject="room", variant="nex", seed=0)
    table.to_csv(tmp_path / "metrics.csv", index=False)
    plan = {"runs": [{"place": "", "subject": "room", "variant": "nex", "label": "NeX", "seed": 0}]}
    figure = frame_rates(Results(plan, tmp_path / "metrics.csv", tmp_path))
    (axis,) = figure.axes
    assert sorted(bar.get_width() for bar in axis.patches) == sorted(rates.values())
    told = " ".join(text.get_text() for text in axis.texts)
    assert "20 s a frame" in told
    assert "43.2 dB to the network's" in told
    np.testing.assert_array_equal(axis.lines[0].get_xdata(), [0.018, 300.0])
