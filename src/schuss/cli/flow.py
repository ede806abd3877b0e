"""`schuss flow`: how much of the gradient reaches each layer."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer

import schuss as sc
from schuss.atomic import file_stem
from schuss.cli.building import network_of, recipe_of
from schuss.cli.exits import INTERRUPTED, fail_if_diverged
from schuss.cli.options import (
    ActivationName,
    DataArgument,
    Depth,
    Dropout,
    Init,
    Json,
    LearningRate,
    MaybeBatchSize,
    MaybeLoss,
    MaybeNorm,
    MaybeOptimizer,
    Pictures,
    Plot,
    Residual,
    Seed,
    Target,
    Task,
    Threads,
    ThroughEpochs,
    Width,
    folder,
)
from schuss.cli.output import Output, Picture
from schuss.errors import InvalidInput
from schuss.show import tables
from schuss.show.progress import shown_progress


def flow(
    data: DataArgument, *,
    activation: ActivationName = "relu", depth: Depth = 4, width: Width = 64, init: Init = "auto",
    norm: MaybeNorm = None, residual: Residual = False, dropout: Dropout = 0.0, epochs: ThroughEpochs = None,
    optimizer: MaybeOptimizer = None, lr: LearningRate = None, batch_size: MaybeBatchSize = None,
    loss: MaybeLoss = None, target: Target = None, task: Task = None, seed: Seed = 0, threads: Threads = None,
    json: Json = None, plot: Plot = False, out: Pictures = None,
) -> None:  # fmt: skip
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
    network = network_of(
        None, activation=activation, depth=depth, width=width, init=init,
        norm=norm, residual=residual, dropout=dropout,
    )  # fmt: skip
    recipe = recipe_of(None, optimizer, lr, batch_size=batch_size, epochs=epochs, loss=loss)
    dataset = sc.load(data, target, task=task)
    output.show_data(dataset)
    measured = sc.flow(network, dataset, seed=seed, loss=loss)
    _show(measured, output)
    run, code = None, 0
    if epochs is not None:
        try:
            with shown_progress(recipe.epochs) as progress:
                run = sc.fit(network, dataset, recipe, seed=seed, threads=threads, progress=progress)
        except KeyboardInterrupt:
            typer.echo("interrupted; the training was not finished, and only the untrained network is shown.", err=True)
            code = INTERRUPTED
    output.write_json(lambda: _json(measured, run))
    name = file_stem(measured.layers[0].activation.name)
    inside = partial(sc.preactivations, network, dataset, seed=seed)
    pictures: dict[str, Picture] = {name: measured.figure, f"{name}-layers": lambda: inside().figure()}
    if run is not None:
        output.show(tables.flow_history_table(run.flow))
        pictures["training"] = run.flow.figure
    output.draw(f"flow-{dataset.name}", pictures)
    if run is not None:
        fail_if_diverged(run)
    raise typer.Exit(code)


def _show(flow: sc.GradientFlow, output: Output) -> None:
    """The gradient flow of an untrained network, and why theory has nothing to say where it has not."""
    output.show(tables.flow_table(flow))
    if flow.no_theory:
        output.show(flow.no_theory, "")


def _json(flow: sc.GradientFlow, run: sc.Run | None) -> dict[str, Any]:
    """The flow of an untrained network with its theory, and what was measured through its training."""
    return flow.to_json() | {"through_training": [] if run is None else run.flow.to_json()}
