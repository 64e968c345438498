"""Progress: what a person sees of a training while it runs.

`progress.json` in the checkpoint folder is renewed about once a second (`nir status` reads it); a
line goes to the terminal and the log every ten seconds and at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

FILE_NAME = "progress.json"


@dataclass
class Progress:
    """Reports the steps of one training; `label` names the run, as chapter/experiment/..."""

    label: str
    steps: int
    folder: Path
    log: Path | None = None
    file_seconds: float = 1.0
    line_seconds: float = 10.0
    _started: float = field(default_factory=time.monotonic)
    _first_step: int | None = None
    _last_file: float = float("-inf")
    _last_line: float = field(default_factory=time.monotonic)

    def say(self, message: str) -> None:
        """Write one line to the terminal and to the log."""
        line = f"[{self.label}] {message}"
        sys.stderr.write(line + "\n")  # one write: trainings side by side share the terminal
        sys.stderr.flush()
        if self.log is not None:
            with contextlib.suppress(OSError):  # a full disk stops the training where it saves
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with self.log.open("a", encoding="utf-8") as handle:
                    handle.write(line + "\n")

    def due(self) -> bool:
        """Whether a report is wanted; the loss need not be read from the device before."""
        return time.monotonic() - self._last_file >= self.file_seconds

    def report(self, step: int, loss: float) -> None:
        """Tell that `step` updates are done and the loss is `loss`."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._started = step, now
        done = step - self._first_step
        speed = done / max(now - self._started, 1e-9)
        left = (self.steps - step) / speed if speed > 0 else None
        self._last_file = now
        self._write(step, loss, speed, left)
        if now - self._last_line >= self.line_seconds or step == self.steps:
            self._last_line = now
            self.say(
                f"step {step}/{self.steps}  loss {loss:.3e}  {speed:.1f} steps/s  "
                f"{format_seconds(left)} left"
            )

    def forget(self) -> None:
        """Remove progress.json: nothing is under way any more."""
        (self.folder / FILE_NAME).unlink(missing_ok=True)

    def _write(self, step: int, loss: float, speed: float, left: float | None) -> None:
        """Renew progress.json; a reader never sees half of it, and a full disk stops nothing."""
        state = {
            "label": self.label,
            "step": step,
            "steps": self.steps,
            "loss": loss,
            "steps_per_second": speed,
            "seconds_left": left,
            "process": os.getpid(),
            "time": time.time(),
        }
        temporary = self.folder / f".{FILE_NAME}-{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(state))
            temporary.replace(self.folder / FILE_NAME)
        except OSError as error:
            sys.stderr.write(f"[{self.label}] {self.folder}: {error.strerror}\n")
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def format_seconds(seconds: float | None) -> str:
    """Spell a duration for a person.

    >>> format_seconds(None), format_seconds(42.4), format_seconds(3723)
    ('?', '42 s', '1 h 02 min')
    """
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
