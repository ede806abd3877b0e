"""Training an ensemble on over other rows, an epoch at a time: what `partial_fit` is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from schuss.data import Dataset
from schuss.engines import Plan, State
from schuss.engines.encoded import engine_data
from schuss.engines.native import NativeEngine
from schuss.tabular.ensemble import Ensemble, Problem
from schuss.tabular.members import STYLES, usual_batch
from schuss.training import Run, joined


def one_more_epoch(ensemble: Ensemble, learned: Problem, *, threads: int) -> Ensemble:
    """Every network takes one pass over the rows at its optimizer's learning rate; the optimizer's state goes on."""
    inputs = {kind: encoder(learned.table) for kind, encoder in ensemble.encoders.items()}
    rows = np.arange(len(learned.y))
    plans = []
    for style, run in zip(ensemble.styles, ensemble.runs, strict=True):
        part = learned.part(inputs[STYLES[style].inputs], rows)
        plans.append(_plan(run, Dataset("table", learned.target.task, part, part, part, run.encoding)))
    outcomes = dict(NativeEngine(threads).train(plans))
    runs = tuple(joined(run, replace(run, outcome=outcomes[number])) for number, run in enumerate(ensemble.runs))
    sound = np.array([run.status != "diverged" for run in runs])
    return replace(ensemble, runs=runs, weights=ensemble.weights * sound / (ensemble.weights @ sound))


def _plan(run: Run, data: Dataset) -> Plan:
    state, recipe = run.outcome.state, run.recipe
    start = State(run.parameters, state.moments, state.step, state.epoch)  # the best parameters, where some are kept
    batch = min(recipe.batch_size or usual_batch(len(data.train)), len(data.train))
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
        start=start,
    )
