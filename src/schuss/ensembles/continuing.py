"""Training an ensemble on over other rows, an epoch at a time: what `partial_fit` is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from schuss.data import Dataset
from schuss.engines import Plan
from schuss.engines.native import NativeEngine
from schuss.engines.targets import engine_data
from schuss.ensembles.ensemble import Ensemble, Problem, sound_ones
from schuss.ensembles.members import STYLES
from schuss.training.resuming import joined
from schuss.training.run import Run


def one_more_epoch(ensemble: Ensemble, problem: Problem, *, threads: int) -> Ensemble:
    """Every network takes one pass over the rows at its optimizer's learning rate; the optimizer's state goes on.

    DataError if all networks diverge.
    """
    inputs = {kind: encoder(problem.table) for kind, encoder in ensemble.encoders.items()}
    rows = np.arange(len(problem.y))
    plans = []
    for style, run in zip(ensemble.styles, ensemble.runs, strict=True):
        part = problem.part(inputs[STYLES[style].inputs], rows)
        plans.append(_plan(run, Dataset("table", problem.target.task, part, part, part, run.encoding)))
    outcomes = dict(NativeEngine(threads).train(plans))
    runs = tuple(joined(run, replace(run, outcome=outcomes[number])) for number, run in enumerate(ensemble.runs))
    sound = sound_ones(runs)
    counting = ensemble.weights * sound if (ensemble.weights * sound).any() else sound
    return replace(ensemble, runs=runs, weights=counting / counting.sum())


def _plan(run: Run, data: Dataset) -> Plan:
    recipe, state = run.recipe, run.outcome.state
    if state.best is not None:  # the best weights go on; the moments are of later ones
        state = replace(state, parameters=state.best, moments=np.zeros_like(state.moments), best=None)
    batch = min(recipe.batch_size or len(data.train), len(data.train))
    per_epoch = -(-len(data.train) // batch)
    steps = max(state.step + per_epoch, per_epoch * (state.epoch + 1))  # as many rates as either count can ask for
    return Plan(
        data=engine_data(data, run.loss),
        layers=run.layers,
        loss=run.loss,
        optimizer=recipe.optimizer,
        learning_rates=np.full(steps, recipe.optimizer.lr),
        batch_size=batch,
        epochs=state.epoch + 1,
        patience=None,
        clip_norm=recipe.clip_norm,
        seed=run.seed,
        watch=(),
        start=state,
    )
