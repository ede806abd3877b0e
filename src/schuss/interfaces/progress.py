"""How far a training is, on standard error: a live bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from schuss.training import Progress, ProgressCallback

SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def shown_progress(epochs: int | None = None) -> Iterator[ProgressCallback]:
    """A callback that shows networks done, networks/s and time left; with `epochs`, the epoch of a single network."""
    began = time.perf_counter()

    def words(at: Progress) -> str:
        return describe(at, time.perf_counter() - began, epochs)

    if not sys.stderr.isatty():
        yield _lines(began, words)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(
        BarColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=5,
    ) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda at: bar.update(task, completed=at.share, description=words(at))


def _lines(began: float, words: Callable[[Progress], str]) -> ProgressCallback:
    due = began + SECONDS_BETWEEN_LINES

    def show(at: Progress) -> None:
        nonlocal due
        if time.perf_counter() >= due:
            due = time.perf_counter() + SECONDS_BETWEEN_LINES
            sys.stderr.write(words(at) + "\n")
            sys.stderr.flush()

    return show


def describe(at: Progress, seconds: float, epochs: int | None = None) -> str:
    """How far it is in words, after so many seconds.

    >>> describe(Progress(networks=300, total=600, share=0.5), seconds=10.0)
    '300 of 600 networks, 30 networks/s, 10 s left'
    >>> describe(Progress(networks=0, total=1, share=0.25), seconds=10.0, epochs=20)
    'epoch 5 of 20, 30 s left'
    """
    if epochs is not None:
        done = f"epoch {int(at.share * epochs)} of {epochs}"
    else:
        speed = at.networks / seconds if seconds > 0 else 0.0
        done = f"{at.networks} of {at.total} networks" + (f", {speed:.3g} networks/s" if at.networks else "")
    left = f", {_duration(seconds * (1 - at.share) / at.share)} left" if at.share > 0.005 else ""
    return done + left


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
