"""A diagnosis as a report that teaches: what is wrong, why, its cure, and the proof as a small table."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from schuss.show import tables
from schuss.show.formatting import MISSING, counted, mean_and_spread, significant, times

if TYPE_CHECKING:
    from rich.table import Table

    from schuss.diagnosis.findings import Diagnosis, Finding, Result, Trial
    from schuss.network import Network

_WIDTH = 79

WHAT = {
    "vanishing_gradient": "The gradient vanishes",
    "exploding_gradient": "The gradient explodes",
    "dead_units": "Dead units",
    "saturated_units": "Saturated units",
    "symmetric_weights": "All units of a layer are the same",
    "no_nonlinearity": "No layer bends",
    "unscaled_inputs": "The inputs are not scaled",
    "unscaled_target": "The target is not scaled",
    "learning_rate_too_high": "The learning rate is too high",
    "learning_rate_too_low": "The learning rate is too low",
    "plateau_of_full_batch": "Full batches make too few steps",
    "overfitting": "The network overfits",
    "nothing_to_learn": "There is nothing to learn",
}


def report(diagnosis: Diagnosis) -> list[str | Table]:
    """Sentences and tables, in the order in which they are read."""
    network, recipe, _ = diagnosis.case
    parts: list[str | Table] = [_wrapped(f"{_described(network)}; {recipe}"), _budget(diagnosis), ""]
    if diagnosis.healthy and diagnosis.before is not None:
        parts += [_wrapped(f"{_health(diagnosis.before)} {_course(diagnosis.before)}"), ""]
    for number, finding in enumerate(diagnosis.findings, 1):
        parts += _finding(finding, number, diagnosis)
    if not diagnosis.complete:
        so_far = f" {_course(diagnosis.before)}" if diagnosis.before is not None else ""
        parts += [_wrapped(f"The visit was interrupted.{so_far}"), ""]
    return parts


def as_text(diagnosis: Diagnosis) -> str:
    """The report as plain text."""
    return "\n".join(
        part if isinstance(part, str) else tables.as_text(part, _WIDTH) + "\n" for part in report(diagnosis)
    ).strip("\n")


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _described(network: Network) -> str:
    """The hidden layers in one line, what repeats counted."""
    return ", ".join(counted([*map(repr, network.hidden)], times)) or "no hidden layers"


def _budget(diagnosis: Diagnosis) -> str:
    wanted, given = diagnosis.case.recipe.epochs, diagnosis.examined.recipe.epochs
    rows, of = len(diagnosis.examined.data.train), len(diagnosis.case.data.train)
    epochs = f"{given} epochs" if given == wanted else f"{given} of its {wanted} epochs"
    data = "" if rows == of else f", on {rows} of {of} rows"
    n, medians = len(diagnosis.seeds), "; figures are medians over the seeds" * (diagnosis.before is not None)
    return _wrapped(
        f"{diagnosis.trained} network{'s' * (diagnosis.trained != 1)} in {diagnosis.seconds:.1f} s: {epochs}{data}, "
        f"{n} seed{'s' * (n > 1)}{medians}."
    )


def _health(before: Result) -> str:
    if before.learns:
        return "Healthy: nothing keeps this network from learning."
    return (
        "Healthy, as far as can be seen: nothing that was changed, one thing at a time, makes this network learn "
        "clearly more."
    )


def _course(before: Result) -> str:
    if not math.isfinite(before.train_loss):
        return "The training diverged."
    return (
        f"Training removed {100 * before.learned:.0f} % of the constant predictor's loss on the rows it learned from, "
        f"{100 * before.valid_learned:.0f} % on others; the gradient that reaches layer 1 is "
        f"{significant(before.first_layer)} of that of the last hidden layer."
    )


def _finding(finding: Finding, number: int, diagnosis: Diagnosis) -> list[str | Table]:
    where = _layers(finding.layers)
    parts: list[str | Table] = [
        f"{number}. {WHAT[finding.cause]} ({finding.cause}{f', {where}' if where else ''})",
        _wrapped(finding.explanation, "   "),
        "",
    ]
    if finding.cure is not None:
        parts += [_wrapped(f"The cure: {finding.cure.change}: {finding.cure.detail}.", "   "), ""]
    elif finding.tried:
        parts += ["   None of the cures that were tried helps.", ""]
    if finding.tried:
        parts.append(tables.trials_table(_rows(finding), diagnosis.score_name))
    return parts


def _layers(numbers: tuple[int, ...]) -> str:
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"layers {numbers[0]} to {numbers[-1]}"
    return f"{len(numbers)} layers, the first {numbers[0]}"


def _rows(finding: Finding) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("as it is", *_cells(finding.before), "")]
    for trial in finding.tried:
        rows.append((trial.cure.change, *_cells(trial.after), _verdict(trial, finding)))
    return rows


def _cells(result: Result) -> tuple[str, str, str]:
    if not math.isfinite(result.train_loss):
        return "diverged", MISSING, significant(result.first_layer)
    return (
        significant(result.train_loss),
        mean_and_spread(result.valid_score, math.nan),
        significant(result.first_layer),
    )


def _verdict(trial: Trial, finding: Finding) -> str:
    if trial is finding.chosen:
        return "the cure" if trial.cured else "the best"
    if trial.cured:
        return "cures"
    return "helps" if trial.helps else "does not help"
