"""Predictions on disk come back as they were written, each file with its hash."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nir.errors import InputError
from nir.files import sha256_of_file
from nir.predictions import MANIFEST, Predictions, read_array, read_predictions


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((8, 9, 3)).astype(np.float32)


@pytest.fixture
def written(tmp_path, image) -> Predictions:
    predictions = Predictions(tmp_path, "photo-rgb-8")
    predictions.compare("image", image, image / 2, metrics=("psnr_float",), split="trained")
    predictions.compare("other", image, image, metrics=("psnr_8bit",), protocol="another")
    predictions.array("layers", np.arange(6))
    predictions.number("parameters", 12, "1")
    predictions.number("deviation", 0.5, "1", split="layer 2")
    predictions.write()
    return predictions


def test_the_manifest_comes_back_as_it_was_written(tmp_path, written):
    read = read_predictions(tmp_path)
    assert read.items == written.items
    assert read.numbers == written.numbers
    assert read.arrays == written.arrays
    assert read.protocol == "photo-rgb-8"


def test_an_item_has_its_own_split_and_protocol_or_those_of_the_run(tmp_path, written):
    image, other = read_predictions(tmp_path).items
    assert (image.split, image.protocol) == ("trained", "photo-rgb-8")
    assert (other.split, other.protocol) == ("other", "another")


def test_arrays_come_back_bit_for_bit(tmp_path, written, image):
    item = read_predictions(tmp_path).items[0]
    assert np.array_equal(read_array(tmp_path / item.prediction), image)
    assert np.array_equal(read_array(tmp_path / item.reference), image / 2)
    assert read_array(tmp_path / item.prediction).dtype == np.float32


def test_every_file_stands_in_the_manifest_with_its_hash(tmp_path, written):
    hashes = json.loads((tmp_path / MANIFEST).read_text())["sha256"]
    others = {p.name for p in tmp_path.iterdir()} - {MANIFEST}
    assert set(hashes) == others
    assert all(sha256_of_file(tmp_path / name) == value for name, value in hashes.items())


def test_a_changed_array_changes_the_manifest(tmp_path, written, image):
    before = sha256_of_file(tmp_path / MANIFEST)
    written.array("layers", np.arange(1, 7))
    written.write()
    assert sha256_of_file(tmp_path / MANIFEST) != before


def test_a_strided_array_is_written_too(tmp_path, image):
    name = Predictions(tmp_path, "p").array("part", image[::2, ::-1])
    assert np.array_equal(read_array(tmp_path / name), image[::2, ::-1])


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        Predictions(tmp_path, "p").array("bad", np.array([{}]))
    assert list(tmp_path.iterdir()) == []
    np.save(tmp_path / "bad.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"bad\.npy: not a readable array"):
        read_array(tmp_path / "bad.npy")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text"])
def test_a_damaged_array_is_one_line_that_says_what_to_do(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_array(tmp_path / "a.npy")
    assert "a.npy" in str(raised.value)
    assert "predict again" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_manifest_and_one_of_another_version_are_named(tmp_path):
    with pytest.raises(InputError, match=r"predictions\.json: no such file"):
        read_predictions(tmp_path)
    (tmp_path / MANIFEST).write_text('{"schema": 999}')
    with pytest.raises(InputError, match=r"predictions\.json: written by another version"):
        read_predictions(tmp_path)
