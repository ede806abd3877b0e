"""What a comparison found: a row a network, the ranking, the curves and the flow of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from schuss import descriptions
from schuss.atomic import path_of, write_atomically
from schuss.comparison.budget import Budget, find_budget
from schuss.comparison.competitors import FLOW_AXES, Competitor, varying
from schuss.comparison.statistics.groups import FEWEST, LEVEL
from schuss.comparison.statistics.intervals import probability_of_improvement
from schuss.comparison.statistics.profiles import Profile, best_of_k, performance_profile, sensitivity
from schuss.comparison.study.ranking import Ranked, final_scores, ranking, times_to_target
from schuss.comparison.study.records import Curves, Row, curves, flows
from schuss.comparison.study.storage import Arrays, Comparison, StudyFile
from schuss.comparison.study.verdict import Verdict, verdict_of
from schuss.errors import InvalidInput, unknown_name
from schuss.gradient.flow import FlowHistory, GradientFlow, hidden_flow
from schuss.network import Network
from schuss.show import charts, formatting, tables
from schuss.show.report import report_html, summary_html
from schuss.show.verdict import verdict_sentences

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from polars import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """A comparison, finished or as far as it came.

    rows : a Row for each network: trials first, then the final runs on new seeds.
    curves : for each row the course of its training: epoch, seconds, train_loss, valid_loss, score (on valid).
    tasks : the data sets by name, each with what is learned: classification or regression.
    expected : how many networks were asked for; more than there are rows if the comparison was interrupted.
    trained, seconds : how many networks were trained for it (others were in the file before), and how long that took.
    measured : for some of the rows the gradient flow through the training, by the number of the row.
    asked : all that was asked for, as plain values: data sets, competitors, budget, trials, seeds.
    origin : where it ran: versions, machine, command.
    path : the file it is kept in.
    level : of the test that tells competitors apart.
    fewest_seeds : as many final runs it takes to tell any two apart.
    """

    level: ClassVar[float] = LEVEL
    fewest_seeds: ClassVar[int] = FEWEST

    rows: tuple[Row, ...]
    curves: tuple[Curves, ...]
    tasks: Mapping[str, str]
    expected: int
    trained: int = 0
    seconds: float = 0.0
    measured: Mapping[int, FlowHistory] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def budget(self) -> Budget:
        """How long each network trained."""
        return find_budget(self.asked.get("budget", 1))

    @property
    def data(self) -> str:
        """The names of the data sets."""
        return ", ".join(self.tasks)

    def of(self, data: str) -> Study:
        """The study of one of its data sets alone."""
        if data not in self.tasks:
            raise unknown_name("data set", data, self.tasks)
        if len(self.tasks) == 1:
            return self  # with the ranking, if it was made
        return replace(self._only(lambda row: row.data == data), tasks={data: self.tasks[data]})

    def _only(self, wanted: Callable[[Row], bool]) -> Study:
        numbers = [number for number, row in enumerate(self.rows) if wanted(row)]
        return replace(
            self,
            rows=tuple(self.rows[number] for number in numbers),
            curves=tuple(self.curves[number] for number in numbers),
            measured={new: self.measured[old] for new, old in enumerate(numbers) if old in self.measured},
        )

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The axes by which competitors are named: activation, optimizer, and all others that vary."""
        return varying(self.competitors)

    @property
    def competitors(self) -> list[Competitor]:
        """The competitors in the order in which they came."""
        return list(dict.fromkeys(row.competitor for row in self.rows))

    @property
    def values_by_axis(self) -> dict[str, list[Any]]:
        """For each axis, whether it varies or not, the value of each of `competitors`."""
        return {axis: [getattr(each, axis) for each in self.competitors] for axis in Competitor._fields}

    @cached_property
    def ranking(self) -> list[Ranked]:
        """Competitors by interquartile mean of the test scores on the new seeds, over several data sets by mean rank.

        Those of which too many diverged come last; before there are final runs, the order is that of validation.
        """
        return ranking(self.rows)

    @cached_property
    def verdict(self) -> Verdict:
        """What the study says, as data: the best, the tied, the worse; `summary()` says it in sentences."""
        return verdict_of(
            self.ranking, self.rows, self.axes, tasks=tuple(self.tasks), score_name=self.score_name,
            expected=self.expected, final_runs=self.final_runs, first_trials=self.asked.get("trials", math.inf),
            is_timed=self.budget.seconds is not None,
        )  # fmt: skip

    @property
    def final_runs(self) -> int:
        """How many final runs of each competitor are judged, over all data sets."""
        return next((scores.size for scores in final_scores(self.rows).values()), 0)

    @property
    def flows(self) -> Mapping[str, GradientFlow]:
        """The gradient flow at initialization of each kind of network, by the axes that tell them apart."""
        first: dict[str, GradientFlow] = {}
        axes = [axis for axis in self.axes if axis in FLOW_AXES]
        for number, history in sorted(self.measured.items()):
            first.setdefault(self.rows[number].competitor.label(axes), history.first)
        return first

    @property
    def last_flows(self) -> Mapping[str, GradientFlow]:
        """The gradient flow at the end of the training, of the best competitor of each kind of network."""
        axes = [axis for axis in self.axes if axis in FLOW_AXES]
        finals = {
            self.rows[number].competitor: history
            for number, history in self.measured.items()
            if self.rows[number].stage == "final" and len(history)
        }
        last: dict[str, GradientFlow] = {}
        for ranked in self.ranking:
            if ranked.competitor in finals:
                last.setdefault(ranked.competitor.label(axes), finals[ranked.competitor].last)
        return last

    def chances(self, at_most: int | None = None) -> dict[Competitor, list[float]]:
        """How likely a network of the first is better than one of each other among so many: the value, low, high."""
        scores = final_scores(self.rows)
        ranked = [ranked.competitor for ranked in self.ranking[:at_most]]
        others = [competitor for competitor in ranked[1:] if competitor in scores]
        if not others or ranked[0] not in scores:
            return {}
        estimates = probability_of_improvement(scores[ranked[0]], np.stack([scores[other] for other in others]))
        return dict(zip(others, np.transpose(estimates).tolist(), strict=True))

    @property
    def score_name(self) -> str:
        """What a score is: accuracy for classes, R² for numbers."""
        names = {"accuracy" if task == "classification" else "R²" for task in self.tasks.values()}
        return names.pop() if len(names) == 1 else "score"

    def curves_of(self, ranked: Ranked, quantity: str = "train_loss") -> NDArray[np.float64]:
        """The curves [seed, epoch] of a competitor's final runs; NaN after a divergence."""
        found = [
            curve[quantity]
            for row, curve in zip(self.rows, self.curves, strict=True)
            if row.stage == "final" and row.competitor == ranked.competitor
        ]
        return _padded(found)

    def profile(self) -> Profile:
        """Performance profiles of the time to a target, the competitors in the order of the ranking.

        The target is, on each data set, the validation score that half of the competitors reach in the end; time is
        counted in epochs, or in seconds if those are the budget. Workloads are the data sets; of one alone, the seeds.

        InvalidInput before there are final runs.
        """
        if not self.final_runs:
            raise InvalidInput("no seed has been run by all competitors yet, so that there is no profile to show.")
        unit = "epoch" if self.budget.seconds is None else "seconds"
        times = times_to_target(self.rows, self.curves, unit)
        return performance_profile(np.array([times[ranked.competitor] for ranked in self.ranking]))

    def best_of_k(self) -> NDArray[np.float64]:
        """The test score to expect of the best of k trials [competitor, k], in the order of the ranking.

        Of the first trials, of which all have the same number; NaN for more than are finished. InvalidInput for several
        data sets.
        """
        return _padded([best_of_k(*scores) for scores in self._first_trials("valid_score", "test_score")])

    def sensitivity(self) -> NDArray[np.float64]:
        """How many decades of learning rates reach 95 % of the best validation score [competitor], likewise."""
        return np.array([sensitivity(*values) for values in self._first_trials("learning_rate", "valid_score")])

    def _first_trials(self, x: str, y: str) -> list[tuple[list[float], list[float]]]:
        alone = self._alone()
        first = alone.asked.get("trials", math.inf)
        trials = [row for row in alone.rows if row.stage == "trial" and row.trial < first]
        by_who = ([row for row in trials if row.competitor == ranked.competitor] for ranked in alone.ranking)
        return [([getattr(row, x) for row in mine], [getattr(row, y) for row in mine]) for mine in by_who]

    def _alone(self) -> Study:
        """Itself, if it has but one data set."""
        if len(self.tasks) > 1:
            raise InvalidInput(f"this study has several data sets; choose one, as in study.of({min(self.tasks)!r}).")
        return self

    def frame(self) -> DataFrame:
        """One tidy row a network, as a polars data frame."""
        import polars as pl

        values = ((*row[:2], *row.competitor, *row[3:]) for row in self.rows)
        return pl.DataFrame(values, schema=Row.columns(), orient="row")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the frame as CSV."""
        self.frame().write_csv(path_of(path))

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the frame as Parquet."""
        self.frame().write_parquet(path_of(path))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; a score that does not exist is None."""
        return {
            "data": self.data,
            "tasks": dict(self.tasks),
            "score": self.score_name,
            "networks": len(self.rows),
            "expected": self.expected,
            "trained": self.trained,
            "seconds": self.seconds,
            "asked": self.asked,
            "origin": self.origin,
            "rows": [_plain(row.tidy()) for row in self.rows],
            "verdict": self.verdict.to_json(),
            "ranking": [_plain(_flat(ranked)) for ranked in self.ranking],
            "flows": {name: flow.to_json() for name, flow in self.flows.items()},
        }

    def summary(self) -> str:
        """The verdict in sentences."""
        return " ".join(verdict_sentences(self.verdict))

    def table(self) -> str:
        """The ranking as a text table."""
        return tables.as_text(tables.ranking_table(self))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file with verdict, charts and every setting, which needs nothing else.

        >>> open_study("iris.study").report("iris.html")  # doctest: +SKIP
        """
        write_atomically(path_of(path), report_html(self).encode())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Test scores as a table of activations × optimizers, each at its chosen learning rate."""
        return charts.score_table(self._drawn(), ax)

    def plot_flows(self, ax: Axes | None = None) -> Axes:
        """The gradient of each activation at initialization, layer by layer."""
        return charts.flow_profiles(self.flows, ax)

    def loss_figure(self) -> Figure:
        """Training loss against passes over the data, for every competitor at its chosen learning rate."""
        return charts.loss_figure(self._drawn())

    def learning_rate_figure(self) -> Figure:
        """Validation score of the trials against the learning rate: how sensitive each optimizer is."""
        return charts.learning_rate_figure(self._drawn()._only(lambda row: row.stage == "trial"))

    def _drawn(self) -> Study:
        """The study as charts take it: a panel is an activation, a line an optimizer with all else that varies."""
        alone = self._alone()
        axes = [axis for axis in self.axes if axis != "activation"]

        def named(competitor: Competitor) -> Competitor:
            return competitor._replace(optimizer=competitor.label(axes))

        return replace(alone, rows=tuple(row._replace(competitor=named(row.competitor)) for row in self.rows))

    def _repr_html_(self) -> str:
        return summary_html(self)

    def __repr__(self) -> str:
        best = f", best {self.ranking[0].competitor.label(self.axes)}" if self.rows else ""
        return f"Study({self.data}: {len(self.rows)} of {self.expected} networks{best})"


def open_study(path: str | os.PathLike[str]) -> Study:
    """The comparison in a study file that was worked on last, finished or not, also while it goes on.

    StudyFileError for a file that is missing, damaged, of another version, or no study.
    """
    file = StudyFile(path_of(path), write=False)
    try:
        return read_study(file, file.comparison())
    finally:
        file.close()


def read_study(file: StudyFile, comparison: Comparison) -> Study:
    """A comparison as it stands in the file."""
    rows, arrays = file.rows(comparison.id), file.arrays(comparison.id)
    asked = comparison.asked
    networks = [descriptions.network_from_json(each) for each in asked["networks"]]
    network_of = {Competitor(**each["axes"]): networks[each["network"]] for each in asked["competitors"]}
    n_inputs = {each["name"]: each["n_inputs"] for each in asked["data"]}
    return Study(
        rows=tuple(rows),
        curves=tuple(curves(each.curves) for each in arrays),
        tasks={each["name"]: each["task"] for each in asked["data"]},
        expected=comparison.expected,
        trained=comparison.trained,
        seconds=comparison.seconds,
        measured={
            number: _history(each, network_of[row.competitor], n_inputs[row.data])
            for number, (row, each) in enumerate(zip(rows, arrays, strict=True))
            if each.flow is not None
        },
        asked=asked,
        origin=comparison.origin,
        path=file.path,
    )


def _history(kept: Arrays, network: Network, n_inputs: int) -> FlowHistory:
    layers = network.layers(n_inputs, 1)
    measured = flows(kept.flow or b"", kept.watched)
    return FlowHistory(tuple(hidden_flow(layers, values, epoch) for epoch, values in measured.items()))


def _padded(lines: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Lines of any length as one array [line, point], with NaN after their ends."""
    array = np.full((len(lines), max(map(len, lines), default=0)), math.nan)
    for row, values in zip(array, lines, strict=True):
        row[: len(values)] = values
    return array


def _flat(ranked: Ranked) -> dict[str, Any]:
    flat = ranked._asdict()
    return {**flat.pop("competitor")._asdict(), **flat}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: formatting.for_json(x) if isinstance(x, float) else x for name, x in row.items()}
