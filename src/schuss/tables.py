"""Results as text tables for the terminal, with colour where it helps and readable without.

Whatever is shown comes in as an object with a few properties (the protocols below), so that this module stands beneath
all that produce results.

>>> print(f"{significant(0.00316)} {significant(0.974)} {significant(12345.0)} {significant(4.7e-10)}")
3.2e-3 0.97 1.2e4 4.7e-10
>>> mean_and_spread(0.9741, 0.0062)
'0.974 ± 0.006'
"""

# ruff: noqa: D102 (the members of a protocol are the facts that its own docstring speaks of)

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 100  # columns of a text table, unless asked otherwise; all but long formulas fit into 80
MISSING = "–"


# ---------------------------------------------------------------------------------------------- what is shown


class LayerShown(Protocol):
    """A layer: its units and the name of its activation."""

    @property
    def n_out(self) -> int: ...
    @property
    def activation(self) -> object: ...


class FlowShown(Protocol):
    """A measurement of the gradient flow: `flow["delta"]` and its like are arrays with a number a layer."""

    @property
    def layers(self) -> Sequence[LayerShown]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def relative(self) -> NDArray[np.float64]: ...
    @property
    def decades_per_layer(self) -> float: ...
    def __getitem__(self, quantity: str) -> NDArray[np.float64]: ...


class HistoryShown(Protocol):
    """Measurements of the gradient flow through one training: `history["delta"]` is an array [measurement, layer]."""

    @property
    def measurements(self) -> Sequence[FlowShown]: ...
    @property
    def epochs(self) -> NDArray[np.int64]: ...
    def __getitem__(self, quantity: str) -> NDArray[np.float64]: ...


class RowShown(Protocol):
    """One network of a comparison."""

    @property
    def activation(self) -> str: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def status(self) -> str: ...
    @property
    def valid_score(self) -> float: ...


class RankedShown(Protocol):
    """A competitor of a comparison at its chosen learning rate."""

    @property
    def activation(self) -> str: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def test_score(self) -> float: ...
    @property
    def test_score_std(self) -> float: ...
    @property
    def valid_score(self) -> float: ...
    @property
    def diverged(self) -> int: ...


class StudyShown(Protocol):
    """A comparison: a row for each network, and the ranking."""

    @property
    def rows(self) -> Sequence[RowShown]: ...
    @property
    def ranking(self) -> Sequence[RankedShown]: ...
    @property
    def score_name(self) -> str: ...
    @property
    def data(self) -> str: ...
    def curves_of(self, ranked: Any, quantity: str = ...) -> NDArray[np.float64]: ...


class ActivationShown(Protocol):
    """An activation with its facts."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def largest_slope(self) -> float: ...


class OptimizerShown(Protocol):
    """An optimizer with its facts."""

    @property
    def name(self) -> str: ...
    @property
    def lr(self) -> float: ...
    @property
    def search(self) -> tuple[float, float]: ...
    @property
    def state(self) -> Sequence[str]: ...
    @property
    def description(self) -> str: ...


# ---------------------------------------------------------------------------------------------- numbers and words


def significant(x: float, digits: int = 2) -> str:
    """A number of any size, short: plain between 0.1 and 1000, else with a power of ten; – where it is not a number."""
    if math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -1 <= power < 3:
        return f"{x:.{max(digits - 1 - power, 0)}f}"
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{power}"


def rate(x: float) -> str:
    """A learning rate, as short as it goes.

    >>> rate(0.1), rate(0.0316), rate(1.0)
    ('0.1', '3.2e-2', '1')
    """
    text = significant(x)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def mean_and_spread(mean: float, spread: float) -> str:
    """A score with its standard deviation, which one seed alone does not have."""
    if math.isnan(mean):
        return MISSING
    plain = abs(mean) < 100 and not spread >= 100
    shown = [f"{x:.3f}" if plain else significant(x) for x in (mean, spread) if not math.isnan(x)]
    return " ± ".join(shown)


def share(x: float) -> str:
    """A share as a percentage."""
    return MISSING if math.isnan(x) else f"{100 * x:.0f} %"


def tendency(relative: NDArray[np.float64]) -> str:
    """What becomes of the gradient on its way back from the last hidden layer to the first, in one word.

    A factor of up to 10 is called steady, of more than 1000 vanishing or exploding.

    >>> tendency(np.array([1e-9, 1e-4, 1.0])), tendency(np.array([0.4, 0.7, 1.0]))
    ('vanishes', 'steady')
    """
    first = float(relative[0])
    if math.isnan(first):
        return "unknown"
    decades = math.log10(first) if first > 0 else -math.inf
    if abs(decades) <= 1:
        return "steady"
    grows = decades > 0
    return ("explodes" if grows else "vanishes") if abs(decades) > 3 else ("grows" if grows else "shrinks")


def reference(description: str) -> str:
    """The source that the first line of a description names in its last brackets.

    >>> reference("log(1 + e^z), a ReLU with its corner rounded (Dugas et al., 2001).")
    'Dugas et al., 2001'
    """
    found = re.findall(r"\(([^()]*(?:\d{4}|PyTorch)[^()]*)\)", description.partition("\n")[0])
    return found[-1] if found else ""


def short_formula(text: str) -> str:
    """A formula with its long constants cut to 5 digits, for reading.

    >>> short_formula("1.0507009873554805 * where(z > 0, z, 1.6732632423543772 * expm1(z))")
    '1.0507 * where(z > 0, z, 1.6733 * expm1(z))'
    """
    return re.sub(r"\d+\.\d{5,}", lambda found: f"{float(found[0]):.5g}", text)


_STYLES = {"vanishes": "red", "explodes": "red", "shrinks": "yellow", "grows": "yellow", "steady": "green"}


def _styled(text: str, style: str) -> str:
    return f"[{style}]{text}[/{style}]" if style else text


def _alarming(text: str, x: float, *, above: float) -> str:
    return _styled(text, "red" if x > above else "")


# ---------------------------------------------------------------------------------------------- tables


def as_text(table: Table, width: int = WIDTH) -> str:
    """The table as plain text of at most `width` columns, without colour and without blank ends of lines."""
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


def flow_table(flow: FlowShown) -> Table:
    """One measurement, one line a layer; where all layers are alike, with a bar for the powers of ten of δ."""
    kinds = list(dict.fromkeys((layer.n_out, str(layer.activation)) for layer in flow.layers))
    is_uniform = len(kinds) == 1
    when = "at initialisation" if flow.epoch == 0 else f"after epoch {flow.epoch}"
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
    for heading in ("∂L/∂W", "φ(z)", "saturated", "dead", *(["update/W"] if is_trained else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, layer in enumerate(flow.layers):
        x = float(flow.relative[number])
        style = _STYLES.get(tendency(np.array([x])), "red")
        kind = [] if is_uniform else [str(layer.n_out), _text(layer.activation)]
        delta = [_styled(text, style) for text in (significant(x), *([_bar(x)] if is_uniform else []))]
        table.add_row(str(number + 1), *kind, *delta, *_flow_cells(flow, number, is_trained=is_trained))
    return table


def _flow_cells(flow: FlowShown, number: int, *, is_trained: bool) -> list[str]:
    saturated, dead = float(flow["saturated"][number]), float(flow["dead"][number])
    return [
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


def _flow_caption(flow: FlowShown) -> str:
    return f"δ: RMS of ∂loss/∂z; in layer {len(flow.layers)} it is 1\nThe gradient {slope_in_words(flow)}."


def slope_in_words(flow: FlowShown) -> str:
    """What the gradient does on its way back, as in "vanishes, losing 0.63 decades a layer"."""
    word, lost = tendency(flow.relative), flow.decades_per_layer
    verb = {"steady": "stays steady", "unknown": "reaches no layer"}.get(word, word)
    if math.isnan(lost):
        return verb
    return f"{verb}, {'losing' if lost >= 0 else 'gaining'} {abs(lost):.2f} decades a layer"


def flow_history_table(history: HistoryShown) -> Table:
    """How the flow changes through training: one line a measurement, with the first, a middle and the last layer."""
    n = len(history.measurements[0].layers)
    chosen = _chosen_layers(n, 3)
    table = _table(
        "Gradient flow through training",
        f"δ 1: RMS of ∂loss/∂z in layer 1; in layer {n} it is 1\n"
        "lost: powers of ten a layer, on the way back to the input\n"
        "update l: RMS of the last update of layer l over its weights'\n"
        "saturated, dead: share of units, in the worst layer",
    )
    for heading in ("epoch", "δ 1", "lost", *(f"update {layer + 1}" for layer in chosen), "saturated", "dead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for flow in history.measurements:
        saturated, dead = _worst(flow["saturated"]), _worst(flow["dead"])
        table.add_row(
            str(flow.epoch),
            _styled(significant(float(flow.relative[0])), _STYLES.get(tendency(flow.relative), "red")),
            _signed(flow.decades_per_layer),
            *(significant(float(flow["update_ratio"][layer])) for layer in chosen),
            _alarming(share(saturated), saturated, above=0.9),
            _alarming(share(dead), dead, above=0.5),
        )
    return table


def _signed(x: float) -> str:
    return MISSING if math.isnan(x) else f"{round(x, 2) + 0.0:.2f}".replace("-", "−")


def _worst(shares: NDArray[np.float64]) -> float:
    return float(np.max(shares)) if len(shares) else math.nan


def _chosen_layers(n: int, at_most: int) -> list[int]:
    """Indices of at most so many layers, evenly from the first to the last."""
    return sorted({round(x) for x in np.linspace(0, n - 1, min(n, at_most))})


def flows_table(flows: Mapping[str, FlowShown]) -> Table:
    """One line an activation: the relative δ of some layers, its slope, and the worst layer's shares."""
    depth = max((len(flow.layers) for flow in flows.values()), default=1)
    chosen = [layer for layer in _chosen_layers(depth, 5) if layer < depth - 1] or [0]
    table = _table(
        "Gradient flow at initialisation, by activation",
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
            _signed(flow.decades_per_layer),
            _styled(word, style),
            _alarming(share(saturated), saturated, above=0.9),
            _alarming(share(dead), dead, above=0.5),
        )
    return table


def ranking_table(study: StudyShown) -> Table:
    """Competitors, best first: the mean test score over seeds with its standard deviation, and what diverged."""
    table = _table(
        f"Ranking on {_text(study.data)}",
        f"{study.score_name}: mean ± standard deviation over seeds\nlearning rate: the best one on the validation part",
    )
    table.add_column("", justify="right")
    table.add_column("activation", overflow="fold")
    table.add_column("optimizer", overflow="fold")
    for heading in ("learning rate", f"test {study.score_name}", "valid", "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    networks: dict[tuple[str, str], int] = {}
    for row in study.rows:
        networks[row.activation, row.optimizer] = networks.get((row.activation, row.optimizer), 0) + 1
    for place, ranked in enumerate(study.ranking, 1):
        total = networks[ranked.activation, ranked.optimizer]
        table.add_row(
            str(place),
            _text(ranked.activation),
            _text(ranked.optimizer),
            rate(ranked.learning_rate),
            mean_and_spread(ranked.test_score, ranked.test_score_std),
            mean_and_spread(ranked.valid_score, math.nan),
            _styled(f"{ranked.diverged} of {total}", "red") if ranked.diverged else "0",
            style="bold" if place == 1 else "",
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


def activations_table(activations: Iterable[ActivationShown]) -> Table:
    """Every activation with formula, range, largest slope and source."""
    table = _table("Activations", "φ(z) for the unit's input z; `schuss activations NAME` shows one in full")
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
            _slope(each.largest_slope),
            _text(reference(each.description)),
        )
    return table


def interval(bounds: tuple[float, float]) -> str:
    """A range, from its infimum to its supremum."""
    low, high = (f"{round(x, 6):.3g}".replace("-", "−").replace("inf", "∞") for x in bounds)
    return f"{low} … {high}"


def _slope(x: float) -> str:
    return f"{x:.3g}".replace("inf", "∞")


def optimizers_table(optimizers: Iterable[OptimizerShown]) -> Table:
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
