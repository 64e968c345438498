"""Tables set ours beside the published, and subtract only what was measured alike."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pandas as pd
import pytest

from nir.errors import InputError
from nir.reporting.claims import verdicts
from nir.reporting.numbers import read_numbers
from nir.reporting.tables import (
    as_markdown,
    headline_rows,
    read_published,
    summarise,
    table_of,
    tabulate,
    with_spread,
)

PLAN = {
    "name": "fourier/image",
    "title": "Images",
    "headline": ["tested psnr_float"],
    "claims": [],
    "runs": [
        {"variant": "none", "label": "no mapping", "subject": "cat", "seed": 0},
        {"variant": "gaussian", "label": "Gaussian", "subject": "cat", "seed": 0},
    ],
}
PUBLISHED_COLUMNS = ["experiment", "variant", "group", "our_metric", "value", "protocol"]


def metrics(*rows: tuple) -> pd.DataFrame:
    """Rows of (subject, variant, metric, value, protocol)."""
    columns = ["subject", "variant", "metric", "value", "protocol"]
    frame = pd.DataFrame(rows, columns=columns)
    unit = ["dB" if m.startswith("psnr") else "1" for m in frame["metric"]]
    return frame.assign(group="natural", seed=0, split="tested", unit=unit, note="")


def published(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=PUBLISHED_COLUMNS)
    return frame.assign(confidence="high", source="Table 1")


OURS = metrics(
    ("cat", "none", "psnr_float", 19.0, "photo-512"),
    ("dog", "none", "psnr_float", 21.0, "photo-512"),
    ("cat", "gaussian", "psnr_float", 25.0, "photo-512"),
    ("dog", "gaussian", "psnr_float", 27.0, "photo-512"),
)


def of(table: pd.DataFrame, variant: str) -> pd.Series:
    return table[table["variant"] == variant].iloc[0]


def test_a_row_is_the_mean_over_subjects_with_their_spread():
    row = of(table_of(PLAN, OURS, published()), "none")
    assert (row["ours"], row["runs"], row["label"]) == (20.0, 2, "no mapping")
    assert row["spread"] == pytest.approx(2**0.5)


def test_a_difference_is_formed_where_protocols_are_equal():
    theirs = published(
        ("fourier/image", "gaussian", "", "tested psnr_float", 25.5, "photo-512"),
        ("fourier/image", "none", "", "tested psnr_float", 19.3, "div2k-512"),
    )
    table = table_of(PLAN, OURS, theirs)
    assert of(table, "gaussian")["difference"] == pytest.approx(0.5)
    other = of(table, "none")
    assert other["published"] == 19.3
    assert pd.isna(other["difference"])
    assert other["published_protocol"] == "div2k-512"


def test_the_published_number_of_the_same_protocol_goes_first():
    theirs = published(
        ("fourier/image", "none", "", "tested psnr_float", 1.0, "other"),
        ("fourier/image", "none", "", "tested psnr_float", 2.0, "photo-512"),
    )
    assert of(table_of(PLAN, OURS, theirs), "none")["published"] == 2.0


@pytest.mark.parametrize(
    "changes",
    [{"experiment": "siren/image"}, {"group": "text"}, {"our_metric": "trained psnr_float"}],
)
def test_a_published_number_of_something_else_is_not_shown(changes):
    theirs = published(("fourier/image", "none", "", "tested psnr_float", 1.0, "photo-512"))
    assert pd.isna(of(table_of(PLAN, OURS, theirs.assign(**changes)), "none")["published"])


def test_a_mean_with_a_number_missing_is_no_number():
    rows = OURS.assign(value=["", 21.0, 25.0, 27.0])
    assert pd.isna(of(table_of(PLAN, rows, published()), "none")["ours"])


def test_an_unchecked_number_is_marked():
    theirs = published(("fourier/image", "none", "", "tested psnr_float", 19.3, "photo-512"))
    markdown = as_markdown(PLAN, table_of(PLAN, OURS, theirs.assign(confidence="medium")))
    assert "19.30†" in markdown
    assert "† not checked against the paper" in markdown


def test_the_printed_table_follows_the_configurations_order():
    rows = headline_rows(PLAN, table_of(PLAN, OURS[::-1], published()))
    assert list(rows["variant"]) == ["none", "gaussian"]


def test_an_unknown_headline_metric_is_named():
    with pytest.raises(InputError, match=r"fourier/image\.headline: no metric 'tested psnr'"):
        headline_rows(PLAN | {"headline": ["tested psnr"]}, table_of(PLAN, OURS, published()))


def claim(**values) -> dict:
    base = {"says": "it is better", "metric": "tested psnr_float", "better": "gaussian"}
    return {**base, "than": ["none"], **values}


def answer(chosen: dict, rows: pd.DataFrame = OURS):
    plan = PLAN | {"claims": [chosen]}
    return verdicts(plan, table_of(plan, rows, published()))[0]


def test_a_claim_holds_by_the_difference_it_asks_for():
    assert answer(claim(by=6)).holds
    assert not answer(claim(by=6.1)).holds
    assert not answer(claim(better="none", than=["gaussian"])).holds
    assert "26.00 against 20.00" in answer(claim(by=3)).measured


def test_a_claim_compares_with_the_best_of_the_others():
    third = OURS.iloc[:2].assign(variant="basic", value=[30.0, 30.0])
    rows = pd.concat([OURS, third], ignore_index=True)
    assert answer(claim(than=["none"]), rows).holds
    assert not answer(claim(than=["none", "basic"]), rows).holds


def test_less_is_better_for_errors():
    rows = OURS.assign(metric="relative_rmse", unit="1", value=[0.9, 0.9, 0.2, 0.2])
    chosen = claim(metric="tested relative_rmse")
    assert answer(chosen | {"factor": 0.3}, rows).holds
    assert not answer(chosen | {"factor": 0.2}, rows).holds
    assert answer(chosen | {"by": 0.5}, rows).holds
    assert not answer(chosen | {"better": "none", "than": ["gaussian"]}, rows).holds


def test_a_claim_about_a_missing_number_does_not_hold():
    assert not answer(claim(by=1), OURS.assign(value=[19.0, 21.0, "", 27.0])).holds


def test_a_claim_about_what_was_not_measured_is_named():
    with pytest.raises(InputError, match=r"fourier/image\.claims: no number for 'gaussian'"):
        answer(claim(metric="tested ssim"))


def write(folder, rows: pd.DataFrame, theirs: pd.DataFrame):
    folder.mkdir(parents=True)
    rows.to_csv(folder / "metrics.csv", index=False)
    theirs.to_csv(folder / "published.csv", index=False)
    tabulate(
        PLAN,
        metrics=folder / "metrics.csv",
        published=[folder / "published.csv"],
        csv=folder / "table.csv",
        markdown=folder / "table.md",
    )


def test_the_summary_has_every_number_once_with_the_published_beside(tmp_path):
    folder = tmp_path / "fourier" / "image"
    theirs = published(
        ("fourier/image", "none", "", "tested psnr_float", 19.3, "photo-512"),
        ("", "", "", "", 1.0, ""),
    )
    write(folder, OURS, theirs)
    assert len(read_published([folder / "published.csv"])) == 1
    out = tmp_path / "summary.csv"
    summarise(tables=[folder / "table.csv"], metrics=[folder / "metrics.csv"], out=out)
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 4
    assert {(r["chapter"], r["experiment"]) for r in rows} == {("fourier", "image")}
    assert [r["published"] for r in rows] == ["19.3", "19.3", "", ""]


def test_units_that_look_like_numbers_stay_as_they_are_written(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("metric,value,unit\nchamfer_l2_sum,0.219,1e-3\niou_points,0.5,1\n")
    numbers = read_numbers(path)
    assert list(numbers["unit"]) == ["1e-3", "1"]
    row = SimpleNamespace(ours=0.219, unit="1e-3", runs=1, note="")
    assert with_spread(row) == "0.219 · 10⁻³"
    assert with_spread(SimpleNamespace(ours=0.5, unit="1", runs=1, note="")) == "0.500"
