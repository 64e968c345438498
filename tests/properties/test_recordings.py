"""Sounds and videos as fields: coordinates, parts, random pixels, what lands on disk."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nir.data.audio import read_audio, write_wav
from nir.data.images import write_png
from nir.data.video import read_video
from nir.errors import InputError
from nir.metrics.recordings import psnr_frames_deviation, psnr_frames_mean
from nir.predictions import read_array
from nir.recipes.recordings import AudioRecipe, VideoRecipe
from nir.tasks import audio, video
from nir.tasks.monitored import evenly_spread

CPU = torch.device("cpu")


@pytest.fixture
def sound(tmp_path):
    seconds = np.arange(8000) / 8000
    write_wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * seconds), rate=8000)
    return tmp_path / "tone.wav"


@pytest.fixture
def film(tmp_path):
    generator = np.random.default_rng(0)
    for frame in range(5):
        write_png(tmp_path / "film" / f"frame_{frame}.png", generator.random((12, 10, 3)))
    return tmp_path / "film"


def audio_task(path, **values):
    recipe = AudioRecipe.from_dict({"width": 16, "steps": 1, **values})
    return audio.build(recipe, path, device=CPU, generator=torch.Generator().manual_seed(0))


def video_task(path, **values):
    small = {"width": 16, "steps": 1, "resolution": 8, "sample_fraction": 0.5}
    recipe = VideoRecipe.from_dict({**small, **values})
    return video.build(recipe, path, device=CPU, generator=torch.Generator().manual_seed(0))


def test_time_runs_over_the_stretch_with_both_ends_and_the_peak_is_one(sound):
    samples = audio_task(sound).samples
    assert samples.coordinates[[0, -1], 0].tolist() == [-100.0, 100.0]
    assert samples.amplitudes.abs().max().item() == 1.0
    steps = samples.coordinates.diff(dim=0)
    assert steps.std().item() < 1e-5


def test_stretching_time_equals_a_larger_first_omega(sound):
    stretched = audio_task(sound, coordinate_scale=100.0)
    faster = audio_task(sound, coordinate_scale=1.0, first_omega_0=3000.0)
    for field in (stretched.field, faster.field):
        torch.nn.init.zeros_(field.network.layers[0].bias)
    torch.testing.assert_close(
        stretched.field(stretched.samples.coordinates[::50]),
        faster.field(faster.samples.coordinates[::50]),
        atol=1e-3,
        rtol=0,
    )


def test_a_part_of_a_sound_is_cut_and_resampled(sound):
    task = audio_task(sound, start_seconds=0.5, seconds=0.25, rate_hz=4000)
    assert task.rate == 4000
    assert len(task.sound) == 1000
    spectrum = np.abs(np.fft.rfft(task.sound))
    assert spectrum.argmax() * 4000 / 1000 == pytest.approx(440, abs=4)


@pytest.mark.parametrize("values", [{"start_seconds": 3.0}, {"start_seconds": 1.0}])
def test_a_part_beyond_the_end_is_an_error_that_names_the_file(sound, values):
    with pytest.raises(InputError, match=r"tone\.wav: lasts 1\.00 s"):
        audio_task(sound, **values)


def test_silence_is_an_error(tmp_path):
    write_wav(tmp_path / "silence.wav", np.zeros(100), rate=8000)
    with pytest.raises(InputError, match="silent"):
        audio_task(tmp_path / "silence.wav")


def test_the_written_sound_is_the_fields(sound, tmp_path):
    task = audio_task(sound)
    task.predict(tmp_path / "out")
    predicted = read_array(tmp_path / "out" / "sound-prediction.npy")
    with torch.no_grad():
        expected = task.field(task.samples.coordinates)[:, 0].numpy()
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    played, rate = read_audio(tmp_path / "out" / "truth.wav")
    assert rate == 8000
    np.testing.assert_allclose(played, task.sound, atol=1 / 32767)


def test_pixels_of_a_video_are_counted_frame_by_frame(film):
    task = video_task(film)
    frames = task.frames
    index = torch.tensor([0, 8 * 8 * 5 - 1, 8 * 8 * 2 + 8 * 3 + 1])
    found = task.pixels(index)
    ends = [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.0, 3 / 7 * 2 - 1, 1 / 7 * 2 - 1]]
    torch.testing.assert_close(found.coordinates, torch.tensor(ends))
    colours = np.stack([frames[0, 0, 0], frames[4, 7, 7], frames[2, 3, 1]])
    np.testing.assert_allclose(found.colours.numpy() / 2 + 0.5, colours, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("total", [2, 5000, 300 * 512**2, 2**31 + 1])
def test_what_is_monitored_runs_from_the_first_sample_to_the_last_and_no_further(total):
    chosen = evenly_spread(total, 4096)
    assert chosen[[0, -1]].tolist() == [0, total - 1]
    assert (chosen.diff() >= 0).all()


def test_a_step_sees_the_asked_fraction_of_all_pixels(film):
    task = video_task(film, sample_fraction=0.25)
    batch = task.batch(0, torch.Generator().manual_seed(0))
    assert len(batch.coordinates) == 80


def test_the_film_shows_truth_and_field_side_by_side(film, tmp_path):
    task = video_task(film, every_frame=2)
    task.predict(tmp_path / "out")
    shown = read_video(tmp_path / "out" / "truth_and_field.mp4")
    assert shown.shape == (3, 8, 16, 3)


def test_a_video_of_one_frame_is_an_error(film):
    with pytest.raises(InputError, match="two at least"):
        video_task(film, every_frame=5)


def test_frames_psnrs_are_averaged_in_decibels():
    truth = np.zeros((2, 4, 4, 3))
    video = truth.copy()
    video[0] += 0.1
    video[1] += 0.01
    assert psnr_frames_mean(video, truth) == pytest.approx(30.0)
    assert psnr_frames_deviation(video, truth) == pytest.approx(10.0)
    assert not math.isclose(30.0, -10 * math.log10(np.mean(video**2)), abs_tol=1)


@pytest.mark.parametrize(
    ("recipe", "values", "key"),
    [
        (AudioRecipe, {"seconds": -1.0}, "seconds"),
        (AudioRecipe, {"coordinate_scale": 0.0}, "coordinate_scale"),
        (VideoRecipe, {"sample_fraction": 0.0}, "sample_fraction"),
        (VideoRecipe, {"frames": 1}, "frames"),
    ],
)
def test_a_recipe_that_no_run_can_use_names_the_key(recipe, values, key):
    with pytest.raises(InputError, match=key):
        recipe.from_dict(values)
