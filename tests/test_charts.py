"""Charts: what is drawn, and that it is in view; how it looks is for the eye."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from studies import grid, measured, study, trial

import schuss as sc
from schuss.gradient.flow import FlowHistory
from schuss.show import charts
from schuss.show.charts.flow import power_of_ten
from schuss.show.charts.style import COLORS, figure_of, looks

XOR = sc.load("xor")
TRAINED = sc.fit(sc.mlp([8, 8], "tanh"), XOR, sc.Recipe("adam(lr=0.1)", epochs=9), threads=1)


def drawn(figure: Figure) -> Figure:
    """Draw for real: the layout, the fonts and all warnings (which are errors here)."""
    figure.draw_without_rendering()
    return figure


def panel(ax: Axes) -> Axes:
    """The same for a panel in a figure of its own."""
    drawn(figure_of(ax))
    return ax


def legend_texts(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(panel.get_legend() for panel in figure.axes)]
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]


def heading(ax: Axes) -> str:
    return ax.get_title(loc="left").replace("\n", " ")


def title(figure: Figure) -> str:
    return figure.get_suptitle().replace("\n", " ")


# ---------------------------------------------------------------------------------------------- every plot()

PLOTS: dict[str, Callable[..., Axes]] = {
    "flow": measured([1e-6, 1e-3, 1.0]).plot,
    "history": FlowHistory((measured([0.1, 1.0]), measured([0.2, 1.0], 4))).plot,
    "run": TRAINED.plot,
    "study": grid(2, 2).plot,
    "study flows": grid(2, 2).plot_flows,
    "activation": sc.gelu.plot,
    "optimizer": sc.adam(lr=0.1).plot,
}


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_plot_draws_into_the_axes_it_is_given_and_returns_them(plot: Callable[..., Axes]) -> None:
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert plot(ax=left) is left
    assert heading(left)
    assert not right.has_data()
    drawn(figure)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_plot_without_axes_makes_a_figure_of_its_own(plot: Callable[..., Axes]) -> None:
    one, other = plot(), plot()
    assert figure_of(one) is not figure_of(other)
    panel(one)


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_titles_of_panels_side_by_side_do_not_overlap(plot: Callable[..., Axes]) -> None:
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot(ax=left)
    plot(ax=right)
    drawn(figure)
    titles = [ax.title if ax.get_title() else ax._left_title for ax in (left, right)]
    assert titles[0].get_window_extent().x1 < titles[1].get_window_extent().x0


def test_plot_into_a_part_of_a_figure() -> None:
    whole = Figure(layout="constrained")
    part, _ = whole.subfigures(1, 2)
    ax = part.subplots()
    FlowHistory((measured([0.1, 1.0]),)).plot(ax)  # with a scale beside it
    assert figure_of(ax) is whole
    drawn(whole)


def test_removed_axes_are_refused_in_a_sentence() -> None:
    ax = Figure().add_subplot()
    ax.remove()
    with pytest.raises(sc.SchussError, match="have no figure"):
        figure_of(ax)


def test_charts_leave_no_global_state() -> None:
    code = (
        "import sys, schuss as sc; ax = sc.flow(sc.mlp([4]), sc.load('xor')).plot(); "
        "ax.figure.savefig('/dev/null', format='png'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_lines_differ_in_gray_print_too() -> None:
    look = list(looks([str(k) for k in range(32)]).values())
    assert len({(each["color"], each["linestyle"]) for each in look}) == 32
    # Of the first eight, those with the same dashes differ in lightness (Rec. 709).
    light = [sum(w * int(c[i : i + 2], 16) for w, i in ((0.21, 1), (0.72, 3), (0.07, 5))) / 255 for c in COLORS]
    for one, other in itertools.combinations(range(8), 2):
        if look[one]["linestyle"] == look[other]["linestyle"]:
            assert abs(light[one] - light[other]) > 0.15


# ---------------------------------------------------------------------------------------------- gradient flow


@dataclass(frozen=True)
class Theory:
    relative: np.ndarray


def test_flow_profile_shows_the_measurement_and_the_theory() -> None:
    plain = panel(measured([1e-4, 1e-2, 1.0]).plot())
    np.testing.assert_allclose(plain.lines[0].get_ydata(), [1e-4, 1e-2, 1.0])
    assert plain.lines[0].get_marker() == "o"
    assert heading(plain) == "relu: the gradient vanishes, losing 2.00 decades a layer"
    both = panel(charts.flow_profile(replace(measured([1e-4, 1e-2, 1.0]), theory=Theory(np.array([1e-9, 1e-5, 1.0])))))
    theory, measurement = both.lines[:2]
    np.testing.assert_allclose(theory.get_ydata(), [1e-9, 1e-5, 1.0])
    assert (theory.get_marker(), measurement.get_linestyle()) == ("None", "None")
    assert both.get_ylim()[0] < 1e-9
    assert [text.get_text() for text in both.get_legend().get_texts()] == ["mean-field theory", "measured"]


def test_flow_figure() -> None:
    figure = drawn(measured([1e-6, 1e-4, 1e-2, 1.0], saturated=0.5, dead=0.1).figure())
    delta, weights, signal, units = figure.axes
    assert title(figure) == "relu, 4 layers, at initialization: the gradient vanishes, losing 2.00 decades a layer"
    assert delta.get_yscale() == weights.get_yscale() == signal.get_yscale() == "log"
    np.testing.assert_allclose(delta.lines[0].get_ydata(), [1e-6, 1e-4, 1e-2, 1.0])
    np.testing.assert_allclose(units.lines[0].get_ydata(), 50)
    np.testing.assert_allclose(units.lines[1].get_ydata(), 10)
    assert legend_texts(figure) == ["z", "φ(z)", "saturated", "dead"]


def test_flow_figure_of_one_layer_and_of_no_gradient() -> None:
    drawn(measured([1.0]).figure())
    figure = drawn(measured([0.0, 0.0]).figure())
    assert "reaches no layer" in title(figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["nothing above 0"]


def test_flow_figure_beyond_what_a_log_axis_can_show() -> None:
    drawn(measured([1e-320, 1e-200, 1.0]).figure())
    drawn(measured([math.inf, 1e300, 1.0]).figure())


def test_flow_profile_of_a_steady_gradient_does_not_magnify_its_noise() -> None:
    low, high = measured([1.01, 0.99, 1.0]).plot().get_ylim()
    assert high / low >= 9.99


def test_flow_profiles_name_the_strongest_first() -> None:
    flows = {
        "weak": measured([1e-8, 1e-4, 1.0]),
        "steady": measured([1.0, 1.0, 1.0]),
        "dead": measured([0.0, 0.0, 0.0]),
    }
    figure = figure_of(panel(charts.flow_profiles(flows)))
    assert [text.split()[0] for text in legend_texts(figure)] == ["steady", "weak", "dead"]
    assert legend_texts(figure)[1].split()[1] == "4.00"


def test_flow_map_is_white_where_steady_blue_below_and_hatched_above() -> None:
    history = FlowHistory((measured([1e-4, 1.0, 1.0]), measured([0.0, math.nan, 1.0], 1), measured([1e4, 30, 1.0], 2)))
    ax = panel(history.plot())
    mesh, hatched = ax.collections
    np.testing.assert_allclose(mesh.get_array()[:, 0], [-4, 0, 0])  # a column a measurement, a row a layer
    assert mesh.get_array().mask[:, 1].tolist() == [True, True, False]
    low, steady, high = mesh.cmap(mesh.norm([-4.0, 0.0, 4.0]))
    assert steady[:3] == pytest.approx([1, 1, 1], abs=0.01)
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert hatched.get_hatch()
    assert sorted(tuple(path.get_extents().min) for path in hatched.get_paths()) == [(1.5, 0.5), (1.5, 1.5)]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1", "2"]
    scale = figure_of(ax).axes[1]
    assert scale.get_ylim() == (-4, 4)
    assert scale.get_ylabel() == "δ relative to the last hidden layer"


def test_flow_map_shows_of_its_scale_only_what_occurs() -> None:
    ax = panel(FlowHistory((measured([1e-7, 1.0]),)).plot())
    assert figure_of(ax).axes[1].get_ylim() == (-7, 1)
    ticks = [tick.get_text() for tick in figure_of(ax).axes[1].get_yticklabels()]
    assert "1" in ticks
    assert power_of_ten(-6) in ticks
    assert len(ax.collections) == 1  # nothing is hatched


@pytest.mark.parametrize("n_layers", [1, 6, 60])
def test_flow_history_figure(n_layers: int) -> None:
    history = FlowHistory(
        (
            measured([1.0] * n_layers, update_ratio=math.nan, saturated=0.1),
            measured([0.5] * n_layers, 4, update_ratio=1e-5, saturated=0.2),
        )
    )
    figure = drawn(history.figure())
    delta, ratio, saturated = figure.axes[:3]
    np.testing.assert_allclose(delta.collections[0].get_array(), np.zeros((n_layers, 2)))
    assert np.all(ratio.collections[0].get_array().mask[:, 0])
    np.testing.assert_allclose(ratio.collections[0].get_array()[:, 1], -2)  # of the usual 1e-3
    np.testing.assert_allclose(saturated.collections[0].get_array()[0], [10, 20])
    assert [tick.get_text() for tick in saturated.get_xticklabels()] == ["0", "4"]


def test_maps_of_no_measurement_and_of_no_numbers() -> None:
    ax = panel(FlowHistory(()).plot())
    assert [text.get_text() for text in ax.texts] == ["nothing measured"]
    drawn(FlowHistory((measured([math.nan, math.nan], update_ratio=math.inf, saturated=math.nan),)).figure())


def test_epochs_of_a_long_training_do_not_overlap() -> None:
    history = FlowHistory(tuple(measured([1.0, 1.0], 2**k) for k in range(25)))
    shown = [tick.get_text() for tick in panel(history.plot()).get_xticklabels()]
    assert len([label for label in shown if label]) == 9
    assert shown[-1] == str(2**24)


# ---------------------------------------------------------------------------------------------- one training


def trained(**changes: Any) -> sc.Run:
    return replace(TRAINED, outcome=replace(TRAINED.outcome, **changes))


def test_loss_curves() -> None:
    ax = panel(TRAINED.plot())
    train, valid, ring = ax.lines
    np.testing.assert_array_equal(train.get_ydata(), TRAINED.history["train_loss"])
    np.testing.assert_array_equal(valid.get_ydata(), TRAINED.history["valid_loss"])
    np.testing.assert_array_equal(train.get_xdata(), np.arange(1, 10))
    lowest = int(TRAINED.history["valid_loss"].argmin())
    assert ring.get_xdata() == [lowest + 1]
    assert ring.get_ydata() == [TRAINED.history["valid_loss"][lowest]]
    assert heading(ax) == (
        f"adam(lr=0.1): finished after 9 epochs, validation accuracy {TRAINED.history['score'][-1]:.3f}"
    )


def test_training_figure() -> None:
    figure = drawn(TRAINED.figure())
    loss, score, flow, scale = figure.axes
    assert title(figure).startswith("tanh, 2 hidden layers, adam(lr=0.1): finished after 9 epochs")
    assert len(loss.lines) == 3
    np.testing.assert_array_equal(score.lines[0].get_ydata(), TRAINED.history["score"])
    assert score.get_ylabel() == "validation accuracy"
    assert flow.collections[0].get_array().shape == (2, len(TRAINED.flow))
    assert scale.get_ylabel()


def test_pictures_of_a_diverged_run() -> None:
    lost = sc.fit(sc.mlp([8, 8]), sc.load("iris"), sc.Recipe("sgd(lr=1e9)", epochs=3), threads=1)
    assert lost.status == "diverged"
    assert "diverged in epoch" in title(drawn(lost.figure()))
    assert "diverged in epoch" in heading(panel(lost.plot()))
    nowhere = trained(status="diverged", history=TRAINED.outcome.history[:0])
    figure = drawn(nowhere.figure())
    assert "diverged in epoch 1" in title(figure)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no score"]


def test_pictures_of_one_epoch_and_of_odd_numbers() -> None:
    (only,) = panel(trained(history=TRAINED.outcome.history[:1]).plot()).lines[:1]
    assert only.get_marker() == "o"
    odd = TRAINED.outcome.history.copy()
    odd[2:5, 3:] = math.nan
    odd[6, 3:] = math.inf
    odd[7, 3:] = 0.0
    drawn(trained(history=odd).figure())


def test_the_noise_of_a_score_that_stands_still_looks_small() -> None:
    for level in (0.1, 0.97, -0.3):
        still = TRAINED.outcome.history.copy()
        still[:, 5] = level + 1e-3 * np.arange(9) % 2e-3
        low, high = drawn(trained(history=still).figure()).axes[1].get_ylim()
        assert high - low >= 0.2
        assert low < level < high


# ---------------------------------------------------------------------------------------------- comparisons


def band(panel: Axes) -> np.ndarray:
    (path,) = panel.collections[0].get_paths()
    return path.vertices


def test_loss_chart_shows_the_median_and_the_range() -> None:
    figure = drawn(charts.loss_figure(grid(2, 3, seeds=3)))
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
    found = grid(2, 4)
    for figure in (charts.loss_figure(found), charts.learning_rate_figure(found)):
        (legend,) = figure.legends
        looks = {
            text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        assert list(looks.values()) == list(COLORS[:4])
        for panel in figure.axes:
            assert {line.get_color() for line in panel.lines} <= set(looks.values())


@pytest.mark.parametrize(
    ("activations", "optimizers", "panels"), [(1, 1, 1), (1, 20, 1), (20, 1, 1), (5, 4, 5), (20, 2, 20)]
)
def test_charts_of_any_size(activations: int, optimizers: int, panels: int) -> None:
    found = grid(activations, optimizers, rates=1, seeds=1)
    for figure in (
        charts.loss_figure(found), charts.learning_rate_figure(found), figure_of(charts.flow_profiles(found.flows))
    ):  # fmt: skip
        drawn(figure)
        names = legend_texts(figure)
        assert len(set(names)) == len(names)
    assert len(charts.loss_figure(found).axes) == panels


def test_learning_rate_chart_marks_what_was_chosen_and_what_diverged() -> None:
    figure = drawn(charts.learning_rate_figure(grid(1, 2)))
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
    found = grid(1, 2)
    wild = [{"train_loss": np.array([2.0, 1e30, 1e35, math.inf])}, *found.curves[1:]]
    rows = [row._replace(valid_score=-1e12) if i == 0 else row for i, row in enumerate(found.rows)]
    wilder = study(rows, "regression", curves=tuple(wild))
    assert drawn(charts.loss_figure(wilder)).axes[0].get_ylim()[1] < 100
    assert drawn(charts.learning_rate_figure(wilder)).axes[0].get_ylim()[0] > -1


def test_charts_of_networks_that_all_diverged() -> None:
    found = grid(2, 1, rates=2)
    lost = [row._replace(status="diverged", valid_score=math.nan, test_score=math.nan) for row in found.rows]
    empty = study(lost)
    assert [text.get_text() for text in drawn(charts.loss_figure(empty)).axes[0].texts] == ["all diverged"]
    drawn(charts.learning_rate_figure(empty))
    assert {text.get_text() for text in panel(empty.plot()).texts} == {"diverged"}


def test_charts_of_a_real_study() -> None:
    found = sc.compare("iris", activations=["relu"], optimizers=["gd", "adam"], trials=2, seeds=2, budget=3)
    figure = drawn(found.loss_figure())
    best = found.ranking[0]
    expected = np.median(found.curves_of(best), axis=0)
    assert any(np.allclose(line.get_ydata(), expected) for line in figure.axes[0].lines)
    drawn(found.learning_rate_figure())
    panel(found.plot_flows())
    shown = [text.get_text() for text in panel(found.plot()).texts]
    assert shown == [f"{ranked.test_score:.3f}" for name in ("gd", "adam") for ranked in found.ranking
                     if ranked.optimizer == name]  # fmt: skip


def test_score_table_calls_nothing_diverged_that_was_not_judged() -> None:
    begun = study([trial("relu", "sgd"), trial("relu", "adam"), trial("tanh", "adam")])
    assert [text.get_text() for text in panel(begun.plot()).texts] == ["–"] * 4


def test_score_table_frames_the_best_and_writes_so_that_it_can_be_read() -> None:
    ax = panel(grid(3, 4).plot())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a0", "a1", "a2"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["o0", "o1", "o2", "o3"]
    (image,), (frame,) = ax.images, ax.patches
    scores = np.asarray(image.get_array())
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    assert frame.get_x() < column < frame.get_x() + frame.get_width()
    assert frame.get_y() < row < frame.get_y() + frame.get_height()
    for text in ax.texts:
        x, y = map(int, text.get_position())
        behind = np.mean(image.cmap(image.norm(scores[y, x]))[:3])
        assert (text.get_color() == "white") == (behind < 0.6)


# ---------------------------------------------------------------------------------------------- activations


def test_activation_curves() -> None:
    ax = panel(sc.sigmoid.plot())
    assert heading(ax) == "sigmoid: slope at most 0.25"
    value, slope = (line for line in ax.lines if line.get_label()[0] == "φ")
    z = value.get_xdata()
    np.testing.assert_allclose(value.get_ydata(), 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(slope.get_ydata(), np.exp(-z) / (1 + np.exp(-z)) ** 2)
    assert 0.39 < ax.collections[0].get_paths()[0].vertices[:, 1].max() < 0.4  # 1/√2π
    assert ax.get_ylim()[1] < 1.3
    assert legend_texts(figure_of(ax)) == ["density of z ~ N(0, 1)", "φ(z)", "φ′(z), its slope"]


def test_activation_curves_with_the_density_of_given_values() -> None:
    z = np.random.default_rng(0).normal(-2, 0.5, (400, 50))
    outline = panel(sc.relu.plot(z=z)).collections[0].get_paths()[0].vertices
    x, y = outline[outline[:, 1] > 0].T
    assert x[y.argmax()] == pytest.approx(-2, abs=0.15)
    assert y.max() == pytest.approx(1 / (0.5 * math.sqrt(2 * math.pi)), rel=0.1)
    panel(sc.relu.plot(z=np.array([math.nan, math.inf])))


def test_gallery() -> None:
    figure = drawn(sc.activations.figure())
    assert [heading(ax) for ax in figure.axes] == list(sc.activations.ACTIVATIONS)
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    few = drawn(sc.activations.figure(["relu", sc.gelu, "mine = z * sigmoid(1.7 * z)"]))
    assert [heading(ax) for ax in few.axes] == ["relu", "gelu", "mine"]


def test_layers_figure_names_the_slope_and_what_lies_out_of_view() -> None:
    inside = np.array([-1.0, 1.0, 1.0, 1.0])
    outside = np.array([-50.0] * 3 + [0.5])
    figure = drawn(charts.layers_figure([sc.relu] * 3, [inside, outside, np.full(4, math.nan)], "title"))
    curves, ridges = figure.axes
    assert heading(curves) == "relu"
    texts = [text.get_text() for text in ridges.texts]
    assert {"RMS φ′", "0.87", "0.50", "◂ 75 %", "not a number"} == set(texts)  # √(3/4), √(1/4)
    assert [tick.get_text() for tick in ridges.get_yticklabels()] == ["1", "2", "3"]
    assert len(ridges.images) == 2


def test_layers_figure_has_a_column_for_each_activation_and_leaves_out_of_many_layers() -> None:
    z = np.linspace(-1, 1, 50)
    figure = drawn(charts.layers_figure([sc.tanh, sc.relu, sc.tanh], [z, z, z], "title"))
    assert [heading(ax) for ax in figure.axes[:2]] == ["tanh", "relu"]
    assert [len(ax.images) for ax in figure.axes[2:]] == [2, 1]
    many = drawn(charts.layers_figure([sc.tanh] * 60, [z] * 60, "title")).axes[1]
    shown = [tick.get_text() for tick in many.get_yticklabels()]
    assert len(shown) == 24
    assert (shown[0], shown[-1]) == ("1", "60")


def test_layers_darken_where_the_activation_is_steep() -> None:
    z = np.random.default_rng(0).normal(size=1000)
    ridges = charts.layers_figure([sc.relu], [z], "title").axes[1]
    (image,) = ridges.images
    shade = np.asarray(image.get_array())[0]
    assert shade[0] == 0
    assert shade[-1] == 1


# ---------------------------------------------------------------------------------------------- descent


def test_descent_path() -> None:
    ax = panel(sc.gd(lr=0.2).plot(landscape="saddle"))
    path = ax.lines[0].get_xydata()
    np.testing.assert_allclose(path[:3], [[-1.5, 0], [-1.2, 0], [-0.96, 0]])  # x ← x − 0.2x
    assert len(path) == 101
    assert heading(ax) == "gd(lr=0.2), η = 0.2"
    minima = [line.get_xydata()[0].tolist() for line in ax.lines[1:3]]
    assert minima == [[0, -1], [0, 1]]


def test_descents_figure_shows_all_rules_and_where_they_end() -> None:
    figure = drawn(sc.optimizers.figure(["gd", sc.adam(lr=0.3)], landscape="saddle"))
    gd, adam, left = figure.axes
    assert heading(gd).startswith("gd, η = ")
    assert heading(adam) == "adam(lr=0.3), η = 0.3"
    assert "saddle" in title(figure)
    x, y = left.collections[0].get_offsets().T
    assert y.tolist() == [0, 1]
    assert x[0] == pytest.approx(0.25, abs=1e-3)  # stuck on the saddle, a quarter above the lowest places
    assert x[1] < 0.1


def test_figure_of_one_rule() -> None:
    figure = drawn(sc.momentum(lr=0.03).figure())
    assert [heading(ax).split(",")[0] for ax in figure.axes[:3]] == ["valley", "rosenbrock", "saddle"]
    assert "momentum(lr=0.03), and in gray gd" in title(figure)
    assert [len(dots.get_offsets()) for dots in figure.axes[3].collections] == [3, 3]


def test_a_rule_that_is_thrown_out_is_drawn_and_said_so() -> None:
    figure = drawn(sc.optimizers.figure([sc.sgd(lr=1e6)]))
    for ax in figure.axes:
        assert "diverged" in [text.get_text() for text in ax.texts]


def test_a_users_own_rule_is_drawn_like_any_other() -> None:
    @sc.optimizer(search=(1e-3, 1e-1))
    def signed(w: Any, g: Any, *, lr: float = 0.01) -> Any:
        return w - lr * sc.expressions.sign(g)

    path = panel(signed(lr=0.5).plot()).lines[0].get_xydata()
    np.testing.assert_allclose(np.abs(np.diff(path, axis=0)), 0.5)
    assert "signed, η" in heading(panel(signed.plot()))


def test_a_rule_given_twice_is_drawn_twice() -> None:
    assert [heading(ax).split(",")[0] for ax in sc.optimizers.figure(["gd", "gd"]).axes[:2]] == ["gd", "gd"]


def test_nothing_to_draw_is_refused() -> None:
    for figure in (sc.optimizers.figure, sc.activations.figure):
        with pytest.raises(sc.SchussError, match="nothing to draw; name at least one"):
            figure([])


def test_an_unknown_landscape_is_named() -> None:
    with pytest.raises(sc.SchussError, match=r"unknown landscape 'vally'.*valley"):
        sc.adam.plot(landscape="vally")
