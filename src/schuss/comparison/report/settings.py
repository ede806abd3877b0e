"""Every setting of a study, and what the words of its report mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from schuss import wording
from schuss.comparison.competitors import Competitor
from schuss.comparison.groups import LEVEL
from schuss.comparison.report import words
from schuss.comparison.report.findings import EDGE
from schuss.comparison.report.parts import Study

AT_MOST = 400_000  # characters of settings: more would make the page slow, and the study file has them all
Facts = list[tuple[str, str]]


def facts(study: Study) -> dict[str, Facts]:
    """Data, protocol, competitors, and where it ran, line by line."""
    found = {
        "The data": [(each["name"], _data(each, study)) for each in study.asked.get("data", [])],
        "The protocol": _protocol(study),
        "Who took part": _axes(study),
        "Where it ran": _origin(study),
    }
    return {title: lines for title, lines in found.items() if lines}


def _data(each: Mapping[str, Any], study: Study) -> str:
    train, valid, test = each["rows"]
    classes = f", {each['classes']} classes" if each["task"] == "classification" else ""
    parts = [
        f"{each['task']}, {each['n_inputs']} inputs{classes}; {train} rows to learn from, {valid} to choose by (validation), "
        f"{test} to judge by (test); guessing gives {each.get('guess', 0.0):.3f} of {study.score_name}; "
        f"fingerprint {each['fingerprint'][:16]}",
        *each["notes"],
    ]
    return ". ".join(parts) + "."


def _protocol(study: Study) -> Facts:
    asked = study.asked
    if not asked:
        return []
    seeds = words.seeds_in_words(row.seed for row in study.rows if row.stage == "final")
    tuned = ["learning rate", *asked.get("tuned", [])]
    return [
        ("budget of a network", str(asked["budget"]).replace("epochs", " epochs")),
        (
            "trials",
            f"{asked['trials']} for each competitor, on seed {asked['seed']}, over {' and '.join(tuned)}; scrambled Sobol points, the same for equal ranges",
        ),
        ("choice", "the trial with the highest validation score; of equal ones the lowest validation loss"),
        (
            "judgement",
            f"on test, on the fresh seeds {seeds or '(none yet)'}, which give all competitors the same split, initial draws and order of rows",
        ),
        ("score", f"{study.score_name}, interquartile mean, stratified bootstrap intervals of 95 %"),
        ("who is told apart", f"all pairs tested at once (step-down maxT on paired seeds), level {LEVEL:g}"),
        ("engine", str(asked.get("engine", ""))),
    ]


def _axes(study: Study) -> Facts:
    competitors = list(dict.fromkeys(row.competitor for row in study.rows))
    rules = {
        each["recipe"]["optimizer"]["name"]: each["recipe"]["optimizer"] for each in study.asked.get("competitors", [])
    }
    lines: Facts = [("competitors", str(len(competitors)))]
    for axis in Competitor._fields:
        values = dict.fromkeys(wording.setting(getattr(each, axis)) for each in competitors)
        lines.append((axis.replace("_", " "), ", ".join(values)))
    return [*lines, *((f"rule of {name}", _rule(rule)) for name, rule in rules.items()), *_formulas(study)]


def _rule(rule: Mapping[str, Any]) -> str:
    low, high = map(wording.rate, rule["search"])
    others = ", ".join(f"{name}={value:g}" for name, value in rule["settings"].items() if name != "lr")
    updates = "; ".join(f"{name} ← {text}" for name, text in zip(("w", *rule["state"]), rule["updates"], strict=True))
    batch = "; on the whole training part" if rule["full_batch"] else ""
    return f"{wording.short_formula(updates)}. Rates from {low} to {high}{f', {others}' if others else ''}{batch}."


def _formulas(study: Study) -> Facts:
    found: dict[str, str] = {}
    for network in study.asked.get("networks", []):
        for layer in _layers(network["hidden"]):
            activation = layer.get("activation")
            if activation:
                found.setdefault(activation["name"], activation["formula"])
    return [(f"φ(z) of {name}", wording.short_formula(text)) for name, text in found.items()]


def _layers(described: list[Any]) -> list[Any]:
    return [inner for layer in described for inner in (layer, *_layers(layer.get("layers", [])))]


def _origin(study: Study) -> Facts:
    versions, machine = study.origin.get("versions", {}), study.origin.get("machine", {})
    lines: Facts = []
    if versions:
        lines.append(("versions", ", ".join(f"{name} {number}" for name, number in versions.items())))
    if machine:
        lines += [
            ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['instruction_set']}"),
            ("system", str(machine["system"])),
        ]
    if study.trained:
        lines.append(("trained", f"{study.trained} networks in {study.seconds:.1f} s"))
    if study.path is not None:
        lines.append(("study file", str(study.path)))
    return lines


def details(study: Study) -> str:
    """Every setting as JSON, unless there is too much of it."""
    text = json.dumps(study.asked, indent=1, ensure_ascii=False) if study.asked else ""
    return text if len(text) <= AT_MOST else ""


def glossary(study: Study) -> dict[str, str]:
    """What the words mean."""
    several = len(study.tasks) > 1
    meanings = {
        "Activation and optimizer": "The activation is the curve in every unit: its slope decides how much of the gradient passes back through a layer. "
        "The optimizer is the rule that turns the gradient into new weights: from plain gradient descent (gd, sgd) over momentum to Adam.",
        "Vanishing gradient": "The error is sent back layer by layer, and each layer multiplies it by the slope of its activation. The sigmoid’s slope is at "
        "most 0.25: after many layers hardly anything is left, and the first layers stand still.",
        "Learning rate": "How far each update goes. Too small, and nothing happens in the given time; too large, and the numbers grow beyond all bounds: "
        "the network diverges. Every optimizer has its own best rate, which is why each gets the same number of trials.",
        "Training, validation, test": "The network learns from the training part. The best trial is chosen on the validation part. What is reported comes from "
        "the test part, which decided nothing before.",
        "Fresh seeds": "A seed fixes every draw: the split of the data, the initial weights, the order of the rows. One seed may be luck; so the chosen trial "
        "runs again on seeds that took no part in the choice, the same for all.",
        "Interquartile mean and interval": "The mean of the middle half of the seeds, which a single outlier does not move. The 95 % interval holds the true "
        "value in 95 of 100 such studies.",
        "Cannot be told apart": f"All pairs are tested at once. Where nothing but chance is at work, a difference is claimed in at most {100 * LEVEL:.0f} of 100 studies. "
        "Not told apart does not mean equal: more seeds may show a difference.",
        "Edge of learning": f"A network counts as learning when its validation score is at least {100 * EDGE:.0f} % of the way from guessing to the best network "
        "of the comparison.",
    }
    if several:
        meanings["Mean rank"] = (
            "On each data set competitors are ranked; the mean of these ranks orders them over all data sets."
        )
    return meanings
