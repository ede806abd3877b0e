"""Files that are written whole or not at all, and their names."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from schuss.errors import InvalidInput


def path_of(path: str | os.PathLike[str]) -> Path:
    """The path; InvalidInput for what is none."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput(f"a path is a text or a pathlib.Path, but is {path!r:.60}.")
    return Path(path)


def write_atomically(path: Path, raw: bytes) -> None:
    """Replace a file by new content, or leave it untouched: written beside it first, then renamed.

    A full disk or a kill leaves the old file as it was. A link stays one: the file that it leads to is replaced. A pipe
    or a device is written to as it is. InvalidInput if the folder cannot be written to.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(raw)
        else:
            _replace(path, raw)
    except OSError as error:
        raise InvalidInput(
            f"cannot write {path}: {error.strerror}. Choose a folder that exists and can be written to."
        ) from error


def _replace(path: Path, raw: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; this one gets the permissions of the old one, or the usual ones.
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_stem(name: str) -> str:
    """The name of a definition or of data as a part of a file's name.

    >>> file_stem("tailor(sigmoid, depth=50)")
    'tailor-sigmoid-depth-50'
    """
    return re.sub(r"[^\w.]+", "-", name).strip("-")
