"""nir evaluate | tabulate | plot | summarise | page: from predictions on disk to what people read.

A *plan* is the JSON of `nir.experiments.Experiment.plan`: title, claims and runs of an experiment.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nir.commands.options import add_log


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    for add in (_add_evaluate, _add_tabulate, _add_plot, _add_panel, _add_summarise, _add_page):
        add_log(add(commands))


def _add_evaluate(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    evaluate = commands.add_parser("evaluate", help="compute the metrics of an experiment")
    _add_plan(evaluate)
    evaluate.add_argument("--results", type=Path, required=True, help="results/SCALE")
    evaluate.add_argument("--weights", type=Path, help="folder of LPIPS weights")
    evaluate.add_argument("--out", type=Path, required=True, help="metrics.csv")
    evaluate.set_defaults(command=_evaluate)
    return evaluate


def _add_tabulate(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    tabulate = commands.add_parser("tabulate", help="ours beside the published numbers")
    _add_plan(tabulate)
    tabulate.add_argument("--metrics", type=Path, required=True, help="what nir evaluate wrote")
    tabulate.add_argument(
        "--published", type=Path, nargs="*", default=[], help="tables of papers' numbers"
    )
    tabulate.add_argument("--csv", type=Path, required=True, help="the table to write")
    tabulate.add_argument("--markdown", type=Path, required=True, help="the same, for people")
    tabulate.set_defaults(command=_tabulate)
    return tabulate


def _add_plot(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    plot = commands.add_parser("plot", help="draw one figure of an experiment")
    plot.add_argument("figure", help="its name in the experiment's figures")
    _add_plan(plot)
    plot.add_argument("--metrics", type=Path, required=True, help="what nir evaluate wrote")
    plot.add_argument("--results", type=Path, required=True, help="results/SCALE")
    plot.add_argument("--png", type=Path, required=True, help="the figure to write")
    plot.add_argument("--pdf", type=Path, required=True, help="the same, for print")
    plot.set_defaults(command=_plot)
    return plot


def _add_panel(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    panel = commands.add_parser("panel", help="write one panel to play with")
    panel.add_argument("panel", help="its name in the experiment's panels")
    _add_plan(panel)
    panel.add_argument("--metrics", type=Path, required=True, help="what nir evaluate wrote")
    panel.add_argument("--results", type=Path, required=True, help="results/SCALE")
    panel.add_argument("--out", type=Path, required=True, help="the panel to write")
    panel.set_defaults(command=_panel)
    return panel


def _add_summarise(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    summarise = commands.add_parser("summarise", help="every number in one file")
    summarise.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="what nir tabulate wrote"
    )
    summarise.add_argument(
        "--metrics", type=Path, nargs="+", required=True, help="what nir evaluate wrote"
    )
    summarise.add_argument("--out", type=Path, required=True, help="the file to write")
    summarise.set_defaults(command=_summarise)
    return summarise


def _add_page(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    page = commands.add_parser("page", help="the page a person reads")
    page.add_argument(
        "--plans",
        type=_json,
        required=True,
        metavar="JSON",
        help='the plans of all experiments; "-": standard input',
    )
    page.add_argument("--scale", required=True, help="the scale that the page names")
    page.add_argument("--out", type=Path, required=True, help="the page to write")
    page.set_defaults(command=_page)
    return page


def _json(text: str) -> Any:
    """Parse JSON; "-" reads it from standard input, which no argument's length limits."""
    return json.loads(sys.stdin.read() if text == "-" else text)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plan",
        type=_json,
        required=True,
        metavar="JSON",
        help='title, claims and runs of the experiment; "-": standard input',
    )


def _evaluate(options: argparse.Namespace) -> None:
    from nir.evaluation import evaluate_experiment

    evaluate_experiment(
        options.plan, options.results, out=options.out, weights_folder=options.weights
    )


def _tabulate(options: argparse.Namespace) -> None:
    from nir.reporting.tables import tabulate

    tabulate(
        options.plan,
        metrics=options.metrics,
        published=options.published,
        csv=options.csv,
        markdown=options.markdown,
    )


def _plot(options: argparse.Namespace) -> None:
    from nir.reporting.figures import plot

    plot(
        options.figure,
        options.plan,
        metrics=options.metrics,
        results=options.results,
        png=options.png,
        pdf=options.pdf,
    )


def _panel(options: argparse.Namespace) -> None:
    from nir.reporting.panels import write_panel

    write_panel(
        options.panel,
        options.plan,
        metrics=options.metrics,
        results=options.results,
        out=options.out,
    )


def _summarise(options: argparse.Namespace) -> None:
    from nir.reporting.tables import summarise

    summarise(tables=options.tables, metrics=options.metrics, out=options.out)


def _page(options: argparse.Namespace) -> None:
    from nir.reporting.page.writer import write_page

    write_page(options.plans, scale=options.scale, out=options.out)
