"""Claims are answered by the numbers of the table, in words that say by how much."""

from __future__ import annotations

import pandas as pd
import pytest

from nir.errors import InputError
from nir.reporting.claims import verdicts

TABLE = pd.DataFrame(
    {
        "group": ["", "", "", ""],
        "variant": ["a", "b", "a", "b"],
        "split": ["tested", "tested", "", ""],
        "metric": ["psnr_float", "psnr_float", "share", "share"],
        "ours": [30.0, 25.0, 0.08, 0.4],
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
