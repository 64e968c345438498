"""Photos: a person's folder of pictures is made ready, and what is set aside has a reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nir.data.photos import exif_focal, prepare_photos
from nir.errors import InputError

FOCAL_35MM, EXIF_FOLDER, ORIENTATION = 0xA405, 0x8769, 0x0112


def picture(seed: int, height: int = 30, width: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), "u1"))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        picture(number).save(folder / f"shot{number}.png")
    return folder


def test_photos_keep_their_names_and_order(photos, tmp_path):
    prepared = prepare_photos(photos, tmp_path / "work")
    assert prepared.names == ("shot0.png", "shot1.png", "shot2.png", "shot3.png")
    assert (prepared.width, prepared.height) == (40, 30)
    assert prepared.set_aside == {}
    assert prepared.exif_focal is None
    assert sorted(p.name for p in prepared.folder.iterdir()) == list(prepared.names)


def test_a_photo_of_another_size_is_set_aside_with_a_reason(photos, tmp_path):
    picture(9, 40, 30).save(photos / "upright.png")
    prepared = prepare_photos(photos, tmp_path / "work")
    assert "30 x 40" in prepared.set_aside["upright.png"]
    assert len(prepared.names) == 4
    assert not (prepared.folder / "upright.png").exists()


def test_a_damaged_photo_is_set_aside_with_a_reason(photos, tmp_path):
    (photos / "cut.png").write_bytes((photos / "shot0.png").read_bytes()[:200])
    (photos / "void.jpg").write_bytes(b"")
    prepared = prepare_photos(photos, tmp_path / "work")
    assert set(prepared.set_aside) == {"cut.png", "void.jpg"}
    assert len(prepared.names) == 4


def test_exif_rotation_is_applied(photos, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture(7, 40, 30).save(photos / "turned.jpg", exif=exif)
    prepared = prepare_photos(photos, tmp_path / "work")
    assert "turned.png" in prepared.names


def test_names_that_differ_only_in_suffix_are_told_apart(photos, tmp_path):
    picture(8).save(photos / "shot0.jpg")
    prepared = prepare_photos(photos, tmp_path / "work")
    assert len(set(prepared.names)) == 5
    assert list(prepared.names) == sorted(prepared.names)


def test_the_focal_length_comes_from_the_35_mm_equivalent(photos, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(EXIF_FOLDER)[FOCAL_35MM] = 27
    picture(5).save(photos / "phone.jpg", exif=exif)
    assert exif_focal(photos / "phone.jpg", 4000) == pytest.approx(27 / 36 * 4000)
    assert prepare_photos(photos, tmp_path / "work").exif_focal == pytest.approx(30)


def test_the_focal_length_comes_from_the_focal_plane(photos):
    exif = Image.Exif()
    details = exif.get_ifd(EXIF_FOLDER)
    details[0x920A] = 50.0  # focal length in millimetres
    details[0xA20E] = 2540.0  # pixels of the focal plane an inch
    details[0xA210] = 2
    details[0xA002] = 4000  # stored width
    picture(5).save(photos / "reflex.jpg", exif=exif)
    assert exif_focal(photos / "reflex.jpg", 2000) == pytest.approx(50 * 100 / 2)


def test_a_focal_length_of_nought_means_unknown(photos):
    exif = Image.Exif()
    exif.get_ifd(EXIF_FOLDER)[FOCAL_35MM] = 0
    picture(5).save(photos / "silent.jpg", exif=exif)
    assert exif_focal(photos / "silent.jpg", 4000) is None


def test_too_few_photos_or_none_that_can_be_read_is_one_line(photos, tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        prepare_photos(tmp_path / "nowhere", tmp_path / "work")
    for path in list(photos.iterdir())[:2]:
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(InputError, match=r"2 photos.*HEIC"):
        prepare_photos(photos, tmp_path / "work")
    for name in ("a.png", "b.png", "c.png"):
        (photos / name).write_bytes(b"no picture")
    for path in photos.glob("shot*.png"):
        path.unlink()
    with pytest.raises(InputError, match="none of its 3 photos"):
        prepare_photos(photos, tmp_path / "work")
