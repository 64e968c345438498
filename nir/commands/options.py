"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

CONFIGURATION = Path("config.yaml")
DATA_ROOT = Path("data")


def add_log(parser: argparse.ArgumentParser) -> None:
    """--log: where messages go beside the terminal."""
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="append the error that ends the command, and progress if it tells any, here, too",
    )


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """--data-root: where data sets lie; None where it is not given, see `data_root_of`."""
    parser.add_argument(
        "--data-root",
        type=Path,
        metavar="DIR",
        help="where data sets lie; default: the configuration's, or data without one",
    )


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """--config, --configfile and --scale: the experiments that a command is asked about."""
    parser.add_argument(
        "--config",
        type=Path,
        default=CONFIGURATION,
        metavar="FILE",
        help="the configuration; default: config.yaml",
    )
    parser.add_argument(
        "--configfile", type=Path, metavar="FILE", help="laid over it, as snakemake --configfile"
    )
    parser.add_argument(
        "--scale", choices=["smoke", "quick", "paper"], help="default: the configuration's"
    )


def configuration_of(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration that the options of `add_configuration` name."""
    from nir.configuration import load_configuration, read_configuration

    over = {} if options.configfile is None else read_configuration(options.configfile)
    scale = {} if options.scale is None else {"scale": options.scale}
    return load_configuration(options.config, over | scale)


def data_root_of(options: argparse.Namespace) -> Path:
    """Where data sets lie: as given, else as this folder's configuration says, else in data."""
    if options.data_root is not None:
        return options.data_root
    return Path(configuration_here().get("data_root", DATA_ROOT))


def configuration_here() -> dict[str, Any]:
    """The current folder's configuration; empty where there is none.

    A config.yaml without the schema beside it is another program's: the name is a common one.
    """
    from nir.configuration import SCHEMA, load_configuration

    if not (CONFIGURATION.is_file() and SCHEMA.is_file()):
        return {}
    return load_configuration(CONFIGURATION, {})


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device and --threads: what computes."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ...")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; default: all cores")
