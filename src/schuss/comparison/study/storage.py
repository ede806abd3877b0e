"""The study file: SQLite, in which every finished network stands within a second, whatever happens to the process.

`networks` holds what became of each network, found by its key; `entries` says which network stands at which place of
which comparison; `comparisons` holds what was asked for. docs/study.md describes the columns.
"""

from __future__ import annotations

import glob
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from schuss.comparison.competitors import Competitor
from schuss.comparison.study.locking import Lock
from schuss.comparison.study.records import Record, Row
from schuss.errors import StudyFileError

Result = TypeVar("Result")

FORMAT = 1
APPLICATION = 0x73636875  # "schu": which program a SQLite file belongs to stands in its head
SECONDS_BETWEEN_COMMITS = 0.5

_AXES = Competitor._fields
_OUTCOME = Record._fields[:12]
_ENTRY = ("data", "stage", *_AXES, "trial", "learning_rate", "settings", "seed")
_TABLES = f"""
BEGIN;
CREATE TABLE comparisons (
    id TEXT PRIMARY KEY, asked TEXT NOT NULL, origin TEXT NOT NULL, opened REAL NOT NULL,
    trained INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, expected INTEGER NOT NULL DEFAULT 0,
    finished INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE networks (key BLOB PRIMARY KEY, {", ".join(Record._fields)});
CREATE TABLE entries (
    comparison TEXT NOT NULL, place INTEGER NOT NULL, network BLOB NOT NULL, {", ".join(_ENTRY)},
    PRIMARY KEY (comparison, place)
) WITHOUT ROWID;
CREATE TABLE calibrations (key BLOB PRIMARY KEY, seconds REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
COMMIT;
"""


class Entry(NamedTuple):
    """A place of a comparison, and the network that stands there."""

    network: bytes
    data: str
    stage: str
    competitor: Competitor
    trial: int
    learning_rate: float
    settings: str
    seed: int


class Arrays(NamedTuple):
    """The arrays of a network, as they are in the file."""

    curves: bytes
    flow: bytes | None
    watched: str


class Comparison(NamedTuple):
    """What a comparison asked for, where it ran, and how far it is."""

    id: str
    asked: dict[str, Any]
    origin: dict[str, Any]
    trained: int
    seconds: float
    expected: int
    finished: int


class StudyFile:
    """An open study file, or its like in memory where there is no path. To write it takes the lock.

    StudyFileError where the file cannot be used; the message says why.
    """

    def __init__(self, path: Path | None, *, write: bool) -> None:
        self.path = path
        if path is not None and not write and not path.is_file():
            raise StudyFileError(f"there is no study file {path}; `schuss compare … --study {path}` makes one.")
        self._lock = Lock(path) if path is not None and write else None
        self._due = math.inf
        try:
            self._db = self._connected()
            try:
                self._prepare(write=write)
            except BaseException:
                self._db.close()
                raise
        except BaseException:
            self._release()
            raise

    # ------------------------------------------------------------------------------------------ open and close

    def _connected(self) -> sqlite3.Connection:
        target = ":memory:" if self.path is None else str(self.path)
        try:
            return sqlite3.connect(target, timeout=10, isolation_level=None)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _prepare(self, *, write: bool) -> None:
        if not write:
            self._do("BEGIN")  # all that a reader reads is of one moment, also while others go on to write
        tables = self._do("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables:
            self._check()
        elif not write:
            raise StudyFileError(f"{self.path} is empty; it is no study file.")
        if write:
            self._do("PRAGMA journal_mode = WAL")
            self._do("PRAGMA synchronous = NORMAL")  # what is committed survives the process, and the file the machine
            if not tables:
                self._guard(lambda: self._db.executescript(_TABLES))

    def _check(self) -> None:
        program, version = (self._do(f"PRAGMA {what}").fetchone()[0] for what in ("application_id", "user_version"))
        if program != APPLICATION:
            raise StudyFileError(
                f"{self.path} is no study file, but a database of another program. It was not touched."
            )
        if version != FORMAT:
            raise StudyFileError(
                f"{self.path} is a study file of format {version}, but this version of schuss has format {FORMAT}. "
                "Take the version that wrote it, or begin another file."
            )
        found = self._do("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StudyFileError(f"{self.path} is damaged ({found}); begin another file.")

    def close(self) -> None:
        """Keep what is pending and close; the file is then alone, without the files that SQLite has beside it."""
        try:
            self.commit()
            if self._lock is not None:
                self._db.execute("PRAGMA busy_timeout = 0")  # the reader will be the last to close it, then
                self._db.execute("PRAGMA journal_mode = DELETE")
        except (sqlite3.Error, StudyFileError):
            pass  # somebody is reading, or the disk is full: what is committed is in the file or in its log
        finally:
            self._db.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    # ------------------------------------------------------------------------------------------ write

    def begin(self, id: str, asked: dict[str, Any], origin: dict[str, Any]) -> None:  # noqa: A002 (the column's name)
        """Begin a comparison, or go on with it."""
        values = (id, _text(asked), _text(origin), time.time())
        update = "ON CONFLICT (id) DO UPDATE SET opened = excluded.opened, finished = 0"
        self._do(f"INSERT INTO comparisons (id, asked, origin, opened) VALUES (?, ?, ?, ?) {update}", values)

    def expect(self, id: str, networks: int) -> None:  # noqa: A002
        """Say how many networks the comparison will have, if an earlier sitting did not find that there are more."""
        self._write("UPDATE comparisons SET expected = max(expected, ?) WHERE id = ?", [(networks, id)])

    def account(self, id: str, *, trained: int, seconds: float) -> None:  # noqa: A002
        """Add networks that were trained, and the seconds that took."""
        sql = "UPDATE comparisons SET trained = trained + ?, seconds = seconds + ? WHERE id = ?"
        self._write(sql, [(trained, seconds, id)])
        self.commit()

    def finish(self, id: str) -> None:  # noqa: A002
        """Say that a comparison is complete."""
        self._do("UPDATE comparisons SET finished = 1 WHERE id = ?", (id,))

    def enter(self, id: str, start: int, entries: Sequence[Entry]) -> None:  # noqa: A002
        """Say which networks stand at the places from `start` on."""
        marks = ", ".join("?" * (3 + len(_ENTRY)))
        rows = [
            (id, place, e.network, e.data, e.stage, *e.competitor, e.trial, e.learning_rate, e.settings, e.seed)
            for place, e in enumerate(entries, start)
        ]
        self._write(f"INSERT OR REPLACE INTO entries VALUES ({marks})", rows)

    def keep(self, key: bytes, record: Record) -> None:
        """Keep what became of a network; it is in the file within a second."""
        marks = ", ".join("?" * (1 + len(record)))
        self._write(f"INSERT OR REPLACE INTO networks VALUES ({marks})", [(key, *record)])

    def calibrate(self, key: bytes, seconds: float) -> None:
        """Keep how long an epoch of this training takes."""
        self._write("INSERT OR REPLACE INTO calibrations VALUES (?, ?)", [(key, seconds)])

    def tick(self) -> None:
        """Commit what has waited long enough; to be called a few times a second."""
        if time.monotonic() >= self._due:
            self.commit()

    def commit(self) -> None:
        """Commit what is pending."""
        if self._db.in_transaction:
            self._do("COMMIT")
        self._due = math.inf

    def _write(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        if not self._db.in_transaction:
            self._do("BEGIN IMMEDIATE")
            self._due = time.monotonic() + SECONDS_BETWEEN_COMMITS
        self._guard(lambda: self._db.executemany(sql, rows))
        self.tick()

    # ------------------------------------------------------------------------------------------ read

    def known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the networks that are here."""
        found = (self._do("SELECT key FROM networks WHERE key = ?", (key,)).fetchone() for key in keys)
        return {row[0] for row in found if row is not None}

    def calibration(self, key: bytes) -> float | None:
        """How long an epoch of this training took when it was measured."""
        found = self._do("SELECT seconds FROM calibrations WHERE key = ?", (key,)).fetchone()
        return None if found is None else float(found[0])

    def comparison(self, id: str | None = None) -> Comparison:  # noqa: A002
        """A comparison by its id, or the one that was worked on last."""
        where = "ORDER BY opened DESC LIMIT 1" if id is None else "WHERE id = ?"
        columns = ", ".join(Comparison._fields)
        found = self._do(f"SELECT {columns} FROM comparisons {where}", () if id is None else (id,)).fetchone()
        if found is None:
            raise StudyFileError(f"{self.path} holds no such comparison.")
        return Comparison(found[0], json.loads(found[1]), json.loads(found[2]), *found[3:])

    def rows(self, id: str, before: int | None = None) -> list[Row]:  # noqa: A002
        """The finished networks of a comparison, in the order of their places, up to (not including) `before`."""
        return [_row(values) for values in self._finished(id, (*_ENTRY, *_OUTCOME), before)]

    def arrays(self, id: str) -> list[Arrays]:  # noqa: A002
        """The arrays of the same networks in the same order."""
        return [Arrays(*values) for values in self._finished(id, Arrays._fields)]

    def _finished(self, id: str, columns: Sequence[str], before: int | None = None) -> list[tuple[Any, ...]]:  # noqa: A002
        found = self._do(
            f"SELECT {', '.join(columns)} FROM entries JOIN networks ON key = network "
            "WHERE comparison = ? AND place < ? ORDER BY place",
            (id, 2**62 if before is None else before),
        )
        rows: list[tuple[Any, ...]] = self._guard(found.fetchall)
        return rows

    # ------------------------------------------------------------------------------------------ errors

    def _do(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._guard(lambda: self._db.execute(sql, values))

    def _guard(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.rollback()
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> StudyFileError:
        what = str(error)
        if "full" in what:
            return StudyFileError(
                f"no space is left for {self.path}; what was finished before is in it. Make room, and give the same "
                "command again: it goes on."
            )
        if "not a database" in what:
            return StudyFileError(f"{self.path} is no study file; it was not touched. Name another file.")
        if "locked" in what:
            return StudyFileError(f"{self.path} is in use by another process; wait until it is done.")
        if "unable to open" in what:
            return StudyFileError(f"cannot open {self.path}; choose a folder that exists and can be written to.")
        return StudyFileError(f"{self.path} cannot be used ({what}); it may be damaged. Begin another file.")


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _row(values: tuple[Any, ...]) -> Row:
    n = 2 + len(_AXES)
    (data, stage), axes, (trial, rate, settings, seed) = values[:2], values[2:n], values[n : n + 4]
    outcome = values[n + 4 :]
    # SQLite keeps a number that does not exist as NULL.
    numbers: list[Any] = [math.nan if x is None else x for x in outcome[:-2]]
    return Row(data, stage, Competitor(*axes), trial, rate, settings, seed, *numbers, *outcome[-2:])


def place_in(folder: Path, name: str, id: str) -> Path:  # noqa: A002
    """The file of a study in a folder: one of that name in which this comparison stopped, else a new one.

    StudyFileError if there is no such folder, and it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyFileError(f"cannot make the folder {folder}: {error.strerror}. Choose another one.") from error
    for path in sorted(folder.glob(f"{glob.escape(name)}-*.study"), reverse=True):
        if _stopped_in(path, id):
            return path
    stem = f"{name}-{time.strftime('%Y-%m-%d-%H%M')}"
    names = (f"{stem}.study", *(f"{stem}-{number}.study" for number in range(2, 10_000)))
    return next(folder / each for each in names if not (folder / each).exists())


def _stopped_in(path: Path, id: str) -> bool:  # noqa: A002
    """Whether a file has this comparison, unfinished, and nobody is at it."""
    try:
        file = StudyFile(path, write=True)
    except StudyFileError:
        return False
    try:
        return file.comparison(id).finished == 0
    except StudyFileError:
        return False
    finally:
        file.close()
