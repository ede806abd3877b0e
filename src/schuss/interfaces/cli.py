"""The command line: arguments in, calls out.

Exit codes: 0 done, 1 a network of `fit` diverged, 2 an input that cannot be used, 130 interrupted with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

import schuss as sc
from schuss import runfile, tables
from schuss.comparison.protocol import ACTIVATIONS, OPTIMIZERS
from schuss.data.problems import PROBLEMS, built_in
from schuss.descent import LANDSCAPES
from schuss.errors import InvalidInput, positive_integer
from schuss.interfaces import describe
from schuss.interfaces.cluster import on_dask
from schuss.interfaces.options import (
    ActivationList,
    ActivationName,
    BatchSizes,
    BudgetText,
    ClipNorm,
    CsvFile,
    DaskAddress,
    DataArgument,
    DataArguments,
    Depth,
    Depths,
    Dropout,
    Dropouts,
    Fix,
    Init,
    Inits,
    Json,
    LearningRate,
    MaybeActivation,
    MaybeBatchSize,
    MaybeDepth,
    MaybeDropout,
    MaybeEpochs,
    MaybeInit,
    MaybeLoss,
    MaybeNorm,
    MaybeOptimizer,
    MaybeSchedule,
    MaybeSeed,
    MaybeWidth,
    NameArgument,
    Norms,
    OptimizerList,
    Patience,
    Pictures,
    Plot,
    Quiet,
    ReportPath,
    Residual,
    Residuals,
    Resume,
    RunArgument,
    Save,
    Schedules,
    Seed,
    Seeds,
    StudyPath,
    TableArgument,
    Target,
    Task,
    Threads,
    ThroughEpochs,
    Trials,
    Tune,
    VisitSeeds,
    Width,
    Widths,
    folder,
    listed,
    numbers,
    study_place,
)
from schuss.interfaces.output import STDOUT, Output, Picture, csv_text, predicted_columns
from schuss.interfaces.progress import shown_progress, shown_standing
from schuss.interfaces.userfiles import with_own
from schuss.writing import file_stem, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.table import Table

    from schuss.interfaces.predictor import Predictor

ALL_ACTIVATIONS, ALL_OPTIMIZERS = ",".join(ACTIVATIONS), ",".join(OPTIMIZERS)
DIVERGED, INVALID, INTERRUPTED = 1, 2, 130

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
        app(prog_name="schuss")  # also for `python -m schuss`, whose name would not fit into a completion script
    except sc.SchussError as error:
        fail(str(error))
    except MemoryError:
        fail("there is not enough memory for this; make the network smaller, or take fewer rows.")
    except OSError as error:  # a full disk behind standard output
        fail(f"{error.strerror or error}.")
    finally:
        _flush()


def _flush() -> None:
    """Write out what is left; the reader of a pipe may be gone, which is no concern of ours and no traceback."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        if not isinstance(error, BrokenPipeError):
            fail(f"cannot write to standard output: {error.strerror}.")


def fail(message: str, code: int = INVALID) -> None:
    """Say what went wrong on standard error, and end."""
    typer.secho("error: ", fg="red", nl=False, err=True)
    typer.echo(message, err=True)
    sys.exit(code)


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


# ---------------------------------------------------------------------------------------------- compare


@app.command(rich_help_panel="Commands")
def compare(
    data: DataArguments,
    *,
    activations: ActivationList = ALL_ACTIVATIONS,
    optimizers: OptimizerList = ALL_OPTIMIZERS,
    init: Inits = "auto",
    depth: Depths = "4",
    width: Widths = "64",
    norm: Norms = "none",
    residual: Residuals = "no",
    dropout: Dropouts = "0",
    batch_size: BatchSizes = "32",
    schedule: Schedules = "constant",
    budget: BudgetText = "20epochs",
    trials: Trials = 12,
    tune: Tune = "",
    seeds: Seeds = 10,
    study: StudyPath = None,
    target: Target = None,
    task: Task = None,
    seed: Seed = 0,
    threads: Threads = None,
    dask: DaskAddress = None,
    quiet: Quiet = False,
    report: ReportPath = None,
    json: Json = None,
    plot: Plot = False,
    out: Pictures = None,
) -> None:
    """Which activation with which optimizer learns best on this data?

    $ schuss compare digits --report report.html

    $ schuss compare churn.csv --target Exited --activations relu,gelu --optimizers sgd,adam

    $ schuss compare digits wine --depth 2,8 --activations relu,"mine = z * sigmoid(1.7 * z)"
    """
    output = Output(json, folder(plot, out), [report], data)
    datasets = [_dataset(each, target, task, alone=len(data) == 1) for each in data]
    for dataset in datasets:
        output.show_data(dataset)
    code = 0
    try:
        with on_dask(dask), shown_standing(quiet=quiet) as progress:
            found = sc.compare(
                datasets,
                activations=with_own("activation", listed(activations)),
                optimizers=with_own("optimizer", listed(optimizers)),
                init=listed(init),
                depth=numbers(depth),
                width=numbers(width),
                norm=listed(norm),
                residual=listed(residual),
                dropout=numbers(dropout),
                batch_size=numbers(batch_size),
                schedule=listed(schedule),
                budget=budget,
                trials=trials,
                tune=listed(tune),
                seeds=seeds,
                seed=seed,
                study=study_place(study, out),
                threads=threads,
                progress=progress,
            )
    except sc.Interrupted as interrupt:
        found, code = interrupt.study, INTERRUPTED
        typer.echo(f"{interrupt}; what is finished follows.", err=True)
    describe.show_study(found, output, report)
    raise typer.Exit(code)


def _dataset(source: str, target: str | None, task: str | None, *, alone: bool) -> sc.Dataset:
    """One of the data sets; beside others, a built-in problem has no use for the target of the files."""
    return sc.load(source, target, task=task) if alone or source not in PROBLEMS else sc.load(source)


# ---------------------------------------------------------------------------------------------- fit


@app.command(rich_help_panel="Commands")
def fit(
    data: DataArgument,
    *,
    activation: MaybeActivation = None,
    depth: MaybeDepth = None,
    width: MaybeWidth = None,
    init: MaybeInit = None,
    norm: MaybeNorm = None,
    residual: Residual = False,
    dropout: MaybeDropout = None,
    optimizer: MaybeOptimizer = None,
    lr: LearningRate = None,
    batch_size: MaybeBatchSize = None,
    epochs: MaybeEpochs = None,
    loss: MaybeLoss = None,
    schedule: MaybeSchedule = None,
    patience: Patience = None,
    clip_norm: ClipNorm = None,
    save: Save = None,
    resume: Resume = None,
    target: Target = None,
    task: Task = None,
    seed: MaybeSeed = None,
    threads: Threads = None,
    json: Json = None,
    plot: Plot = False,
    out: Pictures = None,
) -> None:
    """Train one network, or for a file, with no network described, the ensemble that predicts it best.

    $ schuss fit churn.csv --target Exited --save churn.schuss

    $ schuss fit digits --activation gelu --optimizer adam --lr 3e-3 --save digits.schuss

    $ schuss fit digits --resume digits.schuss --epochs 40
    """
    output = Output(json, folder(plot, out), [save], [data])
    described = (
        activation, depth, width, init, norm, residual or None, dropout, optimizer, lr, batch_size, epochs, loss,
        schedule, patience, clip_norm, resume,
    )  # fmt: skip
    if data not in PROBLEMS and all(option is None for option in described):
        from schuss.interfaces import predictor

        problem = predictor.read_problem(data, target, task, seed or 0)
        output.show(str(problem), *(f"  note: {note}" for note in problem.notes), "")
        with _whole_or_nothing():
            model, seconds = predictor.trained(problem, seed or 0, threads)
        predictor.report(model, problem, seconds, save, output)
        return
    before = None if resume is None else sc.load_run(resume)
    network = _network(
        before, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual or None, dropout=dropout,
    )  # fmt: skip
    recipe = _recipe(
        before, optimizer, lr,
        batch_size=batch_size, epochs=epochs, loss=loss, schedule=schedule, patience=patience, clip_norm=clip_norm,
    )  # fmt: skip
    dataset = sc.load(data, target, task=task)
    output.show_data(dataset)
    with _whole_or_nothing(), shown_progress(recipe.epochs) as progress:
        run = sc.fit(network, dataset, recipe, seed=seed, resume=before, threads=threads, progress=progress)
    if save is not None:
        run.save(save)
    output.write_json(lambda: describe.run_json(run))
    describe.show_run(run, output, *_truth(data, run))
    output.draw(f"fit-{dataset.name}", describe.run_pictures(run, dataset))
    if save is not None:
        output.show(f"run: {save}")
    if run.status == "diverged":
        _say_diverged(run)


@contextmanager
def _whole_or_nothing() -> Iterator[None]:
    """Ctrl-C during a training ends the command, and says that there is nothing of it."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; the training was not finished, and nothing was written.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _network(before: sc.Run | None, **wanted: Any) -> sc.Network:
    """The network that the options describe; a run that goes on keeps its own where none is given."""
    given = {name: value for name, value in wanted.items() if value is not None}
    if before is not None and not given:
        return before.network
    depth = positive_integer("depth", given.pop("depth", 4))
    hidden = [positive_integer("width", given.pop("width", 64))] * depth
    if "activation" in given:
        (given["activation"],) = with_own("activation", [given["activation"]])
    return sc.mlp(hidden, **given)


def _recipe(before: sc.Run | None, optimizer: str | None, lr: float | None, **wanted: Any) -> sc.Recipe:
    """The recipe that the options describe, on the ground of that of the run that goes on."""
    recipe = sc.Recipe() if before is None else before.recipe
    own = with_own("optimizer", [] if optimizer is None else [optimizer])
    rule = sc.optimizers.find_optimizer(own[0]) if own else recipe.optimizer
    given = {name: value for name, value in wanted.items() if value is not None}
    return replace(recipe, optimizer=rule if lr is None else rule(lr=lr), **given)


def _truth(data: str, run: sc.Run) -> Iterator[Table]:
    """The truth table of a built-in problem that is so small that it is its own train, valid and test part."""
    if data in PROBLEMS and not built_in(data).is_split:
        problem = built_in(data)
        yield tables.truth_table(problem.names, problem.inputs, problem.target, run.predict(problem.inputs))


def _say_diverged(run: sc.Run) -> None:
    fail(
        f"the network diverged at step {run.outcome.diverged_step} in layer {run.diverged_layer}: "
        "its numbers grew beyond all bounds. Lower the learning rate (--lr), or clip the gradient (--clip-norm 1).",
        DIVERGED,
    )


# ---------------------------------------------------------------------------------------------- doctor


@app.command(rich_help_panel="Commands")
def doctor(
    data: DataArgument,
    *,
    activation: MaybeActivation = None,
    depth: MaybeDepth = None,
    width: MaybeWidth = None,
    init: MaybeInit = None,
    norm: MaybeNorm = None,
    residual: Residual = False,
    dropout: MaybeDropout = None,
    optimizer: MaybeOptimizer = None,
    lr: LearningRate = None,
    batch_size: MaybeBatchSize = None,
    epochs: MaybeEpochs = None,
    loss: MaybeLoss = None,
    schedule: MaybeSchedule = None,
    patience: Patience = None,
    clip_norm: ClipNorm = None,
    seeds: VisitSeeds = 3,
    fix: Fix = None,
    target: Target = None,
    task: Task = None,
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Why does this network not learn? The cause, its evidence, the cure, and the proof.

    $ schuss doctor digits --depth 20 --activation sigmoid --init glorot_normal --optimizer sgd

    $ schuss doctor churn.csv --target Exited --lr 3 --fix mended.py
    """
    output = Output(json, files=[fix], read=[data])
    network = _network(
        None, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual or None, dropout=dropout,
    )  # fmt: skip
    recipe = _recipe(
        None, optimizer, lr,
        batch_size=batch_size, epochs=epochs, loss=loss, schedule=schedule, patience=patience, clip_norm=clip_norm,
    )  # fmt: skip
    dataset = sc.load(data, target, task=task)
    output.show_data(dataset)
    code = 0
    try:
        with shown_progress() as progress:
            found = sc.doctor(network, dataset, recipe, seed=seed, seeds=seeds, threads=threads, progress=progress)
    except sc.VisitInterrupted as interrupt:
        found, code = interrupt.diagnosis, INTERRUPTED
        typer.echo(f"{interrupt}; what is known so far follows.", err=True)
    output.write_json(found.to_json)
    output.show(*found.report())
    if fix is not None:
        describe.write_fix(found, fix, describe.loading(data, target, task), output)
    raise typer.Exit(code)


# ---------------------------------------------------------------------------------------------- predict, flow


@app.command(rich_help_panel="Commands")
def predict(run: RunArgument, table: TableArgument, *, out: CsvFile = STDOUT, json: Json = None) -> None:
    """Predict the rows of a table with what fit --save kept: an ensemble, or one network.

    $ schuss predict churn.schuss new.csv --out predictions.csv
    """
    output = Output(json, files=[out], read=[run, table])
    header, columns = _predictions(run, table)
    output.write_json(lambda: dict(zip(header, columns, strict=True)))
    text = csv_text(header, zip(*columns, strict=True))
    if out != STDOUT:
        write_atomically(out, text.encode())
        output.show(f"predictions: {out}")
    elif json != STDOUT:
        sys.stdout.write(text)


def _predictions(path: Path, table: str) -> tuple[list[str], list[list[Any]]]:
    """Names and columns: the prediction, and the probability of each class where the loss gives one."""
    kept = runfile.read_file(path, _kept)
    if not isinstance(kept, sc.Run):
        from schuss.interfaces import predictor

        return predictor.predictions(kept, table)
    target, predicted = kept.encoding.target, kept.predict(table)
    p = kept.predict_proba(table) if kept.gives_probabilities else None
    return predicted_columns(target.names, predicted, target.classes, p)


def _kept(d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> sc.Run | Predictor:
    """What a file of fit --save describes."""
    if "estimator" not in d:
        return sc.Run(*runfile.unpack(d, arrays))
    from schuss.interfaces import predictor

    return predictor.described_estimator(d, arrays)


@app.command(rich_help_panel="Commands")
def flow(
    data: DataArgument,
    *,
    activation: ActivationName = "relu",
    depth: Depth = 4,
    width: Width = 64,
    init: Init = "auto",
    norm: MaybeNorm = None,
    residual: Residual = False,
    dropout: Dropout = 0.0,
    epochs: ThroughEpochs = None,
    optimizer: MaybeOptimizer = None,
    lr: LearningRate = None,
    batch_size: MaybeBatchSize = None,
    loss: MaybeLoss = None,
    target: Target = None,
    task: Task = None,
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = None,
    plot: Plot = False,
    out: Pictures = None,
) -> None:
    """How much of the gradient reaches each layer of an untrained network, and of one in training?

    $ schuss flow digits --depth 20 --activation sigmoid

    $ schuss flow digits --depth 50 --activation relu --init "normal(std=0.05)"

    $ schuss flow digits --depth 20 --activation tanh --epochs 16 --optimizer sgd --lr 0.1
    """
    if epochs is None and not (optimizer is None and lr is None and batch_size is None):
        raise InvalidInput(
            "without --epochs nothing is trained; give --epochs 20, or leave out --optimizer, --lr and --batch-size."
        )
    output = Output(json, folder(plot, out), read=[data])
    network = _network(
        None, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual, dropout=dropout,
    )  # fmt: skip
    recipe = _recipe(None, optimizer, lr, batch_size=batch_size, epochs=epochs, loss=loss)
    dataset = sc.load(data, target, task=task)
    output.show_data(dataset)
    measured = sc.flow(network, dataset, seed=seed, loss=loss)
    describe.show_flow(measured, output)
    run, code = None, 0
    if epochs is not None:
        try:
            with shown_progress(recipe.epochs) as progress:
                run = sc.fit(network, dataset, recipe, seed=seed, threads=threads, progress=progress)
        except KeyboardInterrupt:
            typer.echo("interrupted; the training was not finished, and only the untrained network is shown.", err=True)
            code = INTERRUPTED
    output.write_json(lambda: describe.flow_json(measured, run))
    name = file_stem(measured.layers[0].activation.name)
    inside = partial(sc.preactivations, network, dataset, seed=seed)
    pictures: dict[str, Picture] = {name: measured.figure, f"{name}-layers": lambda: inside().figure()}
    if run is not None:
        output.show(tables.flow_history_table(run.flow))
        pictures["training"] = run.flow.figure
    output.draw(f"flow-{dataset.name}", pictures)
    if run is not None and run.status == "diverged":
        _say_diverged(run)
    raise typer.Exit(code)


# ---------------------------------------------------------------------------------------------- what there is


@app.command(rich_help_panel="What there is")
def activations(name: NameArgument = None, *, json: Json = None, plot: Plot = False, out: Pictures = None) -> None:
    """List the activations, or show one: formula, slope, LaTeX.

    $ schuss activations gelu

    $ schuss activations "mine = z * sigmoid(1.7 * z)" --plot
    """
    output = Output(json, folder(plot, out))
    known = sc.activations.ACTIVATIONS.values()
    shown = list(known) if name is None else [sc.activations.find_activation(name)]
    output.write_json(lambda: [describe.activation_json(each) for each in shown])
    if name is None:
        output.show(tables.activations_table(shown))
    else:
        output.show(tables.facts_table(str(shown[0]), describe.activation_facts(shown[0])), shown[0].latex, "")
    if name is None:
        output.draw("activations", {"": sc.activations.figure})
    else:
        output.draw(f"activation-{file_stem(shown[0].name)}", {"": shown[0].plot})


@app.command(rich_help_panel="What there is")
def optimizers(name: NameArgument = None, *, json: Json = None, plot: Plot = False, out: Pictures = None) -> None:
    """List the optimizers, or show one: its rule, its settings, LaTeX, and with --plot its descent.

    $ schuss optimizers adam --plot
    """
    output = Output(json, folder(plot, out))
    shown = list(sc.optimizers.OPTIMIZERS.values()) if name is None else [sc.optimizers.find_optimizer(name)]
    output.write_json(lambda: [describe.optimizer_json(each) for each in shown])
    if name is None:
        output.show(tables.optimizers_table(shown))
    else:
        output.show(tables.facts_table(str(shown[0]), describe.optimizer_facts(shown[0])), shown[0].latex, "")
    if name is None:
        draw = {land: partial(sc.optimizers.figure, landscape=land) for land in LANDSCAPES}
        output.draw("optimizers", draw)
    else:
        output.draw(f"optimizer-{shown[0].name}", {"": shown[0].figure})


if __name__ == "__main__":
    main()
