"""`schuss doctor`: why a network does not learn."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

import schuss as sc
from schuss.atomic import write_atomically
from schuss.cli.building import network_of, recipe_of
from schuss.cli.exits import INTERRUPTED
from schuss.cli.options import (
    ClipNorm,
    DataArgument,
    Fix,
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
    MaybeWidth,
    Patience,
    Residual,
    Seed,
    Target,
    Task,
    Threads,
    VisitSeeds,
)
from schuss.cli.output import STDOUT, Output
from schuss.show.progress import shown_progress


def doctor(
    data: DataArgument, *,
    activation: MaybeActivation = None, depth: MaybeDepth = None, width: MaybeWidth = None, init: MaybeInit = None,
    norm: MaybeNorm = None, residual: Residual = False, dropout: MaybeDropout = None,
    optimizer: MaybeOptimizer = None, lr: LearningRate = None, batch_size: MaybeBatchSize = None,
    epochs: MaybeEpochs = None, loss: MaybeLoss = None, schedule: MaybeSchedule = None, patience: Patience = None,
    clip_norm: ClipNorm = None, seeds: VisitSeeds = 3, fix: Fix = None, target: Target = None, task: Task = None,
    seed: Seed = 0, threads: Threads = None, json: Json = None,
) -> None:  # fmt: skip
    """Why does this network not learn? The cause, its evidence, the cure, and the proof.

    $ schuss doctor digits --depth 20 --activation sigmoid --init glorot_normal --optimizer sgd

    $ schuss doctor churn.csv --target Exited --lr 3 --fix fixed.py
    """
    output = Output(json, files=[fix], read=[data])
    network = network_of(
        None, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual or None, dropout=dropout,
    )  # fmt: skip
    recipe = recipe_of(
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
        _write_fix(found, fix, loading(data, target, task), output)
    raise typer.Exit(code)


def loading(data: str, target: str | None, task: str | None) -> str:
    """The Python expression that loads what the command line named.

    >>> loading("churn.csv", "Exited", None)
    "sc.load('churn.csv', 'Exited')"
    """
    wanted = ([repr(target)] if target is not None else []) + ([f"task={task!r}"] if task is not None else [])
    return f"sc.load({', '.join([repr(data), *wanted])})"


def _write_fix(diagnosis: sc.Diagnosis, file: Path, load: str, output: Output) -> None:
    """The cured network as a script, if there is a cure."""
    if not any(finding.cure for finding in diagnosis.findings):
        output.show(f"{file} was not written: there is no cure to write.")
        return
    if file == STDOUT:
        sys.stdout.write(diagnosis.script(load))
        return
    write_atomically(file, diagnosis.script(load).encode())
    output.show(f"script: {file}")
