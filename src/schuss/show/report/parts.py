"""A study as a report draws it: data set by data set, each competitor with its place, its trials and its final runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from schuss.show.pages import Chart, Panel, Spec
from schuss.show.report.findings import Place, Scale, places

if TYPE_CHECKING:
    from schuss.comparison.competitors import Competitor
    from schuss.comparison.study.ranking import Ranked
    from schuss.comparison.study.records import Curves, Row
    from schuss.comparison.study.study import Study


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
