"""Serving: to this machine alone, with clear words, and gone when asked to stop."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from nir.errors import InputError
from nir.viewers.serving import HOST, served, server_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "index.html").write_text("<title>Here</title>")
    (tmp_path / "viewer.js").write_text("export const one = 1;")
    return tmp_path


def test_files_come_with_their_types_and_are_not_kept(folder):
    with served(folder) as address, urllib.request.urlopen(f"{address}viewer.js") as answer:
        assert answer.headers["Content-Type"] == "text/javascript"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.read() == b"export const one = 1;"


def test_only_the_loopback_address_is_bound(folder):
    with server_of(folder) as server:
        assert server.socket.getsockname()[0] == HOST == "127.0.0.1"


def test_another_name_for_this_machine_is_refused(folder):
    with served(folder) as address:
        request = urllib.request.Request(address, headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)


def test_nothing_outside_the_folder_is_served(folder):
    (folder / "inner").mkdir()
    with served(folder / "inner") as address, pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}../index.html")


def test_a_port_that_is_taken_is_named(folder):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port}: is taken"):
            server_of(folder, port)
    with pytest.raises(InputError, match="between 0 and 65535"):
        server_of(folder, 70000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_view_serves_and_stops_cleanly(folder, number):
    command = [sys.executable, "-c", "import sys; from nir.cli import main; main(sys.argv[1:])"]
    running = subprocess.Popen(
        [*command, "view", str(folder), "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    try:
        address = running.stderr.readline().split()[1]
        with urllib.request.urlopen(address) as answer:
            assert b"Here" in answer.read()
        running.send_signal(number)
        assert running.wait(10) == 0
        assert running.stderr.read().strip().endswith("stopped")
    finally:
        running.kill()
        running.stderr.close()
