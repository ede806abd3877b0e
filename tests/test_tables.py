"""Tables say the right things in few columns; what is checked is the text, as in a terminal without color."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from studies import measured, row, study, trial

import schuss as sc
from schuss.gradient.flow import FlowHistory
from schuss.show import tables
from schuss.show.formatting import significant


def lines(table: object, width: int = 80) -> list[str]:
    return tables.as_text(table, width).splitlines()  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- gradient flow


def test_flow_table_shows_every_layer_and_the_slope() -> None:
    deltas = [10.0**-k for k in range(29, -1, -1)]
    text = lines(tables.flow_table(measured(deltas)))
    assert text[0] == "Gradient flow at initialization: 30 layers of 8 relu"
    assert [line.split()[:2] for line in text[3:33]] == [[str(k + 1), significant(deltas[k])] for k in range(30)]
    assert "◂" * 12 in text[3]
    assert "◂" not in text[32]
    assert text[-1] == "The gradient vanishes, losing 1.00 decades a layer."
    assert max(map(len, text)) <= 80


def test_flow_table_of_different_layers_names_them() -> None:
    flow = sc.flow(sc.Network(sc.Dense(8, "relu"), sc.Dense(4, "leaky_relu(slope=0.1)")), sc.load("iris"))
    text = lines(tables.flow_table(flow))
    assert text[0] == "Gradient flow at initialization"
    assert text[3].split()[:3] == ["1", "8", "relu"]
    assert text[4].split()[:3] == ["2", "4", "leaky_relu(slope=0.1)"]


def test_flow_table_shows_update_ratios_only_after_training() -> None:
    assert "update/W" not in "".join(lines(tables.flow_table(measured([1, 1]))))
    after = lines(tables.flow_table(measured([1, 1], epoch=3, update_ratio=2e-3)))
    assert after[0].startswith("Gradient flow after epoch 3")
    assert "update/W" in after[1]
    assert after[3].endswith("2e-3")


def test_flow_table_without_any_gradient() -> None:
    assert lines(tables.flow_table(measured([0, 0, 0])))[-1] == "The gradient reaches no layer."


def test_flow_table_alarms_in_color_only_where_there_is_color() -> None:
    table = tables.flow_table(measured([1e-9, 1.0], dead=1.0))
    assert "[red]" in "".join(str(cell) for column in table.columns for cell in column.cells)
    assert "\x1b" not in tables.as_text(table)


def test_flow_history_table_has_a_line_a_measurement() -> None:
    history = FlowHistory((measured([0.1] * 29 + [1.0]), measured([0.5] * 29 + [1.0], epoch=8, update_ratio=1e-3)))
    text = lines(tables.flow_history_table(history))
    assert " ".join(text[1].split()) == "epoch δ 1 lost update 1 update 15 update 30 saturated dead"
    assert text[3].split()[:2] == ["0", "0.10"]
    assert text[4].split()[0] == "8"
    assert text[4].split()[3:6] == ["1e-3"] * 3
    assert max(map(len, text)) <= 80


def test_flows_table_has_a_line_an_activation_and_few_columns() -> None:
    flows = {"sigmoid": measured(list(10.0 ** np.arange(-29, 1))), "mine = [z]": measured([1.0] * 30)}
    text = lines(tables.flows_table(flows))
    assert text[1].split()[1:9] == ["δ", "1", "δ", "8", "δ", "15", "δ", "23"]
    assert text[3].split()[0] == "sigmoid"
    assert "vanishes" in text[3]
    assert "mine = [z]" in text[4]
    assert max(map(len, text)) <= 80


# ---------------------------------------------------------------------------------------------- comparisons


def test_ranking_table() -> None:
    tries = [trial("relu", rule, score=0.9, learning_rate=rate) for rule, rate in (("sgd", 0.01), ("adam", 0.001))]
    lost = trial("relu", "sgd", status="diverged", learning_rate=1.0, trial=1)
    scores = {"sgd": [0.90, 0.92], "adam": [0.95, 0.97]}
    finals = [row("relu", rule, score=x, seed=k) for rule, each in scores.items() for k, x in enumerate(each, 1)]
    text = lines(tables.ranking_table(study([*tries, lost, *finals])))
    assert text[0] == "Ranking on digits"
    first, second = text[3].split(), text[4].split()
    assert [*first[:5], *first[-2:]] == ["1", "relu", "adam", "1e-3", "0.960", "0.900", "0"]
    assert [*second[:5], *second[-4:]] == ["=2", "relu", "sgd", "1e-2", "0.910", "0.900", "1", "of", "4"]
    assert first[6] == "…"
    assert text[5].startswith("accuracy: interquartile mean over new seeds (95 % interval)")


def test_ranking_table_of_a_regression_names_its_score() -> None:
    text = lines(tables.ranking_table(study([trial(score=-1e9), row(score=-1e9)], task="regression")))
    assert "test R²" in text[1]
    assert "-1e9" in text[3]


@pytest.mark.parametrize("n", [1, 3])
def test_ranking_table_has_a_column_for_an_axis_that_varies_and_one_for_many(n: int) -> None:
    more = [{}, dict(list({"depth": 8, "norm": "batch", "dropout": 0.5}.items())[:n])]
    found = study(
        make(score=score, **each) for make in (trial, row) for score, each in zip((0.8, 0.9), more, strict=True)
    )
    text = "\n".join(lines(tables.ranking_table(found)))
    assert ("depth" in text.split("\n")[1]) == (n == 1)
    assert ("relu + adam, depth 8, norm" in text) == (n == 3)
    assert max(map(len, text.split("\n"))) <= 80


def test_study_summary() -> None:
    def both(*runs: tuple[str, str, float]) -> list[Any]:
        return [make(phi, rule, score=score) for make in (trial, row) for phi, rule, score in runs]

    lost = trial("relu", "sgd", status="diverged", learning_rate=1.0, trial=1)
    assert study([*both(("relu", "gd", 0.5), ("relu", "sgd", 0.9)), lost]).summary() == (
        "Best on digits: relu + sgd, with a test accuracy of 0.900. One seed gives no interval; use more seeds. "
        "Its best learning rate is 1e-2. With 1 new seed no difference can be significant; it takes at least 7. "
        "After the same number of passes over the data, gd reaches 0.500 and sgd 0.900. "
        "1 of 5 networks diverged, with relu + sgd."
    )
    four = both(("relu", "gd", 0.4), ("relu", "sgd", 0.9), ("tanh", "gd", 0.45), ("tanh", "sgd", 0.95))
    assert "gd reaches 0.400 to 0.450 and sgd 0.900 to 0.950." in study(four).summary()
    assert "None of 2 networks diverged" in study(both(("relu", "adam", 0.9))).summary()
    assert study([lost]).summary() == (
        "No competitor has a result: too many networks of each diverged on new seeds. "
        "1 of 1 networks diverged, with relu + sgd."
    )


# ---------------------------------------------------------------------------------------------- trainings and listings


def test_history_table_shows_first_and_last_epoch_of_many() -> None:
    n = 5000
    history = {name: np.linspace(1, 0.5, n) for name in ("train_loss", "valid_loss", "score", "seconds")}
    text = lines(tables.history_table({**history, "epoch": np.arange(1.0, n + 1)}, "accuracy"))
    epochs = [int(line.split()[0]) for line in text[3:]]
    assert epochs[0] == 1
    assert epochs[-1] == n
    assert len(epochs) <= 12


def test_truth_table() -> None:
    text = lines(tables.truth_table(["a", "b"], np.array([[0, 0], [0, 1]]), [0, 1], [0, 0]))
    assert text[1].split() == ["a", "b", "expected", "predicted"]
    assert [line.split() for line in text[3:]] == [["0", "0", "0", "0"], ["0", "1", "1", "0"]]


def test_scores_table() -> None:
    text = lines(tables.scores_table([("train", 0.1234, 0.99), ("test", math.nan, math.nan)], "R²"))
    assert text[1].split() == ["part", "loss", "R²"]
    assert [line.split() for line in text[3:]] == [["train", "0.1234", "0.990"], ["test", "–", "–"]]


def test_activations_table_has_a_line_or_more_for_each() -> None:
    text = lines(tables.activations_table(sc.activations.ACTIVATIONS.values()))
    names = {line.split()[0] for line in text if not line.startswith(" ")}
    assert set(sc.activations.ACTIVATIONS) <= names
    assert any(line.split()[:2] == ["sigmoid", "sigmoid(z)"] and "0.25" in line for line in text)
    assert max(map(len, text)) <= 80


def test_optimizers_table() -> None:
    text = lines(tables.optimizers_table(sc.optimizers.OPTIMIZERS.values()))
    assert set(sc.optimizers.OPTIMIZERS) <= {line.split()[0] for line in text if not line.startswith(" ")}
    assert next(line for line in text if line.startswith("adam ")).split()[1:5] == ["1e-3", "1e-4", "…", "0.1"]


def test_facts_table_keeps_brackets() -> None:
    assert lines(tables.facts_table("x", [("range", "[0, 1]")]))[-1].split() == ["range", "[0,", "1]"]
