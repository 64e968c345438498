"""Experiments expand to runs: later sources win, and mistakes are named."""

from __future__ import annotations

import copy
import json

import pytest

from nir.errors import InputError
from nir.experiments import experiments_of, is_path
from nir.files import canonical_json

CONFIG = {
    "scale": "smoke",
    "seeds": {"smoke": 2, "quick": 1, "paper": 3},
    "experiments": {
        "fourier/image": {
            "task": "fourier_image",
            "subjects": {"smoke": ["astronaut", "rendered_text"], "quick": ["camera"]},
            "groups": {"natural": ["astronaut"], "text": ["rendered_text*"]},
            "variants": {"none": {"steps": 4}, "gaussian": {"encoding": "gaussian"}},
            "labels": {"none": "no mapping"},
            "budget": {"smoke": {"steps": 3, "width": 8, "bandwidth": 2.0}},
            "per_subject": {"rendered_text*": {"gaussian": {"bandwidth": 14, "steps": 5}}},
            "claims": [
                {"says": "a", "metric": "m", "better": "none", "than": [], "scales": ["quick"]},
                {"says": "b", "metric": "m", "better": "none", "than": []},
            ],
        }
    },
}


def config(**changes) -> dict:
    """The configuration above with changes to its only experiment."""
    values = copy.deepcopy(CONFIG)
    values["experiments"]["fourier/image"].update(changes)
    return values


def expanded(values: dict):
    return experiments_of(values)["fourier/image"]


def run(values: dict, subject: str, variant: str, seed: int = 0):
    return next(
        r
        for r in expanded(values).runs
        if (r.subject, r.variant, r.seed) == (subject, variant, seed)
    )


def message(values: dict) -> str:
    with pytest.raises(InputError) as raised:
        experiments_of(values)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_runs_are_the_product_of_subjects_variants_and_seeds():
    runs = expanded(config()).runs
    assert len(runs) == len({r.place for r in runs}) == 2 * 2 * 2


def test_what_trains_nothing_runs_once():
    values = config(variants={"none": {"steps": 4}, "gaussian": {"steps": 0}}, per_subject={})
    seeds = [(r.variant, r.seed) for r in expanded(values).runs if r.subject == "astronaut"]
    assert seeds == [("none", 0), ("none", 1), ("gaussian", 0)]


def test_a_run_has_its_own_folder():
    chosen = run(config(), "astronaut", "none", 1)
    assert chosen.place == "fourier/image/astronaut/none/seed1"


def test_values_come_from_defaults_then_budget_then_variant_then_subject():
    plain = run(config(), "astronaut", "gaussian").recipe
    assert plain.features == 256  # the recipe's own
    assert (plain.steps, plain.width, plain.bandwidth) == (3, 8, 2.0)  # the budget's
    assert run(config(), "astronaut", "none").recipe.steps == 4  # the variant's
    text = run(config(), "rendered_text", "gaussian").recipe
    assert (text.steps, text.bandwidth) == (5, 14.0)  # the subject's
    assert run(config(), "rendered_text", "none").recipe.bandwidth == 2.0


def test_the_order_of_keys_changes_nothing():
    def backwards(value):
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    values = config()
    entry = values["experiments"]["fourier/image"]
    turned = config(budget=backwards(entry["budget"]), per_subject=backwards(entry["per_subject"]))
    recipes = {r.place: r.recipe_json for r in expanded(values).runs}
    assert recipes == {r.place: r.recipe_json for r in expanded(turned).runs}


def test_a_variant_may_have_values_of_its_own_at_one_scale():
    own = config(per_scale={"smoke": {"none": {"learning_rate": 0.5}}})
    assert run(own, "astronaut", "none").recipe.learning_rate == 0.5
    for other in (run(own, "astronaut", "gaussian"), run(config(), "astronaut", "none")):
        assert other.recipe.learning_rate != 0.5
    elsewhere = config(per_scale={"paper": {"none": {"learning_rate": 0.5}}})
    assert run(elsewhere, "astronaut", "none").recipe.learning_rate != 0.5


def test_a_recipe_has_one_spelling():
    written = run(config(), "astronaut", "none").recipe_json
    assert written == canonical_json(json.loads(written))
    whole = config(variants={"none": {"learning_rate": 1}, "gaussian": {}})
    point = config(variants={"none": {"learning_rate": 1.0}, "gaussian": {}})
    same = [run(v, "astronaut", "none").recipe_json for v in (whole, point)]
    assert same[0] == same[1]


def test_changing_one_variant_changes_the_recipes_of_that_variant_alone():
    changed = config(variants={"none": {"steps": 9}, "gaussian": {"encoding": "gaussian"}})
    before = {r.place: r.recipe_json for r in expanded(config()).runs}
    after = {r.place: r.recipe_json for r in expanded(changed).runs}
    different = {place for place in before if before[place] != after[place]}
    assert different == {place for place in before if "/none/" in place}


def test_subjects_may_be_one_list_for_all_scales():
    assert {r.subject for r in expanded(config(subjects=["camera"])).runs} == {"camera"}


def test_an_experiment_without_subjects_at_a_scale_is_left_out_of_it():
    assert experiments_of(config() | {"scale": "paper"}) == {}


def test_select_names_the_variants_of_a_scale():
    chosen = config(select={"smoke": ["gaussian"]})
    assert {r.variant for r in expanded(chosen).runs} == {"gaussian"}
    assert {r.variant for r in expanded(chosen | {"scale": "quick"}).runs} == {"none", "gaussian"}


def test_groups_are_found_by_pattern():
    assert run(config(), "astronaut", "none").group == "natural"
    assert run(config(), "rendered_text", "none").group == "text"
    assert run(config(groups={}), "astronaut", "none").group == ""


def test_claims_belong_to_their_scales():
    assert [c["says"] for c in expanded(config()).claims] == ["b"]
    assert [c["says"] for c in expanded(config() | {"scale": "quick"}).claims] == ["a", "b"]


def test_a_plan_is_json_and_names_every_run():
    plan = expanded(config()).plan()
    assert json.loads(canonical_json(plan)) == plan
    assert len(plan["runs"]) == 8
    assert {r["label"] for r in plan["runs"]} == {"no mapping", "gaussian"}


def test_an_unknown_subject_is_named_with_the_nearest_known_one():
    text = message(config(subjects=["astronout"]))
    assert "experiments.fourier/image.subjects" in text
    assert "did you mean 'astronaut'" in text


def test_a_missing_file_of_the_users_is_named():
    text = message(config(subjects=["photos/cat.jpg"]))
    assert "photos/cat.jpg" in text
    assert "no such file" in text


def test_a_file_of_the_users_own_is_a_subject(tmp_path):
    photo = tmp_path / "my cat (2).jpg"
    photo.write_bytes(b"any")
    runs = expanded(config(subjects=[str(photo)])).runs
    assert runs[0].subject_name == "my-cat-2-"
    assert runs[0].dataset is None
    assert run(config(), "astronaut", "none").dataset == "astronaut"


def test_two_files_of_one_name_are_refused(tmp_path):
    photos = [tmp_path / "a" / "cat.jpg", tmp_path / "b" / "cat.png"]
    for photo in photos:
        photo.parent.mkdir()
        photo.write_bytes(b"any")
    assert "two subjects share" in message(config(subjects=[str(p) for p in photos]))


@pytest.mark.parametrize("made", ["photos", "meshes"])
def test_two_folders_that_would_become_one_are_refused_across_experiments(tmp_path, made):
    folders = [tmp_path / "holiday" / "images", tmp_path / "garden" / "images"]
    for folder in folders:
        folder.mkdir(parents=True)
    entry = {"task": "siren_image", "variants": {"one": {}}, made: True}
    first, second = ({**entry, "subjects": [str(folder)]} for folder in folders)
    values = CONFIG | {"experiments": {"nerf/capture": first, "nerf/walk": second}}
    text = message(values)
    assert "experiments.nerf/walk.subjects" in text
    assert all(str(folder) in text for folder in folders)
    values["experiments"]["nerf/walk"] = first
    assert len(experiments_of(values)) == 2


@pytest.mark.parametrize(
    ("subject", "expected"),
    [("astronaut", False), ("cat.jpg", True), ("photos/cat", True), ("/abs/cat.png", True)],
)
def test_a_path_has_a_separator_or_a_suffix(subject, expected):
    assert is_path(subject) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"select": {"smoke": ["gausian"]}}, "did you mean 'gaussian'"),
        ({"variants": {"none": {"stepz": 1}, "gaussian": {}}}, "variants.none.stepz"),
        ({"budget": {"smoke": {"steps": "many"}}}, "budget.smoke.steps"),
        ({"per_subject": {"astronaut": {"gaussian": {"bandwith": 1}}}}, "bandwith"),
        ({"per_subject": {"astronaut": {"gausian": {"bandwidth": 1}}}}, "gausian"),
        ({"per_scale": {"smoke": {"gaussian": {"bandwith": 1}}}}, "bandwith"),
        ({"per_scale": {"quick": {"gausian": {"bandwidth": 1}}}}, "gausian"),
        ({"labels": {"gausian": "Gaussian"}}, "gausian"),
        ({"claims": [{"says": "a", "metric": "m", "better": "gausian", "than": []}]}, "gausian"),
        ({"claims": [{"says": "a", "metric": "m", "better": "none", "than": ["bsic"]}]}, "bsic"),
    ],
)
def test_a_mistake_is_named_before_anything_is_trained(changes, expected):
    text = message(config(**changes))
    assert "experiments.fourier/image" in text
    assert expected in text


def test_a_mistake_in_another_scales_budget_is_found_too():
    assert "stepz" in message(config(budget={"smoke": {}, "paper": {"stepz": 1}}))


def test_a_variant_of_another_task_has_its_own_recipe_and_budget():
    others = {"none": {"task": "siren_image", "budget": {"smoke": {"steps": 7}}}}
    values = config(others=others, variants={"none": {}, "gaussian": {"encoding": "gaussian"}})
    other, own = (run(values, "astronaut", variant) for variant in ("none", "gaussian"))
    assert (other.task, own.task) == ("siren_image", "fourier_image")
    assert (other.recipe.steps, own.recipe.steps) == (7, 3)
    assert type(other.recipe).__name__ == "SirenImageRecipe"


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({"none": {"task": "siren_imag"}}, "others.none.task"),
        ({"nothing": {"task": "siren_image"}}, "others"),
        ({"none": {"task": "siren_image", "budget": {"quick": {"stepps": 1}}}}, "quick.stepps"),
    ],
)
def test_mistakes_in_variants_of_other_tasks_are_named(others, says):
    assert says in message(config(others=others))
