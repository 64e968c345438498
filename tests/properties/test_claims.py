"""Claims are answered by the numbers of the table, in words that say by how much."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from nir.errors import InputError
from nir.reporting.claims import verdicts

TABLE = pd.DataFrame(
    {
        "group": [""] * 9,
        "variant": ["a", "b", "a", "b", "none", "lost", "lost", "a", "b"],
        "split": ["tested", "tested", "", "", "", "", "tested", "", ""],
        "metric": ["psnr_float"] * 2 + ["share"] * 4 + ["psnr_float"] + ["psnr_of_waves"] * 2,
        "unit": ["dB", "dB", "1", "1", "1", "1", "dB", "dB", "dB"],
        "ours": [30.0, 25.0, 0.08, 0.4, 0.0, math.nan, math.nan, 22.0, 20.0],
    }
)


def verdict(**claim):
    claim = {"says": "so", "better": "a", **claim}
    return verdicts({"name": "chapter/experiment", "claims": [claim]}, TABLE)[0]


@pytest.mark.parametrize(("limit", "holds"), [(0.1, True), (0.05, False)])
def test_a_number_may_be_asked_to_stay_below_a_limit(limit, holds):
    answer = verdict(metric="share", at_most=limit)
    assert answer.holds is holds
    assert answer.measured == f"0.080 (at most {limit:g} was asked)"


@pytest.mark.parametrize(("limit", "holds"), [(29.0, True), (31.0, False)])
def test_a_number_may_be_asked_to_reach_a_limit(limit, holds):
    answer = verdict(metric="tested psnr_float", at_least=limit)
    assert answer.holds is holds
    assert "at least" in answer.measured


def test_a_negative_margin_allows_the_better_one_to_be_a_little_worse():
    assert verdict(better="b", than=["a"], metric="tested psnr_float", by=-6).holds
    assert not verdict(better="b", than=["a"], metric="tested psnr_float", by=-4).holds


def test_a_claim_about_a_number_that_was_not_measured_names_it():
    with pytest.raises(InputError, match="speed"):
        verdict(metric="speed", at_most=1)


@pytest.mark.parametrize(
    ("metric", "asked"),
    [
        ("tested psnr_float", {}),
        ("tested psnr_float", {"by": -100}),
        ("tested psnr_float", {"factor": 100}),
        ("share", {"factor": 100}),
    ],
)
@pytest.mark.parametrize("than", [["lost", "b"], ["b", "lost"], ["lost"]])
def test_nan_among_the_others_is_not_measured_in_any_order(metric, asked, than):
    answer = verdict(than=than, metric=metric, **asked)
    assert (answer.holds, answer.measured) == (False, "not measured: lost")


def test_of_a_number_that_a_task_alone_knows_more_decibels_are_better():
    answer = verdict(than=["b"], metric="psnr_of_waves", by=1.5)
    assert answer.holds
    assert answer.measured == "22.00 against 20.00: 2.00 dB (at least 1.5 was asked)"
    assert not verdict(better="b", than=["a"], metric="psnr_of_waves").holds


@pytest.mark.parametrize("asked", [{}, {"by": 0.1}])
def test_without_decibels_it_is_not_known_which_of_them_is_better(asked):
    with pytest.raises(InputError, match="whether more share is better is not known"):
        verdict(than=["b"], metric="share", **asked)


@pytest.mark.parametrize(
    "asked", [{"than": ["a", "b"], "factor": 2}, {"at_most": 1}, {"at_least": 0}]
)
def test_a_claim_for_nan_is_not_measured(asked):
    answer = verdict(better="lost", metric="share", **asked)
    assert (answer.holds, answer.measured) == (False, "not measured: lost")


def test_a_factor_of_zero_holds_for_zero_alone():
    above = verdict(than=["none"], metric="share", factor=0.5)
    assert not above.holds
    assert above.measured == "0.080 against 0.000: no ratio (at most 0.5 × was asked)"
    assert verdict(better="none", than=["none"], metric="share", factor=0.5).holds
