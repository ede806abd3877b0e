"""The entry point: the commands in their order, and one sentence in place of a traceback.

Exit codes: 0 done, 1 a network of `fit` diverged, 2 an input that cannot be used, 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, TextIO

import typer

import schuss as sc
from schuss.cli import compare, definitions, doctor, fit, flow, predict
from schuss.cli.exits import INVALID, fail
from schuss.errors import SchussWarning

UsageError: type[Any] = typer.BadParameter.__bases__[0]  # of Click's, which Typer carries with it in later versions
KINDS = {"integer": "a whole number", "number": "a number", "float": "a number"}  # by words of Typer's messages

app = typer.Typer(
    name="schuss",
    help="Find out what makes your deep network learn.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what is wrong with an input is said in a sentence, not in a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this, as with >&-
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="replace")  # a terminal without δ shows a ?
    try:
        with warnings.catch_warnings():  # which gives the function back at the end
            warnings.showwarning = _note
            # By its name also for `python -m schuss`, whose name would not fit into a completion script.
            sys.exit(app(prog_name="schuss", standalone_mode=False))
    except UsageError as error:
        _fail_to_read(error)
    except sc.SchussError as error:
        fail(str(error))
    except MemoryError:
        fail("there is not enough memory for this; make the network smaller, or take fewer rows.")
    except OSError as error:  # a full disk behind standard output
        fail(f"{error.strerror or error}.")
    finally:
        _flush()


_show_warning = warnings.showwarning


def _note(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """Print a warning of schuss as a note."""
    if issubclass(category, SchussWarning):
        typer.echo(f"note: {message}", err=True)
    else:
        _show_warning(message, category, filename, lineno, file, line)


def _fail_to_read(error: Any) -> None:
    """Say in one sentence what is wrong with the arguments; without any, show the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(INVALID)
    fail(_what_is_wrong(error, "schuss" if error.ctx is None else error.ctx.command_path))


def _what_is_wrong(error: Any, command: str) -> str:
    if type(error).__name__ == "NoSuchOption":
        near = f"; did you mean {' or '.join(error.possibilities)}?" if error.possibilities else "."
        return f"{command} has no option {error.option_name}{near} {command} -h lists its options."
    if (parameter := getattr(error, "param", None)) is None:
        return f"{error.message.rstrip('.')}; {command} -h shows how it is used."
    is_option = parameter.opts[0].startswith("-")
    name = parameter.opts[0] if is_option else str(parameter.metavar or parameter.name)
    if type(error).__name__ == "MissingParameter":
        return f"{command} needs {name}; {command} -h shows how it is used."
    expected = next((kind for word, kind in KINDS.items() if word in error.message), None)
    return f"{name} takes {expected}, but is {_value_of(parameter.opts)!r}." if expected else f"{name}: {error.message}"


def _value_of(options: Sequence[str]) -> str:
    """What stands behind one of the options on the command line."""
    for at, argument in enumerate(sys.argv):
        option, equals, value = argument.partition("=")
        if option in options:
            return value if equals else next(iter(sys.argv[at + 1 :]), "")
    return ""


def _flush() -> None:
    """Write out what is left; the reader of a pipe may be gone, which is no concern of ours and no traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        if not isinstance(error, BrokenPipeError):
            fail(f"cannot write to standard output: {error.strerror}.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"schuss {sc.__version__}")
        raise typer.Exit


@app.callback()
def schuss(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """[bold]Find out what makes your deep network learn.[/bold]

    $ schuss compare digits

    $ schuss fit churn.csv --target Exited --save churn.schuss

    $ schuss flow digits --depth 20 --activation sigmoid

    $ schuss doctor digits --depth 20 --activation sigmoid
    """


for _command in (compare.compare, fit.fit, doctor.doctor, predict.predict, flow.flow):
    app.command(rich_help_panel="Commands")(_command)
for _definitions in (definitions.activations, definitions.optimizers):
    app.command(rich_help_panel="Reference")(_definitions)

if __name__ == "__main__":
    main()
