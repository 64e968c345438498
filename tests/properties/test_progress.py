"""What a person sees of a training while it runs, and of all from another terminal."""

from __future__ import annotations

import json
import time

from nir.experiments import experiments_of
from nir.progress import FILE_NAME, Progress, format_seconds
from nir.reporting.status import status_lines

CONFIG = {
    "scale": "smoke",
    "seeds": {"smoke": 1},
    "experiments": {
        "siren/image": {
            "task": "siren_image",
            "subjects": ["camera"],
            "variants": {"siren": {}, "relu": {"activation": "relu"}},
        }
    },
}


def test_the_file_tells_step_loss_speed_and_time_left(tmp_path):
    progress = Progress(label="siren/image/camera", steps=100, folder=tmp_path)
    progress.report(10, 0.5)
    time.sleep(0.02)
    progress.report(20, 0.25)
    state = json.loads((tmp_path / FILE_NAME).read_text())
    assert (state["step"], state["steps"], state["loss"]) == (20, 100, 0.25)
    assert 0 < state["steps_per_second"] <= 10 / 0.02
    assert state["seconds_left"] == 80 / state["steps_per_second"]
    assert abs(state["time"] - time.time()) < 5
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


def test_speed_counts_from_where_this_process_began(tmp_path):
    progress = Progress(label="run", steps=1000, folder=tmp_path)
    progress.report(900, 1.0)
    time.sleep(0.05)
    progress.report(901, 1.0)
    assert json.loads((tmp_path / FILE_NAME).read_text())["steps_per_second"] <= 20


def test_a_line_is_written_at_the_end_and_in_between_only_now_and_then(tmp_path, capsys):
    log = tmp_path / "logs" / "train.log"
    progress = Progress(label="run", steps=3, folder=tmp_path, log=log)
    for step in range(4):
        progress.report(step, 0.5)
    lines = log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("[run] step 3/3  loss 5.000e-01")
    assert capsys.readouterr().err.splitlines() == lines


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    Progress(label="run", steps=3, folder=tmp_path / "file" / "folder").report(1, 0.5)


def test_durations_are_written_for_people():
    spelt = [format_seconds(s) for s in (0, 59.6, 119, 121, 3599, 3600, 7260, None)]
    assert spelt[:4] == ["0 s", "60 s", "119 s", "2 min"]
    assert spelt[4:] == ["1 h 00 min", "1 h 00 min", "2 h 01 min", "?"]


def test_status_counts_runs_and_shows_those_under_way(tmp_path):
    experiments = experiments_of(CONFIG)
    run = experiments["siren/image"].runs[0]
    place = tmp_path / run.place
    place.mkdir(parents=True)
    (place / "model.pt").write_bytes(b"")
    (place / "recipe.json").write_text(json.dumps({"recipe": run.recipe.to_dict()}))
    folder = tmp_path / ".checkpoints" / "0123"
    Progress(label="siren/image/camera/relu", steps=50, folder=folder).report(7, 0.1)
    lines = list(status_lines(experiments, tmp_path))
    assert "1/2 trained" in lines[0]
    assert "1/2 trained" in lines[1]
    assert "siren/image/camera/relu  step 7/50  loss 1.000e-01" in lines[2]


def test_status_does_not_count_a_model_of_another_recipe(tmp_path):
    experiments = experiments_of(CONFIG)
    run = experiments["siren/image"].runs[0]
    place = tmp_path / run.place
    place.mkdir(parents=True)
    (place / "model.pt").write_bytes(b"")
    other = run.recipe.to_dict() | {"steps": 1}
    (place / "recipe.json").write_text(json.dumps({"recipe": other}))
    assert "0/2 trained" in next(status_lines(experiments, tmp_path))


def test_status_tells_a_training_that_fell_silent(tmp_path):
    folder = tmp_path / ".checkpoints" / "0123"
    Progress(label="run", steps=50, folder=folder).report(7, 0.1)
    path = folder / FILE_NAME
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"time": time.time() - 600}))
    assert "silent for 10 min" in list(status_lines({}, tmp_path))[-1]


def test_status_reads_over_a_damaged_file(tmp_path):
    folder = tmp_path / ".checkpoints" / "0123"
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text("{")
    assert len(list(status_lines({}, tmp_path))) == 1
