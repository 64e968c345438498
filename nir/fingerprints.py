"""Fingerprints of code: what a rule runs, told apart from how it is written.

The fingerprint of modules is a hash over their syntax trees and those of all `nir` modules that
they import, however indirectly, with docstrings, comments and formatting left out. Snakemake sees
it as a parameter, so that a changed statement runs again what depends on it, and nothing else.

Every job asks for one, so what a source amounts to is kept beside the compiled sources, under the
hash of its bytes, until this module changes. A process takes sources as they are when it first
asks.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nir.errors import InputError
from nir.files import write_json

PACKAGE = "nir"
PACKAGE_FOLDER = Path(__file__).resolve().parent

MOST_KEPT = 2000
"""Sources whose digests are kept; with more, those that were seen first are forgotten."""


class _Digest(NamedTuple):
    """What a fingerprint needs of one source.

    imports: (module, name) for each name imported from the package; no name for a whole module.
    syntax: hash of the tree.
    """

    imports: list[tuple[str, str]]
    syntax: str


def fingerprint(*modules: str, package_folder: Path = PACKAGE_FOLDER) -> str:
    """Return 16 hexadecimal digits for the import closure of `modules`."""
    known = _known_digests(package_folder)
    count = len(known)
    digest = hashlib.sha256()
    for module in sorted(closure(*modules, package_folder=package_folder)):
        digest.update(f"{module}\n{_digest_of(module, package_folder).syntax}\n".encode())
    if len(known) > count:
        _keep(known, package_folder)
    return digest.hexdigest()[:16]


def closure(*modules: str, package_folder: Path = PACKAGE_FOLDER) -> set[str]:
    """Return the names of all package modules that `modules` import, themselves included.

    A package's `__init__` counts only where something is imported from it by name: registries
    there would else tie every module to every other.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(_imports_of(module, package_folder))
    return found


@functools.cache
def _imports_of(module: str, package_folder: Path) -> tuple[str, ...]:
    def imported_by(imported: str, name: str) -> str:
        submodule = f"{imported}.{name}"
        return submodule if name and _source_of(submodule, package_folder).is_file() else imported

    imports = _digest_of(module, package_folder).imports
    return tuple(dict.fromkeys(itertools.starmap(imported_by, imports)))


@functools.cache
def _source_of(module: str, package_folder: Path) -> Path:
    relative = Path(*module.split(".")[1:])
    as_file = (package_folder / relative).with_suffix(".py")
    return (
        as_file
        if module != PACKAGE and as_file.is_file()
        else package_folder / relative / "__init__.py"
    )


@functools.cache
def _digest_of(module: str, package_folder: Path) -> _Digest:
    path = _source_of(module, package_folder)
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    known = _known_digests(package_folder)
    if key not in known:
        known[key] = _parsed(content, path)
    return known[key]


def _parsed(source: bytes, path: Path) -> _Digest:
    tree = ast.parse(source, filename=str(path))  # where an error of syntax is
    nodes = list(ast.walk(tree))
    imports = [pair for node in nodes for pair in _imported_by(node)]
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _strip_docstring(node)
    return _Digest(imports, hashlib.sha256(ast.dump(tree).encode()).hexdigest())


def _imported_by(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
        yield from ((name, "") for name in names if name.split(".")[0] == PACKAGE)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
        yield from ((str(node.module), alias.name) for alias in node.names)


def _strip_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text and isinstance(first.value.value, str):
        node.body = node.body[1:]


def _kept_at(package_folder: Path) -> Path:
    """Syntax trees differ between versions of Python, as compiled sources do."""
    return package_folder / "__pycache__" / f"fingerprints.{sys.implementation.cache_tag}.json"


@functools.cache
def _made_by() -> str:
    """This module as it is: another may tell something else of the same source."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


@functools.cache
def _known_digests(package_folder: Path) -> dict[str, _Digest]:
    """Those of earlier processes, to which this one adds its own; by hash of the source."""
    try:
        kept = json.loads(_kept_at(package_folder).read_text(encoding="utf-8"))
        if kept["made_by"] != _made_by():
            return {}
        return {key: _Digest(*digest) for key, digest in kept["digests"].items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}


def _keep(known: dict[str, _Digest], package_folder: Path) -> None:
    """Without the right or the room to write there, each process parses all sources anew."""
    if sys.dont_write_bytecode:
        return
    newest = dict(list(known.items())[-MOST_KEPT:])
    try:
        write_json(_kept_at(package_folder), {"made_by": _made_by(), "digests": newest})
    except (InputError, OSError):
        return
