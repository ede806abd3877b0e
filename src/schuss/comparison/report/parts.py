"""A study as a report draws it: data set by data set, each competitor with its place, its trials and its final runs."""

# ruff: noqa: D102 (the members of a protocol are the facts that its own docstring speaks of)

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from schuss.comparison import verdict
from schuss.comparison.competitors import FLOW_AXES, Competitor
from schuss.comparison.ranking import Ranked
from schuss.comparison.report.findings import Place, Scale, places
from schuss.comparison.statistics.profiles import Profile
from schuss.comparison.study.records import Curves, Row
from schuss.gradient.flow import FlowHistory, GradientFlow
from schuss.show.pages import Chart, Panel, Spec


class Study(verdict.Study, Protocol):
    """What is reported; `schuss.Study`, which is such, stands above this module."""

    @property
    def curves(self) -> Sequence[Curves]: ...
    @property
    def measured(self) -> Mapping[int, FlowHistory]: ...
    @property
    def flows(self) -> Mapping[str, GradientFlow]: ...
    @property
    def expected(self) -> int: ...
    @property
    def trained(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def origin(self) -> Mapping[str, Any]: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def data(self) -> str: ...
    def of(self, data: str) -> Self: ...
    def profile(self) -> Profile: ...
    def best_of_k(self) -> NDArray[np.float64]: ...
    def sensitivity(self) -> NDArray[np.float64]: ...


def parts_of(study: Study) -> list[Part]:
    """The data sets of a study, each with what is drawn of it; the same competitors in the same places on all."""
    shown = places([ranked.competitor for ranked in study.ranking], study.axes)
    return [Part(study.of(name), name if len(study.tasks) > 1 else "", shown) for name in study.tasks]


class Part:
    """A data set of a study. `title` tells it from others, `shown` says which competitors are drawn, and where."""

    def __init__(self, study: Study, title: str, shown: Mapping[Competitor, Place]) -> None:
        self.study, self.title = study, title
        met = dict.fromkeys(row.competitor for row in study.rows if row.competitor in shown)
        self.places = {competitor: shown[competitor] for competitor in met}
        self.panels = list(dict.fromkeys(place.panel for place in self.places.values()))
        self.lines = list(dict.fromkeys(place.line for place in self.places.values()))
        self.hidden = len({row.competitor for row in study.rows}) - len(met)

    @cached_property
    def name(self) -> str:
        """The name of the data set."""
        return next(iter(self.study.tasks))

    @cached_property
    def scale(self) -> Scale:
        """From guessing to the best validation score of all trials."""
        asked: list[Mapping[str, Any]] = self.study.asked.get("data", [])
        guess = next((each.get("guess", 0.0) for each in asked if each["name"] == self.name), 0.0)
        scores = [row.valid_score for rows in self.trials.values() for row in rows if math.isfinite(row.valid_score)]
        return Scale(guess, max(scores, default=1.0))

    @cached_property
    def ranked(self) -> dict[Competitor, Ranked]:
        """The competitors that are drawn, with their chosen trials."""
        return {ranked.competitor: ranked for ranked in self.study.ranking if ranked.competitor in self.places}

    @cached_property
    def trials(self) -> dict[Competitor, list[Row]]:
        """The trials of those that are drawn."""
        found: dict[Competitor, list[Row]] = {competitor: [] for competitor in self.places}
        for row in self.study.rows:
            if row.stage == "trial" and row.competitor in found:
                found[row.competitor].append(row)
        return {competitor: rows for competitor, rows in found.items() if rows}

    @cached_property
    def finals(self) -> dict[Competitor, list[Curves]]:
        """The courses of the final runs of those that are drawn."""
        found: dict[Competitor, list[Curves]] = {competitor: [] for competitor in self.places}
        for row, curves in zip(self.study.rows, self.study.curves, strict=True):
            if row.stage == "final" and row.competitor in found:
                found[row.competitor].append(curves)
        return {competitor: runs for competitor, runs in found.items() if runs}

    @cached_property
    def last_flows(self) -> dict[str, GradientFlow]:
        """The gradient flow at the end of the training, of the best competitor of each kind of network."""
        axes = [axis for axis in self.study.axes if axis in FLOW_AXES]
        finals = {
            self.study.rows[number].competitor: history
            for number, history in self.study.measured.items()
            if self.study.rows[number].stage == "final" and len(history)
        }
        found: dict[str, GradientFlow] = {}
        for ranked in self.study.ranking:
            if ranked.competitor in finals:
                found.setdefault(ranked.competitor.label(axes), finals[ranked.competitor].last)
        return found

    def label(self, competitor: Competitor) -> str:
        """The competitor in words."""
        return competitor.label(self.study.axes)

    def of_competitors(self, values: Iterable[Any]) -> dict[str, Any]:
        """Values in the order of the ranking by the names of the competitors."""
        return {self.label(ranked.competitor): each for ranked, each in zip(self.study.ranking, values, strict=True)}

    def charts(
        self, title: str, note: str, panel_of: Callable[[Sequence[Competitor]], Spec | None], what: str
    ) -> list[Chart]:
        """A chart with a panel for each name, made from the competitors that belong there; none without panels."""
        panels = []
        for name in self.panels:
            spec = panel_of([competitor for competitor, place in self.places.items() if place.panel == name])
            if spec is not None:
                panels.append(Panel(name, spec, f"{what}, {name}"))
        hidden = f"{self.hidden} competitors that rank lower are not drawn." if self.hidden else ""
        heading = " on ".join(filter(None, (title, self.title)))
        return [Chart(heading, " ".join(filter(None, (note, hidden))), panels, self.lines)] if panels else []
