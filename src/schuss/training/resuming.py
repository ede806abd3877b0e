"""Training on from a run: whether that is possible, from which state, and the whole training as one run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from schuss.data import Dataset
from schuss.engines import HISTORY, Outcome, State
from schuss.errors import InvalidInput, SchussWarning
from schuss.network import Network
from schuss.recipe import Recipe
from schuss.training.jobs import Job
from schuss.training.population import loss_of
from schuss.training.run import Run


def check_resumable(job: Job, data: Dataset, run: Run) -> None:
    """Refuse to train on from a run that was another training, diverged or is complete."""
    pairs: Iterable[tuple[str, object, object]] = (
        ("network", job.network, run.network),
        ("seed", job.seed, run.seed),
        ("optimizer", job.recipe.optimizer, run.recipe.optimizer),
        ("batch size", job.recipe.batch_size, run.recipe.batch_size),
        ("loss", loss_of(job, data), run.loss),
        ("clip_norm", job.recipe.clip_norm, run.recipe.clip_norm),
        ("data", data.fingerprint[:12], run.fingerprint[:12]),
    )
    for what, wanted, had in pairs:
        if wanted != had:
            was, given = (each.brief() if isinstance(each, Network) else each for each in (had, wanted))
            raise InvalidInput(f"cannot resume this run: its {what} is {was}, but {given} was given.")
    if run.status == "diverged":
        raise InvalidInput(f"cannot resume this run: it diverged at step {run.outcome.diverged_step}.")
    if run.outcome.state.epoch >= job.recipe.epochs:
        raise InvalidInput(
            f"this run has done {run.outcome.state.epoch} epochs and the recipe asks for {job.recipe.epochs} in all; "
            "ask for more epochs to train on."
        )


def warn_of_other_rates(recipe: Recipe, run: Run) -> None:
    """Say where the epochs done had other learning rates than the whole training would have given them."""
    before, done = run.recipe, run.outcome.state.step
    in_an_epoch = done // max(run.outcome.state.epoch, 1)

    def rates(recipe: Recipe) -> NDArray[np.float64]:
        return recipe.optimizer.lr * recipe.schedule.factors(in_an_epoch * recipe.planned_epochs)[:done]

    if not np.array_equal(rates(recipe), rates(before)):
        warnings.warn(
            f"the learning rates of the {run.outcome.state.epoch} epochs done were planned by {before.schedule} over "
            f"{before.planned_epochs} epochs, the rest is planned by {recipe.schedule} over {recipe.planned_epochs}: "
            "the result is not that of a training in one go. State the horizon from the start to train on later.",
            SchussWarning,
            stacklevel=3,
        )


def resumed(state: State, recipe: Recipe) -> State:
    """The state to go on from when patience is new, or is no more."""
    if recipe.patience is None:
        return replace(state, best=None, best_loss=math.inf, best_epoch=0)
    return replace(state, best_epoch=state.epoch) if state.best is None else state


def joined(before: Run, after: Run) -> Run:
    """The whole training: both histories, with the seconds counted on."""
    old, new = before.outcome, after.outcome
    later = new.history.copy()
    later[:, HISTORY.index("seconds")] += old.seconds
    outcome = Outcome(
        status=new.status,
        state=new.state,
        history=np.vstack([old.history, later]),
        flow=np.concatenate([old.flow, new.flow]),
        watched=np.concatenate([old.watched, new.watched]),
        losses=new.losses,
        scores=new.scores,
        seconds=old.seconds + new.seconds,
        diverged_step=new.diverged_step,
        diverged_layer=new.diverged_layer,
    )
    return Run(
        after.network, after.recipe, after.seed, after.loss, after.layers, after.encoding, after.fingerprint, outcome
    )
