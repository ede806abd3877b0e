"""Studies made by hand, whose numbers are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import schuss as sc
from schuss.comparison.competitors import Competitor
from schuss.comparison.study.records import Row
from schuss.engines import QUANTITIES
from schuss.gradient.flow import FlowHistory, GradientFlow
from schuss.layers import Layer

NAN = math.nan


def row(activation: str = "relu", optimizer: str = "adam", *, score: float = 0.9, **other: Any) -> Row:
    """A final run with the same score on every part, or what `other` says; axes of the competitor are taken, too."""
    axes = {name: other.pop(name) for name in Competitor._fields if name in other}
    lost = other.get("status") == "diverged"
    values: dict[str, Any] = {
        "data": "digits", "stage": "final", "trial": 0, "learning_rate": 0.01, "settings": "", "seed": 1,
        "status": "finished", "train_loss": 1 - score, "valid_loss": 1 - score, "test_loss": 1 - score,
        "train_score": score, "valid_score": score, "test_score": score, "epochs": 20, "steps": 720, "seconds": 0.1,
        "diverged_step": 7 if lost else None, "diverged_layer": 1 if lost else None,
    }  # fmt: skip
    if lost:
        values |= {name: NAN for name in values if name.endswith(("loss", "score"))}
    return Row(competitor=Competitor(activation, optimizer, **axes), **(values | other))


def trial(activation: str = "relu", optimizer: str = "adam", *, score: float = 0.9, **other: Any) -> Row:
    return row(activation, optimizer, score=score, **{"stage": "trial", "seed": 0, **other})


def study(rows: Iterable[Row], task: str = "classification", **other: Any) -> sc.Study:
    """A study of these rows, without curves unless they are given."""
    rows = tuple(rows)
    names = dict.fromkeys(row.data for row in rows) or {"digits": None}
    values: dict[str, Any] = {
        "curves": tuple(course(np.zeros(0)) for _ in rows), "tasks": dict.fromkeys(names, task),
        "expected": len(rows), "trained": len(rows), "seconds": 2.0,
    }  # fmt: skip
    return sc.Study(rows=rows, **(values | other))


def course(losses: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Curves with these losses, an epoch each, and a score that rises as they fall."""
    epochs = np.arange(1.0, len(losses) + 1)
    return {
        "epoch": epochs,
        "seconds": 0.1 * epochs,
        "train_loss": losses,
        "valid_loss": losses,
        "score": 1 / (1 + losses),
    }


def measured(deltas: list[float], epoch: int = 0, activation: str = "relu", **quantities: float) -> GradientFlow:
    """A measurement with δ as given in every layer, and the same values of the other quantities."""
    values = np.full((len(deltas), len(QUANTITIES)), 0.25)
    if epoch == 0:
        values[:, QUANTITIES.index("update_ratio")] = NAN
    for name, value in quantities.items():
        values[:, QUANTITIES.index(name)] = value
    values[:, QUANTITIES.index("delta")] = deltas
    layer = Layer("dense", 8, 8, sc.activations.find_activation(activation))
    return GradientFlow((layer,) * len(deltas), values, epoch)


def grid(
    activations: int, optimizers: int, rates: int = 3, seeds: int = 2, epochs: int = 4, task: str = "classification"
) -> sc.Study:
    """Losses that fall, scores that rise with the learning rate; the first optimizer diverges at the highest one."""
    rows: list[Row] = []
    field = list(itertools.product((f"a{a}" for a in range(activations)), (f"o{o}" for o in range(optimizers))))

    def run(phi: str, rule: str, rate: int, make: Any, seed: int) -> Row:
        lost = rates > 1 and rate == rates - 1 and rule == "o0"
        status = "diverged" if lost else "finished"
        how = {"trial": rate, "learning_rate": 10.0 ** (rate - 3), "status": status, "seed": seed, "epochs": epochs}
        return make(phi, rule, score=0.5 + 0.1 * rate, **how)

    for (phi, rule), rate in itertools.product(field, range(rates)):
        rows.append(run(phi, rule, rate, trial, 0))
    for (phi, rule), seed in itertools.product(field, range(1, seeds + 1)):
        best = rates - 2 if rates > 1 and rule == "o0" else rates - 1
        rows.append(run(phi, rule, best, row, seed))
    curves = [course(2.0 * max(r.seed, 1) * 0.5 ** np.arange(0 if r.status == "diverged" else epochs)) for r in rows]
    flows = {
        number: FlowHistory((measured([10.0 ** (-k * int(r.activation[1:])) for k in range(4, -1, -1)]),))
        for number, r in enumerate(rows)
        if r.optimizer == "o0" and r.trial == 0 and r.stage == "trial"
    }
    return study(rows, task, curves=tuple(curves), measured=flows)


def same(one: sc.Study, other: sc.Study) -> bool:
    """Whether all rows are the same to the last bit, but for the time they took."""
    frames = [each.frame().drop("seconds") for each in (one, other)]
    return bool(frames[0].equals(frames[1])) and one.table() == other.table() and one.summary() == other.summary()
