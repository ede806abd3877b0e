"""One process at a time: a lock that the system gives back when the process ends, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from schuss.errors import StudyFileError


class Lock:
    """The right to write to a file, held through an empty file beside it, which is removed again.

    StudyFileError if another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file = _locked(self._path, path)

    def release(self) -> None:
        """Give it back."""
        with suppress(PermissionError):  # Windows removes no file that is open
            self._path.unlink(missing_ok=True)  # while it is still held: who opened it meanwhile sees that it is gone
        self._file.close()


def _locked(path: Path, what: Path) -> IO[str]:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; SQLite still keeps two writers from writing at the same moment
        return _opened(path, what)
    while True:
        file = _opened(path, what)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise StudyFileError(
                f"{what} is in use by another process; wait until it is done, or name another file with --study."
            ) from None
        except OSError as error:  # such as some network drives, which have no locks
            file.close()
            path.unlink(missing_ok=True)
            raise StudyFileError(
                f"cannot lock {what}: {error.strerror}. Choose a folder on a disk of this machine."
            ) from error
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()  # its last holder has just removed it


def _opened(path: Path, what: Path) -> IO[str]:
    try:
        return path.open("w")
    except OSError as error:
        raise StudyFileError(
            f"cannot write {what}: {error.strerror}. Choose a folder that exists and can be written to."
        ) from error
