"""Errors for people: one line that names the file or key, what is wrong and what to do.

The command line prints an `InputError` without a traceback and exits with code 2. Anything
else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave cannot be used: a file, a key, a value, a folder."""


class MissingWeightsError(InputError):
    """A metric's trained network is not on the disk; the number is left out, with a note."""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or None when nothing comes close.

    >>> nearest_name("sigm", ["sigma", "width"])
    'sigma'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for an unknown name: it names the nearest known one, or lists all.

    >>> str(unknown_name("subject", "astronout", ["astronaut", "camera"]))
    "unknown subject 'astronout'; did you mean 'astronaut'?"
    """
    known = sorted(known)
    nearest = nearest_name(name, known)
    hint = f"did you mean {nearest!r}?" if nearest else "known: " + ", ".join(known)
    return InputError(f"unknown {what} {name!r}; {hint}")
