"""nir fetch: data sets of the registry."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nir.commands.options import add_data_root, add_log


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
    fetch.add_argument("--mirrors", nargs="*", default=[], metavar="ADDRESS")
    fetch.add_argument("--lock", type=Path, metavar="FILE", help="pins of first downloads")
    add_data_root(fetch)
    add_log(fetch)
    fetch.set_defaults(command=_fetch)


def _fetch(options: argparse.Namespace) -> None:
    from nir.data.fetch import fetch, receipt
    from nir.data.registry import names_in, registry
    from nir.files import write_json

    if options.list:
        for name, entry in registry().items():
            sys.stdout.write(f"{name:28} {entry.kind:8} {entry.source:10} {entry.licence}\n")
    # All names first, so that a mistake in the last is found before anything is downloaded.
    for name in [name for given in options.names for name in names_in(given)]:
        fetch(
            name,
            data_root=options.data_root,
            lock=options.lock,
            mirrors=options.mirrors,
            progress=sys.stderr.isatty(),
        )
        if options.receipt is not None:
            write_json(options.receipt, receipt(name, data_root=options.data_root))
