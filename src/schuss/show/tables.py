"""Results as text tables for the terminal, with color where it helps and readable without."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.show.formatting import (
    MISSING,
    estimate,
    interval,
    mean_and_spread,
    rate,
    reference,
    share,
    short_formula,
    signed,
    significant,
    slope,
    slope_in_words,
    tendency,
)

if TYPE_CHECKING:
    from rich.table import Table

    from schuss.activations import Activation
    from schuss.comparison.study.study import Study
    from schuss.estimators.tablefit import TableFit
    from schuss.gradient.flow import FlowHistory, GradientFlow
    from schuss.gradient.mean_field import MeanField
    from schuss.optimizers import Optimizer

COLUMNS_OF_AXES = 3  # a ranking with more of them would not fit into 80 columns
WIDTH = 100  # columns of a text table, unless asked otherwise; all but long formulas fit into 80

_STYLES = {"vanishes": "red", "explodes": "red", "shrinks": "yellow", "grows": "yellow", "steady": "green"}


def _styled(text: str, style: str) -> str:
    return f"[{style}]{text}[/{style}]" if style else text


def _alarming(text: str, x: float, *, above: float) -> str:
    return _styled(text, "red" if x > above else "")


def as_text(table: Table, width: int = WIDTH) -> str:
    """The table as plain text of at most `width` columns, without color and without blank ends of lines."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def _table(title: str, caption: str = "") -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        caption=caption or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        header_style="dim",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def _text(x: object) -> str:
    """Text from outside: its square brackets are no markup."""
    from rich.markup import escape

    return escape(str(x))


def flow_table(flow: GradientFlow) -> Table:
    """One measurement, one line a layer; where all layers are alike, with a bar for the powers of ten of δ."""
    kinds = list(dict.fromkeys((layer.n_out, str(layer.activation)) for layer in flow.layers))
    is_uniform = len(kinds) == 1
    when = "at initialization" if flow.epoch == 0 else f"after epoch {flow.epoch}"
    n = len(flow.layers)
    what = f": {n} layer{'s' * (n > 1)} of {kinds[0][0]} {_text(kinds[0][1])}" if is_uniform else ""
    table = _table(f"Gradient flow {when}{what}", _flow_caption(flow))
    is_trained = bool(np.isfinite(flow["update_ratio"]).any())
    table.add_column("layer", justify="right")
    if not is_uniform:
        table.add_column("units", justify="right")
        table.add_column("activation", overflow="fold")
    table.add_column("δ", justify="right", no_wrap=True)
    if is_uniform:
        table.add_column("", no_wrap=True, min_width=12)
    if flow.theory is not None:
        table.add_column("theory", justify="right", no_wrap=True)
    for heading in ("∂L/∂W", "φ(z)", "saturated", "dead", *(["update/W"] if is_trained else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, layer in enumerate(flow.layers):
        x = float(flow.relative[number])
        style = _STYLES.get(tendency(np.array([x])), "red")
        kind = [] if is_uniform else [str(layer.n_out), _text(layer.activation)]
        delta = [_styled(text, style) for text in (significant(x), *([_bar(x)] if is_uniform else []))]
        table.add_row(str(number + 1), *kind, *delta, *_flow_cells(flow, number, is_trained=is_trained))
    return table


def _flow_cells(flow: GradientFlow, number: int, *, is_trained: bool) -> list[str]:
    saturated, dead = float(flow["saturated"][number]), float(flow["dead"][number])
    return [
        *([] if flow.theory is None else [significant(float(flow.theory.relative[number]))]),
        significant(float(flow["weight_gradient"][number])),
        significant(float(flow["activation_rms"][number])),
        _alarming(share(saturated), saturated, above=0.9),
        _alarming(share(dead), dead, above=0.5),
        *([significant(float(flow["update_ratio"][number]))] if is_trained else []),
    ]


def _bar(x: float) -> str:
    """One arrow for each power of ten, at most 12: how far δ is from that of the last hidden layer."""
    if not x > 0:
        return ""
    decades = round(math.log10(x)) if math.isfinite(x) else 12
    return ("▸" if decades > 0 else "◂") * min(abs(decades), 12)


def _flow_caption(flow: GradientFlow) -> str:
    theory = "" if flow.theory is None else "theory: the same from φ and Var(W) alone (mean field)\n"
    return f"δ: RMS of ∂loss/∂z; in layer {len(flow.layers)} it is 1\n{theory}The gradient {slope_in_words(flow)}."


def theory_table(theory: MeanField) -> Table:
    """A mean-field prediction, one line a layer, and what a stack without end would do."""
    table = _table("Mean-field theory of the gradient flow", "\n".join(_theory_caption(theory)))
    table.add_column("layer", justify="right")
    table.add_column("units", justify="right")
    table.add_column("activation", overflow="fold")
    for heading in ("q", "mean φ(z)", "RMS φ(z)", "χ", "δ"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, layer in enumerate(theory.layers):
        columns = (theory.q, theory.activation_mean, theory.activation_rms, theory.chi, theory.relative)
        cells = (significant(float(column[number]), 3) for column in columns)
        table.add_row(str(number + 1), str(layer.n_out), _text(layer.activation), *cells)
    return table


def _theory_caption(theory: MeanField) -> list[str]:
    n = len(theory.layers)
    lines = [
        "q: variance of z; χ: factor on δ² on its way back through the layer",
        f"δ: RMS of ∂loss/∂z; in layer {n} it is 1",
    ]
    limits = [("q", theory.fixed_point), ("χ", theory.chi_star)]
    known = [f"{name} goes to {significant(value, 3)}" for name, value in limits if value is not None]
    if known:
        scale = theory.depth_scale
        per_layers = "" if scale is None or math.isinf(scale) else f", a factor e in {significant(scale)} layers"
        lines.append(f"In ever deeper stacks {' and '.join(known)}{per_layers}.")
    return lines


def flow_history_table(history: FlowHistory) -> Table:
    """How the flow changes through training: one line a measurement, with the first, a middle and the last layer."""
    n = len(history.measurements[0].layers)
    chosen = _chosen_layers(n, 3)
    caption = (
        f"δ 1: RMS of ∂loss/∂z in layer 1; in layer {n} it is 1\n"
        "lost: powers of ten a layer, on the way back to the input\n"
        "update l: RMS of the last update of layer l over its weights'\n"
        "saturated, dead: share of units, in the worst layer"
    )
    if np.any(history["delta"] == 0):
        caption += "\nδ is 0 where it is below 1e-36, too: training computes in single precision"
    table = _table("Gradient flow through training", caption)
    for heading in ("epoch", "δ 1", "lost", *(f"update {layer + 1}" for layer in chosen), "saturated", "dead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for flow in history.measurements:
        saturated, dead = _worst(flow["saturated"]), _worst(flow["dead"])
        table.add_row(
            str(flow.epoch),
            _styled(significant(float(flow.relative[0])), _STYLES.get(tendency(flow.relative), "red")),
            signed(flow.decades_per_layer),
            *(significant(float(flow["update_ratio"][layer])) for layer in chosen),
            _alarming(share(saturated), saturated, above=0.9),
            _alarming(share(dead), dead, above=0.5),
        )
    return table


def _worst(shares: NDArray[np.float64]) -> float:
    return float(np.max(shares)) if len(shares) else math.nan


def _chosen_layers(n: int, at_most: int) -> list[int]:
    """Indices of at most so many layers, evenly from the first to the last."""
    return sorted({round(x) for x in np.linspace(0, n - 1, min(n, at_most))})


def flows_table(flows: Mapping[str, GradientFlow]) -> Table:
    """One line an activation: the relative δ of some layers, its slope, and the worst layer's shares."""
    depth = max((len(flow.layers) for flow in flows.values()), default=1)
    chosen = [layer for layer in _chosen_layers(depth, 5) if layer < depth - 1] or [0]
    table = _table(
        "Gradient flow at initialization, by activation",
        f"δ l: RMS of ∂loss/∂z in layer l; in layer {depth} it is 1\n"
        "lost: powers of ten a layer, on the way back to the input\n"
        "saturated, dead: share of units, in the worst layer",
    )
    table.min_width = 58  # of the caption
    table.add_column("activation", overflow="fold")
    for layer in chosen:
        table.add_column(f"δ {layer + 1}", justify="right", no_wrap=True)
    for heading in ("lost", "gradient", "saturated", "dead"):
        table.add_column(heading, justify="left" if heading == "gradient" else "right", no_wrap=True)
    for name, flow in flows.items():
        word, style = tendency(flow.relative), _STYLES.get(tendency(flow.relative), "red")
        saturated, dead = _worst(flow["saturated"]), _worst(flow["dead"])
        known = [float(flow.relative[layer]) if layer < len(flow.layers) else math.nan for layer in chosen]
        table.add_row(
            _text(name),
            *map(significant, known),
            signed(flow.decades_per_layer),
            _styled(word, style),
            _alarming(share(saturated), saturated, above=0.9),
            _alarming(share(dead), dead, above=0.5),
        )
    return table


def ranking_table(study: Study, at_most: int | None = None) -> Table:
    """Competitors, best first, named by the axes that vary; so many of them at most."""
    several = len(study.tasks) > 1
    table = _table(
        f"Ranking on {_text(study.data)}",
        f"{study.score_name}: interquartile mean over new seeds (95 % interval)\n"
        "=: statistically tied with the best; "
        + ("rank: mean over the data sets" if several else "rate and valid: of the best trial"),
    )
    table.add_column("", justify="right")
    columns = [[axis] for axis in study.axes]
    if len(columns) > COLUMNS_OF_AXES:
        columns = [list(study.axes)]  # all in one, where the lines fold between words
    for axes in columns:
        table.add_column("competitor" if len(axes) > 1 else axes[0].replace("_", " "), overflow="fold")
    of_trial = "rank" if several else "rate"
    for heading in (of_trial, f"test {study.score_name}", "valid", "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, ranked in enumerate(study.ranking[:at_most], 1):
        table.add_row(
            f"{'=' if ranked.is_best and place > 1 else ''}{place}",
            *(_text(ranked.competitor.label(axes)) for axes in columns),
            mean_and_spread(ranked.rank, math.nan) if several else rate(ranked.learning_rate),
            estimate(ranked.test_score, ranked.low, ranked.high),
            mean_and_spread(ranked.valid_score, math.nan),
            _styled(f"{ranked.diverged} of {ranked.networks}", "red") if ranked.diverged else "0",
            style="bold" if ranked.is_best else "",
        )
    return table


def history_table(history: Mapping[str, NDArray[np.float64]], score_name: str) -> Table:
    """A training, epoch by epoch; of many epochs the first, the last, and some between, evenly on a log scale."""
    table = _table("Training")
    for heading in ("epoch", "train loss", "valid loss", f"valid {score_name}", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    n = len(history["epoch"])
    wanted = np.unique(np.rint(np.geomspace(1, n, 12)).astype(int)) - 1 if n else np.zeros(0, dtype=int)
    for i in wanted:
        table.add_row(
            f"{history['epoch'][i]:.0f}",
            significant(float(history["train_loss"][i]), 4),
            significant(float(history["valid_loss"][i]), 4),
            mean_and_spread(float(history["score"][i]), math.nan),
            f"{history['seconds'][i]:.3f}",
        )
    return table


def scores_table(parts: Iterable[tuple[str, float, float]], score_name: str) -> Table:
    """Loss and score of each part of the data: (its name, loss, score)."""
    table = _table("Result")
    table.add_column("part")
    table.add_column("loss", justify="right")
    table.add_column(score_name, justify="right")
    for name, loss, score in parts:
        table.add_row(name, significant(loss, 4), mean_and_spread(score, math.nan))
    return table


def truth_table(
    names: Sequence[str], inputs: Iterable[Sequence[Any]], expected: Iterable[Any], predicted: Iterable[Any]
) -> Table:
    """Inputs, what was expected, and what the network says, line by line."""
    table = _table("Truth table")
    for heading in (*names, "expected", "predicted"):
        table.add_column(_text(heading), justify="right")
    for row, wanted, got in zip(inputs, expected, predicted, strict=True):
        table.add_row(*(f"{x:g}" for x in row), _text(wanted), _styled(_text(got), "green" if wanted == got else "red"))
    return table


def activations_table(activations: Iterable[Activation]) -> Table:
    """Every activation with formula, range, largest slope and source."""
    table = _table(
        "Activations",
        "φ(z) for the unit's input z; `schuss activations NAME` shows one in full.\n"
        "'tailor(NAME, depth=50)' is NAME, but such that 50 layers of it can be trained.",
    )
    table.add_column("name", no_wrap=True)
    table.add_column("φ(z)", overflow="fold", ratio=1)
    table.add_column("range", no_wrap=True)
    table.add_column("max |φ′|", justify="right", no_wrap=True)
    table.add_column("reference", overflow="fold", max_width=22)
    for each in activations:
        table.add_row(
            each.name,
            _text(short_formula(each.text)),
            interval(each.range),
            slope(each.largest_slope),
            _text(reference(each.description)),
        )
    return table


def optimizers_table(optimizers: Iterable[Optimizer]) -> Table:
    """Every optimizer with its default learning rate, the range that `compare` searches, its state and its source."""
    table = _table("Optimizers", "state: arrays kept beside the weights; `schuss optimizers NAME` shows the rule")
    table.add_column("name", no_wrap=True)
    table.add_column("default lr", justify="right", no_wrap=True)
    table.add_column("compare tries", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("what it does", ratio=1)
    for each in optimizers:
        low, high = map(rate, each.search)
        table.add_row(
            each.name,
            rate(each.lr),
            f"{low} … {high}",
            ", ".join(each.state) or MISSING,
            _text(each.description.partition("\n")[0]),
        )
    return table


def facts_table(title: str, facts: Iterable[tuple[str, str]]) -> Table:
    """Names and values, a line each."""
    table = _table(_text(title))
    table.show_header = False
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("", overflow="fold")
    for name, value in facts:
        table.add_row(name, _text(value))
    return table


def trials_table(rows: Iterable[Sequence[str]], score_name: str) -> Table:
    """The proof, a line a cure: (change, train loss, validation score, δ of layer 1, verdict); the first is before."""
    table = _table("", "δ 1: the gradient that reaches layer 1 before training; in the last hidden layer it is 1")
    table.add_column("tried", overflow="fold")
    for heading in ("train loss", f"valid {score_name}", "δ 1"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    styles = {"the cure": "bold green", "the best": "bold green", "cures": "green", "does not help": "dim"}
    for change, *figures, verdict in rows:
        table.add_row(_text(change), *figures, verdict, style=styles.get(verdict, ""))
    return table


def table_fit_table(fit: TableFit) -> Table:
    """The scores of predictions on held-out rows, with those of the baseline."""
    facts = [("evaluated on", f"{fit.rows} held-out rows")]
    for name, value in fit.scores.items():
        blind = significant(fit.scores_without_inputs[name], 4)
        beside = "" if name == "R²" else f" (baseline {blind})"  # R² is 0 then, but for chance
        facts.append((name, f"{significant(value, 4)}{beside}"))
    if fit.rows_of_known_classes < fit.rows:
        facts.append(("log-loss is of", f"{fit.rows_of_known_classes} rows, whose class was trained on"))
    return facts_table("Result", facts)
