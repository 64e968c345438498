"""Sounds of every depth and rate are read as the same samples; damaged ones are named."""

from __future__ import annotations

import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from nir.data.audio import read_audio, write_wav
from nir.errors import InputError

TIME = np.arange(800)
SOUND = (0.6 * np.sin(0.05 * TIME) + 0.2 * np.sin(0.31 * TIME)).astype(np.float64)


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 1e-7),
        ("FLOAT", 1e-7),
        ("DOUBLE", 1e-7),
    ],
)
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_every_depth_and_rate_is_read(tmp_path, subtype, tolerance, rate):
    soundfile.write(tmp_path / "a.wav", SOUND, rate, subtype=subtype)
    samples, found = read_audio(tmp_path / "a.wav")
    assert found == rate
    assert samples.dtype == np.float32
    assert samples.shape == SOUND.shape
    assert np.abs(samples - SOUND).max() <= tolerance


def test_sixteen_bits_agree_with_another_reader(tmp_path):
    soundfile.write(tmp_path / "a.wav", SOUND, 44100, subtype="PCM_16")
    rate, levels = wavfile.read(tmp_path / "a.wav")
    samples, _ = read_audio(tmp_path / "a.wav")
    assert np.array_equal(samples, levels.astype(np.float32) / 32768)
    assert rate == 44100


def test_stereo_is_averaged(tmp_path):
    soundfile.write(
        tmp_path / "a.wav", np.stack([SOUND, 0 * SOUND], axis=1), 44100, subtype="FLOAT"
    )
    assert np.allclose(read_audio(tmp_path / "a.wav")[0], SOUND / 2, atol=1e-7)


def test_flac_and_ogg_are_read(tmp_path):
    soundfile.write(tmp_path / "a.flac", SOUND, 44100)
    assert np.abs(read_audio(tmp_path / "a.flac")[0] - SOUND).max() < 1e-4


@settings(deadline=None, max_examples=20)
@given(levels=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_sixteen_bit_levels_survive_a_round_trip(tmp_path_factory, levels):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    samples = np.array(levels, np.float32) / 32768
    write_wav(path, samples, rate=44100)
    assert np.array_equal(read_audio(path)[0], samples)


def test_beyond_full_scale_is_clipped_and_not_wrapped(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([2.0, -2.0]), rate=8000)
    assert read_audio(tmp_path / "a.wav")[0].tolist() == [32767 / 32768, -1.0]
    with pytest.raises(ValueError, match="not finite"):
        write_wav(tmp_path / "b.wav", np.array([np.nan]), rate=8000)


@pytest.mark.parametrize("bytes_kept", [10, 30, 44, 100, 1000])
def test_a_cut_wav_is_named(tmp_path, bytes_kept):
    soundfile.write(tmp_path / "a.wav", SOUND, 44100, subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()[:bytes_kept]
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.wav: (is cut off|is not a sound)"):
        read_audio(tmp_path / "a.wav")


def test_a_wav_written_to_a_pipe_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", SOUND, 44100, subtype="PCM_16")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(bytes(content))
    assert len(read_audio(tmp_path / "a.wav")[0]) == len(SOUND)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="no such sound file"):
        read_audio(tmp_path / "none.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_audio(tmp_path / "empty.wav")
    (tmp_path / "text.wav").write_text("not a sound")
    with pytest.raises(InputError, match="is not a sound"):
        read_audio(tmp_path / "text.wav")
    with wave.open(str(tmp_path / "silent.wav"), "wb") as handle:
        handle.setparams((1, 2, 44100, 0, "NONE", ""))
    with pytest.raises(InputError, match="holds no samples"):
        read_audio(tmp_path / "silent.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 44100, subtype="FLOAT")
    with pytest.raises(InputError, match="not finite"):
        read_audio(tmp_path / "nan.wav")


def test_the_recording_of_the_paper_is_read(real_data):
    samples, rate = read_audio(real_data / "audio" / "gt_bach.wav")
    assert (rate, len(samples)) == (44100, 308_207)
    assert 0.01 < samples.std() < 1
