"""How far a training is, on standard error: a live view in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from schuss.show import tables

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bar

    from schuss.comparison.session import Standing, StandingCallback
    from schuss.training.jobs import Progress, ProgressCallback

At = TypeVar("At")

SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_LEADERS = 1.0  # and 20 times what it takes to find them: they cost at most 5 % of a core
LEADERS = 5


@contextmanager
def shown_progress(epochs: int | None = None, what: str = "networks") -> Iterator[ProgressCallback]:
    """A callback that shows networks done, networks/s and time left; with `epochs`, the epoch of a single network.

    `what` is done, if not networks.
    """
    began = time.perf_counter()

    def words(at: Progress) -> str:
        return describe(at, time.perf_counter() - began, epochs, what)

    if not sys.stderr.isatty():
        yield _lines(words)
        return
    with _bar(_console()) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda at: bar.update(task, completed=at.share, description=words(at))


@contextmanager
def shown_standing(*, quiet: bool = False) -> Iterator[StandingCallback | None]:
    """A callback that shows networks done, networks/s, the time left, and who leads so far."""
    began = time.perf_counter()

    def words(at: Standing) -> str:
        return standing_in_words(at, time.perf_counter() - began)

    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _lines(words)
    else:
        with _live(words) as show:
            yield show


@contextmanager
def _live(words: Callable[[Standing], str]) -> Iterator[StandingCallback]:
    """A bar with a table of the leaders under it, which goes away at the end."""
    from rich.console import Group
    from rich.live import Live

    console = _console()
    bar = _bar(console)
    task = bar.add_task("starting", total=1.0)
    due = time.perf_counter() + SECONDS_BETWEEN_LEADERS
    shown: list[RenderableType] = [bar]
    with Live(bar, console=console, transient=True, refresh_per_second=5) as live:

        def show(at: Standing) -> None:
            nonlocal due
            bar.update(task, completed=at.share, description=words(at))
            before = time.perf_counter()
            if before >= due:
                leaders = tables.ranking_table(at.study(), LEADERS)
                leaders.title, leaders.caption = "Leaders so far", None
                shown[1:] = [leaders]
                live.update(Group(*shown))
                now = time.perf_counter()
                due = now + max(SECONDS_BETWEEN_LEADERS, 20 * (now - before))

        yield show


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _bar(console: Console) -> Bar:
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(BarColumn(), TextColumn("{task.description}"), console=console, transient=True, refresh_per_second=5)


def _lines(words: Callable[[At], str]) -> Callable[[At], None]:
    due = time.perf_counter() + SECONDS_BETWEEN_LINES

    def show(at: At) -> None:
        nonlocal due
        if time.perf_counter() >= due:
            due = time.perf_counter() + SECONDS_BETWEEN_LINES
            sys.stderr.write(words(at) + "\n")
            sys.stderr.flush()

    return show


def describe(at: Progress, seconds: float, epochs: int | None = None, what: str = "networks") -> str:
    """How far it is in words, after so many seconds.

    >>> from schuss.training.jobs import Progress
    >>> describe(Progress(networks=300, total=600, share=0.5), seconds=10.0)
    '300 of 600 networks, 30 networks/s, 10 s left'
    >>> describe(Progress(networks=0, total=1, share=0.25), seconds=10.0, epochs=20)
    'epoch 5 of 20, 30 s left'
    >>> describe(Progress(networks=5, total=10, share=0.5), seconds=10.0, what="fits")
    '5 of 10 fits, 0.5 fits/s, 10 s left'
    """
    done = _count(what, at.networks, at.networks, at.total, seconds)
    return (done if epochs is None else f"epoch {int(at.share * epochs)} of {epochs}") + _left(at.share, seconds)


def standing_in_words(at: Standing, seconds: float) -> str:
    """How far a comparison is after so many seconds; what was in the file before took none of them.

    >>> from schuss.comparison.session import Standing
    >>> standing_in_words(Standing(300, 100, 600, share=0.5, study=None), seconds=10.0)
    '300 of 600 networks, 20 networks/s, 15 s left'
    """
    reused = at.reused / at.total
    share = (at.share - reused) / (1 - reused) if reused < 1 else 0.0
    return _count("networks", at.networks, at.networks - at.reused, at.total, seconds) + _left(share, seconds)


def _count(what: str, done: int, fresh: int, total: int, seconds: float) -> str:
    speed = f", {fresh / seconds:.3g} {what}/s" if fresh and seconds > 0 else ""
    return f"{done} of {total} {what}{speed}"


def _left(share: float, seconds: float) -> str:
    return f", {_duration(seconds * (1 - share) / share)} left" if share > 0.005 else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
