"""What is wrong in config.yaml is one line that names the key and the nearest known one."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from nir.configuration import (
    _laid_over,
    check_configuration,
    load_configuration,
    read_configuration,
)
from nir.errors import InputError
from nir.experiments import experiments_of
from nir.reporting.drawings import FIGURES

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())

SMALL = {
    "scale": "smoke",
    "data_root": "data",
    "mirrors": [],
    "seeds": {"smoke": 1, "quick": 1, "paper": 1},
    "threads": {"smoke": 1, "quick": 1, "paper": 1},
    "experiments": {
        "siren/image": {
            "task": "siren_image",
            "subjects": ["camera"],
            "variants": {"siren": {}},
        }
    },
}


def small() -> dict:
    return copy.deepcopy(SMALL)


def read(config: dict) -> None:
    check_configuration(config, SCHEMA)
    experiments_of(config)


def message(config: dict) -> str:
    with pytest.raises(InputError) as raised:
        read(config)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith("config.yaml: ")
    return text


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_the_configuration_of_this_project_is_valid_at_every_scale(scale):
    config = read_configuration(ROOT / "config.yaml") | {"scale": scale}
    check_configuration(config, SCHEMA)
    experiments = experiments_of(config)
    assert set(experiments) == set(config["experiments"])
    assert all(experiment.runs for experiment in experiments.values())


def test_every_chapter_of_the_configuration_has_a_place_on_the_page():
    config = read_configuration(ROOT / "config.yaml")
    chapters = tomllib.loads((ROOT / "nir/reporting/page/chapters.toml").read_text())
    assert {name.split("/")[0] for name in config["experiments"]} <= set(chapters)


def test_an_unknown_figure_is_named_before_anything_is_trained():
    config = small()
    config["experiments"]["siren/image"]["figures"] = ["curvez"]
    text = message(config)
    assert "experiments.siren/image.figures" in text
    assert "did you mean 'curves'" in text


def test_every_figure_of_the_configuration_can_be_drawn():
    config = read_configuration(ROOT / "config.yaml")
    for experiment in config["experiments"].values():
        assert set(experiment.get("figures", ())) <= set(FIGURES)


def test_a_misspelt_key_is_named_with_the_nearest_known_one():
    text = message(small() | {"mirors": []})
    assert "mirors" in text
    assert "did you mean 'mirrors'" in text


def test_a_misspelt_key_of_an_experiment_is_named_with_its_place():
    config = small()
    config["experiments"]["siren/image"]["varients"] = {}
    text = message(config)
    assert "experiments.siren/image.varients" in text
    assert "did you mean 'variants'" in text


@pytest.mark.parametrize("place", ["variants", "budget"])
def test_a_misspelt_key_of_a_recipe_is_named_with_its_place(place):
    config = small()
    inner = "siren" if place == "variants" else "smoke"
    config["experiments"]["siren/image"][place] = {inner: {"omega0": 20}}
    config["experiments"]["siren/image"].setdefault("variants", {"siren": {}})
    text = message(config)
    assert f"experiments.siren/image.{place}.{inner}.omega0" in text
    assert "did you mean 'omega_0'" in text


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (["seeds", "smoke"], "three", "seeds.smoke: integer is expected, not 'three'"),
        (["seeds"], 3, "seeds: object is expected, not 3"),
        (["data_root"], 5, "data_root: string is expected, not 5"),
        (["experiments"], [], "experiments: object is expected, not []"),
        (["experiments", "siren/image", "variants"], ["siren"], "variants: object is expected"),
        (["experiments", "siren/image", "headline"], "psnr", "headline: array is expected"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(keys, value, expected):
    config = small()
    inner = config
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    assert expected in message(config)


def test_subjects_of_another_type_say_what_is_expected():
    config = small()
    config["experiments"]["siren/image"]["subjects"] = "camera"
    text = message(config)
    assert "experiments.siren/image.subjects" in text
    assert "not valid under any" not in text


def test_an_unknown_scale_is_named_with_the_nearest_known_one():
    assert "did you mean 'quick'" in message(small() | {"scale": "quik"})


def test_what_must_be_given_is_named():
    config = small()
    del config["experiments"]["siren/image"]["task"]
    text = message(config)
    assert "experiments.siren/image" in text
    assert "task must be given" in text


def test_an_unknown_task_is_named_with_its_place():
    config = small()
    config["experiments"]["siren/image"]["task"] = "siren_imgae"
    text = message(config)
    assert "experiments.siren/image" in text
    assert "did you mean 'siren_image'" in text


@pytest.mark.parametrize("key", ["seeds", "threads"])
def test_a_scale_without_a_number_is_named(key):
    config = small()
    config[key] = {"quick": 1, "paper": 1}
    text = message(config)
    assert key in text
    assert "smoke" in text


@pytest.mark.parametrize("key", ["mirrors", "threads"])
def test_what_has_a_default_may_be_left_out(key):
    config = small()
    del config[key]
    check_configuration(config, SCHEMA)
    assert experiments_of(config)


def test_a_missing_configuration_is_an_error_for_people(tmp_path):
    with pytest.raises(InputError, match=r"config.yaml: no such file"):
        read_configuration(tmp_path / "config.yaml")


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: !!python/object:os.system {}"])
def test_broken_yaml_is_one_line(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_configuration(path)
    assert "not valid YAML" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_yaml_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("- one\n- two\n")
    with pytest.raises(InputError, match="a mapping of keys to values is expected"):
        read_configuration(path)


def test_what_is_not_utf_8_is_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"scale: smoke # caf\xe9\n")
    with pytest.raises(InputError, match="not valid YAML"):
        read_configuration(path)


def loaded(folder: Path, config: dict, over: dict) -> dict:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_configuration(path, over, folder=ROOT)


def test_a_loaded_configuration_is_complete(tmp_path):
    config = small()
    del config["scale"], config["threads"]
    found = loaded(tmp_path, config, {"scale": "quick", "seeds": {"quick": 7}})
    assert found["scale"] == "quick"
    assert found["threads"] == {"smoke": 1, "quick": 1, "paper": 8}
    assert found["seeds"] == {"smoke": 1, "quick": 7, "paper": 1}


def test_what_is_laid_over_is_checked_too(tmp_path):
    with pytest.raises(InputError, match=r"^mine\.yaml: scale: .*'quick'"):
        loaded(tmp_path, small(), {"scale": "quik"})


def test_a_loaded_configuration_without_a_scale_is_one_line(tmp_path):
    config = small()
    del config["scale"]
    with pytest.raises(InputError, match=r"^mine\.yaml: scale must be given$"):
        loaded(tmp_path, config, {})


def test_what_is_laid_over_may_be_everything():
    assert load_configuration(None, small(), folder=ROOT)["pins"] == "data.pins.json"


def test_without_a_schema_one_line_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(SMALL))
    with pytest.raises(InputError, match="run from the folder of the Snakefile"):
        load_configuration(tmp_path / "config.yaml", {})


def test_it_is_laid_over_as_snakemake_does():
    values = {"a": {"b": 1, "c": {"d": 2}}, "e": 3, "f": [1]}
    over = {"a": {"c": {"d": 4, "g": 5}}, "e": {"h": 6}, "f": [2], "i": {"j": 7}}
    expected = copy.deepcopy(values)
    update_config(expected, over)
    assert _laid_over(values, over) == expected
    assert values["a"]["c"] == {"d": 2}


def test_a_number_for_a_key_is_named_as_any_other_unknown_one():
    assert "config.yaml: 1: unknown key '1'" in message(small() | {1: 2})


def test_a_variant_named_by_a_number_is_named_with_its_place():
    config = small()
    config["experiments"]["siren/image"]["variants"][64] = {"width": 64}
    found = message(config)
    assert found == "config.yaml: experiments.siren/image.variants: string is expected, not 64"
