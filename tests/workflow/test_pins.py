"""The workflow pins the hash of a first download, and refuses other content from then on."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import threading

import pytest

pytestmark = pytest.mark.slow

FILM = b"\x00\x00\x00\x18ftypisom" + bytes(range(256))


@pytest.fixture
def mirror(tmp_path_factory):
    """A folder served on the loopback address."""
    folder = tmp_path_factory.mktemp("mirror")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_fetch_rule_pins_what_it_first_saw_and_demands_it_again(project, mirror):
    folder, address = mirror
    (folder / "bikes.mp4").write_bytes(FILM)
    overlay = project.overlay(mirrors=[address], data_root="data")
    receipt = "results/data/bikes.json"

    run = project.snakemake(*overlay, "--", receipt)
    assert run.returncode == 0, run.stdout
    pins = json.loads((project.folder / "data.pins.json").read_text())
    assert pins["bikes"]["sha256"] == hashlib.sha256(FILM).hexdigest()
    assert (project.folder / "data/video/bikes.mp4").read_bytes() == FILM

    (project.folder / "data/video/bikes.mp4").unlink()
    (folder / "bikes.mp4").write_bytes(FILM + b"other")
    run = project.snakemake(*overlay, "--retries", "0", "--forcerun", "fetch", "--", receipt)
    assert run.returncode != 0
    assert "pinned in data.pins.json" in run.stdout
    assert not (project.folder / "data/video/bikes.mp4").exists()
