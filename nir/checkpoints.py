"""Checkpoints: where an interrupted training goes on.

A folder belongs to one recipe, one subject and one state of the code (its name is their hash), and
holds the last two states. Each file starts with the SHA-256 of what follows, so that a damaged one
is recognised and the one before it is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from nir.files import written_whole

DIGEST_BYTES = 32
KEPT = 2


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint folder of one training."""

    folder: Path

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` updates and drop all but the last two."""
        _write(self.folder / f"step-{step:09d}.pt", state, with_digest=True)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)

    def load_last(self, device: torch.device, say: Callable[[str], None]) -> dict[str, Any] | None:
        """Return the newest undamaged state, or None; `say` hears of damaged ones."""
        for path in self._files():
            content = path.read_bytes()
            digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
            if hashlib.sha256(payload).digest() == digest:
                return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
            say(f"{path}: damaged checkpoint, set aside; going on from the one before it")
            path.rename(path.with_suffix(".damaged"))
        return None

    @contextlib.contextmanager
    def owned(self, say: Callable[[str], None]) -> Iterator[bool]:
        """Hold the folder for this process; yield whether another one had to be waited for.

        A training outlives a Snakemake that was killed; the one that is started in its place must
        not write beside it. The operating system gives the lock back when its holder dies.
        """
        path = self.folder.with_suffix(".lock")
        waited = False
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say("another process trains this very run; waiting for it")
                    waited = True
                    fcntl.flock(handle, fcntl.LOCK_EX)
                if not _is_still(path, handle):
                    continue  # its last holder removed it; take the new one
                try:
                    yield waited
                finally:
                    path.unlink(missing_ok=True)
                return

    def keep_batch(self, step: int, term: str, batch: Any) -> Path:
        """Keep the batch on which `term` was not finite, and return its path."""
        path = self.folder / f"not-finite-step-{step:09d}.pt"
        _write(path, {"step": step, "term": term, "batch": batch})
        return path

    def remove(self) -> None:
        """Delete the folder, once what it led to is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_still(path: Path, handle: TextIO) -> bool:
    """Whether an open file is the one that `path` names now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _write(path: Path, state: dict[str, Any], *, with_digest: bool = False) -> None:
    """Write through memory: torch.save to a full disk raises no OSError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).digest() if with_digest else b""
    with written_whole(path) as temporary:
        temporary.write_bytes(digest + payload)
