"""Serve a folder to this machine's own browsers, and to nobody else."""

from __future__ import annotations

import contextlib
import errno
import signal
import threading
import webbrowser
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nir.errors import InputError

HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    """Quiet; content types that do not depend on the machine; nothing is kept by the browser."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".css": "text/css",
        ".html": "text/html; charset=utf-8",
        ".json": "application/json",
        ".glsl": "text/plain; charset=utf-8",
        ".bytes": "application/octet-stream",
    }

    def send_head(self):
        # Another site's page that resolves its own name to this machine sends that name along.
        name = self.headers.get("Host", "").rpartition(":")[0]
        if name not in (HOST, "localhost"):
            self.send_error(403, "only for this machine")
            return None
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def server_of(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of `folder` on the loopback address; port 0 takes a free one.

    A port that is taken or forbidden is an `InputError`.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: must lie between 0 and 65535 (0: any free one)")
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        known = {errno.EADDRINUSE: "is taken", errno.EACCES: "is not allowed to you"}
        reason = known.get(error.errno, f"cannot be used ({error.strerror})")
        raise InputError(
            f"--port {port}: {reason}; choose another, or 0 for any free one"
        ) from error


def address_of(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{server.server_address[1]}/"


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder while the block runs; yields the address."""
    with server_of(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield address_of(server)
        finally:
            server.shutdown()
            thread.join()


def serve_until_stopped(
    folder: Path, *, port: int, open_browser: bool, say: Callable[[str], None]
) -> None:
    """Serve a folder until Ctrl-C or SIGTERM, and open it in a browser if asked."""
    with server_of(folder, port) as server:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, stop)
        say(f"{address_of(server)} shows {folder}; Ctrl-C stops")
        try:
            if open_browser and not webbrowser.open(address_of(server)):
                say("no browser could be opened; open the address yourself")
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
        finally:
            signal.signal(signal.SIGTERM, before)
