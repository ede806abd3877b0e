"""Every setting of a study: the data, the protocol, who took part, where it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schuss.show import formatting
from schuss.show.report import words

if TYPE_CHECKING:
    from schuss.comparison.study.study import Study

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
    described = (
        f"{each['task']}, {each['n_inputs']} inputs{classes}; {train} rows to learn from, {valid} to choose by "
        f"(validation), {test} to judge by (test); guessing gives {each['guess']:.3f} of {study.score_name}; "
        f"fingerprint {each['fingerprint'][:16]}"
    )
    return ". ".join([described, *(note.removesuffix(".") for note in each["notes"])]) + "."


def _protocol(study: Study) -> Facts:
    asked = study.asked
    if not asked:
        return []
    seeds = words.seeds_in_words(row.seed for row in study.rows if row.stage == "final")
    tuned = ["learning rate", *asked.get("tuned", [])]
    trials = (
        f"{asked['trials']} for each competitor, on seed {asked['seed']}, over {words.listed(tuned)}; points of a "
        "scrambled Sobol sequence, the same where ranges coincide"
    )
    judgement = (
        f"on test, on the new seeds {seeds or '(none yet)'}, each of which gives all competitors the same split, the "
        "same initial draws and the same order of the rows"
    )
    return [
        ("budget of a network", words.budget_in_words(study.budget)),
        ("trials", trials),
        ("choice", "the trial with the highest validation score; of equal ones the lowest validation loss"),
        ("judgement", judgement),
        ("score", f"{study.score_name}, interquartile mean, stratified bootstrap intervals of 95 %"),
        (
            "which competitors differ",
            f"all pairs tested at once (step-down maxT on paired seeds), level {study.level:g}",
        ),
        ("engine", str(asked["engine"])),
    ]


def _axes(study: Study) -> Facts:
    rules = {
        each["recipe"]["optimizer"]["name"]: each["recipe"]["optimizer"] for each in study.asked.get("competitors", [])
    }
    lines: Facts = [("competitors", str(len(study.competitors)))]
    for axis, values in study.values_by_axis.items():
        lines.append((axis.replace("_", " "), ", ".join(dict.fromkeys(map(formatting.setting, values)))))
    return [*lines, *((f"rule of {name}", _rule(rule)) for name, rule in rules.items()), *_formulas(study)]


def _rule(rule: Mapping[str, Any]) -> str:
    low, high = map(formatting.rate, rule["search"])
    others = ", ".join(f"{name}={value:g}" for name, value in rule["settings"].items() if name != "lr")
    updates = "; ".join(f"{name} ← {text}" for name, text in zip(("w", *rule["state"]), rule["updates"], strict=True))
    batch = "; on the whole training part" if rule["full_batch"] else ""
    return f"{formatting.short_formula(updates)}. Rates from {low} to {high}{f', {others}' if others else ''}{batch}."


def _formulas(study: Study) -> Facts:
    found: dict[str, str] = {}
    for network in study.asked.get("networks", []):
        for layer in _layers(network["hidden"]):
            activation = layer.get("activation")
            if activation:
                found.setdefault(activation["name"], activation["formula"])
    return [(f"φ(z) of {name}", formatting.short_formula(text)) for name, text in found.items()]


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
