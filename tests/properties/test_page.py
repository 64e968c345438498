"""The page: a model that several experiments use was trained once, and is counted once."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from nir.files import write_json
from nir.reporting.page.writer import _best_of_columns, _effort, _machine, _with_code

RECORD = {"device": "x86_64 CPU", "torch": "2.6.0", "seconds": 30.0}


@pytest.fixture
def plans(tmp_path) -> list[dict[str, Any]]:
    """Two trainings in one experiment; a second takes the first's model, and trains one itself."""
    adopted = RECORD | {"model_of": "results/smoke/siren/image/a"}
    records = {"siren/image": [RECORD, RECORD], "siren/later": [adopted, RECORD]}
    found = []
    for name, of_experiment in records.items():
        places = [f"{name}/{letter}" for letter, _ in zip("ab", of_experiment, strict=True)]
        for place, record in zip(places, of_experiment, strict=True):
            write_json(tmp_path / place / "training.json", record)
        found.append({"name": name, "runs": [{"place": place} for place in places]})
    return found


def test_all_trainings_are_counted_once(plans, tmp_path):
    says = _machine(plans, tmp_path)
    assert says == "3 trainings on x86_64 CPU with PyTorch 2.6.0, 90 s of training in all"


def test_an_experiment_tells_its_trainings_from_the_models_it_takes(plans, tmp_path):
    efforts = [_effort(plan, tmp_path) for plan in plans]
    assert efforts == [
        "2 trainings, 60 s together",
        "1 training, 30 s together, and 1 model that other runs trained",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain & <simple>", "plain &amp; &lt;simple&gt;"),
        (
            "With `a<b>` and `nir fetch x`.",
            "With <code>a&lt;b&gt;</code> and <code>nir fetch x</code>.",
        ),
        ("a lone ` stays", "a lone ` stays"),
    ],
)
def test_what_one_types_is_set_as_code_and_nothing_is_markup_of_its_own(text, shown):
    assert str(_with_code(text)) == shown


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("test psnr_8bit", [20.0, 25.0, 25.0], {"b", "c"}),
        ("test chamfer_l1", [0.1, 0.3, float("nan")], {"a"}),
        ("test failed", [0.0, 0.0, 0.0], None),
        ("test psnr_8bit", [20.0], None),
        ("parameters", [1.0, 2.0, 3.0], None),
    ],
)
def test_the_best_are_marked_where_some_are_better_than_others(metric, values, best):
    variants = list("abc")[: len(values)]
    rows = pd.DataFrame({"group": "", "name": metric, "variant": variants, "ours": values})
    assert _best_of_columns(rows).get(("", metric)) == best
