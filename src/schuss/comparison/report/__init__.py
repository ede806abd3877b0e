"""The report of a study: what was found, put on a page."""

from __future__ import annotations

from schuss.comparison.report.courses import speed_section, training_section
from schuss.comparison.report.findings import EDGE
from schuss.comparison.report.gradient import flow_section
from schuss.comparison.report.parts import Study, parts_of
from schuss.comparison.report.ranked import ranking_section, ranking_table
from schuss.comparison.report.settings import details, facts
from schuss.comparison.report.trials import map_section, rates_section, tuning_section
from schuss.comparison.report.words import listed, networks_in_words, verdict_in_plain_words
from schuss.comparison.statistics.groups import LEVEL
from schuss.show.pages import Page, Section, page_html, table_html

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
            verdict=verdict_in_plain_words(study, study.expected),
            sections=_sections(study) if study.rows else [],
            facts=facts(study),
            again=_FROM_SHELL if command.startswith("schuss ") else _FROM_PYTHON,
            command=command,
            details=details(study),
            terms={"level": f"{100 * LEVEL:.0f}", "edge": f"{100 * EDGE:.0f}"},
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
    return table_html(
        table._replace(
            title=f"Comparison on {study.data}", note=" ".join(verdict_in_plain_words(study, study.expected))
        )
    )
