"""The command line: what goes wrong is one line, and nothing is left half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nir.cli import main
from nir.configuration import read_configuration
from nir.experiments import experiments_of

FAST = ["--device", "cpu", "--threads", "1"]
TINY = ["--set", "steps=2", "resolution=16", "width=4", "derivatives=false"]


def said(capsys, *arguments: str) -> str:
    """Run a command that must fail, and return the one line that says why."""
    with pytest.raises(SystemExit) as raised:
        main(list(arguments))
    everything = capsys.readouterr().err
    assert raised.value.code == 2, everything
    assert "Traceback" not in everything
    lines = [line for line in everything.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, everything
    assert lines[0].startswith("nir: ")
    return lines[0]


def train(out: Path, subject: str = "camera", *options: str) -> list[str]:
    place = ["--out", str(out), "--data-root", str(out.parent / "data")]
    return ["train", "siren_image", subject, *place, *FAST, *(options or TINY)]


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_run_is_trained_predicted_and_evaluated_by_hand(tmp_path):
    run = tmp_path / "run"
    main(train(run))
    assert {"recipe.json", "model.pt", "log.csv", "training.json"} == set(files(run))
    main(["predict", str(run), "--data-root", str(tmp_path / "data"), *FAST])
    assert "predictions/predictions.json" in files(run)
    plan = {
        "name": "siren/image",
        "runs": [{"place": "run", "group": "", "subject": "camera", "variant": "v", "seed": 0}],
    }
    out = tmp_path / "metrics.csv"
    main(["evaluate", "--plan", json.dumps(plan), "--results", str(tmp_path), "--out", str(out)])
    assert "psnr_8bit" in out.read_text()


def test_values_of_the_recipe_are_set_one_by_one(tmp_path):
    main(train(tmp_path / "run", "camera", *TINY, "omega_0=20", "activation=sine"))
    recipe = json.loads((tmp_path / "run/recipe.json").read_text())["recipe"]
    assert (recipe["omega_0"], recipe["activation"], recipe["steps"]) == (20.0, "sine", 2)


MISTAKES = {
    "task": (["train", "siren_imag", "camera"], "did you mean 'siren_image'"),
    "subject": (["train", "siren_image", "camra"], "did you mean 'camera'"),
    "path": (["train", "siren_image", "no/photo.jpg"], "no/photo.jpg"),
    "key": (["train", "siren_image", "camera", "--set", "stepz=1"], "did you mean 'steps'"),
    "type": (["train", "siren_image", "camera", "--set", "steps=1.5"], "int is expected"),
    "setting": (["train", "siren_image", "camera", "--set", "steps"], "KEY=VALUE"),
    "json": (["train", "siren_image", "camera", "--recipe", "{"], "--recipe: not valid JSON"),
    "list": (["train", "siren_image", "camera", "--recipe", "[]"], "a JSON object is expected"),
    "device": (["train", "siren_image", "camera", "--device", "cdua"], "--device"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_on_the_command_line_is_one_line(mistake, tmp_path, capsys):
    arguments, expected = MISTAKES[mistake]
    run = tmp_path / "run"
    line = said(capsys, *arguments, "--out", str(run), "--data-root", str(tmp_path))
    assert expected in line
    assert files(tmp_path) == []


@pytest.mark.parametrize("text", ["1m", "", "nan", "-1"])
def test_nonsense_between_checkpoints_concerns_training_alone(tmp_path, capsys, monkeypatch, text):
    monkeypatch.setenv("NIR_CHECKPOINT_SECONDS", text)
    main(["fetch", "--list"])
    capsys.readouterr()
    line = said(capsys, *train(tmp_path / "run"))
    assert line == (
        f"nir: NIR_CHECKPOINT_SECONDS={text}: a number of seconds is expected, such as 60"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["mps", "meta", "cuda:x", "cuda:-1", "cpu:0"])
def test_a_device_of_another_kind_is_one_line(tmp_path, capsys, device):
    command = train(tmp_path / "run", "camera", "--device", device, *TINY)
    assert f"--device {device}: auto, cpu, cuda or cuda:0" in said(capsys, *command)


def test_a_gpu_beyond_the_last_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    command = train(tmp_path / "run", "camera", "--device", "cuda:2", *TINY)
    assert "--device cuda:2: the last GPU here is cuda:1" in said(capsys, *command)


def test_a_run_that_was_not_trained_cannot_predict(tmp_path, capsys):
    assert "recipe.json: no such file" in said(capsys, "predict", str(tmp_path), *FAST)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("{}", "task, subject, seed, recipe"),
        ("[]", "task, subject, seed, recipe"),
        ('{"task": "siren_image", "subject": "camera", "seed": 0, "recipe": []}', "recipe"),
    ],
)
def test_a_recipe_file_without_a_run_is_one_line_that_names_it(tmp_path, capsys, content, wrong):
    (tmp_path / "recipe.json").write_text(content)
    line = said(capsys, "predict", str(tmp_path), *FAST)
    assert f"{tmp_path}/recipe.json: {wrong} missing" in line


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a model"])
def test_a_damaged_model_is_one_line_that_names_it(tmp_path, capsys, content):
    run = tmp_path / "run"
    main(train(run))
    (run / "model.pt").write_bytes(content)
    capsys.readouterr()
    line = said(capsys, "predict", str(run), "--data-root", str(tmp_path / "data"), *FAST)
    assert "model.pt" in line
    assert "train the run again" in line
    assert not (run / "predictions").exists()


def test_a_model_of_another_shape_is_one_line_that_names_it(tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    main(train(first))
    main(train(second, "camera", *TINY, "width=5"))
    (first / "model.pt").write_bytes((second / "model.pt").read_bytes())
    capsys.readouterr()
    line = said(capsys, "predict", str(first), "--data-root", str(tmp_path / "data"), *FAST)
    assert "model.pt" in line


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "results").write_text("a file where a folder should be")
    line = said(capsys, *train(tmp_path / "results" / "run"))
    assert "results/run" in line
    assert "cannot be written" in line


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path, capsys):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(SystemExit):
        main(train(tmp_path / "results" / "run"))
    assert "steps/s" not in capsys.readouterr().err


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    (tmp_path / "logs").write_text("a file where a folder should be")
    log = str(tmp_path / "logs" / "train.log")
    main(train(tmp_path / "run", "camera", "--log", log, *TINY))
    assert "model.pt" in files(tmp_path / "run")
    assert "did you mean 'camera'" in said(
        capsys, *train(tmp_path / "run", "camra", "--log", log, *TINY)
    )


def test_errors_stand_in_the_log_too(tmp_path, capsys):
    log = tmp_path / "logs" / "train.log"
    line = said(capsys, *train(tmp_path / "run", "camra", "--log", str(log), *TINY))
    assert log.read_text() == line + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("limit", [200, 4000, 20_000])
def test_a_disk_that_fills_up_while_training_is_one_line_and_leaves_no_half_file(tmp_path, limit):
    """The kernel refuses to let a file grow, as it does when a disk is full."""
    options = ["--set", "steps=3", "resolution=16", "width=64", "derivatives=false"]
    run = tmp_path / "run"
    finished = subprocess.run(
        [sys.executable, "-m", "nir", *train(run, "camera", *options)],
        capture_output=True,
        text=True,
        check=False,
        # Python would keep the compiled sources that it imports first cut off at the limit.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    lines = [line for line in finished.stderr.splitlines() if line.startswith("nir: ")]
    assert len(lines) == 1
    assert "cannot be written" in lines[0]
    assert not (run / "model.pt").exists()
    assert [name for name in files(run) if Path(name).name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_really_full_disk_is_one_line_and_training_goes_on_once_there_is_space(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        command = [sys.executable, "-m", "nir", *train(disk / "run", "camera", *TINY, "width=64")]
        full = subprocess.run(command, capture_output=True, text=True, check=False)
        assert full.returncode == 2, full.stderr
        assert "No space left on device" in full.stderr
        assert "Traceback" not in full.stderr
        assert not (disk / "run" / "model.pt").exists()
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert (disk / "run" / "model.pt").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_status_counts_what_is_trained(tmp_path, capsys):
    root = Path(__file__).resolve().parents[2]
    options = ["--config", str(root / "config.yaml"), "--scale", "smoke"]
    config = read_configuration(root / "config.yaml") | {"scale": "smoke"}
    runs = experiments_of(config)["siren/image"].runs
    run = runs[0]
    folder = tmp_path / "smoke" / run.place
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"")
    (folder / "recipe.json").write_text(json.dumps({"recipe": run.recipe.to_dict()}))
    main(["status", *options, "--results", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    siren = next(line for line in lines if line.startswith("siren/image "))
    assert f"  1/{len(runs)} trained" in siren


def test_status_of_a_broken_configuration_is_one_line(tmp_path, capsys):
    root = Path(__file__).resolve().parents[2]
    text = (root / "config.yaml").read_text().replace("\nscale:", "\nscales:")
    (tmp_path / "config.yaml").write_text(text)
    shutil.copytree(root / "workflow/schemas", tmp_path / "workflow/schemas")
    line = said(capsys, "status", "--config", str(tmp_path / "config.yaml"))
    assert line.startswith("nir: config.yaml: scale")


def test_a_set_is_fetched_as_all_its_data_sets(tmp_path, capsys, monkeypatch):
    fetched = []
    monkeypatch.setattr("nir.data.fetch.fetch", lambda name, **_options: fetched.append(name))
    main(["fetch", "lego", "nerf_llff_data", "--data-root", str(tmp_path)])
    scenes = ["fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"]
    assert fetched == ["lego", *scenes]
    line = said(capsys, "fetch", "lego", "nerf_llff_date", "--data-root", str(tmp_path))
    assert "did you mean 'nerf_llff_data'" in line
    assert fetched == ["lego", *scenes]


def test_help_and_the_list_of_data_need_no_torch():
    for arguments in (["--help"], ["train", "--help"], ["fetch", "--list"]):
        code = (
            "import sys\nfrom nir.cli import main\n"
            f"try:\n    main({arguments!r})\n"
            "except SystemExit as error:\n    assert not error.code\n"
            "assert 'torch' not in sys.modules"
        )
        finished = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        assert finished.stdout


def process(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "nir", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "out", "err"),
    [
        (["--help"], 0, "Neural implicit representations", ""),
        (["fetch", "--list"], 0, "astronaut", ""),
        (["trian"], 2, "", "invalid choice: 'trian'"),
        (["fetch", "astronout"], 2, "", "did you mean 'astronaut'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_process_ends_at_once_but_says_all_and_its_exit_code(arguments, exit_code, out, err):
    finished = process(*arguments)
    assert finished.returncode == exit_code
    assert out in finished.stdout
    assert err in finished.stderr


def test_a_process_whose_reader_has_gone_says_nothing():
    shell = f"{sys.executable} -m nir fetch --list | head -1; echo ${{PIPESTATUS[0]}}"
    finished = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, env=os.environ
    )
    assert len(finished.stdout.splitlines()) == 2
    assert finished.stdout.splitlines()[1] in "01"
    assert finished.stderr == ""


def test_an_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["trian"])
    assert raised.value.code == 2
    assert "train" in capsys.readouterr().err
