"""Fingerprints of code: what a rule runs, told apart from how it is written.

The fingerprint of modules is a hash over their syntax trees and those of all `nir` modules that
they import, however indirectly, with docstrings, comments and formatting left out. Snakemake sees
it as a parameter, so that a changed statement runs again what depends on it, and nothing else.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "nir"
PACKAGE_FOLDER = Path(__file__).resolve().parent


def fingerprint(*modules: str, package_folder: Path = PACKAGE_FOLDER) -> str:
    """Return 16 hexadecimal digits for the import closure of `modules`."""
    digest = hashlib.sha256()
    for module in sorted(closure(*modules, package_folder=package_folder)):
        digest.update(f"{module}\n{_module(module, package_folder).syntax}\n".encode())
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
            waiting.extend(_module(module, package_folder).imports)
    return found


def _source_of(module: str, package_folder: Path) -> Path:
    relative = Path(*module.split(".")[1:])
    as_file = (package_folder / relative).with_suffix(".py")
    return (
        as_file
        if module != PACKAGE and as_file.is_file()
        else package_folder / relative / "__init__.py"
    )


def _exists(module: str, package_folder: Path) -> bool:
    return _source_of(module, package_folder).is_file()


@dataclass(frozen=True)
class _Module:
    """What a fingerprint needs of one source."""

    imports: tuple[str, ...]
    syntax: str


def _module(name: str, package_folder: Path) -> _Module:
    source = _source_of(name, package_folder)
    return _parsed(source, source.stat().st_mtime_ns, package_folder)


@functools.cache
def _parsed(source: Path, _modified: int, package_folder: Path) -> _Module:
    tree = ast.parse(source.read_text(encoding="utf-8"), filename=str(source))
    imports = tuple(_walk_imports(tree, package_folder))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _strip_docstring(node)
    return _Module(imports, ast.dump(tree))


def _walk_imports(tree: ast.Module, package_folder: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name for name in names if name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if _exists(submodule, package_folder) else str(node.module)


def _strip_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text and isinstance(first.value.value, str):
        node.body = node.body[1:]
