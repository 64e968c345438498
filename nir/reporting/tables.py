"""Tables: our numbers beside the published ones.

A number is (value, metric, protocol, seeds). A difference to a published number is printed only
where the protocols are equal; otherwise both protocols are shown. Published numbers of confidence
"medium" were not checked against the paper, and are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nir.errors import InputError
from nir.files import write_result
from nir.reporting.numbers import read_numbers

UNCHECKED = "†"
SHOWN_UNITS = {"1": "", "1e-3": " · 10⁻³"}
"""How a unit is written behind a number, where not as it is."""
TABLE_COLUMNS = [
    "group",
    "variant",
    "label",
    "split",
    "metric",
    "unit",
    "ours",
    "spread",
    "runs",
    "protocol",
    "published",
    "difference",
    "published_protocol",
    "confidence",
    "source",
    "note",
]
SUMMARY_COLUMNS = [
    "chapter",
    "experiment",
    "subject",
    "variant",
    "seed",
    "metric",
    "value",
    "unit",
    "protocol",
    "published",
    "published_protocol",
    "source",
]


def tabulate(
    plan: dict[str, Any], *, metrics: Path, published: Sequence[Path], csv: Path, markdown: Path
) -> None:
    """Write table.csv (every metric) and table.md (the headline metrics) of an experiment."""
    table = table_of(plan, read_numbers(metrics), read_published(published))
    write_result(csv, table.to_csv(index=False, lineterminator="\n"))
    write_result(markdown, as_markdown(plan, table))


def read_published(paths: Sequence[Path]) -> pd.DataFrame:
    """All published numbers that name one of our experiments, variants and metrics.

    Whatever is not "high" confidence counts as "medium", not checked against the paper.
    """
    frames = [pd.read_csv(path, keep_default_na=False) for path in paths]
    if not frames:
        return pd.DataFrame(columns=["experiment", "variant", "group", "our_metric"])
    numbers = pd.concat(frames, ignore_index=True)
    numbers["confidence"] = numbers["confidence"].where(numbers["confidence"] == "high", "medium")
    return numbers[numbers["experiment"] != ""]


def table_of(plan: dict[str, Any], metrics: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One row for each (group, variant, split, metric): the mean over subjects and seeds."""
    metrics = metrics.assign(value=pd.to_numeric(metrics["value"], errors="coerce"))
    keys = ["group", "variant", "split", "metric", "unit", "protocol"]
    grouped = metrics.groupby(keys, sort=False)
    table = grouped.agg(
        ours=("value", lambda values: values.mean(skipna=False)),
        spread=("value", "std"),
        runs=("value", "size"),
        note=("note", "first"),
    ).reset_index()
    labels = {run["variant"]: run["label"] for run in plan["runs"]}
    table["label"] = table["variant"].map(labels)
    beside = [_published_beside(plan["name"], row, published) for row in table.itertuples()]
    table = table.join(pd.DataFrame(beside, index=table.index))
    same = table["protocol"] == table["published_protocol"]
    table["difference"] = (table["ours"] - table["published"]).where(same)
    return table.reindex(columns=TABLE_COLUMNS)


def _published_beside(experiment: str, row: Any, published: pd.DataFrame) -> dict[str, Any]:
    """The published number of the same variant and metric; one of the same protocol if any."""
    name = f"{row.split} {row.metric}".strip()
    found = published[
        (published["experiment"] == experiment)
        & (published["variant"] == row.variant)
        & (published["our_metric"] == name)
        & ((published["group"] == row.group) | (published["group"] == ""))
    ]
    if found.empty:
        return {"published": None, "published_protocol": "", "confidence": "", "source": ""}
    equal = found[found["protocol"] == row.protocol]
    best = (equal if len(equal) else found).iloc[0]
    return {
        "published": float(best["value"]),
        "published_protocol": best["protocol"],
        "confidence": best["confidence"],
        "source": best["source"],
    }


def headline_rows(plan: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metrics that the configuration puts first, in its order."""
    names = (table["split"].fillna("") + " " + table["metric"]).str.strip()
    wanted = plan["headline"] or list(names.unique())
    unknown = [name for name in wanted if name not in set(names)]
    if unknown:
        known = ", ".join(names.unique())
        raise InputError(
            f"config.yaml: experiments.{plan['name']}.headline: no metric {unknown[0]!r}; "
            f"measured were: {known}"
        )
    order = {name: position for position, name in enumerate(wanted)}
    rows = table.assign(name=names, order=names.map(order)).dropna(subset="order")
    variants = list(dict.fromkeys(run["variant"] for run in plan["runs"]))
    rows = rows.assign(place=rows["variant"].map(variants.index))
    return rows.sort_values(["group", "order", "place"], kind="stable")


def format_value(value: float | None, unit: str) -> str:
    """Write a number with the digits that its unit deserves.

    >>> format_value(25.5712, "dB"), format_value(0.94713, "1"), format_value(198401.0, "byte")
    ('25.57', '0.947', '198,401')
    """
    if value is None or pd.isna(value):
        return "–"
    if unit == "dB":
        return f"{value:.2f}"
    if unit == "byte" or (float(value).is_integer() and abs(value) >= 10):
        return f"{value:,.0f}"
    return f"{value:.3f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"


def as_markdown(plan: dict[str, Any], table: pd.DataFrame) -> str:
    """The headline metrics as a Markdown table for people."""
    rows = headline_rows(plan, table)
    lines = [
        f"# {plan['title']}",
        "",
        "| | method | metric | ours | published | difference | protocol |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows.itertuples():
        cells = [
            row.group,
            row.label,
            row.name,
            with_spread(row),
            published_cell(row),
            format_value(row.difference, row.unit) if pd.notna(row.difference) else "",
            protocol_cell(row),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if (rows["confidence"] == "medium").any():
        lines += ["", f"{UNCHECKED} not checked against the paper"]
    return "\n".join(lines) + "\n"


def with_spread(row: Any) -> str:
    """Our value with the standard deviation over subjects and seeds, or why there is none."""
    if pd.isna(row.ours):
        return row.note or "–"
    unit = SHOWN_UNITS.get(row.unit, f" {row.unit}")
    spread = f" ± {format_value(row.spread, row.unit)}" if row.runs > 1 else ""
    return f"{format_value(row.ours, row.unit)}{spread}{unit}"


def published_cell(row: Any) -> str:
    """The published value, marked where it was not checked."""
    if pd.isna(row.published):
        return ""
    mark = UNCHECKED if row.confidence == "medium" else ""
    return format_value(row.published, row.unit) + mark


def protocol_cell(row: Any) -> str:
    """Our protocol, and the published one where it differs."""
    if pd.isna(row.published) or row.protocol == row.published_protocol:
        return row.protocol
    return f"{row.protocol}; published: {row.published_protocol}"


def summarise(*, tables: Sequence[Path], metrics: Sequence[Path], out: Path) -> None:
    """Write every number of every run, with the published ones beside, as one CSV."""
    frames = []
    for table_path, metrics_path in zip(tables, metrics, strict=True):
        table = read_numbers(table_path)
        keys = ["group", "variant", "split", "metric", "protocol"]
        columns = [*keys, "published", "published_protocol", "source"]
        numbers = read_numbers(metrics_path)
        joined = numbers.merge(table[columns], on=keys, how="left")
        joined["metric"] = (joined["split"] + " " + joined["metric"]).str.strip()
        joined["chapter"] = table_path.parent.parent.name
        joined["experiment"] = table_path.parent.name
        frames.append(joined)
    everything = pd.concat(frames, ignore_index=True).reindex(columns=SUMMARY_COLUMNS)
    write_result(out, everything.to_csv(index=False, lineterminator="\n"))
