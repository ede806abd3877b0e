"""The zoo's figures as Markdown for people and as plain dictionaries for machines."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import PERCENT, Figure, figures_table
from benchmarks.report import table
from benchmarks.zoo.cases import Case
from benchmarks.zoo.faults import HEALTHY
from benchmarks.zoo.halves import Half
from benchmarks.zoo.judging import RULE_SETS, Row, our_answers, their_answers
from benchmarks.zoo.published import RuleSet
from benchmarks.zoo.scoring import Answer, Score, confusion, per_cause, score, within

SHORT = {
    HEALTHY: "ok", "vanishing_gradient": "van", "exploding_gradient": "exp", "dead_units": "dead",
    "saturated_units": "sat", "symmetric_weights": "sym", "no_nonlinearity": "lin", "unscaled_inputs": "inp",
    "unscaled_target": "tgt", "learning_rate_too_high": "high", "learning_rate_too_low": "low",
    "plateau_of_full_batch": "gd", "overfitting": "over", "nothing_to_learn": "none", "another": "other",
}  # fmt: skip


def share(value: float) -> str:
    return "–" if value != value else f"{value:.0%}"  # noqa: PLR0124


def inhabitants(half: Half, cases: Sequence[Case]) -> str:
    """What a half is made of."""
    depths = sorted(case.setup.depth for case in cases)
    rules = Counter(case.setup.optimizer.partition("(")[0] for case in cases)
    return (
        f"The {half.name} half: {len(cases)} cases, {sum(case.cause == HEALTHY for case in cases)} of them healthy; "
        f"{depths[0]} to {depths[-1]} hidden layers, the median is {statistics.median(depths):.0f}, "
        f"{sum(depth >= 20 for depth in depths)} have 20 or more. Tables: {', '.join(half.problems)}. Optimizers: "
        + ", ".join(f"{name} {count}" for name, count in rules.most_common())
        + "."
    )


def headline(cases: Sequence[Case], rows: Sequence[Row]) -> list[Figure]:
    """The figures of a half beside what they should be."""
    answers = our_answers(cases, rows)
    whole, causes = score(answers), {k: v for k, v in per_cause(answers).items() if k != HEALTHY}
    worst_precision = min(causes, key=lambda cause: causes[cause].precision)
    worst_recall = min(causes, key=lambda cause: causes[cause].recall)
    seconds = statistics.median(row["seconds"] for row in rows)
    return [
        Figure("precision over all causes", whole.precision, PERCENT, at_least=0.95),
        Figure("recall over all causes", whole.recall, PERCENT, at_least=0.95),
        Figure(f"lowest precision ({worst_precision})", causes[worst_precision].precision, PERCENT, at_least=0.85),
        Figure(f"lowest recall ({worst_recall})", causes[worst_recall].recall, PERCENT, at_least=0.85),
        Figure("false alarms on healthy networks", whole.false_alarms, PERCENT, at_most=0.02),
        Figure("cures that restore learning", restored_share(cases, rows), PERCENT, at_least=0.9),
        Figure("median time of a visit, proofs included", seconds, "{:.1f} s"),
    ]


def _curable(cases: Sequence[Case], rows: Sequence[Row]) -> list[Row]:
    return [
        row
        for case, row in zip(cases, rows, strict=True)
        if case.cause not in (HEALTHY, "nothing_to_learn") and row["cure"]
    ]


def restored_share(cases: Sequence[Case], rows: Sequence[Row]) -> float:
    """Of the cures that were recommended for a faulty network, how many restore learning."""
    cured = _curable(cases, rows)
    return sum(row["restored"] for row in cured) / len(cured) if cured else float("nan")


def causes_table(cases: Sequence[Case], rows: Sequence[Row]) -> str:
    """A line a cause."""
    lines = []
    for cause, result in per_cause(our_answers(cases, rows)).items():
        mine = [(case, row) for case, row in zip(cases, rows, strict=True) if case.cause == cause]
        restored = restored_share(*map(list, zip(*mine, strict=True))) if cause != HEALTHY else float("nan")
        seconds = statistics.median(row["seconds"] for _, row in mine)
        line = [str(result.cases), *map(share, (result.precision, result.recall, result.anywhere, restored))]
        lines.append([cause, SHORT[cause], *line, f"{seconds:.1f} s"])
    header = ["true cause", "short", "cases", "precision", "recall", "named at all", "cures restore", "median time"]
    return table(header, lines)


def confusion_table(answers: Sequence[Answer]) -> str:
    """True causes down, causes named first across; what never happened is left empty."""
    counts = confusion(answers)
    named = [cause for cause in SHORT if any(first == cause for _, first in counts)]
    lines = [
        [cause, SHORT[cause], *(str(counts[cause, first] or "") for first in named)]
        for cause in dict.fromkeys(answer.truth for answer in answers)
    ]
    return table(["true cause", "short", *(SHORT[cause] for cause in named)], lines)


# ---------------------------------------------------------------------------------------------- beside others


def judged_by(rules: RuleSet, cases: Sequence[Case]) -> list[Case]:
    """The cases that a rule set is meant for."""
    return [case for case in cases if not rules.only_classification or case.setup.data.task == "classification"]


def both(rules: RuleSet, cases: Sequence[Case], ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[list[Answer], ...]:
    """Their answers and ours about the same cases: those with a cause that they name, and healthy ones."""
    meant = {case.name for case in judged_by(rules, cases)}
    their, our = their_answers(cases, theirs, rules.name), our_answers(cases, ours)
    chosen = [i for i in within(our, rules.causes) if cases[i].name in meant]
    return [their[i] for i in chosen], [our[i] for i in chosen]


def comparison_table(cases: Sequence[Case], ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """A line a rule set, and one for schuss on the same cases."""
    lines = []
    for rules in RULE_SETS:
        for name, answers in zip((rules.name, "schuss"), both(rules, cases, ours, theirs), strict=True):
            result: Score = score(answers)
            figures = (result.precision, result.recall, result.anywhere, result.false_alarms)
            lines.append(
                [name, rules.source if name != "schuss" else "the same cases", str(result.cases), *map(share, figures)]
            )
    return table(["who", "source", "cases", "precision", "recall", "named at all", "false alarms"], lines)


def rules_table(cases: Sequence[Case], ours: Sequence[Row], theirs: Sequence[Row]) -> str:
    """Recall and precision for each cause that a rule set names, ours before theirs, on the cases that it is for."""
    pairs = [[per_cause(answers) for answers in both(rules, cases, ours, theirs)] for rules in RULE_SETS]
    causes = [cause for cause in dict.fromkeys(case.cause for case in cases) if cause != HEALTHY]
    lines = []
    for cause in causes:
        named = [(cause in rules.causes, *pair) for rules, pair in zip(RULE_SETS, pairs, strict=True)]
        lines.append(
            [cause, *(f"{_cell(our[cause])} / {_cell(their[cause])}" if is_in else "" for is_in, their, our in named)]
        )
    return table(["true cause", *(f"schuss / {rules.name}" for rules in RULE_SETS)], lines)


def _cell(result: Score) -> str:
    return f"{share(result.recall)} {share(result.precision)}"


def plain(half: Half, cases: Sequence[Case], ours: Sequence[Row], theirs: Sequence[Row]) -> dict[str, Any]:
    """A half for a machine."""
    return {
        "half": half.name,
        "figures": [figure.plain() for figure in headline(cases, ours)],
        "causes": {cause: result._asdict() for cause, result in per_cause(our_answers(cases, ours)).items()},
        "confusion": [[*pair, count] for pair, count in confusion(our_answers(cases, ours)).items()],
        "published": {
            rules.name: dict(
                zip(("theirs", "ours"), (score(a)._asdict() for a in both(rules, cases, ours, theirs)), strict=True)
            )
            for rules in RULE_SETS
        },
        "cases": [
            case.plain() | {"doctor": mine, "published": others}
            for case, mine, others in zip(cases, ours, theirs, strict=True)
        ],
    }


def half_text(half: Half, cases: Sequence[Case], ours: Sequence[Row], theirs: Sequence[Row]) -> list[str]:
    """Everything about the half that judges."""
    return [
        inhabitants(half, cases),
        figures_table(headline(cases, ours)),
        "### Cause by cause",
        causes_table(cases, ours),
        "### What was named instead",
        confusion_table(our_answers(cases, ours)),
        "### Beside published rules",
        comparison_table(cases, ours, theirs),
        "Recall and precision, cause by cause, on the same cases: schuss / the others; – where a cause is never named.",
        rules_table(cases, ours, theirs),
    ]
