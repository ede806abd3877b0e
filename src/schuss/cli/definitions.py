"""`schuss activations` and `schuss optimizers`: the reference of definitions."""

from __future__ import annotations

from functools import partial
from typing import Any

import schuss as sc
from schuss.atomic import file_stem
from schuss.cli.options import Json, NameArgument, Pictures, Plot, folder
from schuss.cli.output import Output
from schuss.cli.userfiles import own_or_name
from schuss.landscapes import LANDSCAPES
from schuss.language import formulas
from schuss.show import formatting, tables


def activations(name: NameArgument = None, *, json: Json = None, plot: Plot = False, out: Pictures = None) -> None:
    """List the activations, or show one: formula, slope, LaTeX.

    $ schuss activations gelu

    $ schuss activations "mine = z * sigmoid(1.7 * z)" --plot

    $ schuss activations mine.py:wavelet
    """
    output = Output(json, folder(plot, out))
    known = sc.activations.ACTIVATIONS.values()
    shown = list(known) if name is None else [sc.activations.find_activation(own_or_name("activation", name))]
    output.write_json(lambda: [_activation_json(each) for each in shown])
    if name is None:
        output.show(tables.activations_table(shown))
    else:
        output.show(tables.facts_table(str(shown[0]), _activation_facts(shown[0])), shown[0].latex, "")
    if name is None:
        output.draw("activations", {"": sc.activations.figure})
    else:
        output.draw(f"activation-{file_stem(shown[0].name)}", {"": shown[0].plot})


def optimizers(name: NameArgument = None, *, json: Json = None, plot: Plot = False, out: Pictures = None) -> None:
    """List the optimizers, or show one: its rule, its settings, LaTeX, and with --plot its descent.

    $ schuss optimizers adam --plot

    $ schuss optimizers mine.py:heavy_ball
    """
    output = Output(json, folder(plot, out))
    shown = (
        list(sc.optimizers.OPTIMIZERS.values())
        if name is None
        else [sc.optimizers.find_optimizer(own_or_name("optimizer", name))]
    )
    output.write_json(lambda: [_optimizer_json(each) for each in shown])
    if name is None:
        output.show(tables.optimizers_table(shown))
    else:
        output.show(tables.facts_table(str(shown[0]), _optimizer_facts(shown[0])), shown[0].latex, "")
    if name is None:
        draw = {land: partial(sc.optimizers.figure, landscape=land) for land in LANDSCAPES}
        output.draw("optimizers", draw)
    else:
        output.draw(f"optimizer-{shown[0].name}", {"": shown[0].figure})


def _activation_json(each: sc.Activation) -> dict[str, Any]:
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


def _optimizer_json(each: sc.Optimizer) -> dict[str, Any]:
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


def _activation_facts(each: sc.Activation) -> list[tuple[str, str]]:
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


def _optimizer_facts(each: sc.Optimizer) -> list[tuple[str, str]]:
    """Everything about an optimizer, line by line."""
    low, high = map(formatting.rate, each.search)
    return [
        ("what", each.description),
        ("rule", each.text.replace("; ", "\n")),
        ("settings", _settings(each)),
        ("compare tries", f"learning rates {low} … {high}"),
        ("batch", "the whole training part" if each.full_batch else "as given"),
    ]
