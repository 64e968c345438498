"""A fingerprint follows what code does, not how it is written, through all imports."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from nir import fingerprints
from nir.experiments import training_code
from nir.files import read_json, write_json
from nir.fingerprints import closure, fingerprint

SOURCES = {
    "__init__.py": "",
    "leaf.py": '"""A leaf."""\n\n\ndef value():\n    """Return one."""\n    return 1\n',
    "middle.py": "from nir.leaf import value\n\n\ndef twice():\n    return 2 * value()\n",
    "top.py": "import json\n\nfrom nir.middle import twice\n\n\nRESULT = twice()\n",
    "lazy.py": "def late():\n    from nir import leaf\n\n    return leaf.value()\n",
    "alone.py": "ANSWER = 42\n",
    "room/__init__.py": 'from nir.alone import ANSWER\n\nREGISTRY = {"a": "nir.room.a"}\n',
    "room/a.py": "A = 1\n",
    "room/b.py": "from nir.room.a import A\n",
    "whole_room.py": "from nir.room import REGISTRY\n",
    "dotted.py": "import nir.room.b\n",
    "circle.py": "from nir import circle_back\n",
    "circle_back.py": "from nir import circle\n",
}


@pytest.fixture
def package(tmp_path) -> Path:
    folder = tmp_path / "nir"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def of(package: Path, *modules: str) -> str:
    """The fingerprint of the sources as they are now: a process looks at each only once."""
    for looked_at in (fingerprints._source_of, fingerprints._digest_of, fingerprints._imports_of):
        looked_at.cache_clear()
    return fingerprint(*modules, package_folder=package)


def edit(package: Path, name: str, old: str, new: str) -> None:
    path = package / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1", "return 1  # the smallest"),
        ('"""Return one."""', '"""Return the number one."""'),
        ('    """Return one."""\n', ""),
        ('"""A leaf."""', '"""Another text."""'),
        ("return 1", "return (\n        1\n    )"),
        ("\n\ndef value", "\n\n\n\n\ndef value"),
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(package, old, new):
    before = of(package, "nir.top")
    edit(package, "leaf.py", old, new)
    assert of(package, "nir.top") == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("top.py", "twice()\n", "twice() + 1\n"),
        ("middle.py", "2 *", "3 *"),
        ("leaf.py", "return 1", "return 2"),
        ("leaf.py", "def value():", "def value(x=1):"),
    ],
)
def test_a_changed_statement_counts_however_far_away_it_is(package, name, old, new):
    before = of(package, "nir.top")
    edit(package, name, old, new)
    assert of(package, "nir.top") != before


def test_what_is_not_imported_does_not_count(package):
    before = of(package, "nir.top")
    edit(package, "alone.py", "42", "43")
    assert of(package, "nir.top") == before


def test_an_import_inside_a_function_counts(package):
    before = of(package, "nir.lazy")
    edit(package, "leaf.py", "return 1", "return 2")
    assert of(package, "nir.lazy") != before


def test_a_renamed_module_counts(package):
    before = of(package, "nir.middle")
    (package / "leaf.py").rename(package / "other.py")
    edit(package, "middle.py", "nir.leaf", "nir.other")
    assert of(package, "nir.middle") != before


def test_the_registry_in_a_packages_init_does_not_tie_its_modules(package):
    assert closure("nir.room.b", package_folder=package) == {"nir.room.b", "nir.room.a"}


def test_an_init_counts_where_something_of_it_is_imported(package):
    expected = {"nir.whole_room", "nir.room", "nir.alone"}
    assert closure("nir.whole_room", package_folder=package) == expected


def test_a_dotted_import_is_followed(package):
    found = closure("nir.dotted", package_folder=package)
    assert found == {"nir.dotted", "nir.room.b", "nir.room.a"}


def test_circles_end(package):
    found = closure("nir.circle", package_folder=package)
    assert found == {"nir.circle", "nir.circle_back"}


def test_several_modules_count_together_in_any_order(package):
    together = of(package, "nir.top", "nir.alone")
    assert together == of(package, "nir.alone", "nir.top")
    assert together != of(package, "nir.top")


@pytest.fixture
def in_new_process(monkeypatch):
    """Forget what this process has read, as the next one would not know it."""

    def forget() -> None:
        fingerprints._known_digests.cache_clear()

    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    forget()
    return forget


def test_the_next_process_parses_only_what_has_changed(package, in_new_process, monkeypatch):
    before = of(package, "nir.top")
    in_new_process()
    parsed = []
    parse = ast.parse
    monkeypatch.setattr(
        ast, "parse", lambda source, **named: parsed.append(source) or parse(source, **named)
    )
    assert of(package, "nir.top") == before
    assert not parsed
    edit(package, "leaf.py", "return 1", "return 2")
    assert of(package, "nir.top") != before
    assert parsed == [(package / "leaf.py").read_bytes()]


def test_digests_that_other_code_made_are_made_anew(package, in_new_process, monkeypatch):
    before = of(package, "nir.top")
    (kept,) = (package / "__pycache__").glob("fingerprints.*.json")
    told = read_json(kept)
    told["digests"] = {key: [[], "other"] for key in told["digests"]}
    write_json(kept, told)
    in_new_process()
    assert of(package, "nir.top") != before
    monkeypatch.setattr(fingerprints, "_made_by", lambda: "code of later")
    in_new_process()
    assert of(package, "nir.top") == before
    assert list(kept.parent.iterdir()) == [kept]


def test_an_error_of_syntax_is_where_it_is(package):
    (package / "leaf.py").write_text("def value(:\n")
    with pytest.raises(SyntaxError) as raised:
        of(package, "nir.top")
    assert raised.value.filename == str(package / "leaf.py")


@pytest.mark.parametrize("damage", ["", "[1, 2]", '{"a": 3}', '{"a": ', '{"made_by": 3}'])
def test_damaged_digests_are_made_anew(package, in_new_process, damage):
    before = of(package, "nir.top")
    (kept,) = (package / "__pycache__").glob("fingerprints.*.json")
    kept.write_text(damage)
    in_new_process()
    assert of(package, "nir.top") == before


def test_digests_that_cannot_be_kept_are_done_without(package, in_new_process):
    before = of(package, "nir.top")
    shutil.rmtree(package / "__pycache__")
    (package / "__pycache__").write_text("in the way")
    in_new_process()
    assert of(package, "nir.top") == before


def test_a_fingerprint_is_sixteen_hexadecimal_digits(package):
    assert len(of(package, "nir.top")) == 16
    int(of(package, "nir.top"), 16)


def test_no_module_of_this_project_imports_another_relatively():
    """Relative imports would not be seen by the fingerprint."""
    folder = Path(__import__("nir").__file__).parent
    relative = [p for p in folder.rglob("*.py") if "\nfrom ." in p.read_text(encoding="utf-8")]
    assert relative == []


def test_training_depends_on_networks_and_not_on_figures():
    found = closure("nir.tasks.image", "nir.training")
    assert {
        "nir.networks.mlp",
        "nir.encodings",
        "nir.fields.coordinates",
        "nir.checkpoints",
    } <= found
    assert not any(name.startswith(("nir.reporting", "nir.metrics", "nir.cli")) for name in found)


def test_training_depends_on_how_a_task_is_started_and_not_on_where_runs_are_written():
    start = closure("nir.building", "nir.training")
    assert "nir.random" in start
    assert not start & {"nir.runs", "nir.cli", "nir.experiments", "nir.data.fetch"}


def test_figures_depend_on_no_training_code():
    found = closure("nir.reporting.figures")
    assert not found & {
        "nir.networks.mlp",
        "nir.training",
        "nir.fields.coordinates",
        "nir.tasks.image",
    }


def test_tasks_of_one_module_share_their_training_code_with_nobody_else():
    assert training_code("siren_image") != training_code("siren_initialization")
