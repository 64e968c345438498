"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_log(parser: argparse.ArgumentParser) -> None:
    """--log: where messages go beside the terminal."""
    parser.add_argument("--log", type=Path, metavar="FILE", help="write messages here, too")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """--data-root: where data sets lie."""
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), metavar="DIR", help="default: data"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device and --threads: what computes."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ...")
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
