"""Files appear whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nir.errors import InputError
from nir.files import (
    bring_back_from_the_future,
    canonical_json,
    folder_written_whole,
    read_json,
    remove_leftovers,
    sha256_of_file,
    write_json,
    write_result,
    write_text,
    written_whole,
)


class InterruptionError(Exception):
    """Something that goes wrong in the middle of writing."""


def write_half(path: Path, error: type[BaseException]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text("half")
        raise error


def names_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_an_interrupted_write_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "log.csv"
    write_text(path, "old")
    with pytest.raises(InterruptionError):
        write_half(path, InterruptionError)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["log.csv"]


def test_an_interrupted_first_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "a.txt", KeyboardInterrupt)
    assert names_in(tmp_path) == []


def test_a_reader_sees_the_old_content_until_the_end(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_the_temporary_file_keeps_the_suffix_and_is_hidden(tmp_path):
    with written_whole(tmp_path / "a.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_a_file_gets_the_permissions_that_the_user_chose(tmp_path):
    previous = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "results").write_text("I am a file")
    with pytest.raises(InputError) as raised:
        write_text(tmp_path / "results" / "a.txt", "x")
    text = str(raised.value)
    assert str(tmp_path / "results" / "a.txt") in text
    assert "\n" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_one_line(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(InputError, match=r"a\.txt: cannot be written \(Permission denied\)"):
            write_text(tmp_path / "a.txt", "x")
    finally:
        tmp_path.chmod(0o755)


def test_a_folder_that_refuses_even_root_is_one_line():
    with pytest.raises(InputError, match=r"/proc/nir/a\.txt: cannot be written"):
        write_text(Path("/proc/nir/a.txt"), "x")


def test_a_full_disk_is_one_line_and_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(self, *_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


WRITERS = {
    "text": "from nir.files import write_text; write_text(path, 'x' * 100_000)",
    "array": (
        "import numpy, nir.predictions\n"
        "nir.predictions.Predictions(path.parent, 'p').array('file', numpy.zeros(100_000))"
    ),
    "checkpoint": (
        "import torch\nfrom nir.checkpoints import Checkpoints\n"
        "Checkpoints(path.parent).save(1, {'x': torch.zeros(100_000)})"
    ),
    "batch": (
        "import torch\nfrom nir.checkpoints import Checkpoints\n"
        "Checkpoints(path.parent).keep_batch(1, 'value', torch.zeros(100_000))"
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_may_not_grow_is_one_line_and_leaves_nothing(tmp_path, writer):
    """The kernel refuses to write past a limit, as it does on a full disk."""
    code = (
        "import sys, pathlib\nfrom nir.errors import InputError\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        + "".join(f"    {line}\n" for line in WRITERS[writer].splitlines())
        + "except InputError as error:\n    print(error)\n    sys.exit(2)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "file.bin")],
        capture_output=True,
        text=True,
        check=False,
        # Python would keep the compiled sources that it imports first cut off at the limit.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert finished.returncode == 2, finished.stderr
    assert "cannot be written" in finished.stdout
    assert finished.stdout.count("\n") == 1
    assert names_in(tmp_path) == []


def test_errors_of_the_block_that_have_nothing_to_do_with_files_pass(tmp_path):
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "a.txt"):
        raise ZeroDivisionError


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(JSON_VALUES)
def test_canonical_json_reads_back_equal(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), st.integers(), max_size=6))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


def test_canonical_json_has_no_spaces_and_refuses_what_is_no_number():
    assert canonical_json({"b": [1, 2.5], "a": "x"}) == '{"a":"x","b":[1,2.5]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(math.nan)


def test_json_is_read_as_it_was_written(tmp_path):
    value = {"x": 0.1, "y": [1, None, "ü"]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1'])
def test_damaged_json_is_one_line_that_says_what_to_do(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: not valid JSON .* remove it"):
        read_json(path)


def test_missing_json_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")


def test_the_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_file(tmp_path / "a") == expected


def test_what_is_stamped_in_the_future_is_brought_back_and_nothing_else(tmp_path):
    ahead, past, barely = (tmp_path / name for name in ("ahead", "past", "barely"))
    now = time.time()
    for path, seconds in ((ahead, 86_400), (past, -86_400), (barely, 20)):
        path.write_text("content")
        os.utime(path, (now + seconds, now + seconds))
    assert bring_back_from_the_future([ahead, past, barely, tmp_path / "absent"]) == 1
    assert abs(ahead.stat().st_mtime - now) < 30
    assert past.stat().st_mtime == pytest.approx(now - 86_400, abs=1)
    assert barely.stat().st_mtime == pytest.approx(now + 20, abs=1)
    assert bring_back_from_the_future([ahead]) == 0


def write_half_a_folder(path: Path, error: type[BaseException]) -> None:
    with folder_written_whole(path) as temporary:
        (temporary / "a.txt").write_text("half")
        raise error


def test_an_interrupted_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "scene"
    with folder_written_whole(path) as temporary:
        (temporary / "old.txt").touch()
    with pytest.raises(KeyboardInterrupt):
        write_half_a_folder(path, KeyboardInterrupt)
    assert names_in(path) == ["old.txt"]
    assert names_in(tmp_path) == ["scene"]


def test_a_folder_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "scene"
    for name in ("old.txt", "new.txt"):
        with folder_written_whole(path) as temporary:
            (temporary / name).touch()
    assert names_in(path) == ["new.txt"]
    assert names_in(tmp_path) == ["scene"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "scene"
    with folder_written_whole(path) as temporary:
        (temporary / "old.txt").touch()
    rename = Path.rename

    def refuse_the_new(source: Path, target: Path) -> Path:
        if (source / "new.txt").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    message = r"scene: cannot be written \(Input/output error\)"
    with pytest.raises(InputError, match=message), folder_written_whole(path) as temporary:
        (temporary / "new.txt").touch()
    assert names_in(path) == ["old.txt"]
    assert names_in(tmp_path) == ["scene"]


def test_a_file_in_the_place_of_a_folder_is_one_line_and_stays(tmp_path):
    path = tmp_path / "scene"
    path.write_text("mine")
    with pytest.raises(InputError, match="scene: cannot be written"), folder_written_whole(path):
        pass
    assert path.read_text() == "mine"
    assert names_in(tmp_path) == ["scene"]


def test_leftovers_of_one_file_go_and_nothing_else(tmp_path):
    killed = "import sys, os; from pathlib import Path; from nir.files import *\n"
    for name, writing in (("model.pt", "written_whole"), ("scene.d", "folder_written_whole")):
        target = tmp_path / name
        code = f"{killed}with {writing}(Path(sys.argv[1])): os._exit(9)"
        subprocess.run([sys.executable, "-c", code, str(target)], check=False)
        assert len(list(tmp_path.iterdir())) == 1
        kept = [tmp_path / f".{name}", target, tmp_path / f".other-{'a' * 8}.pt"]
        for path in kept:
            path.touch()
        remove_leftovers(target)
        assert sorted(tmp_path.iterdir()) == sorted(kept)
        for path in kept:
            path.unlink()


def test_a_result_written_again_takes_what_a_kill_left_of_it_away(tmp_path):
    table = tmp_path / "table.csv"
    code = (
        "import sys, os; from pathlib import Path; from nir.files import *\n"
        "with written_whole(Path(sys.argv[1])): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(table)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_result(table, "a,b\n")
    assert list(tmp_path.iterdir()) == [table]
    assert table.read_text() == "a,b\n"
