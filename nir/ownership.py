"""Ownership: one process at a time works in a folder, also where several machines share it.

A *claim* on `path` is two files: `path.lock`, which the owner holds by flock, and `path.owner`,
which names it (host, process, job of SLURM) and counts its *heartbeats*. On one machine flock
alone decides, and is given back when its holder dies. Across machines, where flock may not reach,
heartbeats decide: an owner whose count stands still is *stale* and is taken over. Time is measured
by the watcher's own monotonic clock, so a clock that jumps, or differs, decides nothing.
An owner that was taken over while it could not beat notices it, and steps back.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from nir.errors import InputError
from nir.files import remove_leftovers, write_text

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0  # above the minute for which network file systems may show an old file
POLL_SECONDS = 0.5


class OwnedElsewhereError(InputError):
    """Another process owns the folder, and waiting for it was not wanted."""


@dataclass
class Claim:
    """What its owner holds; `waited` tells whether another owner had to be waited for."""

    path: Path
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    stale_seconds: float = STALE_SECONDS
    waited: bool = False
    _token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _beats: int = 0
    _lost_to: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _heart: threading.Thread | None = None

    def check(self) -> None:
        """Raise an `InputError` if another process took over meanwhile."""
        if self._lost_to:
            raise InputError(
                f"{self.path}: {self._lost_to} took over, as this process had given no sign of "
                "life; it goes on from what was saved, and this one stops"
            )

    @property
    def _owner_file(self) -> Path:
        return self.path.with_name(self.path.name + ".owner")

    @property
    def _lock_file(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def _beat(self) -> None:
        """Renew the owner file; notice another owner in it."""
        owner = _read(self._owner_file)
        if owner is not None and owner.get("token") != self._token:
            self._lost_to = _spelled(owner)
            return
        self._beats += 1
        about = {"token": self._token, "beats": self._beats, **identity()}
        with contextlib.suppress(InputError):  # a full disk stops the work where it saves
            write_text(self._owner_file, json.dumps(about))

    def _start_to_beat(self) -> None:
        self._heart = threading.Thread(target=self._beat_until_stopped, daemon=True)
        self._heart.start()

    def _beat_until_stopped(self) -> None:
        while not (self._stop.wait(self.heartbeat_seconds) or self._lost_to):
            self._beat()

    def _take(self) -> bool:
        """Write the owner file over whatever is there; whether this stood after a moment."""
        taken_over = self._owner_file.exists()
        about = {"token": self._token, "beats": 0, **identity()}
        write_text(self._owner_file, json.dumps(about))
        if taken_over:
            time.sleep(POLL_SECONDS)  # of several that take over at once, the last one wins
        owner = _read(self._owner_file)
        return owner is not None and owner.get("token") == self._token

    def _release(self) -> None:
        self._stop.set()
        if self._heart is not None:
            self._heart.join()  # its last beat would put back the file that is removed here
        owner = _read(self._owner_file)
        if owner is not None and owner.get("token") == self._token:
            _remove(self._owner_file)


@contextlib.contextmanager
def owned(
    path: Path,
    *,
    what: str,
    say: Callable[[str], None],
    wait: bool = True,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    stale_seconds: float = STALE_SECONDS,
) -> Iterator[Claim]:
    """Own `path` for the block; another owner is waited for, or taken over once it is stale.

    what: "another process that trains this very run", said where one has to be waited for.
    wait: False raises `OwnedElsewhereError` as soon as another owner is known to be alive.
    """
    claim = Claim(path, heartbeat_seconds, stale_seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _acquire(claim, what, say, wait)
    claim._start_to_beat()
    try:
        yield claim
    finally:
        claim._release()
        if lock is not None:
            with contextlib.suppress(OSError):  # of owners that were killed while they wrote it
                remove_leftovers(claim._owner_file)
            _remove(claim._lock_file)
            lock.close()


def _remove(path: Path) -> None:
    """Remove a file; on a file system that turned read-only it stays, and is recognised later."""
    with contextlib.suppress(OSError):
        path.unlink()


def _acquire(claim: Claim, what: str, say: Callable[[str], None], wait: bool) -> TextIO | None:
    """Return the held lock, or None where flock does not work."""
    watch = _Watch(claim._owner_file)
    while True:
        lock, busy = _try_lock(claim._lock_file)
        owner = watch.look()
        reason = _why_free(owner, lock, busy, watch, claim.stale_seconds)
        if reason is not None:
            if reason:
                say(reason)
            if claim._take():
                return lock
        if lock is not None:
            lock.close()
        known_alive = busy or watch.beats_seen > 0
        if not wait and known_alive:
            raise OwnedElsewhereError(f"{claim.path.parent}: {what} ({_spelled(owner)})")
        if not claim.waited and known_alive | (owner is not None):
            claim.waited = True
            say(_word_on_waiting(what, owner, wait, claim.stale_seconds))
        time.sleep(min(POLL_SECONDS, claim.stale_seconds / 4))


def _word_on_waiting(
    what: str, owner: Mapping[str, Any] | None, wait: bool, stale_seconds: float
) -> str:
    if wait:
        return f"{what} ({_spelled(owner)}); waiting for it"
    return f"{_spelled(owner)} left its mark here; watching for {stale_seconds:.0f} s if it lives"


def _why_free(
    owner: Mapping[str, Any] | None,
    lock: TextIO | None,
    busy: bool,
    watch: _Watch,
    stale_seconds: float,
) -> str | None:
    """Why the folder may be taken, as a sentence for people (empty: no need to say); else None."""
    here = identity()
    if owner is None:
        return None if busy else ""
    same_host = owner.get("machine") == here["machine"]
    if lock is not None and same_host:
        return ""  # the kernel knows that its holder is dead
    if not busy and here["job"] and owner.get("job") == here["job"]:
        return f"goes on in the place of this job's earlier life on {owner.get('host')}"
    if busy and same_host:
        return None
    if watch.unchanged_seconds() > stale_seconds:
        return (
            f"{_spelled(owner)} has given no sign of life for {watch.unchanged_seconds():.0f} s; "
            "taking over"
        )
    return None


def _try_lock(path: Path) -> tuple[TextIO | None, bool]:
    """The held lock (None where it is busy or flock does not work) and whether it is busy."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None, True
    except OSError:  # a file system without flock
        handle.close()
        return None, False
    if _is_still(path, handle):
        return handle, False
    handle.close()  # its last holder removed it
    return None, True


def _is_still(path: Path, handle: TextIO) -> bool:
    """Whether an open file is the one that `path` names now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


class _Watch:
    """Looks at an owner file again and again, and knows since when it has not changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.beats_seen = 0
        self._content: bytes | None = None
        self._since = time.monotonic()

    def look(self) -> dict[str, Any] | None:
        """Read the owner file, and note when it last changed; None if it is not there."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = None
        if content != self._content:
            self.beats_seen += self._content is not None and content is not None
            self._content, self._since = content, time.monotonic()
        return None if content is None else _parsed(content)

    def unchanged_seconds(self) -> float:
        return time.monotonic() - self._since


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return None


def _parsed(content: bytes) -> dict[str, Any]:
    """An owner file's content; a damaged one names nobody, and becomes stale."""
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def identity() -> dict[str, Any]:
    """Who this process is: host, the machine's boot (one for all its containers), process, job."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        machine = socket.gethostname()
    return {
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "machine": machine,
        "process": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID", ""),
    }


def _spelled(owner: Mapping[str, Any] | None) -> str:
    """An owner, for people.

    >>> _spelled({"host": "n1", "process": 7, "job": "42"})
    'process 7 on n1, SLURM job 42'
    """
    if not owner:
        return "not known which"
    job = f", SLURM job {owner['job']}" if owner.get("job") else ""
    return f"process {owner.get('process')} on {owner.get('host')}{job}"
