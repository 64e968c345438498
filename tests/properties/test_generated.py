"""Generated signals are the same on every run, in range, and show what they are called."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.random import RandomState

from nir.data import generated, generated_scenes, generated_signals
from nir.data.audio import read_audio
from nir.data.generated import generate, shepp_logan_image, shepp_logan_volume
from nir.data.images import read_image, resize_image
from nir.data.registry import bundled_folder, registry
from nir.data.video import read_video
from nir.errors import InputError

GENERATED = {entry.name: entry for entry in registry().values() if entry.source == "generated"}


def made(name, folder):
    path = folder / GENERATED[name].path.rpartition("/")[2]
    generate(name, path)
    return path


@pytest.mark.parametrize("name", ["rendered_text_3", "shepp_logan_2", "melody"])
def test_the_same_name_gives_the_same_bytes(tmp_path, name):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (made(name, folder).read_bytes() for folder in folders)
    assert one == two


def test_every_registered_name_can_be_generated_and_others_cannot(tmp_path):
    assert len(GENERATED) >= 15
    with pytest.raises(
        InputError, match="unknown generated signal 'melodie'; did you mean 'melody'"
    ):
        generate("melodie", tmp_path / "x")


def test_rendered_text_is_coloured_text_on_white_and_differs_by_number(tmp_path):
    first, second = (
        read_image(made(name, tmp_path)) for name in ("rendered_text", "rendered_text_1")
    )
    for image in (first, second):
        assert image.shape == (512, 512, 3)
        ink = (image.min(axis=-1) < 0.9).mean()
        assert 0.05 < ink < 0.5
        darkest = image[image.min(axis=-1) < 0.5]
        assert darkest.std(axis=0).min() > 0.1  # several colours
    assert np.abs(first - second).mean() > 0.05


def test_the_phantom_is_scikit_images_phantom():
    bundled = read_image(bundled_folder() / "phantom.png", colour="grey")
    ours = shepp_logan_image(400)
    # scikit-image's file has Toft's contrast on another grid, and its edges are blurred.
    assert np.corrcoef(ours.ravel(), bundled.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(("x", "y", "value"), [(0, 0.9, 1.0), (0, -0.8, 0.2), (0.22, 0, 0.0)])
def test_the_phantom_has_toft_s_values(x, y, value):
    image = shepp_logan_image(400)
    row, column = int((1 - y) * 200), int((1 + x) * 200)
    assert image[row, column] == pytest.approx(value)
    assert image[0, 0] == 0


def test_a_phantom_is_the_same_at_every_resolution():
    fine, coarse = shepp_logan_image(600), shepp_logan_image(200)
    small = resize_image(fine[..., None], height=200, width=200)[..., 0]
    assert np.abs(small - coarse).mean() < 0.01


def test_the_volume_holds_the_image_in_its_middle():
    volume = shepp_logan_volume(65)
    middle = shepp_logan_image(65)
    assert volume.shape == (65, 65, 65)
    # The discs at z = 0.25 and the turn by psi of the ventricles are all that differ.
    assert (np.abs(volume[32] - middle) > 0.05).mean() < 0.06
    assert volume[0].max() == 0
    assert volume.max() == 1


def test_an_ellipsoids_volume_is_counted_right():
    skull = (shepp_logan_volume(96) > 0).mean() * 8
    outer = 4 / 3 * np.pi * 0.69 * 0.92 * 0.81
    ventricles = 4 / 3 * np.pi * (0.11 * 0.31 * 0.22 + 0.16 * 0.41 * 0.28)
    assert skull == pytest.approx(outer - ventricles, rel=0.01)


def test_varied_phantoms_stay_in_range_and_differ():
    one, two = (shepp_logan_image(64, variation=RandomState(seed)) for seed in (1, 2))
    for image in (one, two):
        assert image.min() == 0
        assert 0.2 < image.max() <= 1
    assert np.abs(one - two).mean() > 0.01


def test_phantom_files_are_read_as_they_were_computed(tmp_path):
    image = read_image(made("shepp_logan_1", tmp_path), colour="grey")[..., 0]
    assert np.abs(image - shepp_logan_image(512, variation=RandomState(1))).max() < 1e-5
    first = made("shepp_logan_volume", tmp_path)
    content = first.read_bytes()
    with np.load(first, allow_pickle=False) as stored:
        assert np.array_equal(stored["volume"], shepp_logan_volume(96))
    assert made("shepp_logan_volume", tmp_path).read_bytes() == content


def test_the_melody_is_a_few_seconds_of_tones_that_begin_and_end_in_silence(tmp_path):
    samples, rate = read_audio(made("melody", tmp_path))
    assert rate == 44_100
    assert 3 < len(samples) / rate < 10
    assert np.abs(samples).max() == pytest.approx(0.8, abs=1e-3)
    assert np.abs(samples[:5]).max() < 0.05
    assert np.abs(samples[-500:]).max() < 0.01
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    assert power[hertz < 5000].sum() / power.sum() > 0.99
    assert np.mean(power > 1e-3 * power.max()) < 0.02  # tones, not noise


def test_the_moving_crop_moves_a_little_from_frame_to_frame_and_closes(tmp_path):
    video = read_video(made("moving_crop", tmp_path)).astype(float) / 255
    assert video.shape == (48, 128, 128, 3)
    steps = np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3))
    assert steps.min() > 0.005
    assert steps.max() < 0.12
    assert np.abs(video[-1] - video[0]).mean() < 1.5 * steps.max()
    assert np.abs(video[24] - video[0]).mean() > steps.mean()


def test_scenes_and_signals_are_made_under_the_names_that_their_modules_give_them():
    named = {*generated_scenes.WRITERS, *generated_signals.WRITERS}
    assert named <= generated.NAMES


def test_a_signal_waits_for_no_library_that_it_does_without(tmp_path):
    program = (
        "import sys; from pathlib import Path; from nir.data.generated import generate;"
        f"generate('shepp_logan', Path({str(tmp_path / 'phantom.png')!r}));"
        "assert not {'torch', 'trimesh', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
