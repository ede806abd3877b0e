"""Charts: what is drawn, and that it is in view; how it looks is for the eye."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import schuss as sc
from schuss import charts
from schuss.comparison.statistics import Row
from schuss.engines import QUANTITIES
from schuss.insight.gradient_flow import FlowHistory, GradientFlow
from schuss.layers import Layer


def measured(deltas: list[float], epoch: int = 0, **quantities: float) -> GradientFlow:
    values = np.full((len(deltas), len(QUANTITIES)), 0.25)
    for name, value in quantities.items():
        values[:, QUANTITIES.index(name)] = value
    values[:, QUANTITIES.index("delta")] = deltas
    return GradientFlow((Layer("dense", 8, 8, sc.relu),) * len(deltas), values, epoch)


def study(
    activations: int, optimizers: int, rates: int = 3, seeds: int = 2, epochs: int = 4, task: str = "classification"
) -> sc.Study:
    """Losses that fall, scores that rise with the learning rate; the first optimizer diverges at the highest one."""
    rows, curves = [], []
    for a, o, rate, seed in itertools.product(*map(range, (activations, optimizers, rates, seeds))):
        lost = rates > 1 and rate == rates - 1 and o == 0
        score, status = (math.nan, "diverged") if lost else (0.5 + 0.1 * rate, "finished")
        learning_rate = 10.0 ** (rate - 3)
        rows.append(Row(f"a{a}", f"o{o}", learning_rate, seed, 4, 64, status, 1, score, score, epochs, 0.1, None))
        curves.append({"train_loss": 2.0 * (seed + 1) * 0.5 ** np.arange(0 if lost else epochs)})
    flows = {f"a{a}": measured([10.0 ** (-k * a) for k in range(4, -1, -1)]) for a in range(activations)}
    return sc.Study("digits", task, tuple(rows), tuple(curves), flows, 1.0, len(rows))


def drawn(figure: Figure) -> Figure:
    """Draw for real: the layout, the fonts and all warnings (which are errors here)."""
    figure.draw_without_rendering()
    return figure


def legend_texts(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(panel.get_legend() for panel in figure.axes)]
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]


def title(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ")


# ---------------------------------------------------------------------------------------------- gradient flow


def test_flow_chart() -> None:
    figure = drawn(charts.flow_chart(measured([1e-6, 1e-4, 1e-2, 1.0], saturated=0.5, dead=0.1)))
    delta, weights, signal, units = figure.axes
    assert title(figure) == "relu, 4 layers, at initialization: the gradient vanishes, losing 2.00 decades a layer"
    assert delta.get_yscale() == weights.get_yscale() == signal.get_yscale() == "log"
    np.testing.assert_allclose(delta.lines[0].get_ydata(), [1e-6, 1e-4, 1e-2, 1.0])
    assert delta.get_ylim()[0] < 1e-6
    assert delta.get_ylim()[1] > 1
    np.testing.assert_allclose(units.lines[0].get_ydata(), 50)
    np.testing.assert_allclose(units.lines[1].get_ydata(), 10)
    assert legend_texts(figure) == ["z", "φ(z)", "saturated", "dead"]


def test_flow_chart_of_one_layer_and_of_no_gradient() -> None:
    drawn(charts.flow_chart(measured([1.0])))
    figure = drawn(charts.flow_chart(measured([0.0, 0.0])))
    assert "reaches no layer" in title(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["nothing above 0"]


def test_flow_chart_beyond_what_a_log_axis_can_show() -> None:
    drawn(charts.flow_chart(measured([1e-320, 1e-200, 1.0])))
    drawn(charts.flow_chart(measured([math.inf, 1e300, 1.0])))


def test_flow_chart_of_a_steady_gradient_does_not_magnify_its_noise() -> None:
    low, high = charts.flow_chart(measured([1.01, 0.99, 1.0])).axes[0].get_ylim()
    assert high / low >= 9.99


def test_flows_chart_names_the_strongest_first() -> None:
    flows = {
        "weak": measured([1e-8, 1e-4, 1.0]),
        "steady": measured([1.0, 1.0, 1.0]),
        "dead": measured([0.0, 0.0, 0.0]),
    }
    figure = drawn(charts.flows_chart(flows))
    assert [text.split()[0] for text in legend_texts(figure)] == ["steady", "weak", "dead"]
    assert legend_texts(figure)[1].split()[1] == "4.00"


@pytest.mark.parametrize("n_layers", [1, 6, 30])
def test_flow_history_chart(n_layers: int) -> None:
    history = FlowHistory((measured([1.0] * n_layers, update_ratio=math.nan), measured([0.5] * n_layers, 4)))
    figure = drawn(charts.flow_history_chart(history))
    delta, ratio, saturated = figure.axes[:3]
    assert len([line for line in delta.lines if len(line.get_xdata())]) == n_layers
    assert [tick.get_text() for tick in delta.get_xticklabels()] == ["0", "4"]
    np.testing.assert_allclose(delta.lines[0].get_ydata(), [1.0, 0.5])
    assert np.isnan(ratio.lines[0].get_ydata()[0])
    assert "saturated" in saturated.get_ylabel()
    assert len(figure.axes) == (3 if n_layers <= 6 else 4)  # the fourth is the scale of layers


def test_epochs_of_a_long_training_do_not_overlap() -> None:
    history = FlowHistory(tuple(measured([1.0, 1.0], 2**k) for k in range(15)))
    shown = [tick.get_text() for tick in drawn(charts.flow_history_chart(history)).axes[0].get_xticklabels()]
    assert len([label for label in shown if label]) == 8
    assert shown[-1] == "16384"


# ---------------------------------------------------------------------------------------------- comparisons


def band(panel: Axes) -> np.ndarray:
    (path,) = panel.collections[0].get_paths()
    return path.vertices


def test_loss_chart_shows_the_median_and_the_range() -> None:
    figure = drawn(charts.loss_chart(study(2, 3, seeds=3)))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["a0", "a1"]
    assert legend_texts(figure) == ["o0", "o1", "o2"]
    panel = figure.axes[0]
    assert panel.get_yscale() == "log"
    for line in panel.lines:
        np.testing.assert_allclose(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(line.get_ydata(), [4, 2, 1, 0.5])  # of 2, 4 and 6
    assert band(panel)[:, 1].min() == pytest.approx(0.25)
    assert band(panel)[:, 1].max() == pytest.approx(6)


def test_one_color_stands_for_one_optimizer_in_all_charts() -> None:
    found = study(2, 4)
    for figure in (charts.loss_chart(found), charts.learning_rate_chart(found)):
        (legend,) = figure.legends
        looks = {
            text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        assert list(looks.values()) == list(charts.COLORS[:4])
        for panel in figure.axes:
            assert {line.get_color() for line in panel.lines} <= set(looks.values())


@pytest.mark.parametrize(
    ("activations", "optimizers", "panels"), [(1, 1, 1), (1, 20, 1), (20, 1, 1), (5, 4, 5), (20, 2, 20)]
)
def test_charts_of_any_size(activations: int, optimizers: int, panels: int) -> None:
    found = study(activations, optimizers, rates=1, seeds=1)
    for figure in (charts.loss_chart(found), charts.learning_rate_chart(found), charts.flows_chart(found.flows)):
        drawn(figure)
        names = legend_texts(figure)
        assert len(set(names)) == len(names)
    assert len(charts.loss_chart(found).axes) == panels
    looks = charts._looks([str(k) for k in range(20)])
    assert len({(look["color"], look["linestyle"]) for look in looks.values()}) == 20


def test_learning_rate_chart_marks_what_was_chosen_and_what_diverged() -> None:
    figure = drawn(charts.learning_rate_chart(study(1, 2)))
    (panel,) = figure.axes
    assert panel.get_xscale() == "log"
    assert panel.get_ylabel() == "validation accuracy"
    crosses = [line for line in panel.lines if line.get_marker() == "x" and len(line.get_xdata())]
    dots = [line for line in panel.lines if line.get_marker() == "o" and len(np.atleast_1d(line.get_xdata())) == 1]
    np.testing.assert_allclose(crosses[0].get_xdata(), [0.1])
    assert sorted(float(np.atleast_1d(dot.get_xdata())[0]) for dot in dots) == pytest.approx([0.01, 0.1])
    low, high = panel.get_ylim()
    assert low < float(crosses[0].get_ydata()[0]) < high


def test_limits_are_not_dominated_by_what_went_wrong() -> None:
    found = study(1, 2)
    wild = [{"train_loss": np.array([2.0, 1e30, 1e35, math.inf])}, *found.curves[1:]]
    rows = [row._replace(valid_score=-1e12) if i == 0 else row for i, row in enumerate(found.rows)]
    wilder = sc.Study("x", "regression", tuple(rows), tuple(wild), {}, 1.0, len(rows))
    assert drawn(charts.loss_chart(wilder)).axes[0].get_ylim()[1] < 100
    assert drawn(charts.learning_rate_chart(wilder)).axes[0].get_ylim()[0] > -1


def test_charts_of_networks_that_all_diverged() -> None:
    found = study(2, 1, rates=2)
    lost = [row._replace(status="diverged", valid_score=math.nan, test_score=math.nan) for row in found.rows]
    empty = sc.Study(
        "x", "classification", tuple(lost), tuple({"train_loss": np.zeros(0)} for _ in lost), {}, 1.0, len(lost)
    )
    assert [text.get_text() for text in drawn(charts.loss_chart(empty)).axes[0].texts] == ["all diverged"]
    drawn(charts.learning_rate_chart(empty))


def test_charts_of_a_real_study() -> None:
    found = sc.compare("iris", activations=["relu"], optimizers=["gd", "adam"], learning_rates=2, seeds=2, epochs=3)
    figure = drawn(found.plot_losses())
    best = found.ranking[0]
    expected = np.median(found.curves_of(best), axis=0)
    assert any(np.allclose(line.get_ydata(), expected) for line in figure.axes[0].lines)
    drawn(found.plot_learning_rates())
    drawn(found.plot_flows())


# ---------------------------------------------------------------------------------------------- activations


def test_activation_chart() -> None:
    figure = drawn(charts.activation_chart([sc.relu, sc.gelu]))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["relu", "gelu"]
    value, slope = figure.axes[0].lines[:2]
    z = value.get_xdata()
    np.testing.assert_allclose(value.get_ydata(), np.maximum(z, 0))
    np.testing.assert_allclose(slope.get_ydata(), z > 0)
    assert legend_texts(drawn(charts.activation_chart([sc.tanh]))) == ["φ(z)", "φ′(z)"]
    drawn(charts.activation_chart(list(sc.activations.ACTIVATIONS.values())))


def test_charts_leave_no_global_state() -> None:
    code = (
        "import sys, schuss as sc; sc.flow(sc.mlp([4]), sc.load('xor')).plot().savefig('/dev/null', format='png'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
