"""Claims: what the lecture says, answered by the numbers of a table.

A claim compares one variant with others on one metric: "by" asks for a difference in the metric's
better direction, "factor" for a ratio no larger than it. Of numbers that a task alone knows, more
decibels are better; of others less is, and a difference cannot be asked for. With "at_most" or
"at_least" it says of one variant alone that a number stays on one side of a limit. NaN bears out
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nir.errors import InputError
from nir.metrics import METRICS
from nir.reporting.tables import format_value


@dataclass(frozen=True)
class Verdict:
    """A claim and whether the numbers bear it out; `measured` says by how much."""

    says: str
    holds: bool
    measured: str


def verdicts(plan: dict[str, Any], table: pd.DataFrame) -> list[Verdict]:
    """Answer all claims of an experiment from its table."""
    return [_verdict(plan, claim, table) for claim in plan["claims"]]


def _verdict(plan: dict[str, Any], claim: dict[str, Any], table: pd.DataFrame) -> Verdict:
    if "than" not in claim:
        return _verdict_on_a_limit(plan, claim, table)
    better = _value(plan, claim, table, claim["better"])
    others = {variant: _value(plan, claim, table, variant) for variant in claim["than"]}
    unit = _unit(claim, table)
    higher = _is_higher_better(plan, claim, unit)
    values = {claim["better"]: better, **others}
    if unknown := [variant for variant, value in values.items() if math.isnan(value)]:
        return _not_measured(claim, unknown)  # max and min with NaN depend on the order
    nearest = (max if higher else min)(others.values())
    if "factor" in claim:
        holds = better <= claim["factor"] * nearest
        ratio = f"{better / nearest:.2g} ×" if nearest else "no ratio"
        asked = f"{ratio} (at most {claim['factor']:.2g} × was asked)"
    else:
        margin = (better - nearest) * (1 if higher else -1)
        holds = margin >= claim.get("by", 0)
        amount = f"{format_value(margin, unit)}{' dB' if unit == 'dB' else ''}"
        asked = f"{amount} (at least {claim.get('by', 0):g} was asked)"
    pair = f"{format_value(better, unit)} against {format_value(nearest, unit)}"
    return Verdict(claim["says"], bool(holds), f"{pair}: {asked}")


def _not_measured(claim: dict[str, Any], names: list[str]) -> Verdict:
    return Verdict(claim["says"], holds=False, measured=f"not measured: {', '.join(names)}")


def _verdict_on_a_limit(
    plan: dict[str, Any], claim: dict[str, Any], table: pd.DataFrame
) -> Verdict:
    value = _value(plan, claim, table, claim["better"])
    if math.isnan(value):
        return _not_measured(claim, [claim["better"]])
    unit = _unit(claim, table)
    says, limit = (
        ("at most", claim["at_most"]) if "at_most" in claim else ("at least", claim["at_least"])
    )
    holds = value <= limit if says == "at most" else value >= limit
    return Verdict(
        claim["says"], bool(holds), f"{format_value(value, unit)} ({says} {limit:g} was asked)"
    )


def _is_higher_better(plan: dict[str, Any], claim: dict[str, Any], unit: str) -> bool:
    metric = claim["metric"].split()[-1]
    if metric in METRICS:
        return METRICS[metric].higher_is_better
    if unit != "dB" and "factor" not in claim:
        raise InputError(
            f"config.yaml: experiments.{plan['name']}.claims: whether more {metric} is better is "
            "not known; ask for a factor, or for at_most or at_least"
        )
    return unit == "dB"


def _unit(claim: dict[str, Any], table: pd.DataFrame) -> str:
    return str(table["unit"][_names(table) == claim["metric"]].iloc[0])


def _names(table: pd.DataFrame) -> pd.Series:
    return (table["split"].fillna("") + " " + table["metric"]).str.strip()


def _value(plan: dict[str, Any], claim: dict[str, Any], table: pd.DataFrame, variant: str) -> float:
    rows = table[(_names(table) == claim["metric"]) & (table["variant"] == variant)]
    if "group" in claim:
        rows = rows[rows["group"] == claim["group"]]
    if rows.empty:
        raise InputError(
            f"config.yaml: experiments.{plan['name']}.claims: no number for "
            f"{variant!r}, {claim['metric']!r}"
        )
    return float(rows["ours"].mean())
