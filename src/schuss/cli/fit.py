"""`schuss fit`: train one network, or the ensemble that predicts a table best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import schuss as sc
from schuss.cli.building import network_of, recipe_of
from schuss.cli.exits import fail_if_diverged, whole_or_nothing
from schuss.cli.options import (
    ClipNorm,
    DataArgument,
    Horizon,
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
    Patience,
    Pictures,
    Plot,
    Residual,
    Resume,
    Save,
    Target,
    Task,
    Threads,
    folder,
)
from schuss.cli.output import Output, Picture
from schuss.data.problems import PROBLEMS, built_in
from schuss.show import formatting, tables
from schuss.show.progress import shown_progress

if TYPE_CHECKING:
    from rich.table import Table


def fit(
    data: DataArgument, *,
    activation: MaybeActivation = None, depth: MaybeDepth = None, width: MaybeWidth = None, init: MaybeInit = None,
    norm: MaybeNorm = None, residual: Residual = False, dropout: MaybeDropout = None,
    optimizer: MaybeOptimizer = None, lr: LearningRate = None, batch_size: MaybeBatchSize = None,
    epochs: MaybeEpochs = None, loss: MaybeLoss = None, schedule: MaybeSchedule = None, horizon: Horizon = None,
    patience: Patience = None, clip_norm: ClipNorm = None, save: Save = None, resume: Resume = None,
    target: Target = None, task: Task = None,
    seed: MaybeSeed = None, threads: Threads = None, json: Json = None, plot: Plot = False, out: Pictures = None,
) -> None:  # fmt: skip
    """Train one network, or for a file, with no network described, the ensemble that predicts it best.

    $ schuss fit churn.csv --target Exited --save churn.schuss

    $ schuss fit digits --activation gelu --optimizer adam --lr 3e-3 --save digits.schuss

    $ schuss fit digits --resume digits.schuss --epochs 40
    """
    output = Output(json, folder(plot, out), [save], [data])
    described = (
        activation, depth, width, init, norm, residual or None, dropout, optimizer, lr, batch_size, epochs, loss,
        schedule, horizon, patience, clip_norm, resume,
    )  # fmt: skip
    if data not in PROBLEMS and all(option is None for option in described):
        _fit_table(data, target, task, seed or 0, threads, save, output)
        return
    before = None if resume is None else sc.load_run(resume)
    network = network_of(
        before, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual or None, dropout=dropout,
    )  # fmt: skip
    recipe = recipe_of(
        before, optimizer, lr,
        batch_size=batch_size, epochs=epochs, loss=loss, schedule=schedule, horizon=horizon, patience=patience,
        clip_norm=clip_norm,
    )  # fmt: skip
    dataset = sc.load(data, target, task=task)
    output.show_data(dataset)
    with whole_or_nothing(), shown_progress(recipe.epochs) as progress:
        run = sc.fit(network, dataset, recipe, seed=seed, resume=before, threads=threads, progress=progress)
    if save is not None:
        run.save(save)
    output.write_json(lambda: _json(run))
    _show(run, output, *_truth(data, run))
    output.draw(f"fit-{dataset.name}", _pictures(run, dataset))
    if save is not None:
        output.show(f"run: {save}")
    fail_if_diverged(run)


def _fit_table(
    data: str, target: str | None, task: str | None, seed: int, threads: int | None, save: Path | None, output: Output
) -> None:
    """The ensemble that predicts a table best."""
    from schuss.estimators.tablefit import fit_problem, read_problem

    problem = read_problem(data, target, task, seed)
    output.show(str(problem), *(f"  note: {note}" for note in problem.notes), "")
    with whole_or_nothing():
        fit = fit_problem(problem, seed, threads, verbose=1)
    found = fit.to_json()
    if save is not None:
        fit.model.save(save)
    output.write_json(lambda: found)
    shares = ", ".join(f"{style} {100 * share:.0f} %" for style, share in found["shares"].items())
    output.show(tables.table_fit_table(fit))
    output.show(f"{found['networks']} networks count by style: {shares}.", f"Trained in {fit.seconds:.1f} s.")
    run = fit.model.runs_[int(np.argmax(fit.model.ensemble_.weights))]  # the network that counts most
    output.draw(f"fit-{problem.name}", {"": run.figure, "flow": run.flow.figure})
    if save is not None:
        output.show(f"estimator: {save}")


def _truth(data: str, run: sc.Run) -> Iterator[Table]:
    """The truth table of a built-in problem that is so small that it is its own train, valid and test part."""
    if data in PROBLEMS and not built_in(data).is_split:
        problem = built_in(data)
        yield tables.truth_table(problem.names, problem.inputs, problem.target, run.predict(problem.inputs))


def _show(run: sc.Run, output: Output, *more: Table) -> None:
    """A training: its course, the gradient flow through it, and the result."""
    output.show(run.network.brief(), f"{run.recipe}", "")
    if len(run.outcome.history):
        output.show(tables.history_table(run.history, run.score_name))
    output.show(tables.flow_history_table(run.flow))
    if run.status != "diverged":
        scores = zip(("train", "valid", "test"), run.outcome.losses, run.outcome.scores, strict=True)
        output.show(tables.scores_table(scores, run.score_name), *more)
    state = run.outcome.state
    output.show(f"{run.status} after {state.epoch} epochs, {state.step} updates, {run.outcome.seconds:.3f} s.")


def _pictures(run: sc.Run, data: sc.Dataset) -> dict[str, Picture]:
    """A training on one page, the gradient flow through it, and where on their curves its layers live."""
    return {
        "": run.figure,
        "flow": run.flow.figure,
        "layers": lambda: run.preactivations(data.train).figure(),
    }


def _json(run: sc.Run) -> dict[str, Any]:
    """A run as plain values; what is not a finite number is None.

    So is the score of a diverged run: weights that are not numbers say class 0 to all, which looks like a result.
    """
    outcome = run.outcome
    return {
        "status": run.status,
        "epochs": outcome.state.epoch,
        "seconds": outcome.seconds,
        "train_loss": formatting.for_json(outcome.losses[0]),
        "valid_loss": formatting.for_json(outcome.losses[1]),
        "test_score": None if run.status == "diverged" else formatting.for_json(outcome.scores[2]),
        "diverged_step": outcome.diverged_step,
        "diverged_layer": run.diverged_layer,
        "history": {name: [formatting.for_json(x) for x in values.tolist()] for name, values in run.history.items()},
    }
