"""The viewer's own files: short, explained, asking nothing of strangers, part of the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from nir.viewers.planes.folder import PAGE

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


def test_an_installed_package_has_all_of_them():
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = configuration["tool"]["setuptools"]["package-data"]["nir"]
    packed = {path for pattern in patterns for path in (ROOT / "nir").glob(pattern)}
    assert set(FILES) <= packed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//[\w-]+\.\w+", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_module_says_what_it_is_and_is_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= 350
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_functions_of_a_module_are_short(path):
    """A function begins at its name, or method at two spaces, and ends with its brace there."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for indent in ("", "  "):
        starts = [
            number
            for number, line in enumerate(lines)
            if re.match(rf"{indent}(export )?(async )?(function )?\w+\(.*\) {{$", line)
        ]
        for start in starts:
            length = lines[start:].index(f"{indent}}}")
            assert length <= 40, lines[start]
