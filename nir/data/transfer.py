"""Transfers: one file from a server to the disk, resumed where the server allows, verified.

pooch does the fetching (temporary file, hash, rename); this module gives it a downloader that asks
for the missing part of an interrupted transfer (RFC 9110, section 14: Range and If-Range), and
decides which failures are worth another try.

Words: an *address* is a URL; a *part* is the file that holds what has arrived so far, with a note
beside it of where it came from.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm import tqdm

_CHUNK_BYTES = 1 << 14  # a broken connection loses the chunk under way, so it is small


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for a server and how often to ask again, in seconds."""

    connect_seconds: float = 15.0
    read_seconds: float = 60.0
    attempts: int = 4
    first_pause_seconds: float = 1.0  # doubled after each failure


class TransferError(Exception):
    """One address did not give the file. `again` says whether asking it again may help."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def transfer(
    address: str,
    target: Path,
    *,
    sha256: str = "",
    patience: Patience | None = None,
    progress: bool = False,
) -> None:
    """Fetch `address` to `target`, whole or not at all.

    Server errors (5xx, 408, 429), timeouts, lost connections and truncated bodies are tried again
    with growing pauses; the next try asks only for what is missing. `sha256`, where given, must
    match. A `TransferError` says why this address did not do.
    """
    patience = patience or Patience()
    downloader = ResumingDownloader(
        target.with_name(target.name + ".part"),
        patience=patience,
        hash_is_known=bool(sha256),
        progress=progress,
    )
    pause = patience.first_pause_seconds
    for attempt in range(1, patience.attempts + 1):
        try:
            _retrieve(address, target, sha256, downloader)
            return
        except TransferError as error:
            if not error.again or attempt == patience.attempts:
                raise
        time.sleep(pause)
        pause *= 2


def _retrieve(address: str, target: Path, sha256: str, downloader: ResumingDownloader) -> None:
    try:
        with _quiet(pooch.get_logger()):
            pooch.retrieve(
                address,
                known_hash=f"sha256:{sha256}" if sha256 else None,
                fname=target.name,
                path=target.parent,
                downloader=downloader,
            )
    except requests.Timeout as error:
        raise TransferError("no answer in time", again=True) from error
    except requests.TooManyRedirects as error:
        raise TransferError("redirects without end", again=False) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise TransferError("not an http address", again=False) from error
    except requests.exceptions.MissingSchema as error:
        raise TransferError("not an http address", again=False) from error
    except requests.ConnectionError as error:
        reason = "no answer in time" if "timed out" in str(error) else "no connection"
        raise TransferError(reason, again=True) from error
    except requests.RequestException as error:
        raise TransferError("the connection broke off", again=True) from error
    except ValueError as error:  # pooch: the hash differs
        reason = "wrong content (its SHA-256 is not the one recorded)"
        raise TransferError(reason, again=downloader.resumed) from error


class ResumingDownloader:
    """A downloader for pooch that continues an interrupted transfer.

    What has arrived stays in `part`. A later call with the same address asks for the rest, on
    condition that the file has not changed (If-Range with the server's ETag or date). A server
    without ranges, or with another file, answers with the whole, and the part starts anew. Without
    ETag and date, the rest is asked for only when a known hash will catch a wrong join.
    """

    def __init__(
        self, part: Path, *, patience: Patience, hash_is_known: bool, progress: bool
    ) -> None:
        self.part = part
        self.note = part.with_name(part.name + ".json")
        self.patience = patience
        self.hash_is_known = hash_is_known
        self.progress = progress
        self.resumed = False

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Fetch `url` to `output_file`, as pooch calls it."""
        headers, have = self._request_headers(url)
        timeout = (self.patience.connect_seconds, self.patience.read_seconds)
        with requests.get(url, headers=headers, timeout=timeout, stream=True) as response:
            self.resumed = have > 0 and response.status_code == 206
            if response.status_code == 416:  # nothing is missing, or the file has shrunk
                self._keep_only_whole(response, have)
            else:
                _refuse_bad_answer(response)
                self._keep_only_continued(response, have)
                self._write_note(url, response)
                self._receive(response, have if self.resumed else 0)
        self.part.replace(output_file)
        self._forget()

    def _request_headers(self, url: str) -> tuple[dict[str, str], int]:
        # Identity: a compressed body has no length to compare with, and no byte to continue at.
        headers = {"Accept-Encoding": "identity", "User-Agent": f"nir pooch/{pooch.__version__}"}
        note = self._read_note()
        have = self.part.stat().st_size if self.part.exists() else 0
        if have == 0 or note.get("address") != url:
            return headers, 0
        if note.get("validator"):
            headers["If-Range"] = note["validator"]
        elif not self.hash_is_known:
            return headers, 0
        headers["Range"] = f"bytes={have}-"
        return headers, have

    def _keep_only_whole(self, response: requests.Response, have: int) -> None:
        if response.headers.get("Content-Range") != f"bytes */{have}":
            self._forget()
            raise TransferError("the server has no such part of the file", again=True)
        self.resumed = True

    def _keep_only_continued(self, response: requests.Response, have: int) -> None:
        continues = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if self.resumed and not continues:
            self._forget()
            raise TransferError("the server sent another part than asked for", again=True)
        if not self.resumed:
            self._forget()  # before the note is written: it must never vouch for other bytes

    def _receive(self, response: requests.Response, have: int) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        with self.part.open("ab" if have else "wb") as sink, self._bar(have, total) as bar:
            for chunk in response.iter_content(_CHUNK_BYTES):
                sink.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
        if total is not None and have != total:
            raise TransferError(f"broke off after {have:,} of {total:,} bytes", again=True)

    def _bar(self, have: int, total: int | None) -> Any:
        return tqdm(
            initial=have,
            total=total,
            unit="B",
            unit_scale=True,
            desc=self.part.name.removesuffix(".part"),
            disable=not self.progress,
            mininterval=0.5 if sys.stderr.isatty() else 30.0,
        )

    def _read_note(self) -> dict[str, str]:
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _write_note(self, url: str, response: requests.Response) -> None:
        etag = response.headers.get("ETag", "")
        strong = "" if etag.startswith("W/") else etag  # If-Range takes strong validators only
        validator = strong or response.headers.get("Last-Modified", "")
        self.note.write_text(json.dumps({"address": url, "validator": validator}), encoding="utf-8")

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _refuse_bad_answer(response: requests.Response) -> None:
    status = response.status_code
    if status >= 500 or status in (408, 425, 429):
        raise TransferError(f"server error {status}", again=True)
    if status not in (200, 206):
        raise TransferError(f"{status} {response.reason}", again=False)
    if "text/html" in response.headers.get("Content-Type", ""):
        raise TransferError("a web page instead of the file", again=False)


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence pooch's notes, which advise the reader to edit source code."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
