"""The house keeps its plan: who imports whom, how long a file is, and what is never done."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "nir").rglob("*.py"))
LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 350, 40


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Dotted names of everything that a file calls."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_imports_keep_to_the_contracts():
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert configuration["tool"]["importlinter"]["contracts"]
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_says_what_it_is_and_is_short(path):
    assert ast.get_docstring(tree_of(path)), "no docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_OF_A_FILE


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_are_short(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - start <= LINES_OF_A_FUNCTION, node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_is_public_is_explained(path):
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_randomness_is_never_global(path):
    forbidden = {"torch.manual_seed", "np.random.seed", "numpy.random.seed", "random.seed"}
    assert not forbidden & {name for name, _ in calls_in(path)}
    for name, _ in calls_in(path):
        legacy = re.match(r"(?:np|numpy)\.random\.(\w+)", name)
        assert legacy is None or legacy[1] in ("default_rng", "Generator", "SeedSequence"), name


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_loaded_that_can_run_code(path):
    for name, call in calls_in(path):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert options.get("weights_only") == "True"
        if name in ("np.load", "numpy.load"):
            assert options.get("allow_pickle", "False") == "False"
        assert name not in ("yaml.load", "pickle.load", "pickle.loads", "eval", "exec", "os.system")
        assert options.get("shell") != "True", name


def test_the_package_itself_imports_nothing():
    code = "import sys, nir; print([m for m in sys.modules if m.startswith('nir')])"
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ast.literal_eval(finished.stdout) == ["nir"]


def test_this_project_speaks_of_itself_alone():
    """No path of one machine, no word of how it was made."""
    words = ["/work/", "/tmp/", "TODO", "FIXME", "XXX"]
    tests = [p for p in sorted((ROOT / "tests").rglob("*.py")) if p != Path(__file__)]
    for path in [*SOURCES, *tests]:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], name_of(path)
