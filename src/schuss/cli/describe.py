"""What the commands say about their results: in tables and sentences for people, as plain values for machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import schuss as sc
from schuss.atomic import write_atomically
from schuss.cli.output import STDOUT, Output, Picture
from schuss.language import formulas
from schuss.show import formatting, tables

if TYPE_CHECKING:
    from rich.table import Table


def show_study(study: sc.Study, output: Output, report: Path | None = None) -> None:
    """A comparison: gradient flow, ranking, verdict, speed, pictures and report; or what there is of it."""
    output.write_json(study.to_json)
    if study.rows:
        if study.flows:
            output.show(tables.flows_table(study.flows))
        for data in study.tasks:
            output.show(tables.ranking_table(study.of(data)))
        if len(study.tasks) > 1:
            output.show(tables.ranking_table(study))
        output.show(study.summary(), networks_in_words(study))
        for data in study.tasks:
            draw(study.of(data), output)
    if report is not None:
        study.report(report)
        output.show(f"report: {report}")
    if study.path is not None:
        unfinished = len(study.rows) < study.expected
        output.show(f"study: {study.path}{'; the same command goes on with it' if unfinished else ''}")


def networks_in_words(study: sc.Study) -> str:
    """How many networks there are, and how fast they were trained."""
    n = len(study.rows)
    parts = [f"Networks: {n}{f' of {study.expected}' if n < study.expected else ''}"]
    if study.trained:
        parts.append(
            f"{study.trained} trained in {study.seconds:.1f} s, {study.trained / study.seconds:.0f} networks/s"
        )
    if n > study.trained:
        known = "the same as others" if study.path is None else "taken from the study"
        parts.append(f"{n - study.trained} {known}")
    return "; ".join(parts) + "."


def draw(study: sc.Study, output: Output) -> None:
    """The pictures of one data set."""
    pictures: dict[str, Picture] = {
        "scores": study.plot,
        "loss": study.loss_figure,
        "learning-rates": study.learning_rate_figure,
        "flow": study.plot_flows,
    }
    output.draw(f"compare-{study.data}", pictures)


def show_run(run: sc.Run, output: Output, *more: Table) -> None:
    """A training: its course, the gradient flow through it, and the result."""
    output.show(run.network.brief(), f"{run.recipe}", "")
    if len(run.outcome.history):
        output.show(tables.history_table(run.history, run.score_name))
    output.show(tables.flow_history_table(run.flow))
    if run.status != "diverged":
        scores = zip(("train", "valid", "test"), run.outcome.losses, run.outcome.scores, strict=True)
        output.show(tables.scores_table(scores, run.score_name), *more)
    state = run.outcome.state
    output.show(f"{run.status} after {state.epoch} epochs, {state.step} updates, {run.outcome.seconds:.3f} s.")


def loading(data: str, target: str | None, task: str | None) -> str:
    """The Python expression that loads what the command line named.

    >>> loading("churn.csv", "Exited", None)
    "sc.load('churn.csv', 'Exited')"
    """
    wanted = ([repr(target)] if target is not None else []) + ([f"task={task!r}"] if task is not None else [])
    return f"sc.load({', '.join([repr(data), *wanted])})"


def write_fix(diagnosis: sc.Diagnosis, file: Path, load: str, output: Output) -> None:
    """The cured network as a script, if there is a cure."""
    if not any(finding.cure for finding in diagnosis.findings):
        output.show(f"{file} was not written: there is no cure to write.")
        return
    if file == STDOUT:
        sys.stdout.write(diagnosis.script(load))
        return
    write_atomically(file, diagnosis.script(load).encode())
    output.show(f"script: {file}")


def run_pictures(run: sc.Run, data: sc.Dataset) -> dict[str, Picture]:
    """A training on one page, the gradient flow through it, and where on their curves its layers live."""
    return {
        "": run.figure,
        "flow": run.flow.figure,
        "layers": lambda: run.preactivations(data.train).figure(),
    }


def show_flow(flow: sc.GradientFlow, output: Output) -> None:
    """The gradient flow of an untrained network, and why theory has nothing to say where it has not."""
    output.show(tables.flow_table(flow))
    if flow.no_theory:
        output.show(flow.no_theory, "")


def flow_json(flow: sc.GradientFlow, run: sc.Run | None) -> dict[str, Any]:
    """The flow of an untrained network with its theory, and what was measured through its training."""
    return flow.to_json() | {"through_training": [] if run is None else run.flow.to_json()}


def run_json(run: sc.Run) -> dict[str, Any]:
    """A run as plain values; what is not a finite number is None.

    So is the score of a diverged run: weights that are not numbers say class 0 to all, which looks like a result.
    """
    outcome = run.outcome
    return {
        "status": run.status,
        "epochs": outcome.state.epoch,
        "seconds": outcome.seconds,
        "train_loss": formatting.for_json(outcome.losses[0]),
        "valid_loss": formatting.for_json(outcome.losses[1]),
        "test_score": None if run.status == "diverged" else formatting.for_json(outcome.scores[2]),
        "diverged_step": outcome.diverged_step,
        "diverged_layer": run.diverged_layer,
        "history": {name: [formatting.for_json(x) for x in values.tolist()] for name, values in run.history.items()},
    }


def activation_json(each: sc.Activation) -> dict[str, Any]:
    """An activation as plain values; an infinite bound is None."""
    return {
        "name": str(each),
        "formula": each.text,
        "latex": each.latex,
        "range": [formatting.for_json(x) for x in each.range],
        "largest_slope": formatting.for_json(each.largest_slope),
        "settings": dict(each.settings),
        "description": each.description,
    }


def optimizer_json(each: sc.Optimizer) -> dict[str, Any]:
    """An optimizer as plain values."""
    return {
        "name": str(each),
        "rule": each.text.split("; "),
        "latex": each.latex,
        "state": list(each.state),
        "settings": dict(each.settings),
        "learning_rates": list(each.search),
        "full_batch": each.full_batch,
        "description": each.description,
    }


def activation_facts(each: sc.Activation) -> list[tuple[str, str]]:
    """Everything about an activation, line by line."""
    return [
        ("what", each.description),
        ("φ(z)", formatting.short_formula(each.text)),
        ("φ′(z)", formatting.short_formula(formulas.text(each.derivative))),
        ("range", formatting.interval(each.range)),
        ("largest slope", formatting.slope(each.largest_slope)),
        ("settings", _settings(each)),
    ]


def _settings(each: sc.Activation | sc.Optimizer) -> str:
    return ", ".join(f"{key}={value:g}" for key, value in each.settings) or "none"


def optimizer_facts(each: sc.Optimizer) -> list[tuple[str, str]]:
    """Everything about an optimizer, line by line."""
    low, high = map(formatting.rate, each.search)
    return [
        ("what", each.description),
        ("rule", each.text.replace("; ", "\n")),
        ("settings", _settings(each)),
        ("compare tries", f"learning rates {low} … {high}"),
        ("batch", "the whole training part" if each.full_batch else "as given"),
    ]
