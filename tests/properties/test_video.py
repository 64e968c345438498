"""Videos are read frame by frame from files and folders, and written for every player."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nir.data.images import write_png
from nir.data.video import read_video, write_mp4
from nir.errors import InputError


def moving_bar(count=12, height=32, width=48):
    """A smooth picture with a bar that moves: what a lossy codec keeps well."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    frames = [
        np.stack([x, y, np.exp(-(((x - frame / count) / 0.2) ** 2))], axis=-1)
        for frame in range(count)
    ]
    return np.stack(frames).astype(np.float32)


def test_a_film_is_written_and_read_back_nearly(tmp_path):
    film = moving_bar()
    write_mp4(tmp_path / "a.mp4", film, frames_per_second=24)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == film.shape
    assert back.dtype == np.uint8
    assert np.abs(back / 255 - film).mean() < 0.02
    assert read_video(tmp_path / "a.mp4", frames=5).shape[0] == 5


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, moving_bar(), frames_per_second=24)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sizes_are_padded_by_their_edge(tmp_path):
    write_mp4(tmp_path / "a.mp4", moving_bar(height=31, width=47), frames_per_second=10)
    assert read_video(tmp_path / "a.mp4").shape == (12, 32, 48, 3)


def test_a_failed_film_leaves_nothing(tmp_path):
    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        yield np.zeros((16, 18, 3), np.uint8)

    with pytest.raises(ValueError, match="a frame"):
        write_mp4(tmp_path / "a.mp4", frames(), frames_per_second=10)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="no frame to write"):
        write_mp4(tmp_path / "a.mp4", [], frames_per_second=10)


def test_a_gif_is_read(tmp_path):
    colours = ["red", "lime", "blue"]
    frames = [Image.new("RGB", (6, 4), colour) for colour in colours]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    video = read_video(tmp_path / "a.gif")
    assert video.shape == (3, 4, 6, 3)
    assert video[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "b.gif").write_bytes(content[:20])
    with pytest.raises(InputError, match=r"b\.gif"):
        read_video(tmp_path / "b.gif")


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in (10, 2, 1):
        write_png(tmp_path / f"frame_{number}.png", np.full((4, 4, 3), number / 255))
    (tmp_path / "notes.txt").write_text("not a frame")
    assert read_video(tmp_path)[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert read_video(tmp_path, frames=2)[:, 0, 0, 0].tolist() == [1, 2]


def test_arrays_are_read_and_code_in_them_is_not_run(tmp_path):
    film = moving_bar()
    np.save(tmp_path / "a.npy", film)
    np.savez(tmp_path / "b.npz", video=np.round(film * 255).astype(np.uint8))
    assert np.array_equal(read_video(tmp_path / "a.npy"), read_video(tmp_path / "b.npz"))
    np.save(tmp_path / "c.npy", np.array([{}], dtype=object))
    with pytest.raises(InputError, match="not an array that can be read"):
        read_video(tmp_path / "c.npy")
    np.save(tmp_path / "d.npy", film * 2)
    with pytest.raises(InputError, match=r"outside of \[0, 1\]"):
        read_video(tmp_path / "d.npy")
    np.save(tmp_path / "e.npy", film[0])
    with pytest.raises(InputError, match="not \\[time, height, width, 3\\]"):
        read_video(tmp_path / "e.npy")


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="no such video"):
        read_video(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.mp4: is empty"):
        read_video(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(InputError, match=r"text\.mp4: is not a video"):
        read_video(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="ask for at least 1"):
        read_video(tmp_path / "text.mp4", frames=0)
    write_mp4(tmp_path / "a.mp4", moving_bar(), frames_per_second=24)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:500])
    with pytest.raises(InputError, match=r"cut\.mp4: is not a video"):
        read_video(tmp_path / "cut.mp4")
    folder = tmp_path / "frames"
    folder.mkdir()
    with pytest.raises(InputError, match="holds no frame"):
        read_video(folder)
    write_png(folder / "1.png", np.zeros((4, 4, 3)))
    write_png(folder / "2.png", np.zeros((4, 5, 3)))
    with pytest.raises(InputError, match="frame 1 differs in size"):
        read_video(folder)
