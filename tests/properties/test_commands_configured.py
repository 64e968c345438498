"""Commands take what they are not told from the configuration of the folder they are run in."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nir.cli import _parser, main
from nir.configuration import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = {"task": "siren_image", "subjects": ["camera"], "variants": {"small": {"width": 16}}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a configuration of its own, where commands are run."""
    config = {
        "scale": "smoke",
        "data_root": "elsewhere",
        "mirrors": ["https://mirror.example"],
        "pins": "my.pins.json",
        "seeds": {"smoke": 1, "quick": 1, "paper": 3},
        "experiments": {"siren/image": EXPERIMENT},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / SCHEMA).parent.mkdir(parents=True)
    shutil.copy(ROOT / SCHEMA, tmp_path / SCHEMA)
    another = EXPERIMENT | {"subjects": ["astronaut"]}
    mine = {"data_root": "mine", "experiments": {"siren/mine": another}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fetched(monkeypatch):
    """What `nir.data.fetch.fetch` was asked for, instead of any download."""
    asked = []
    monkeypatch.setattr("nir.data.fetch.fetch", lambda name, **how: asked.append(how))
    return asked


def places(how: dict) -> tuple:
    return how["data_root"], how["lock"], list(how["mirrors"])


def test_fetch_is_configured_as_the_workflow_is(here, fetched):
    main(["fetch", "lego"])
    configured = (Path("elsewhere"), Path("my.pins.json"), ["https://mirror.example"])
    assert places(fetched[0]) == configured


def test_what_fetch_is_given_comes_first(here, fetched):
    main(["fetch", "lego", "--data-root", "given", "--mirrors"])
    assert places(fetched[0]) == (Path("given"), Path("my.pins.json"), [])


def test_fetch_that_is_given_all_reads_no_configuration(here, fetched):
    (here / "config.yaml").write_text("scale: [")
    main(["fetch", "lego", "--data-root", "given", "--lock", "pins", "--mirrors"])
    assert places(fetched[0]) == (Path("given"), Path("pins"), [])


@pytest.mark.parametrize("file", ["config.yaml", str(SCHEMA)])
def test_fetch_without_a_configuration_of_ours_has_its_own_defaults(here, fetched, file):
    (here / file).unlink()
    main(["fetch", "lego"])
    assert places(fetched[0]) == (Path("data"), None, [])


def test_fetch_of_nothing_says_what_to_do(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["fetch"])
    assert raised.value.code == 2
    assert "nir fetch --list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "root"), [([], "elsewhere"), (["--data-root", "given"], "given")]
)
@pytest.mark.parametrize(
    "command",
    [
        ["train", "siren_image", "lego", "--out", "run"],
        ["poses", "lego", "--out", "scene"],
        ["shapes", "prepare", "lego", "--out", "shapes"],
    ],
    ids=lambda command: command[0],
)
def test_commands_look_for_data_where_the_configuration_says(here, capsys, command, given, root):
    with pytest.raises(SystemExit):
        main([*command, *given])
    assert f"{root}/nerf_synthetic/lego: lego is not there yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "root", "experiments"),
    [
        ([], "elsewhere", 1),
        (["--configfile", "mine.yaml"], "mine", 2),
        (["--configfile", "mine.yaml", "--data-root", "given"], "given", 2),
    ],
)
def test_the_doctor_looks_where_the_configuration_says(here, capsys, options, root, experiments):
    main(["doctor", "--seconds", "0", *options])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"data at {root}: ") for line in lines)
    assert f"scale smoke: {experiments} experiments, {experiments} trainings" in lines


def test_the_doctor_examines_the_machine_before_a_mistake_in_the_configuration(here, capsys):
    (here / "config.yaml").write_text("scale: [")
    with pytest.raises(SystemExit):
        main(["doctor", "--seconds", "0"])
    said = capsys.readouterr()
    assert "data at data: " in said.out
    assert said.err.startswith("nir: config.yaml: not valid YAML")


def test_status_tells_of_experiments_laid_over_the_configuration(here, capsys):
    main(["status", "--configfile", "mine.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["siren/image", "siren/mine"]


def test_a_file_to_lay_over_that_is_missing_is_one_line(here, capsys):
    with pytest.raises(SystemExit):
        main(["status", "--configfile", "none.yaml"])
    assert capsys.readouterr().err.startswith("nir: none.yaml: no such file")


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options_of(below)
        else:
            yield parser.prog, action


def test_every_option_of_every_command_has_a_line_of_help():
    silent = [f"{prog} {action.dest}" for prog, action in options_of(_parser()) if not action.help]
    assert silent == []


@pytest.mark.parametrize(
    ("command", "option"), [("nir doctor", "seconds"), ("nir poses", "longer_side")]
)
def test_help_says_the_default(command, option):
    (found,) = (a for prog, a in options_of(_parser()) if (prog, a.dest) == (command, option))
    assert f"default: {found.default:g}" in found.help
