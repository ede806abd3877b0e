"""The options of the commands, and the parsing of lists.

Most options of `fit` are None unless given, because a resumed run keeps its own settings; `unset` is the default that
the help shows instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from schuss.cli.output import check_folder
from schuss.errors import positive_integer, seed_number


def _option(metavar: str, text: str, *, unset: str = "", **more: Any) -> Any:
    """An option with its help; `unset` is what the help shows instead of the default None."""
    shown = f"{text} [dim]\\[default: {unset}][/dim]" if unset else text
    return typer.Option(metavar=metavar, help=shown, show_default=not unset, **more)


def _seed(seed: int | None) -> int | None:
    return None if seed is None else seed_number(seed)


def _threads(threads: int | None) -> int | None:
    return None if threads is None else positive_integer("threads", threads)


# ---------------------------------------------------------------------------------------------- data and results

DATA = "A built-in problem (digits, iris, xor, …) or a .csv, .tsv, .parquet or .npz file."
DataArgument: TypeAlias = Annotated[str, typer.Argument(metavar="DATA", help=DATA)]
DataArguments: TypeAlias = Annotated[list[str], typer.Argument(metavar="DATA...", help=DATA)]
Target: TypeAlias = Annotated[
    str | None, _option("COLUMN", "The column to predict.", unset="target, class, …, or the last")
]
Task: TypeAlias = Annotated[str | None, _option("TASK", "classification or regression.", unset="read from the target")]
Json: TypeAlias = Annotated[
    Path | None, _option("FILE", "Write the result as JSON to this file; - is standard output.")
]
PICTURES = Path("schuss-out")
Plot: TypeAlias = Annotated[bool, typer.Option("--plot", help=f"Save plots to the folder {PICTURES}.")]
Pictures: TypeAlias = Annotated[Path | None, _option("FOLDER", "Save plots to this folder.")]
CsvFile: TypeAlias = Annotated[Path, _option("FILE", "The CSV file to write; - is standard output.")]
SAVE = "Save the trained model, for schuss predict; a single network also for --resume."
Save: TypeAlias = Annotated[Path | None, _option("FILE", SAVE)]
Resume: TypeAlias = Annotated[
    Path | None, _option("FILE", "Resume the training of a saved network, up to --epochs in total.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", help="Do not show progress.")]
Fix: TypeAlias = Annotated[Path | None, _option("FILE", "Write the fixed network as a Python script that can be run.")]
RunArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="A file written by fit --save.")]
TABLE = "A file with the columns of the training data."
TableArgument: TypeAlias = Annotated[str, typer.Argument(metavar="TABLE", help=TABLE)]
NameArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="One of them, to show in full: a name, a formula or FILE.py:NAME."),
]

# ---------------------------------------------------------------------------------------------- the network

ACTIVATION = (
    "A name (see schuss activations), a formula such as 'mine = z * sigmoid(1.7 * z)', FILE.py:NAME, or "
    "'tailor(sigmoid, depth=50)'."
)
ActivationName: TypeAlias = Annotated[str, _option("NAME", ACTIVATION)]
MaybeActivation: TypeAlias = Annotated[str | None, _option("NAME", ACTIVATION, unset="relu")]
ActivationList: TypeAlias = Annotated[str, _option("LIST", "Names, formulas or FILE.py:NAME, separated by commas.")]
Depths: TypeAlias = Annotated[str, _option("LIST", "Number of hidden layers; several as in 2,4,8.")]
Widths: TypeAlias = Annotated[str, _option("LIST", "Number of units in each hidden layer.")]
Depth: TypeAlias = Annotated[int, _option("N", "Number of hidden layers.")]
MaybeDepth: TypeAlias = Annotated[int | None, _option("N", "Number of hidden layers.", unset="4")]
Width: TypeAlias = Annotated[int, _option("N", "Number of units in each hidden layer.")]
MaybeWidth: TypeAlias = Annotated[int | None, _option("N", "Number of units in each hidden layer.", unset="64")]
INIT = "Initial weights: auto, glorot_normal, he_normal, 'normal(std=0.1)', … or FILE.py:NAME."
Init: TypeAlias = Annotated[str, _option("NAME", INIT)]
Inits: TypeAlias = Annotated[str, _option("LIST", INIT)]
MaybeInit: TypeAlias = Annotated[str | None, _option("NAME", INIT, unset="auto")]
MaybeNorm: TypeAlias = Annotated[
    str | None, _option("NAME", "Normalize before each activation: batch, layer or rms.", unset="none")
]
NORM = "Normalize before each activation: none, batch, layer or rms."
Norms: TypeAlias = Annotated[str, _option("LIST", NORM)]
Residuals: TypeAlias = Annotated[str, _option("LIST", "Add each hidden layer's input to its output: no, yes.")]
Residual: TypeAlias = Annotated[bool, typer.Option("--residual", help="Add each hidden layer's input to its output.")]
DROPOUT = "Fraction of each hidden layer's outputs that is set to zero in training."
Dropout: TypeAlias = Annotated[float, _option("RATE", DROPOUT)]
Dropouts: TypeAlias = Annotated[str, _option("LIST", DROPOUT)]
MaybeDropout: TypeAlias = Annotated[float | None, _option("RATE", DROPOUT, unset="0")]

# ---------------------------------------------------------------------------------------------- the training

OPTIMIZER = "A name (see schuss optimizers), with settings as in 'adam(beta1=0.8)', or FILE.py:NAME."
MaybeOptimizer: TypeAlias = Annotated[str | None, _option("NAME", OPTIMIZER, unset="adam")]
OptimizerList: TypeAlias = Annotated[str, _option("LIST", "Names or FILE.py:NAME, separated by commas.")]
LearningRate: TypeAlias = Annotated[float | None, _option("RATE", "Learning rate.", unset="the optimizer's")]
TRIALS = "Number of learning rates that each competitor tries, from its optimizer's range."
Trials: TypeAlias = Annotated[int, _option("N", TRIALS)]
Tune: TypeAlias = Annotated[
    str, _option("LIST", "Other hyper-parameters to vary in the trials: momentum, beta1, …", unset="nothing")
]
BUDGET = "Training of each network: passes over the training part (20epochs) or time on one core (0.5s)."
BudgetText: TypeAlias = Annotated[str, _option("BUDGET", BUDGET)]
BATCH = "Number of rows in one update; gd always uses all rows."
BatchSizes: TypeAlias = Annotated[str, _option("LIST", "Number of rows in one update; all is the full batch.")]
MaybeBatchSize: TypeAlias = Annotated[int | None, _option("N", BATCH, unset="32")]
MaybeEpochs: TypeAlias = Annotated[int | None, _option("N", "Number of passes over the training part.", unset="20")]
THROUGH = "Also train for this number of epochs, and show the gradient flow during training."
ThroughEpochs: TypeAlias = Annotated[int | None, _option("N", THROUGH, unset="no training")]
LOSS = "squared_error, absolute_error, huber, binary_cross_entropy, softmax_cross_entropy or FILE.py:NAME."
MaybeLoss: TypeAlias = Annotated[str | None, _option("NAME", LOSS, unset="by task")]
SCHEDULE = "Learning-rate schedule: constant, step, exponential, 'cosine(warmup=0.1)' or FILE.py:NAME."
Schedules: TypeAlias = Annotated[str, _option("LIST", SCHEDULE)]
MaybeSchedule: TypeAlias = Annotated[str | None, _option("NAME", SCHEDULE, unset="constant")]
HORIZON = "Epochs over which the schedule is planned, for a training that will be resumed."
Horizon: TypeAlias = Annotated[int | None, _option("N", HORIZON, unset="the epochs")]
PATIENCE = "Stop after N epochs without a lower validation loss, and use the best weights."
Patience: TypeAlias = Annotated[int | None, _option("N", PATIENCE, unset="never")]
ClipNorm: TypeAlias = Annotated[
    float | None, _option("NORM", "Clip the norm of the gradient to this value.", unset="never")
]

SEED = "Seed for initial weights and row order."
Seed: TypeAlias = Annotated[int, _option("N", SEED, callback=_seed)]
MaybeSeed: TypeAlias = Annotated[int | None, _option("N", SEED, unset="0", callback=_seed)]
Seeds: TypeAlias = Annotated[int, _option("N", "Number of new seeds for the final evaluation.")]
VisitSeeds: TypeAlias = Annotated[int, _option("N", "Number of seeds; the figures are medians over them.")]
STUDY = "Study file that saves every network and from which the comparison resumes; - saves nothing."
StudyPath: TypeAlias = Annotated[str | None, _option("FILE", STUDY, unset=f"a new file in {PICTURES}")]
ReportPath: TypeAlias = Annotated[Path | None, _option("FILE", "Write a report to this HTML file.")]
CORES = "Number of threads; does not affect results."
Threads: TypeAlias = Annotated[int | None, _option("N", CORES, unset="all cores", callback=_threads)]
DASK = "Train on the workers of a Dask scheduler, such as tcp://10.0.0.1:8786."
DaskAddress: TypeAlias = Annotated[str | None, _option("ADDRESS", DASK, unset="this machine")]


def folder(plot: bool, out: Path | None) -> Path | None:
    """Where the pictures go: to --out, with --plot alone to the usual folder; None where none are wanted."""
    return out or (PICTURES if plot else None)


def study_place(study: str | None, out: Path | None) -> str | None:
    """The file of a study; where none is named, the folder in which it finds or makes one; None for "-"."""
    if study is not None:
        return None if study == "-" else study
    check_folder(out or PICTURES)
    return f"{out or PICTURES}{os.sep}"


def listed(text: str) -> list[str]:
    """The parts between commas that stand outside of brackets, without blank ends.

    >>> listed("relu, leaky_relu(slope=0.1), mine = maximum(z, 0.1 * z)")
    ['relu', 'leaky_relu(slope=0.1)', 'mine = maximum(z, 0.1 * z)']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def numbers(text: str) -> list[Any]:
    """The numbers between commas; "all" is None, and what is no number stays text, to be refused by its name.

    >>> numbers("2, 0.5,all")
    [2, 0.5, None]
    """
    return [None if part == "all" else _number(part) for part in listed(text)]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
