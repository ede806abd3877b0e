"""The report of a study: what was found, put on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.show.pages import Page, Section, page_html, table_html
from schuss.show.report.courses import speed_section, training_section
from schuss.show.report.findings import EDGE
from schuss.show.report.gradient import flow_section
from schuss.show.report.parts import parts_of
from schuss.show.report.ranked import ranking_section, ranking_table
from schuss.show.report.settings import details, facts
from schuss.show.report.trials import map_section, rates_section, tuning_section
from schuss.show.report.words import listed, networks_in_words
from schuss.show.verdict import verdict_sentences

if TYPE_CHECKING:
    from schuss.comparison.study.study import Study

__all__ = ["report_html", "summary_html"]

_FROM_SHELL = "This command does it again, with the same numbers on the same kind of machine:"
_FROM_PYTHON = "It was asked for from Python, with the settings below, by this program:"


def report_html(study: Study) -> str:
    """The report as one HTML file, which needs nothing else.

    It holds the verdict in words, the ranking with its intervals, the map of what learns, the learning rates, the
    courses of the trainings, the gradient flow, the profiles of speed and tuning, and every setting.
    """
    command = str(study.origin.get("command", "not recorded"))
    return page_html(
        Page(
            title=f"What learns best on {listed(list(study.tasks))}?",
            byline=networks_in_words(study),
            verdict=verdict_sentences(study.verdict),
            sections=_sections(study) if study.rows else [],
            facts=facts(study),
            again=_FROM_SHELL if command.startswith("schuss ") else _FROM_PYTHON,
            command=command,
            details=details(study),
            terms={"level": f"{100 * study.level:.0f}", "edge": f"{100 * EDGE:.0f}"},
        )
    )


def _sections(study: Study) -> list[Section]:
    parts = parts_of(study)
    made = [
        ranking_section(study),
        map_section(parts),
        rates_section(parts),
        training_section(parts),
        flow_section(parts),
        speed_section(study, parts),
        tuning_section(parts),
    ]
    return [section for section in made if section.parts]


def summary_html(study: Study) -> str:
    """The ranking and the verdict as a small table, for a notebook."""
    table = ranking_table(study, at_most=12)
    return table_html(table._replace(title=f"Comparison on {study.data}", note=study.summary()))
