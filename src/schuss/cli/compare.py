"""`schuss compare`: which activation with which optimizer learns best."""

from __future__ import annotations

from pathlib import Path

import typer

import schuss as sc
from schuss.cli.cluster import on_dask
from schuss.cli.exits import INTERRUPTED
from schuss.cli.options import (
    ActivationList,
    BatchSizes,
    BudgetText,
    DaskAddress,
    DataArguments,
    Depths,
    Dropouts,
    Inits,
    Json,
    Norms,
    OptimizerList,
    Pictures,
    Plot,
    Quiet,
    ReportPath,
    Residuals,
    Schedules,
    Seed,
    Seeds,
    StudyPath,
    Target,
    Task,
    Threads,
    Trials,
    Tune,
    Widths,
    folder,
    listed,
    numbers,
    study_place,
)
from schuss.cli.output import Output, Picture
from schuss.cli.userfiles import with_own
from schuss.comparison.protocol import ACTIVATIONS, OPTIMIZERS
from schuss.data.problems import PROBLEMS
from schuss.show import tables
from schuss.show.progress import shown_standing

ALL_ACTIVATIONS, ALL_OPTIMIZERS = ",".join(ACTIVATIONS), ",".join(OPTIMIZERS)


def compare(
    data: DataArguments, *,
    activations: ActivationList = ALL_ACTIVATIONS, optimizers: OptimizerList = ALL_OPTIMIZERS, init: Inits = "auto",
    depth: Depths = "4", width: Widths = "64", norm: Norms = "none", residual: Residuals = "no",
    dropout: Dropouts = "0", batch_size: BatchSizes = "32", schedule: Schedules = "constant",
    budget: BudgetText = "20epochs", trials: Trials = 12, tune: Tune = "", seeds: Seeds = 10, study: StudyPath = None,
    target: Target = None, task: Task = None, seed: Seed = 0, threads: Threads = None, dask: DaskAddress = None,
    quiet: Quiet = False, report: ReportPath = None, json: Json = None, plot: Plot = False, out: Pictures = None,
) -> None:  # fmt: skip
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
                init=with_own("initializer", listed(init)),
                depth=numbers(depth),
                width=numbers(width),
                norm=listed(norm),
                residual=listed(residual),
                dropout=numbers(dropout),
                batch_size=numbers(batch_size),
                schedule=with_own("schedule", listed(schedule)),
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
    _show(found, output, report)
    raise typer.Exit(code)


def _dataset(source: str, target: str | None, task: str | None, *, alone: bool) -> sc.Dataset:
    """One of the data sets; beside others, a built-in problem has no use for the target of the files."""
    return sc.load(source, target, task=task) if alone or source not in PROBLEMS else sc.load(source)


def _show(study: sc.Study, output: Output, report: Path | None = None) -> None:
    """A comparison: gradient flow, ranking, verdict, speed, plots and report, as far as they exist."""
    output.write_json(study.to_json)
    if study.rows:
        if study.flows:
            output.show(tables.flows_table(study.flows))
        for data in study.tasks:
            output.show(tables.ranking_table(study.of(data)))
        if len(study.tasks) > 1:
            output.show(tables.ranking_table(study))
        output.show(study.summary(), _networks_in_words(study))
        for data in study.tasks:
            _draw(study.of(data), output)
    if report is not None:
        study.report(report)
        output.show(f"report: {report}")
    if study.path is not None:
        unfinished = len(study.rows) < study.expected
        output.show(f"study: {study.path}{'; the same command goes on with it' if unfinished else ''}")


def _networks_in_words(study: sc.Study) -> str:
    """How many networks there are, and how fast they were trained."""
    n = len(study.rows)
    parts = [f"Networks: {n}{f' of {study.expected}' if n < study.expected else ''}"]
    if study.trained:
        parts.append(
            f"{study.trained} trained in {study.seconds:.1f} s, {study.trained / study.seconds:.0f} networks/s"
        )
    if n > study.trained:
        known = "the same as others" if study.path is None else "taken from the study"
        parts.append(f"{n - study.trained} {known}")
    return "; ".join(parts) + "."


def _draw(study: sc.Study, output: Output) -> None:
    """The pictures of one data set."""
    pictures: dict[str, Picture] = {
        "scores": study.plot,
        "loss": study.loss_figure,
        "learning-rates": study.learning_rate_figure,
        "flow": study.plot_flows,
    }
    output.draw(f"compare-{study.data}", pictures)
