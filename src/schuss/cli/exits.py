"""How a command ends: its exit codes, and what is said when it does not come to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

import schuss as sc

DIVERGED, INVALID, INTERRUPTED = 1, 2, 130


def fail(message: str, code: int = INVALID) -> None:
    """Say what went wrong on standard error, and end."""
    typer.secho("error: ", fg="red", nl=False, err=True)
    typer.echo(message, err=True)
    sys.exit(code)


def fail_if_diverged(run: sc.Run) -> None:
    """End with an exit code of its own where the network diverged, and say where."""
    if run.status != "diverged":
        return
    fail(
        f"the network diverged at step {run.outcome.diverged_step} in layer {run.diverged_layer}: "
        "its numbers grew without bound. Lower the learning rate (--lr), or clip the gradient (--clip-norm 1).",
        DIVERGED,
    )


@contextmanager
def whole_or_nothing() -> Iterator[None]:
    """Ctrl-C during a training ends the command, and says that there is nothing of it."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; the training was not finished, and nothing was written.", err=True)
        raise typer.Exit(INTERRUPTED) from None
