"""Staging: a data set appears at its place whole, and one process at a time brings it there.

A *staging* path is a hidden neighbour of the target, on the same file system, renamed to it at the
end. A *turn* is an exclusive lock on a file (flock): the system releases it when its holder dies,
so that a killed fetch leaves nothing to clean up by hand.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def appearing_whole(target: Path) -> Iterator[Path]:
    """Yield a staging path, for a file or a folder, that becomes `target` when the block ends well.

    What a killed process left there is cleared first, so the caller must hold the turn of `target`.
    """
    staging = target.with_name(f".{target.stem}-arriving{target.suffix}")
    clear(staging)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield staging
        staging.rename(target)
    finally:
        clear(staging)


@contextlib.contextmanager
def turn(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; wait while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("another process is fetching %s; waiting for it", what)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def clear(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
