"""Checkpoints: where an interrupted training goes on.

A folder belongs to one recipe, one subject and one state of the code (its name is their hash), and
holds the last two states. Each file starts with the SHA-256 of what follows, so that a damaged one
is recognised and the one before it is used. One process at a time owns the folder (nir.ownership).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from nir.files import written_whole
from nir.ownership import HEARTBEAT_SECONDS, STALE_SECONDS, Claim, owned

DIGEST_BYTES = 32
KEPT = 2
FINISHED = "finished"


@dataclass
class Checkpoints:
    """The checkpoint folder of one training."""

    folder: Path
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    stale_seconds: float = STALE_SECONDS
    _claim: Claim | None = field(default=None, init=False, repr=False)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` updates and drop all but the last two.

        Raises an `InputError` if another process took the folder over.
        """
        if self._claim is not None:
            self._claim.check()
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

        A training outlives a Snakemake that was killed, and a job of SLURM the process that
        submitted it; what is started in its place must not write beside it.
        """
        with owned(
            self.folder,
            what="another process trains this very run",
            say=say,
            heartbeat_seconds=self.heartbeat_seconds,
            stale_seconds=self.stale_seconds,
        ) as claim:
            self._claim = claim
            try:
                yield claim.waited
            finally:
                self._claim = None

    def keep_batch(self, step: int, term: str, batch: Any) -> Path:
        """Keep the batch on which `term` was not finite, and return its path."""
        path = self.folder / f"not-finite-step-{step:09d}.pt"
        _write(path, {"step": step, "term": term, "batch": batch})
        return path

    def mark_finished(self) -> None:
        """Say that nothing would be lost with the folder: what it led to is written."""
        (self.folder / FINISHED).touch()

    def remove(self) -> None:
        """Delete the folder, once what it led to is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(path: Path, state: dict[str, Any], *, with_digest: bool = False) -> None:
    """Write through memory: torch.save to a full disk raises no OSError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).digest() if with_digest else b""
    with written_whole(path) as temporary:
        temporary.write_bytes(digest + payload)
