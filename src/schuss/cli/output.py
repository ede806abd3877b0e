"""Where results go: tables to the terminal, JSON and pictures to files that are written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from schuss.atomic import write_atomically
from schuss.errors import InvalidInput
from schuss.show.charts.style import figure_of

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from rich.console import Console

    from schuss.data import Dataset

Picture: TypeAlias = "Callable[[], Figure | Axes]"

STDOUT = Path("-")
NARROWEST = 80  # columns of a table: in a narrower terminal its lines fold, where a squeezed table would lose its names


def _check_not_read(file: Path, read: Iterable[str | Path]) -> None:
    """Refuse to write over what the command reads: a slip of the pen must not cost the data."""
    if file.exists() and any(Path(each).exists() and file.samefile(each) for each in read):
        raise InvalidInput(f"{file} is what this command reads; it was not touched. Name another file to write.")


class Output:
    """What a command writes. With JSON on standard output, what is for people goes to standard error.

    Every place is checked when the output is created, before the work begins: nobody trains for an hour into a folder
    that cannot be written to.
    """

    def __init__(
        self,
        json_file: Path | None = None,
        pictures: Path | None = None,
        files: Iterable[Path | None] = (),
        read: Iterable[str | Path] = (),
    ) -> None:
        from rich.console import Console

        self.json_file, self.pictures = json_file, pictures
        self.console: Console = Console(stderr=json_file == STDOUT, highlight=False)
        self.console.width = max(self.console.width, NARROWEST)
        for file in (json_file, *files):
            if file is not None and file != STDOUT:
                check_file_place(file)
                _check_not_read(file, read)
        if pictures is not None:
            check_folder(pictures)

    def show(self, *things: Any) -> None:
        """Print tables and sentences, a blank line after each table."""
        for thing in things:
            if isinstance(thing, str):
                self.console.print(thing, markup=False, soft_wrap=True)
            else:
                self.console.print(thing)
                self.console.print()

    def show_data(self, data: Dataset) -> None:
        """What was loaded, and what was decided on the way."""
        self.show(repr(data), *(f"  note: {note}" for note in data.notes), "")

    def write_json(self, content: Callable[[], Any]) -> None:
        """Write the result for a machine, if it was asked for."""
        if self.json_file is None:
            return
        text = json.dumps(content(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        if self.json_file == STDOUT:
            sys.stdout.write(text)
        else:
            write_atomically(self.json_file, text.encode())
            self.show(f"result: {self.json_file}")

    def draw(self, name: str, pictures: Mapping[str, Picture]) -> None:
        """Draw pictures into files such as `<name>-loss.png`, if there is a folder for them."""
        if self.pictures is None:
            return
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.pictures, error) from error
        for what, draw in pictures.items():
            path = self.pictures / (f"{name}-{what}.png" if what else f"{name}.png")
            raw = io.BytesIO()
            figure_of(draw()).savefig(raw, format="png")
            write_atomically(path, raw.getvalue())
            self.show(f"picture: {path}")


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, or not be created, by trying; nothing is left behind."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def check_file_place(file: Path) -> None:
    """Refuse a file that cannot be written, before the work begins. A link is where it leads to."""
    place = Path(os.path.realpath(file))
    if place.is_dir():
        raise InvalidInput(f"cannot write {file}: it is a folder. Give the name of a file.")
    if not place.parent.is_dir():
        folder = place.parent if file.is_symlink() else file.parent
        raise InvalidInput(f"cannot write {file}: there is no folder {folder}. Create it, or choose another one.")
    if place.is_file() or not place.exists():  # and no pipe or device, which is written to as it is
        check_folder(place.parent)


def _unwritable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"cannot write to the folder {folder}: {error.strerror}. Choose one that can be written to.")


def predicted_columns(
    names: Sequence[str], predicted: NDArray[Any], classes: Sequence[Any] = (), p: NDArray[np.float64] | None = None
) -> tuple[list[str], list[list[Any]]]:
    """Names and columns: numbers under the names of the targets, or the class and, if known, each one's probability."""
    if not classes:
        return list(names), predicted.reshape(len(predicted), -1).T.tolist()
    header, columns = ["prediction"], [predicted.tolist()]
    if p is not None:
        header += [f"p({label})" for label in classes]
        columns += p.round(6).T.tolist()
    return header, columns


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV, its first line the names of the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
