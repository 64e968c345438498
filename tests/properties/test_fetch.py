"""Fetching survives the real world, played by a server that misbehaves in every way."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import logging
import multiprocessing
import os
import re
import stat
import threading
import time
import zipfile

import numpy as np
import pytest

from nir.data import fetch as fetch_module
from nir.data.fetch import (
    FetchOptions,
    bring,
    content_hash,
    fetch,
    receipt,
    resolve_subject,
)
from nir.data.registry import Dataset, dataset, registry
from nir.data.transfer import Patience
from nir.errors import InputError

CONTENT = np.random.default_rng(0).bytes(1 << 19)
PATIENCE = Patience(connect_seconds=1.0, read_seconds=0.3, attempts=3, first_pause_seconds=0.01)


class Server:
    """Serves files from memory; `faults` lists what goes wrong, one for each request of a path."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}
        self.ranges = True
        self.etag = True
        self.requests: list[tuple[str, str | None, int]] = []  # path, Range, bytes sent
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def address(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def answer(self, handler):
        name = handler.path.lstrip("/")
        asked = handler.headers.get("Range")
        faults = self.faults.get(name, [])
        fault = faults.pop(0) if faults else "none"
        if fault.isdigit() or name not in self.files:
            self.requests.append((name, asked, 0))
            handler.send_error(int(fault) if fault.isdigit() else 404)
            handler.close_connection = True
            return
        content = self.files[name]
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        if asked and self.ranges and handler.headers.get("If-Range", tag) == tag:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start > len(content) or (start == len(content) and asked and start):
            self.requests.append((name, asked, 0))
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.etag:
            handler.send_header("ETag", tag)
        kind = "text/html; charset=utf-8" if fault == "html" else "application/octet-stream"
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        body = content[start:]
        if fault in ("truncate", "stall"):
            body = body[: len(body) // 2]
        self.requests.append((name, asked, len(body)))
        handler.wfile.write(body)
        handler.wfile.flush()
        if fault == "stall":
            time.sleep(2.0)
        if fault in ("truncate", "stall"):
            handler.close_connection = True


@pytest.fixture
def server():
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def entry_for(server, *names, **changes):
    known = {
        "name": "thing",
        "kind": "mesh",
        "source": "download",
        "path": "things/thing.bin",
        "parcel": "thing",
        "addresses": tuple(server.address(name) for name in names),
        "file": "thing.bin",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "CC0",
    }
    return Dataset(**{**known, **changes})


def bring_(entry, root, *, together=(), **options):
    options = FetchOptions(**{"patience": PATIENCE, **options})
    return bring(entry, together=together or [entry], data_root=root, options=options)


def visible(root):
    """Every file below the root except empty lock files."""
    files = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(root).as_posix() for path in files)


def test_a_good_download_arrives_whole_and_is_not_asked_for_twice(server, tmp_path):
    server.files["a"] = CONTENT
    path = bring_(entry_for(server, "a"), tmp_path)
    assert path == tmp_path / "things/thing.bin"
    assert path.read_bytes() == CONTENT
    assert visible(tmp_path) == ["things/thing.bin"]
    bring_(entry_for(server, "a"), tmp_path)
    assert len(server.requests) == 1


def test_a_server_error_is_tried_again(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["500", "503"]
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_missing_file_is_not_tried_again_and_the_next_address_is(server, tmp_path):
    server.files["b"] = CONTENT
    assert bring_(entry_for(server, "a", "b"), tmp_path).read_bytes() == CONTENT
    assert [name for name, *_ in server.requests] == ["a", "b"]


def test_every_failure_is_named_and_nothing_is_left(server, tmp_path):
    server.files |= {"wrong": CONTENT[::-1], "page": b"<html>", "slow": CONTENT}
    server.faults = {"page": ["html"], "slow": ["500"] * 9}
    entry = entry_for(server, "gone", "wrong", "page", "slow", hint="ask the authors")
    with pytest.raises(InputError) as caught:
        bring_(entry, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for reason in (
        "/gone: 404",
        "/wrong: wrong content",
        "/page: a web page",
        "/slow: server error",
    ):
        assert reason in message
    assert message.endswith("ask the authors")
    assert visible(tmp_path) == []


def test_an_unreachable_server_is_named(server, tmp_path):
    entry = entry_for(server, addresses=("http://127.0.0.1:9/x", "ftp://example.invalid/x"))
    with pytest.raises(InputError, match=r"127.0.0.1:9/x: no connection; ftp.*not an http address"):
        bring_(entry, tmp_path)


def test_a_truncated_body_is_continued_where_it_broke_off(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["truncate", "truncate"]
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    ranges = [asked for _, asked, _ in server.requests]
    assert ranges == [None, "bytes=262144-", "bytes=393216-"]
    assert sum(sent for *_, sent in server.requests) == len(CONTENT)


def test_without_ranges_a_truncated_body_is_fetched_anew(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["truncate"]
    server.ranges = False
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert [sent for *_, sent in server.requests] == [262_144, 524_288]


def test_a_stalled_connection_is_given_up_and_continued(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["stall"]
    before = time.monotonic()
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert time.monotonic() - before < 1.9
    assert server.requests[1][1] == "bytes=262144-"


def test_an_interrupted_fetch_is_resumed_by_the_next_run(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["truncate"]
    once = dataclasses.replace(PATIENCE, attempts=1)
    with pytest.raises(InputError, match=r"broke off|no connection"):
        bring_(entry_for(server, "a"), tmp_path, patience=once)
    assert not (tmp_path / "things").exists()
    assert bring_(entry_for(server, "a"), tmp_path, patience=once).read_bytes() == CONTENT
    assert server.requests[1] == ("a", "bytes=262144-", 262_144)
    assert visible(tmp_path) == ["things/thing.bin"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.files["a"] = CONTENT[::-1]
    server.faults["a"] = ["truncate"]
    once = dataclasses.replace(PATIENCE, attempts=1)
    entry = entry_for(server, "a", sha256="")
    with pytest.raises(InputError):
        bring_(entry, tmp_path, patience=once)
    server.files["a"] = CONTENT
    assert bring_(entry, tmp_path, patience=once).read_bytes() == CONTENT
    assert server.requests[1] == ("a", "bytes=262144-", 524_288)


def test_without_validator_and_hash_nothing_is_joined(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["truncate"]
    server.etag = False
    assert bring_(entry_for(server, "a", sha256=""), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked, _ in server.requests] == [None, None]


def test_a_wrong_join_is_caught_by_the_hash_and_fetched_anew(server, tmp_path):
    server.files["a"] = bytes(len(CONTENT))
    server.faults["a"] = ["truncate"]
    server.etag = False
    once = dataclasses.replace(PATIENCE, attempts=1)
    with pytest.raises(InputError):
        bring_(entry_for(server, "a"), tmp_path, patience=once)
    server.files["a"] = CONTENT
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert [sent for *_, sent in server.requests] == [262_144, 262_144, 524_288]


def test_a_part_that_was_whole_is_used(server, tmp_path):
    server.files["a"] = CONTENT
    part = tmp_path / ".fetch" / "thing" / "thing.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    note = {"address": server.address("a"), "validator": ""}
    part.with_name("thing.bin.part.json").write_text(json.dumps(note))
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("a", "bytes=524288-", 0)]


def test_mirrors_of_the_user_come_first(server, tmp_path):
    server.files |= {"mirror/thing.bin": CONTENT, "a": CONTENT}
    bring_(entry_for(server, "a"), tmp_path, mirrors=(server.address("mirror/"),))
    assert [name for name, *_ in server.requests] == ["mirror/thing.bin"]


# ---- archives and checks -----------------------------------------------------------------------


def scene_archive(contents, *, links=()):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        for name, target in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return made.getvalue()


def scenes(server, *names, **changes):
    return [
        entry_for(
            server,
            "scenes.zip",
            name=name,
            kind="scene",
            path=f"scenes/{name}",
            parcel="scenes",
            file="scenes.zip",
            archive="zip",
            members=((f"all/{name}", ""),),
            **{"sha256": "", **changes},
        )
        for name in names
    ]


def test_one_archive_brings_all_its_scenes_and_leaves_present_ones_alone(server, tmp_path):
    contents = {"all/lego/a": b"1", "all/ship/a": b"2", "all/mic/a": b"3"}
    server.files["scenes.zip"] = scene_archive(contents)
    mine = tmp_path / "root" / "scenes" / "ship" / "mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("kept")
    lego, ship, mic = scenes(server, "lego", "ship", "mic")
    bring_(lego, tmp_path / "root", together=[lego, ship, mic])
    assert visible(tmp_path / "root") == ["scenes/lego/a", "scenes/mic/a", "scenes/ship/mine"]
    bring_(mic, tmp_path / "root", together=[lego, ship, mic])
    assert len(server.requests) == 1


def test_content_that_breaks_its_rule_is_refused_and_the_next_address_is_asked(server, tmp_path):
    server.files["scenes.zip"] = scene_archive({"all/lego/a.png": b"1"})
    good = scene_archive({"all/lego/a.png": b"1", "all/lego/b.png": b"2"})
    (lego,) = scenes(server, "lego", check={"files": {"*.png": 2}})
    with pytest.raises(InputError, match=r"holds 1 files '\*.png', not 2"):
        bring_(lego, tmp_path / "root")
    assert visible(tmp_path / "root") == []
    server.files["second.zip"] = good
    lego = dataclasses.replace(lego, mirrors=(server.address("second.zip"),))
    assert sorted(path.name for path in bring_(lego, tmp_path / "root").iterdir()) == [
        "a.png",
        "b.png",
    ]


def test_hostile_archives_leave_nothing(server, tmp_path):
    hostile = {
        "traversal": scene_archive({"all/lego/a": b"", "../../evil": b"evil"}),
        "link": scene_archive({"all/lego/a": b""}, links=[("all/lego/l", "/etc/passwd")]),
        "bomb": scene_archive({"all/lego/a": bytes(100_000_000)}),
    }
    for name, content in hostile.items():
        server.files["scenes.zip"] = content
        (lego,) = scenes(server, "lego")
        with pytest.raises(InputError, match=r"leads out|is a link|would unpack to more"):
            bring_(lego, tmp_path / name / "root")
        assert visible(tmp_path) == []


def test_an_image_inside_a_set_is_brought_with_the_set(server, tmp_path):
    server.files["scenes.zip"] = scene_archive({"all/bsd/train/1.jpg": b"\xff\xd8\xff"})
    (whole,) = scenes(server, "bsd")
    part = dataclasses.replace(whole, name="starfish", part_of="bsd", path="scenes/bsd/train/1.jpg")
    root = tmp_path / "root"
    assert bring_(part, root, together=[whole]) == root / "scenes/bsd/train/1.jpg"
    other = dataclasses.replace(part, path="scenes/bsd/train/2.jpg")
    with pytest.raises(InputError, match="missing from bsd; remove that folder"):
        bring_(other, root, together=[whole])


# ---- trust on first use ------------------------------------------------------------------------


def test_an_unrecorded_hash_is_pinned_on_first_use_and_demanded_after(server, tmp_path):
    server.files["a"] = CONTENT
    lock = tmp_path / "data.lock.json"
    entry = entry_for(server, "a", sha256="")
    bring_(entry, tmp_path / "one", lock=lock)
    expected = {"thing": {"file": "thing.bin", "sha256": hashlib.sha256(CONTENT).hexdigest()}}
    assert json.loads(lock.read_text()) == expected
    before = lock.read_bytes()
    bring_(entry, tmp_path / "two", lock=lock)
    server.files["a"] = CONTENT[::-1]
    with pytest.raises(InputError, match=r"wrong content.*pinned in .*data.lock.json"):
        bring_(entry, tmp_path / "three", lock=lock)
    assert lock.read_bytes() == before


def test_a_recorded_hash_is_not_pinned_again(server, tmp_path):
    server.files["a"] = CONTENT
    bring_(entry_for(server, "a"), tmp_path, lock=tmp_path / "data.lock.json")
    assert not (tmp_path / "data.lock.json").exists()


def test_a_damaged_lock_file_is_named(server, tmp_path):
    (tmp_path / "lock.json").write_text("[1]")
    with pytest.raises(InputError, match=r"lock.json: not a file of pinned hashes"):
        bring_(entry_for(server, "a", sha256=""), tmp_path, lock=tmp_path / "lock.json")


# ---- processes, roots, space -------------------------------------------------------------------


def _bring_in_process(entry, root, queue):
    queue.put(bring_(entry, root).read_bytes() == CONTENT)


def test_two_processes_fetch_one_set_once(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["stall"]  # long enough for the other to arrive
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (entry_for(server, "a"), tmp_path, queue)
    jobs = [context.Process(target=_bring_in_process, args=arguments) for _ in range(2)]
    for job in jobs:
        job.start()
    assert [queue.get(timeout=20) for _ in jobs] == [True, True]
    for job in jobs:
        job.join()
    assert sum(sent for *_, sent in server.requests) == len(CONTENT)


def test_a_fetch_killed_in_the_middle_is_resumed(server, tmp_path):
    server.files["a"] = CONTENT
    server.faults["a"] = ["stall"]
    patient = dataclasses.replace(PATIENCE, read_seconds=10.0)
    context = multiprocessing.get_context("fork")
    arguments = (entry_for(server, "a"), tmp_path)
    job = context.Process(target=bring_, args=arguments, kwargs={"patience": patient})
    job.start()
    part = tmp_path / ".fetch" / "thing" / "thing.bin.part"
    deadline = time.monotonic() + 5
    while not (part.exists() and part.stat().st_size == len(CONTENT) // 2):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    job.kill()
    job.join()
    assert not (tmp_path / "things").exists()
    assert bring_(entry_for(server, "a"), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == ("a", "bytes=262144-", 262_144)
    assert visible(tmp_path) == ["things/thing.bin"]


def test_a_killed_fetch_leaves_no_lock_and_its_rest_is_cleared(server, tmp_path):
    server.files["scenes.zip"] = scene_archive({"all/lego/a": b"1"})
    left = tmp_path / "root" / "scenes" / ".lego-arriving"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    (lego,) = scenes(server, "lego")
    context = multiprocessing.get_context("fork")

    def hold():
        with fetch_module.turn(tmp_path / "root" / ".fetch" / "scenes.lock", "scenes"):
            os.kill(os.getpid(), 9)

    holder = context.Process(target=hold)
    holder.start()
    holder.join()
    bring_(lego, tmp_path / "root")
    assert visible(tmp_path / "root") == ["scenes/lego/a"]


def test_data_that_is_there_is_used_untouched(server, tmp_path):
    place = tmp_path / "root" / "nerf_synthetic" / "lego"
    place.mkdir(parents=True)
    (place / "mine").write_text("partial, but mine")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*")}
    assert fetch("lego", data_root=tmp_path / "root") == place
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*")} == before


def test_what_other_code_has_generated_is_made_anew(tmp_path, monkeypatch):
    made = fetch("melody", data_root=tmp_path)
    content = made.read_bytes()
    made.write_bytes(b"kept")
    assert fetch("melody", data_root=tmp_path).read_bytes() == b"kept"
    monkeypatch.setattr("nir.data.fetch.fingerprint", lambda *modules: "another")
    assert fetch("melody", data_root=tmp_path).read_bytes() == content


def test_a_read_only_root_says_so_and_generated_signals_go_to_the_cache(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch_module, "_is_writable", lambda root: False)
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(InputError, match="cannot be written, and thing is not in it"):
        bring_(entry_for(server, "a"), root)
    path = fetch("melody", data_root=root)
    assert tmp_path / "cache" in path.parents
    assert resolve_subject("melody", root) == path
    assert fetch("camera", data_root=root).name == "camera.png"
    assert list(root.iterdir()) == []


def test_a_root_that_is_a_file_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        bring_(entry_for(server, "a"), tmp_path / "file" / "root")


def test_a_full_disk_is_known_before_the_download(server, tmp_path):
    with pytest.raises(InputError, match=r"needs 1000000000\.0 GB and only"):
        bring_(entry_for(server, "a", size_bytes=10**18), tmp_path)
    assert server.requests == []


def test_manual_data_says_where_to_get_it_and_where_to_put_it(tmp_path):
    with pytest.raises(InputError) as caught:
        fetch("shapenet", data_root=tmp_path)
    for word in (str(tmp_path / "ShapeNetCore.v2"), "https://shapenet.org", "account", "licence"):
        assert word in str(caught.value)


def test_progress_is_shown_only_when_asked_for(server, tmp_path, capfd, caplog):
    server.files["a"] = CONTENT
    with caplog.at_level(logging.INFO):
        bring_(entry_for(server, "a"), tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    bring_(entry_for(server, "a"), tmp_path / "shown", progress=True)
    assert "thing.bin" in capfd.readouterr().err


# ---- subjects and receipts ---------------------------------------------------------------------


def test_a_subject_is_a_known_name_or_a_path(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"x")
    assert resolve_subject(str(tmp_path / "photo.png"), tmp_path).name == "photo.png"
    assert resolve_subject("camera", tmp_path).is_file()
    with pytest.raises(InputError, match=r"missing.png: no such file"):
        resolve_subject(str(tmp_path / "missing.png"), tmp_path)
    with pytest.raises(InputError, match="did you mean 'camera'"):
        resolve_subject("camra", tmp_path)
    with pytest.raises(InputError, match="run nir fetch lego"):
        resolve_subject("lego", tmp_path)


def test_a_receipt_is_the_same_for_the_same_bytes(tmp_path):
    for root in ("one", "two"):
        fetch("moving_crop", data_root=tmp_path / root)
    one, two = (receipt("moving_crop", data_root=tmp_path / root) for root in ("one", "two"))
    assert one == two
    assert str(tmp_path) not in json.dumps(one)
    assert one["files"] == 48
    assert one["licence"].startswith("CC0")
    with (tmp_path / "two/generated/moving_crop/frame_000.png").open("ab") as handle:
        handle.write(b"!")
    assert receipt("moving_crop", data_root=tmp_path / "two")["sha256"] != one["sha256"]


def test_a_tree_hash_covers_names_and_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    first = content_hash(tmp_path / "a")
    line = f"{hashlib.sha256(b'1').hexdigest()}  x\n"
    assert first["sha256"] == hashlib.sha256(line.encode()).hexdigest()
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert content_hash(tmp_path / "a")["sha256"] != first["sha256"]


def test_recorded_hashes_agree_with_real_files(real_data):
    checked = 0
    for entry in registry().values():
        path = real_data / entry.path
        if entry.archive == "file" and entry.sha256 and path.is_file():
            assert content_hash(path)["sha256"] == entry.sha256
            checked += 1
    assert checked >= 4
    assert fetch("fern", data_root=real_data) == real_data / dataset("fern").path
