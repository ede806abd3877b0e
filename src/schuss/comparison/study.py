"""What a comparison found: one row a network, the ranking, the curves and the gradient flow of each activation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss import charts, tables, wording
from schuss.comparison.statistics import Ranked, Row, ranking
from schuss.insight.gradient_flow import GradientFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """A finished comparison, or the finished part of one.

    rows : a Row for each network.
    curves : for each row the history of its training, by name as in `Run.history`.
    flows : the gradient flow at initialization for each activation.
    expected : how many networks were asked for; more than there are rows if the comparison was interrupted.
    """

    data: str
    task: str
    rows: tuple[Row, ...]
    curves: tuple[Mapping[str, NDArray[np.float64]], ...]
    flows: Mapping[str, GradientFlow]
    seconds: float
    expected: int

    @cached_property
    def ranking(self) -> list[Ranked]:
        """Competitors by mean test score, each at the learning rate chosen on validation."""
        return ranking(self.rows)

    @property
    def score_name(self) -> str:
        """What a score is: accuracy for classes, R² for numbers."""
        return "accuracy" if self.task == "classification" else "R²"

    def curves_of(self, ranked: Ranked, quantity: str = "train_loss") -> NDArray[np.float64]:
        """The curves [seed, epoch] of one competitor at its chosen learning rate; NaN after a divergence."""
        wanted = (ranked.activation, ranked.optimizer, ranked.learning_rate)
        found = [
            curve[quantity]
            for row, curve in zip(self.rows, self.curves, strict=True)
            if (row.activation, row.optimizer, row.learning_rate) == wanted
        ]
        curves = np.full((len(found), max(map(len, found), default=0)), math.nan)
        for line, values in zip(curves, found, strict=True):
            line[: len(values)] = values
        return curves

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; a score that does not exist is None."""
        return {
            "data": self.data,
            "task": self.task,
            "score": self.score_name,
            "networks": len(self.rows),
            "expected": self.expected,
            "seconds": self.seconds,
            "rows": [_plain(row._asdict()) for row in self.rows],
            "ranking": [_plain(ranked._asdict()) for ranked in self.ranking],
            "flows": {name: flow.to_json() for name, flow in self.flows.items()},
        }

    def summary(self) -> str:
        """The result in sentences: the best, how gd compares with sgd where both took part, how many diverged."""
        found = [ranked for ranked in self.ranking if not math.isnan(ranked.test_score)]
        if not found:
            return "No network of this comparison reached a result."
        best = found[0]
        score = wording.mean_and_spread(best.test_score, best.test_score_std)
        setting = f"{best.activation} with {best.optimizer} at learning rate {wording.rate(best.learning_rate)}"
        parts = [f"Best: {setting}, test {self.score_name} {score}."]
        reached = {name: [r.test_score for r in found if r.optimizer == name] for name in ("gd", "sgd")}
        if all(reached.values()):
            spans = (f"{name} reaches {_span(scores)}" for name, scores in reached.items())
            parts.append(f"After equally many passes over the data {', '.join(spans)}.")
        diverged = sum(row.status == "diverged" for row in self.rows)
        parts.append(f"{diverged or 'None'} of {len(self.rows)} networks diverged.")
        return " ".join(parts)

    def table(self) -> str:
        """The ranking as a text table."""
        return tables.as_text(tables.ranking_table(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Test scores as a table of activations × optimizers, each at its chosen learning rate."""
        return charts.score_table(self, ax)

    def plot_flows(self, ax: Axes | None = None) -> Axes:
        """The gradient of each activation at initialization, layer by layer."""
        return charts.flow_profiles(self.flows, ax)

    def loss_figure(self) -> Figure:
        """Training loss against passes over the data, for every competitor at its chosen learning rate."""
        return charts.loss_figure(self)

    def learning_rate_figure(self) -> Figure:
        """Validation score against the learning rate: how sensitive each optimizer is."""
        return charts.learning_rate_figure(self)

    def __repr__(self) -> str:
        best = f", best {self.ranking[0].activation} + {self.ranking[0].optimizer}" if self.rows else ""
        return f"Study({self.data}: {len(self.rows)} of {self.expected} networks{best})"


def _span(scores: Sequence[float]) -> str:
    low, high = min(scores), max(scores)
    return f"{high:.3f}" if len(scores) == 1 else f"{low:.3f} to {high:.3f} by activation"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: wording.for_json(x) if isinstance(x, float) else x for name, x in row.items()}
