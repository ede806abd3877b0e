"""What the final runs show: the course of the training, and who gets there first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from schuss.show.charts.training import EPOCH, loss_limits, score_limits
from schuss.show.pages import Axis, Chart, Line, Section, Spec, line_panel
from schuss.show.report import words
from schuss.show.report.findings import Band, band
from schuss.show.report.parts import Part

if TYPE_CHECKING:
    from schuss.comparison.competitors import Competitor
    from schuss.comparison.study.study import Study

Bands: TypeAlias = "Mapping[Competitor, Band]"


def training_section(parts: Sequence[Part]) -> Section:
    """Training loss and validation score of the final runs, median and middle half of the seeds."""
    charts: list[Chart] = []
    last: dict[str, float] = {}
    for part in parts:
        losses, scores = _bands(part, "train_loss"), _bands(part, "score")
        charts += _courses(part, "training loss", losses, _loss_axis(list(losses.values())))
        score = f"validation {part.study.score_name}"
        charts += _courses(part, score, scores, Axis(score, score_limits(_together(list(scores.values())))))
        if len(parts) == 1:
            last = {part.label(who): float(each.middle[-1]) for who, each in losses.items()}
    return Section("training", "How does the training go?", words.losses_in_words(last), charts)


def _bands(part: Part, quantity: str) -> dict[Competitor, Band]:
    found = {who: band(runs, quantity) for who, runs in part.finals.items()}
    return {who: each for who, each in found.items() if each is not None}


def _together(bands: Sequence[Band]) -> Any:
    return np.concatenate([each.middle for each in bands] or [np.zeros(0)])


def _loss_axis(bands: Sequence[Band]) -> Axis:
    limits = loss_limits(_together(bands), np.array([each.middle[0] for each in bands]))
    return Axis("training loss", limits or (0.1, 1.0), is_log=True)


def _courses(part: Part, what: str, bands: Bands, y: Axis) -> list[Chart]:
    last = max((float(each.epochs[-1]) for each in bands.values()), default=1.0)
    x = Axis(EPOCH, (1.0, last) if last > 1 else (0.0, 2.0), whole=True)

    def panel(mine: Sequence[Competitor]) -> Spec | None:
        lines = [line(who, bands[who]) for who in mine if who in bands]
        return line_panel(lines, part.lines, x, y) if lines else None

    def line(who: Competitor, each: Band) -> Line:
        alone = [0] if len(each.epochs) == 1 else []
        place = part.places[who].line
        return Line(place, part.label(who), each.epochs, each.middle, each.low, each.high, dots=alone)

    note = (
        "Each competitor at its best learning rate: the median over the new seeds, and as a band the middle half of "
        "them."
    )
    return part.charts(what[0].upper() + what[1:], note, panel, f"Course of the {what}")


# ---------------------------------------------------------------------------------------------- speed


def speed_section(study: Study, parts: Sequence[Part]) -> Section:
    """Performance profiles: who reaches a good score first, and who is never far behind."""
    question = "Who gets there first?"
    if not study.final_runs:
        return Section("speed", question, "", [])
    found, part = study.profile(), parts[0]
    workloads = "data sets" if len(study.tasks) > 1 else "seeds"
    who = [ranked.competitor for ranked in study.ranking]
    heights = dict(zip(who, zip(found.share, found.score.tolist(), strict=True), strict=True))

    def panel(mine: Sequence[Competitor]) -> Spec | None:
        x, y = Axis("times as long as the fastest", (1, 4)), Axis(f"share of {workloads}", (-0.03, 1.03))
        return line_panel([line(each) for each in mine], part.lines, x, y, is_stepped=True)

    def line(each: Competitor) -> Line:
        share, score = heights[each]
        return Line(part.places[each].line, f"{each.label(study.axes)} (score {score:.2f})", found.taus, share)

    note = words.profile_note(workloads, "epochs" if study.budget.seconds is None else "seconds")
    scores = {each.label(study.axes): score for each, (_, score) in heights.items()}
    firsts = {each.label(study.axes): float(share[0]) for each, (share, _) in heights.items()}
    charts = [chart._replace(title="") for chart in part.charts("", note, panel, "Performance profile")]
    return Section("speed", question, words.speed_in_words(scores, firsts, workloads), charts)
