"""Write the page: gather what the experiments left on disk, fill the template."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from nir.files import read_json, write_result
from nir.progress import format_seconds
from nir.reporting.claims import Verdict, verdicts
from nir.reporting.numbers import read_numbers
from nir.reporting.tables import (
    UNCHECKED,
    format_value,
    headline_rows,
    published_cell,
    with_spread,
)

FOLDER = Path(__file__).resolve().parent
PIXELS_PER_PAGE_PIXEL = 1.7  # figures are saved at 170 dots an inch


@dataclass(frozen=True)
class Cell:
    """One number of the page's table."""

    ours: str
    published: str
    difference: str
    title: str
    best: bool


@dataclass(frozen=True)
class TableRow:
    """One method of one group of subjects."""

    group: str
    label: str
    cells: list[Cell]


@dataclass(frozen=True)
class Picture:
    """A figure without its suffix, what it shows, and how wide it stands on the page."""

    place: str
    says: str
    width: int


@dataclass(frozen=True)
class Medium:
    """A sound, a film, a model or a viewer of one run."""

    place: str
    label: str
    kind: str


@dataclass(frozen=True)
class Section:
    """One experiment as the page shows it."""

    name: str
    title: str
    about: str
    figures: list[Picture]
    media: list[Medium]
    panels: list[str]
    viewers: list[Medium]
    verdicts: list[Verdict]
    columns: list[str]
    rows: list[TableRow]
    sources: list[str]
    effort: str
    unchecked: bool


def _with_code(text: str) -> Markup:
    """Text of config.yaml, where `what one types` stands between backquotes."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    wrap = (Markup("{}"), Markup("<code>{}</code>"))
    return Markup("").join(wrap[i % 2].format(part) for i, part in enumerate(parts))


def write_page(plans: list[dict[str, Any]], *, scale: str, out: Path) -> None:
    """Write the page of all experiments, grouped into chapters."""
    chapters = tomllib.loads((FOLDER / "chapters.toml").read_text(encoding="utf-8"))
    shown = []
    for key, chapter in chapters.items():
        sections = [
            _section(plan, out.parent) for plan in plans if plan["name"].split("/")[0] == key
        ]
        if sections:
            shown.append({"key": key, **chapter, "sections": sections})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["with_code"] = _with_code
    page = environment.get_template("index.html.jinja").render(
        chapters=shown,
        scale=scale,
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        machine=_machine(plans, out.parent),
        unchecked_mark=UNCHECKED,
        tally=_tally(shown),
    )
    write_result(out, page)


def _section(plan: dict[str, Any], folder: Path) -> Section:
    place = folder / plan["name"]
    table = read_numbers(place / "table.csv")
    numbers = ["ours", "spread", "published", "difference"]
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    rows = headline_rows(plan, table)
    return Section(
        name=plan["name"],
        title=plan["title"],
        about=plan["about"],
        figures=[_picture(plan["name"], figure, folder) for figure in plan["figures"]],
        media=list(_media(plan, folder)),
        panels=[f"{plan['name']}/panel-{panel}.html" for panel in plan["panels"]],
        viewers=list(_viewers(plan)),
        verdicts=verdicts(plan, table),
        columns=list(dict.fromkeys(rows["name"])),
        rows=_table_rows(rows),
        sources=sorted(set(rows["source"]) - {""}),
        effort=_effort(plan, folder),
        unchecked=bool((rows["confidence"] == "medium").any()),
    )


def _picture(name: str, figure: str, folder: Path) -> Picture:
    place = f"{name}/figure-{figure}"
    with (folder / f"{place}.png").open("rb") as handle:
        width = int.from_bytes(handle.read(20)[16:20], "big")  # PNG: IHDR's first number
    return Picture(place, figure.replace("_", " "), round(width / PIXELS_PER_PAGE_PIXEL))


def _media(plan: dict[str, Any], folder: Path) -> Iterator[Medium]:
    for run in plan["runs"]:
        for name in plan["media"] if run["seed"] == 0 else ():
            place = f"{run['place']}/predictions/{name}"
            if (folder / place).is_file():
                kind = {".wav": "audio", ".glb": "model"}.get(Path(name).suffix, "video")
                label = f"{run['label']}, {run['subject']}: {Path(name).stem.replace('_', ' ')}"
                yield Medium(place, label, kind)


def _viewers(plan: dict[str, Any]) -> Iterator[Medium]:
    for run in plan["runs"]:
        if run["place"] in plan["viewers"]:
            label = f"{run['label']}, {run['subject'].replace('_', ' ')}"
            yield Medium(f"{run['place']}/viewer", label, "viewer")


def _table_rows(rows: pd.DataFrame) -> list[TableRow]:
    columns = list(dict.fromkeys(rows["name"]))
    best = _best_of_columns(rows)
    table = []
    for (group, variant), of_method in rows.groupby(["group", "variant"], sort=False):
        by_name = {row.name: row for row in of_method.itertuples(index=False)}
        cells = [
            _cell(by_name.get(name), variant in best.get((group, name), ())) for name in columns
        ]
        table.append(TableRow(group, of_method["label"].iloc[0], cells))
    return table


def _best_of_columns(rows: pd.DataFrame) -> dict[tuple[str, str], set[str]]:
    """The variants with the best value of each metric in each group; none where all are equal."""
    from nir.metrics import METRICS

    best = {}
    for (group, name), column in rows.groupby(["group", "name"], sort=False):
        metric = name.split()[-1]
        if metric in METRICS and column["ours"].nunique() > 1:
            higher = METRICS[metric].higher_is_better
            limit = column["ours"].max() if higher else column["ours"].min()
            best[(group, name)] = set(column["variant"][column["ours"] == limit])
    return best


def _cell(row: Any, best: bool) -> Cell:
    if row is None:
        return Cell("", "", "", "", False)
    same = pd.notna(row.difference)
    title = f"protocol {row.protocol}"
    if pd.notna(row.published) and not same:
        title += f"; published under {row.published_protocol}, so no difference is formed"
    difference = format_value(row.difference, row.unit) if same else ""
    return Cell(with_spread(row), published_cell(row), difference, title, best)


def _records(plan: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    for run in plan["runs"]:
        yield read_json(folder / run["place"] / "training.json")


def _trainings(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of runs that trained their model themselves; the others repeat another run's record."""
    return [record for record in records if "model_of" not in record]


def _effort(plan: dict[str, Any], folder: Path) -> str:
    """What an experiment's models took."""
    records = list(_records(plan, folder))
    trainings = _trainings(records)
    seconds = sum(record["seconds"] for record in trainings)
    taken = len(records) - len(trainings)
    others = f", and {_counted(taken, 'model')} that other runs trained" if taken else ""
    return f"{_counted(len(trainings), 'training')}, {format_seconds(seconds)} together{others}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _machine(plans: list[dict[str, Any]], folder: Path) -> str:
    """What the trainings ran on, and for how long together."""
    records = [record for plan in plans for record in _records(plan, folder)]
    devices = " and ".join(sorted({record["device"] for record in records}))
    versions = " and ".join(sorted({record["torch"] for record in records}))
    trainings = _trainings(records)
    seconds = sum(record["seconds"] for record in trainings)
    return (
        f"{_counted(len(trainings), 'training')} on {devices} with PyTorch {versions}, "
        f"{format_seconds(seconds)} of training in all"
    )


def _tally(chapters: list[dict[str, Any]]) -> tuple[int, int]:
    answered = [v for c in chapters for section in c["sections"] for v in section.verdicts]
    return sum(v.holds for v in answered), len(answered)
