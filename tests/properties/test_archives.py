"""Archives unpack to exactly what is asked for, and nothing hostile reaches the disk."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from nir.data.archives import Limits, unpack, unpack_images
from nir.errors import InputError

LIMITS = Limits(bytes=1_000_000, files=100)


def make_zip(path, contents, *, links=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        for name, target in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


def make_tar(path, contents, *, links=(), hard_links=(), devices=(), mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for kind, pairs in ((tarfile.SYMTYPE, links), (tarfile.LNKTYPE, hard_links)):
            for name, target in pairs:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                archive.addfile(info)
        for name in devices:
            info = tarfile.TarInfo(name)
            info.type = tarfile.CHRTYPE
            archive.addfile(info)
    return path


def tree(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(params=["zip", "tar"])
def kind_and_make(request):
    return request.param, {"zip": make_zip, "tar": make_tar}[request.param]


def test_a_member_is_found_at_any_depth_and_its_folder_becomes_the_target(tmp_path, kind_and_make):
    kind, make = kind_and_make
    contents = {
        "repository-main/data/lego/a.txt": b"a",
        "repository-main/data/lego/train/b.txt": b"b",
        "repository-main/data/ship/c.txt": b"c",
        "__MACOSX/data/lego/._a.txt": b"clutter",
    }
    archive = make(tmp_path / "archive", contents)
    unpack(archive, kind, {"data/lego": tmp_path / "out"}, LIMITS)
    assert tree(tmp_path / "out") == {"a.txt": b"a", "train/b.txt": b"b"}


def test_several_members_go_to_their_own_places(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"s/train/cube/1": b"1", "s/test/cube/2": b"2"})
    places = {split + "/cube": tmp_path / "cube" / split for split in ("train", "test")}
    unpack(archive, kind, places, LIMITS)
    assert tree(tmp_path / "cube") == {"train/1": b"1", "test/2": b"2"}


def test_a_member_may_be_a_single_file_and_all_is_the_empty_member(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"bunny/reconstruction/mesh.ply": b"ply", "bunny/x": b""})
    unpack(archive, kind, {"reconstruction/mesh.ply": tmp_path / "mesh.ply"}, LIMITS)
    assert (tmp_path / "mesh.ply").read_bytes() == b"ply"
    unpack(archive, kind, {"": tmp_path / "all"}, LIMITS)
    assert set(tree(tmp_path / "all")) == {"bunny/reconstruction/mesh.ply", "bunny/x"}


def test_gzip_and_plain_files_give_their_content(tmp_path):
    (tmp_path / "mesh.gz").write_bytes(gzip.compress(b"ply\nmesh"))
    unpack(tmp_path / "mesh.gz", "gzip", {"": tmp_path / "mesh"}, LIMITS)
    assert (tmp_path / "mesh").read_bytes() == b"ply\nmesh"
    unpack(tmp_path / "mesh", "file", {"": tmp_path / "copy"}, LIMITS)
    assert (tmp_path / "copy").read_bytes() == b"ply\nmesh"


def test_xz_tar_unpacks(tmp_path):
    archive = make_tar(tmp_path / "a.tar.xz", {"x/y": b"z"}, mode="w:xz")
    unpack(archive, "tar", {"x": tmp_path / "out"}, LIMITS)
    assert tree(tmp_path / "out") == {"y": b"z"}


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_a_path_that_leads_out_is_refused_and_nothing_is_written(tmp_path, kind_and_make, name):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"good/file": b"good", name: b"evil"})
    with pytest.raises(InputError, match="leads out"):
        unpack(archive, kind, {"good": tmp_path / "deep" / "er" / "out"}, LIMITS)
    assert [path.name for path in tmp_path.rglob("*")] == ["archive"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "x/../../../outside"])
def test_a_link_that_leads_out_is_refused(tmp_path, kind_and_make, target):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"good/file": b"good"}, links=[("good/link", target)])
    with pytest.raises(InputError, match="is a link to"):
        unpack(archive, kind, {"good": tmp_path / "out"}, LIMITS)
    assert not (tmp_path / "out").exists()


def test_a_link_that_stays_inside_is_left_out(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(
        tmp_path / "archive", {"good/file": b"good"}, links=[("good/link", "../good/file")]
    )
    unpack(archive, kind, {"good": tmp_path / "out"}, LIMITS)
    assert tree(tmp_path / "out") == {"file": b"good"}


def test_hard_links_out_and_devices_are_refused(tmp_path):
    archive = make_tar(tmp_path / "a", {"x": b""}, hard_links=[("y", "../../secret")])
    with pytest.raises(InputError, match="leads out"):
        unpack(archive, "tar", {"": tmp_path / "out"}, LIMITS)
    archive = make_tar(tmp_path / "b", {"x": b""}, devices=["tty"])
    with pytest.raises(InputError, match="is a device"):
        unpack(archive, "tar", {"": tmp_path / "out"}, LIMITS)


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"big": bytes(2_000_000)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(InputError, match="more than 1,000,000 bytes"):
        unpack(archive, kind, {"": tmp_path / "out"}, LIMITS)
    assert not (tmp_path / "out").exists()


def test_too_many_files_are_refused(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {f"{i}": b"" for i in range(101)})
    with pytest.raises(InputError, match="or 100 files"):
        unpack(archive, kind, {"": tmp_path / "out"}, LIMITS)


def test_a_gzip_bomb_stops_at_the_limit(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(InputError, match="unpacks to more than 1,000,000 bytes"):
        unpack(tmp_path / "bomb.gz", "gzip", {"": tmp_path / "out"}, LIMITS)
    assert (tmp_path / "out").stat().st_size <= 1_000_000


def test_a_zip_that_lies_about_its_sizes_is_caught(tmp_path):
    archive = make_zip(tmp_path / "liar.zip", {"big": bytes(500_000)})
    content = archive.read_bytes().replace(
        (500_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    )
    archive.write_bytes(content)
    with pytest.raises(InputError):
        unpack(archive, "zip", {"": tmp_path / "out"}, LIMITS)


def test_encrypted_entries_are_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"secret": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    archive.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is encrypted"):
        unpack(archive, "zip", {"": tmp_path / "out"}, LIMITS)


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_named(tmp_path, kind, content):
    (tmp_path / "archive").write_bytes(content)
    if kind == "gzip" and content == b"":
        pytest.skip("no bytes are a valid empty gzip stream to Python")
    with pytest.raises(InputError, match="archive: not a whole"):
        unpack(tmp_path / "archive", kind, {"": tmp_path / "out"}, LIMITS)


def test_a_cut_archive_is_named(tmp_path, kind_and_make):
    kind, make = kind_and_make
    noise = np.random.default_rng(0).bytes(100_000)
    archive = make(tmp_path / "archive", {"noise": noise})
    archive.write_bytes(archive.read_bytes()[:60_000])
    with pytest.raises(InputError, match="not a whole"):
        unpack(archive, kind, {"": tmp_path / "out"}, LIMITS)


def test_a_missing_or_doubtful_member_is_named(tmp_path, kind_and_make):
    kind, make = kind_and_make
    archive = make(tmp_path / "archive", {"a/lego/x": b"", "b/lego/x": b""})
    with pytest.raises(InputError, match="holds no 'ship'"):
        unpack(archive, kind, {"ship": tmp_path / "out"}, LIMITS)
    with pytest.raises(InputError, match="could be a/lego and b/lego"):
        unpack(archive, kind, {"lego": tmp_path / "out"}, LIMITS)


def test_stacks_of_images_become_png_files(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", test_data=stack, train_data=stack.astype(float))
    names = {"test_data": "test_{index:02d}.png", "train_data": "search_{index:02d}.png"}
    unpack_images(tmp_path / "a.npz", names, tmp_path / "out", LIMITS)
    assert len(list((tmp_path / "out").iterdir())) == 4
    for name in ("test_01.png", "search_01.png"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / name)), stack[1])


def test_stacks_that_run_code_or_are_no_images_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"not a whole \.npz"):
        unpack_images(tmp_path / "a.npz", {"data": "{index}.png"}, tmp_path / "out", LIMITS)
    np.savez(tmp_path / "b.npz", data=np.full((1, 2, 2, 3), 0.5))
    with pytest.raises(InputError, match="not a stack of 8-bit colour images"):
        unpack_images(tmp_path / "b.npz", {"data": "{index}.png"}, tmp_path / "out", LIMITS)
    with pytest.raises(InputError, match="holds no array 'other'"):
        unpack_images(tmp_path / "b.npz", {"other": "{index}.png"}, tmp_path / "out", LIMITS)
