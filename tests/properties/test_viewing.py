"""nir bake and nir view, as a person uses them: from a run to a folder, and clear words if not."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image

from nir.cli import main
from nir.data.fetch import fetch
from nir.viewers import serving
from nir.viewers.planes.folder import read_baked

SMALL = (
    '{"steps": 2, "rays": 24, "planes": 6, "planes_per_group": 3, "margin": 4, "width": 16,'
    ' "hidden_layers": 1, "coefficients": 2, "basis_width": 8, "shrink": 1, "perceptual": false}'
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    fetch("toy_forward_small", data_root=root)
    return root


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of NeX, hardly trained."""
    folder = tmp_path_factory.mktemp("runs") / "nex"
    options = ["--recipe", SMALL, "--data-root", str(data), "--device", "cpu"]
    main(["train", "nex_real_time", "toy_forward_small", "--out", str(folder), *options])
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "nex")


def still_size(run) -> tuple[int, int]:
    with Image.open(run / "viewer" / "still.png") as picture:
        return picture.size


def refused(arguments, capsys) -> str:
    """The one line that a command says when it refuses."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    return message


def test_a_run_becomes_a_folder_for_any_web_server(run, data, capsys):
    main(["bake", str(run), "--data-root", str(data), "--device", "cpu"])
    said = capsys.readouterr().out
    assert "% of the plain layout" in said
    names = {path.name for path in (run / "viewer").iterdir()}
    assert {"index.html", "viewer.js", "planes.frag.glsl", "scene.json", "still.png"} <= names
    scene = json.loads((run / "viewer" / "scene.json").read_text())
    assert scene["name"] == "Toy forward small"
    assert scene["image"]["width"] == still_size(run)[0]
    assert len(read_baked(run / "viewer").kept) <= 6


def test_resolution_and_texture_size_are_obeyed(run, data, tmp_path):
    common = ["--data-root", str(data), "--device", "cpu"]
    for name, options in {"a": ["--resolution", "2"], "b": ["--texture-size", "40"]}.items():
        main(["bake", str(run), "--out", str(tmp_path / name), *common, *options])
    assert max(read_baked(tmp_path / "b").alpha_pages.shape[1:]) <= 40
    finer, plain = read_baked(tmp_path / "a"), read_baked(tmp_path / "b")
    assert finer.stack.intrinsics.width == 2 * plain.stack.intrinsics.width


def test_view_bakes_if_needed_and_serves_the_viewer(run, data, monkeypatch):
    served = []
    monkeypatch.setattr(
        serving, "serve_until_stopped", lambda folder, **options: served.append((folder, options))
    )
    arguments = ["view", str(run), "--data-root", str(data), "--device", "cpu", "--port", "0"]
    main(arguments)
    written = (run / "viewer" / "scene.json").stat().st_mtime_ns
    main([*arguments, "--no-browser"])
    assert (run / "viewer" / "scene.json").stat().st_mtime_ns == written
    main([*arguments, "--again"])
    assert (run / "viewer" / "scene.json").stat().st_mtime_ns > written
    assert [folder for folder, _ in served] == [run / "viewer"] * 3
    assert [options["open_browser"] for _, options in served] == [True, False, True]


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert "no recipe.json" in refused(["bake", tmp_path], capsys)
    assert "neither a run" in refused(["view", tmp_path, "--no-browser"], capsys)


def test_a_run_that_has_not_ended_is_refused(run, capsys):
    (run / "model.pt").unlink()
    assert "its training has not ended" in refused(["bake", run], capsys)
    assert "its training has not ended" in refused(["view", run, "--no-browser"], capsys)


def test_a_run_without_planes_is_refused(data, tmp_path, capsys):
    recipe = (
        '{"steps": 1, "width": 8, "rays": 8, "coarse_samples": 4, "fine_samples": 4, "shrink": 1}'
    )
    out = tmp_path / "nerf"
    options = ["--recipe", recipe, "--data-root", str(data), "--device", "cpu"]
    main(["train", "nerf_llff", "toy_forward_small", "--out", str(out), *options])
    capsys.readouterr()
    message = refused(["bake", out, "--data-root", data, "--device", "cpu"], capsys)
    assert "the task 'nerf_llff', which has no planes" in message


def test_sizes_that_cannot_be_are_refused(run, data, capsys):
    command = ["bake", run, "--data-root", data, "--device", "cpu"]
    assert "do not fit in pages of 8" in refused([*command, "--texture-size", "8"], capsys)
    assert "--resolution -1" in refused([*command, "--resolution", "-1"], capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named(run, capsys):
    assert "sees no GPU" in refused(["bake", run, "--device", "cuda"], capsys)
