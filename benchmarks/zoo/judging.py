"""Asking: schuss's doctor and the published rules, about every case; what is answered is kept in files."""

from __future__ import annotations

import json
import statistics
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import schuss as sc
from benchmarks.zoo import setups
from benchmarks.zoo.cases import Case, announce, from_seeds
from benchmarks.zoo.faults import HEALTHY
from benchmarks.zoo.published.autotrainer import AUTOTRAINER
from benchmarks.zoo.published.deepdiagnosis import DEEPDIAGNOSIS
from benchmarks.zoo.published.neuroscope import NEUROSCOPE
from benchmarks.zoo.published.sagemaker import SAGEMAKER
from benchmarks.zoo.scoring import Answer
from benchmarks.zoo.traces import trace

RULE_SETS = (SAGEMAKER, AUTOTRAINER, DEEPDIAGNOSIS, NEUROSCOPE)

Row = dict[str, Any]


def asked(cases: Sequence[Case], ask: Callable[[Case], Row], path: Path) -> list[Row]:
    """The answer about each case; those that the file holds are not asked again, and new ones are added to it."""
    rows = {row["case"]: row for row in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    missing = [case for case in cases if case.name not in rows]
    with path.open("a") as file:
        for number, case in enumerate(missing, start=1):
            if number % 10 == 1:
                announce(f"{ask.__name__}: {number} of {len(missing)}, {case.name}")
            rows[case.name] = {"case": case.name, **ask(case)}
            print(json.dumps(rows[case.name]), file=file, flush=True)
    return [rows[case.name] for case in cases]


def doctor(case: Case) -> Row:
    """The causes that schuss names, the cure of the first, whether it restores what the fault took, and the seconds."""
    setup = case.setup
    diagnosis = sc.doctor(setup.network, setup.data, setup.recipe, seed=setup.seed)
    first = diagnosis.findings[0] if diagnosis.findings else None
    return {
        "named": [finding.cause for finding in diagnosis.findings],
        "cure": first.cure.change if first and first.cure else None,
        "restored": restores(case, first.proof.after) if first and first.proof else False,
        "evidence": dict(first.evidence) if first else {},
        "seconds": diagnosis.seconds,
    }


def restores(case: Case, after: Any) -> bool:
    """Whether the cured network has 90 % of the twin's gain; when overfit, of the gain in validation loss once had.

    The figures of the proof are medians over its seeds.
    """
    if case.cause == "overfitting":
        (runs,) = from_seeds([case.setup], None)
        lowest = statistics.median(float(np.nanmin(run.history["valid_loss"])) for run in runs)
        best = 1 - lowest / setups.constant_losses(case.setup.data)[1]
        return bool(after.valid_learned >= setups.RESTORED * best)
    return bool(after.learned >= setups.RESTORED * case.twin_gain)


def published(case: Case) -> Row:
    """The verdicts of every published rule set."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of diverged trainings the statistics are no numbers
        seen = trace(case.setup)
        return {
            rules.name: [[verdict.rule, sorted(verdict.causes)] for verdict in rules.judge(seen)] for rules in RULE_SETS
        }


def our_answers(cases: Sequence[Case], rows: Iterable[Row]) -> list[Answer]:
    return [
        Answer(case.cause, tuple(frozenset({cause}) for cause in row["named"]))
        for case, row in zip(cases, rows, strict=True)
    ]


def their_answers(cases: Sequence[Case], rows: Iterable[Row], name: str) -> list[Answer]:
    return [
        Answer(case.cause, tuple(frozenset(causes) for _, causes in row[name]))
        for case, row in zip(cases, rows, strict=True)
    ]


def misjudged(cases: Sequence[Case], rows: Iterable[Row]) -> str:
    """What the doctor did not name rightly, or could not cure, so that it can be made again."""
    lines = []
    for case, row in zip(cases, rows, strict=True):
        named = row["named"] or [HEALTHY]
        if named[0] == case.cause and (row["restored"] or case.cause in (HEALTHY, "nothing_to_learn")):
            continue
        problem = f"named {', '.join(named)}" if named[0] != case.cause else "named rightly, not restored"
        evidence = ", ".join(f"{key} {value:.3g}" for key, value in row["evidence"].items())
        lines.append(
            f"- {case.name}: {problem} (cure: {row['cure']}; {evidence})\n"
            f"  {case.setup}; gain {case.gain:.2f}, twin's {case.twin_gain:.2f}"
            + (f" with {case.twin.activation}, {case.twin.optimizer}" if case.twin != case.setup else "")
        )
    return "\n".join(lines) + "\n"
