"""Images are read as what they show, whatever the file's depth, palette, profile or rotation."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy as np
import pytest
import skimage
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nir.data.images import (
    FILTERS,
    centre_crop_square,
    read_image,
    resize_image,
    to_8bit,
    to_grey,
    write_png,
)
from nir.data.registry import bundled_folder
from nir.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def deep_png(path, values, colour_type):
    """Write a 16-bit PNG by hand: Pillow cannot."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    with path.open("wb") as handle:
        handle.write(b"\x89PNG\r\n\x1a\n")
        for name, data in chunks:
            handle.write(struct.pack(">I", len(data)) + name + data)
            handle.write(struct.pack(">I", zlib.crc32(name + data)))
    return path


def test_eight_bits_are_read_exactly(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.float32
    assert np.array_equal(image, PIXELS.astype(np.float32) / 255)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_keep_all_their_levels(tmp_path, colour_type, channels):
    values = RNG.integers(0, 65536, (5, 7, channels))
    path = deep_png(tmp_path / "a.png", values, colour_type)
    image = read_image(path, colour="rgba")
    expected = values.astype(np.float32) / 65535
    colours = 1 if channels <= 2 else 3
    assert np.array_equal(image[..., :colours], expected[..., :colours])
    if channels in (2, 4):
        assert np.array_equal(image[..., 3:], expected[..., -1:])
    else:
        assert (image[..., 3] == 1).all()


def test_a_cut_sixteen_bit_file_is_named(tmp_path):
    path = deep_png(tmp_path / "a.png", RNG.integers(0, 65536, (40, 40, 3)), 2)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a\.png: is damaged"):
        read_image(path)


def test_deep_tiff_and_float_tiff_are_read(tmp_path):
    values = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image, values.astype(np.float32) / 65535)
    tifffile.imwrite(tmp_path / "b.tif", np.full((3, 4), 0.25, np.float32))
    assert np.allclose(read_image(tmp_path / "b.tif"), 0.25)
    tifffile.imwrite(tmp_path / "c.tif", np.full((3, 4), 2.5, np.float32))
    with pytest.raises(InputError, match=r"outside of \[0, 1\]"):
        read_image(tmp_path / "c.tif")


def test_sixteen_bits_of_grey_survive_a_round_trip(tmp_path):
    levels = np.arange(65536).reshape(256, 256, 1) / 65535
    write_png(tmp_path / "a.png", levels, bits=16)
    assert np.abs(read_image(tmp_path / "a.png", colour="grey") - levels).max() < 1e-7


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_every_mode_is_read_as_colour(tmp_path, mode):
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    picture = Image.fromarray(np.repeat(np.repeat(PIXELS[:2, :2], 8, 0), 8, 1)).convert(mode)
    picture.save(
        tmp_path / f"a.{suffix}", **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {})
    )
    expected = np.asarray(picture.convert("RGB")).astype(np.float32) / 255
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (16, 16, 3)
    assert np.abs(image - expected).max() < (0.05 if suffix == "jpg" else 1e-6)


def test_grey_is_rec_601_luma_as_pillow_takes_it(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    grey = read_image(tmp_path / "a.png", colour="grey")
    assert grey.shape == (6, 9, 1)
    pillow = np.asarray(Image.fromarray(PIXELS).convert("L")).astype(float)
    assert np.abs(grey[..., 0] * 255 - pillow).max() <= 0.51
    assert to_grey(np.ones((1, 1, 3), np.float32)).item() == 1


def test_transparency_needs_a_background_and_is_blended_with_it(tmp_path):
    rgba = np.concatenate([PIXELS, RNG.integers(0, 256, (6, 9, 1), dtype=np.uint8)], axis=-1)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: has transparent pixels; .*background"):
        read_image(tmp_path / "a.png")
    values = rgba.astype(np.float32) / 255
    expected = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    assert np.allclose(read_image(tmp_path / "a.png", background=1.0), expected, atol=1e-6)
    assert np.array_equal(read_image(tmp_path / "a.png", colour="rgba"), values)
    red = read_image(tmp_path / "a.png", background=(1.0, 0.0, 0.0))
    assert np.allclose(red[..., 1], values[..., 1] * values[..., 3], atol=1e-6)


def test_an_opaque_alpha_is_dropped_and_a_palettes_transparency_is_seen(tmp_path):
    opaque = np.concatenate([PIXELS, np.full((6, 9, 1), 255, np.uint8)], axis=-1)
    Image.fromarray(opaque).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (6, 9, 3)
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "b.png", transparency=1)
    rgba = read_image(tmp_path / "b.png", colour="rgba")
    assert rgba[0].tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_rotated_photos_are_set_upright_as_pillow_sets_them(tmp_path, orientation, suffix):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened)).astype(np.float32) / 255
    assert np.array_equal(read_image(tmp_path / f"a.{suffix}"), expected)


def test_one_pixel_is_an_image(tmp_path):
    Image.new("L", (1, 1), 51).save(tmp_path / "a.png")
    assert np.allclose(read_image(tmp_path / "a.png"), 0.2)
    assert read_image(tmp_path / "a.png").shape == (1, 1, 3)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such image file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="no such image file"):
        read_image(tmp_path)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.png: is empty"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.png: is not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(InputError, match="unknown colour 'gray'; did you mean 'grey'"):
        read_image(tmp_path / "text.png", colour="gray")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_cut_file_is_named_and_never_half_read(tmp_path, suffix, share):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=f"a.{suffix}: is (damaged|not an image)"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_animated_files_are_refused(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="holds 3 pictures"):
        read_image(tmp_path / f"a.{suffix}")


def test_all_bundled_images_are_read():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("camera.png", "chelsea.png", "rocket.jpg", "page.png", "horse.png"):
            image = read_image(bundled_folder() / name, background=1.0)
            assert image.shape[-1] == 3
            assert 0 <= image.min() < image.max() <= 1
    cat = skimage.data.chelsea().astype(np.float32) / 255
    assert np.array_equal(read_image(bundled_folder() / "chelsea.png"), cat)


def test_writing_rounds_to_the_nearest_level(tmp_path):
    levels = np.linspace(0, 1, 1021).reshape(1, -1, 1)
    write_png(tmp_path / "a.png", levels)
    back = read_image(tmp_path / "a.png", colour="grey")
    assert np.abs(back - levels).max() <= 0.5 / 255 + 1e-6
    assert to_8bit(np.array([0.5 / 255 + 1e-6])).item() == 1
    with pytest.raises(ValueError, match="not finite"):
        to_8bit(np.array([np.nan]))


def test_eight_bits_survive_a_round_trip(tmp_path):
    write_png(tmp_path / "a.png", PIXELS)
    write_png(tmp_path / "b.png", read_image(tmp_path / "a.png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), PIXELS)


@pytest.mark.parametrize("filter", FILTERS)
def test_resizing_keeps_constants_and_identity(filter):
    image = RNG.random((12, 10, 3), dtype=np.float32)
    same = resize_image(image, height=12, width=10, filter=filter)
    assert np.abs(same - image).max() < 1e-6
    flat = resize_image(np.full((12, 10, 1), 0.3), height=5, width=23, filter=filter)
    assert flat.shape == (5, 23, 1)
    assert np.abs(flat - 0.3).max() < 1e-6


@settings(deadline=None, max_examples=40)
@given(old=st.integers(1, 40), new=st.integers(1, 40), seed=st.integers(0, 99))
def test_area_resizing_keeps_the_mean(old, new, seed):
    image = np.random.default_rng(seed).random((old, 3, 1))
    resized = resize_image(image, height=new, width=3)
    if new <= old:
        assert np.allclose(resized.mean(axis=0), image.mean(axis=0), atol=1e-5)
    assert resized.min() >= image.min() - 1e-6
    assert resized.max() <= image.max() + 1e-6


def test_area_resizing_by_a_whole_factor_is_the_block_mean():
    image = RNG.random((12, 8, 3))
    blocks = image.reshape(3, 4, 4, 2, 3).mean(axis=(1, 3))
    assert np.allclose(resize_image(image, height=3, width=4), blocks, atol=1e-6)


def test_bad_filters_and_sizes_are_named():
    with pytest.raises(InputError, match="unknown filter 'lanczoss'; did you mean 'lanczos'"):
        resize_image(np.zeros((2, 2, 1)), height=1, width=1, filter="lanczoss")
    with pytest.raises(InputError, match="cannot be resized to 0x1"):
        resize_image(np.zeros((2, 2, 1)), height=1, width=0)


def test_the_centre_crop_is_the_middle():
    image = np.arange(35).reshape(5, 7, 1)
    assert np.array_equal(centre_crop_square(image.astype(float)), image[:, 1:6])
    tall = centre_crop_square(image.transpose(1, 0, 2).astype(float))
    assert np.array_equal(tall, image.transpose(1, 0, 2)[1:6])
