"""Files that appear whole or not at all: write beside the target, then rename.

Everything that nir leaves on disk goes through this module, so that an interruption, a full
disk or a second process never shows a reader half a file.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nir.errors import InputError

WHAT_TO_DO = "make room there or choose another folder"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends well.

    When the block raises, the temporary file is removed and `path` is as it was. A folder that
    cannot be written, or a full disk, is an `InputError` that names the path.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o666 & ~_current_umask())
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written ({reason}); {WHAT_TO_DO}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that takes its place when the block ends well.

    When the block raises, or the folder cannot take the place, `path` is as it was.
    """
    path = Path(path)
    with _said_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_folder_beside(path)
    try:
        yield temporary
        with _said_of(path):
            temporary.chmod(0o777 & ~_current_umask())
            _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _new_folder_beside(path: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix))


def _put_in_place(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; what was there goes aside first, as removing it takes time."""
    if not path.exists():
        folder.rename(path)
        return
    aside = _new_folder_beside(path)
    try:
        path.rename(aside)
        try:
            folder.rename(path)
        except BaseException:
            aside.rename(path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Turn what the system says of a folder into one line that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be written ({reason}); {WHAT_TO_DO}") from error


def remove_leftovers(path: Path) -> None:
    """Remove what a kill, or a disk that turned read-only, left of earlier writings of `path`.

    Only for its one writer: another's unfinished file would go as well.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}-????????{path.suffix}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def require_writable(path: Path) -> None:
    """Raise now what writing `path` would raise after hours of work; nothing is written."""
    with contextlib.suppress(_Probed), written_whole(path):
        raise _Probed


class _Probed(Exception):  # noqa: N818 it is no error
    """Ends the block of a file that is not to be kept."""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_result(path: Path, text: str) -> None:
    """`write_text` for the one writer of `path`: what kills left of earlier writings goes, too."""
    write_text(path, text)
    remove_leftovers(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; the columns in the order in which the rows name them first."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; one that is missing or damaged is an `InputError`."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: not valid JSON ({error}); remove it so that it is made again"
        ) from error


def canonical_json(value: Any) -> str:
    """Return one spelling of `value`: keys sorted, no spaces, no NaN.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content; a missing one is an `InputError`."""
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error


def bring_back_from_the_future(paths: Iterable[Path], tolerance_seconds: float = 60.0) -> int:
    """Set the time of change of files that lie in the future to now; return how many did.

    tolerance_seconds: by how much a file server's clock may be ahead without being corrected.
    """
    now, count = time.time(), 0
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > now + tolerance_seconds:
                os.utime(path)
                count += 1
    return count
