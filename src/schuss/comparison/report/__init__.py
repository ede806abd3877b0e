"""The report of a study: what was found, put on a page."""

from __future__ import annotations

from schuss.comparison.report.parts import Part, Study, parts_of
from schuss.comparison.report.sections import SECTIONS, ranking_section, ranking_table
from schuss.comparison.report.settings import details, facts, glossary
from schuss.comparison.report.words import networks_in_words, verdict_in_plain_words
from schuss.pages import Page, Section, page_html, table_html

__all__ = ["report_html", "summary_html"]


def report_html(study: Study) -> str:
    """The report as one HTML file, which needs nothing else.

    It holds the verdict in words, the ranking with its intervals, the map of what learns, the learning rates, the
    courses of the trainings, the gradient flow, the profiles of speed and tuning, and every setting.
    """
    return page_html(
        Page(
            title=f"What learns best on {study.data}?",
            byline=networks_in_words(study),
            verdict=verdict_in_plain_words(study, study.expected),
            sections=list(_sections(study)) if study.rows else [],
            facts=facts(study),
            command=str(study.origin.get("command", "not recorded")),
            details=details(study),
            glossary=glossary(study),
        )
    )


def _sections(study: Study) -> list[Section]:
    parts: list[Part] = parts_of(study)
    made = [ranking_section(study), *(make(parts) for make in SECTIONS)]
    return [section for section in made if section.parts]


def summary_html(study: Study) -> str:
    """The ranking and the verdict as a small table, for a notebook."""
    table = ranking_table(study, at_most=12)
    return table_html(
        table._replace(
            title=f"Comparison on {study.data}", note=" ".join(verdict_in_plain_words(study, study.expected))
        )
    )
