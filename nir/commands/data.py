"""nir fetch: data sets of the registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from nir.commands.options import DATA_ROOT, add_data_root, add_log, configuration_here


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    fetch = commands.add_parser("fetch", help="bring data sets to the data root")
    fetch.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a data set, or a set of them such as nerf_synthetic",
    )
    fetch.add_argument("--list", action="store_true", help="list the registry")
    fetch.add_argument("--receipt", type=Path, metavar="FILE", help="tell what was verified (JSON)")
    fetch.add_argument(
        "--mirrors",
        nargs="*",
        metavar="ADDRESS",
        help="tried before the registry's own; default: mirrors of config.yaml, or none",
    )
    fetch.add_argument(
        "--lock",
        type=Path,
        metavar="FILE",
        help="hashes of first downloads; default: pins of config.yaml, or not kept",
    )
    add_data_root(fetch)
    add_log(fetch)
    fetch.set_defaults(command=_fetch)


def _fetch(options: argparse.Namespace) -> None:
    from nir.data.fetch import fetch, receipt
    from nir.data.registry import names_in, registry
    from nir.errors import InputError
    from nir.files import write_json

    if not (options.names or options.list):
        raise InputError("fetch: name a data set, or see what there is with nir fetch --list")
    if options.list:
        for name, entry in registry().items():
            sys.stdout.write(f"{name:28} {entry.kind:8} {entry.source:10} {entry.licence}\n")
    if not options.names:
        return
    places = _places(options)
    # All names first, so that a mistake in the last is found before anything is downloaded.
    for name in [name for given in options.names for name in names_in(given)]:
        fetch(name, **places, progress=sys.stderr.isatty())
        if options.receipt is not None:
            write_json(options.receipt, receipt(name, data_root=places["data_root"]))


def _places(options: argparse.Namespace) -> dict[str, Any]:
    """Where data and pins lie and which mirrors there are: as given, or else as configured.

    The workflow gives all three, from a configuration that this folder's need not be: then that
    is not even read.
    """
    given = {"data_root": options.data_root, "lock": options.lock, "mirrors": options.mirrors}
    if None not in given.values():
        return given
    config = configuration_here()
    configured = {
        "data_root": Path(config.get("data_root", DATA_ROOT)),
        "lock": Path(config["pins"]) if "pins" in config else None,
        "mirrors": config.get("mirrors", []),
    }
    return {key: configured[key] if value is None else value for key, value in given.items()}
