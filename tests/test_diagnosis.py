"""The doctor: faults put in on purpose are named, healthy networks left alone, and every figure can be made again."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import schuss as sc
from schuss.data.problems import built_in
from schuss.diagnosis import CAUSES, Diagnosis, cures, standardize_inputs, standardize_target
from schuss.diagnosis.cases import Case, constant_losses, within_budget
from schuss.diagnosis.learnable import best_agreement
from schuss.diagnosis.script import as_script
from schuss.diagnosis.thresholds import WORK
from schuss.errors import InvalidInput
from schuss.language.expressions import sign

Faulty = Callable[[], tuple[sc.Network, sc.Dataset, sc.Recipe]]


def stack(depth: int = 3, width: int = 16, activation: str = "relu", **more: Any) -> sc.Network:
    return sc.mlp([width] * depth, activation, **more)


def scaled(name: str, inputs: float = 1.0, target: float = 1.0, offset: float = 0.0) -> sc.Dataset:
    """A built-in problem in other units, not standardized."""
    data, problem = sc.load(name), built_in(name)
    X = (problem.inputs - problem.inputs.mean(axis=0)) / problem.inputs.std(axis=0)
    X = X * np.geomspace(1, inputs, X.shape[1])
    y = problem.target
    if data.task == "regression":
        y = (y - y.mean()) / y.std() * target + offset
    return sc.load((X, y), task=data.task, standardize=False, name=name)


def shuffled(name: str) -> sc.Dataset:
    problem = built_in(name)
    return sc.load((problem.inputs, np.random.default_rng(0).permutation(problem.target)), task=problem.task)


def few_and_wrong() -> sc.Dataset:
    """30 rows to train on, a fifth of them with a wrong class."""
    problem, random = built_in("breast_cancer"), np.random.default_rng(3)
    y = np.where(random.random(len(problem.target)) < 0.2, random.permutation(problem.target), problem.target)
    return sc.load((problem.inputs, y), valid=0.5, test=0.45)


FAULTS: dict[str, Faulty] = {
    "vanishing_gradient": lambda: (
        stack(12, 16, "sigmoid", init="glorot_normal"), sc.load("iris"), sc.Recipe("sgd(lr=0.1)", epochs=100)
    ),
    "exploding_gradient": lambda: (
        stack(10, 16, init="he_normal(gain=4)"), sc.load("iris"), sc.Recipe("sgd(lr=0.01)", epochs=60)
    ),
    "dead_units": lambda: (
        sc.Network(*[sc.Dense(16, "relu", bias="constant(value=-8)")] * 3), sc.load("iris"),
        sc.Recipe("adam(lr=0.003)", epochs=60),
    ),
    "saturated_units": lambda: (
        stack(3, 16, "tanh", init="lecun(gain=60)"), sc.load("moons"), sc.Recipe("sgd(lr=0.03)", epochs=30)
    ),
    "symmetric_weights": lambda: (stack(init="zeros"), sc.load("iris"), sc.Recipe("adam(lr=0.01)", epochs=30)),
    "no_nonlinearity": lambda: (
        stack(activation="identity"), sc.load("circles"), sc.Recipe("adam(lr=0.01)", epochs=10)
    ),
    "unscaled_inputs": lambda: (stack(), scaled("wine", inputs=1e4), sc.Recipe("sgd(lr=0.03)", epochs=60)),
    "unscaled_target": lambda: (
        stack(), scaled("diabetes", target=100, offset=1e4), sc.Recipe("sgd(lr=0.003)", epochs=40)
    ),
    "learning_rate_too_high": lambda: (stack(), sc.load("iris"), sc.Recipe("sgd(lr=20)", epochs=60)),
    "learning_rate_too_low": lambda: (stack(), sc.load("iris"), sc.Recipe("sgd(lr=0.0001)", epochs=60)),
    "plateau_of_full_batch": lambda: (stack(6, 16, "tanh"), sc.load("spirals"), sc.Recipe("gd(lr=0.1)", epochs=60)),
    "overfitting": lambda: (stack(2, 64), few_and_wrong(), sc.Recipe("adam(lr=0.01)", epochs=150)),
    "nothing_to_learn": lambda: (stack(), shuffled("wine"), sc.Recipe("adam(lr=0.003)", epochs=30)),
}  # fmt: skip


@pytest.fixture(scope="module", params=FAULTS)
def visit(request: pytest.FixtureRequest) -> tuple[str, Diagnosis]:
    """A cause and the diagnosis of a network that has it."""
    network, data, recipe = FAULTS[request.param]()
    return request.param, sc.doctor(network, data, recipe, threads=1)


def test_every_cause_is_put_to_the_test() -> None:
    assert sorted(FAULTS) == sorted(CAUSES)


def test_the_cause_is_named_and_cured(visit: tuple[str, Diagnosis]) -> None:
    cause, diagnosis = visit
    assert [finding.cause for finding in diagnosis.findings] == [cause]
    finding = diagnosis.findings[0]
    assert not diagnosis.healthy
    assert finding.evidence
    assert all(math.isfinite(x) for x in finding.evidence.values() if x is not None) or cause == "dead_units"
    if cause == "nothing_to_learn":
        assert finding.cure is None
        return
    assert finding.proof is not None
    assert finding.proof.cured
    if cause == "overfitting":
        assert finding.proof.after.valid_learned > finding.proof.before.valid_learned + 0.2
    else:
        assert finding.proof.after.learned > max(finding.proof.before.learned, 0) + 0.25


def test_the_report_fits_a_terminal_and_says_what_was_found(visit: tuple[str, Diagnosis]) -> None:
    cause, diagnosis = visit
    text = diagnosis.table()
    assert max(map(len, text.splitlines())) <= 80
    assert cause in text
    if diagnosis.findings[0].cure is not None:
        assert f"The cure: {diagnosis.findings[0].cure.change}" in " ".join(text.split())


def test_json_has_the_promised_shape(visit: tuple[str, Diagnosis]) -> None:
    _, diagnosis = visit
    found = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))
    assert set(found) == {"healthy", "complete", "findings", "seconds"}
    (finding,) = found["findings"]
    assert set(finding) == {"cause", "layers", "evidence", "explanation", "cure", "proof", "tried"}
    if finding["cure"] is not None:
        assert set(finding["cure"]) == {"change", "detail"}
        assert set(finding["proof"]) == {"before", "after", "cured"}
        assert {"train_loss", "valid_score"} <= set(finding["proof"]["before"])
        assert finding["cure"]["change"] in [trial["change"] for trial in finding["tried"]]


def test_the_proof_is_what_fit_says(visit: tuple[str, Diagnosis]) -> None:
    """Before and after are the medians of plain trainings from three seeds, on the same data in the same order."""
    _, diagnosis = visit
    (finding,) = diagnosis.findings
    if finding.proof is None or finding.cure is None:
        return
    for case, figures in (
        (diagnosis.case, finding.proof.before),
        (finding.cure.apply(diagnosis.case), finding.proof.after),
    ):
        runs = [sc.fit(case.network, case.data, case.recipe, seed=seed, threads=1) for seed in (0, 1, 2)]
        losses = [math.inf if run.status == "diverged" else run.outcome.losses[0] for run in runs]
        assert figures.train_loss == np.median(losses)
        scores = [-math.inf if run.status == "diverged" else run.outcome.scores[1] for run in runs]
        assert figures.valid_score == np.median(scores)


# ---------------------------------------------------------------------------------------------- healthy networks


@pytest.mark.parametrize("problem", ["iris", "wine", "breast_cancer", "diabetes", "moons"])
@pytest.mark.parametrize(("depth", "activation"), [(2, "relu"), (4, "tanh"), (10, "relu")])
def test_default_networks_are_healthy(problem: str, depth: int, activation: str) -> None:
    diagnosis = sc.doctor(sc.mlp([64] * depth, activation), problem, threads=1)
    assert diagnosis.healthy, diagnosis.table()
    assert "Healthy" in diagnosis.table()


def test_norms_and_residual_blocks_are_looked_into() -> None:
    network = sc.mlp([16] * 6, "relu", norm="layer", residual=True, dropout=0.1)
    assert sc.doctor(network, "iris", sc.Recipe("adam(lr=0.01)", epochs=40), threads=1).healthy
    zeros = sc.mlp([16] * 3, init="zeros", norm="batch", residual=True)
    diagnosis = sc.doctor(zeros, "iris", sc.Recipe("adam(lr=0.01)", epochs=40), threads=1)
    assert [finding.cause for finding in diagnosis.findings] == ["symmetric_weights"]
    assert diagnosis.findings[0].layers == (1, 2, 3)


def test_a_network_without_hidden_layers_is_taken() -> None:
    assert sc.doctor(sc.mlp([]), "iris", sc.Recipe("adam(lr=0.03)", epochs=60), threads=1).healthy


def test_four_rows_are_too_few_for_statistics_and_still_something_to_learn() -> None:
    diagnosis = sc.doctor(sc.mlp([64] * 2, "tanh"), "xor", threads=1)
    assert [finding.cause for finding in diagnosis.findings] == ["learning_rate_too_low"]


def test_a_small_gradient_that_adam_makes_up_for_is_no_finding() -> None:
    """δ of layer 1 is below a hundredth of that of the last layer, and the network learns all the same."""
    network = stack(6, 32, "sigmoid")
    assert sc.flow(network, "iris").relative[0] < 0.02
    assert sc.doctor(network, "iris", sc.Recipe("adam(lr=0.01)", epochs=100), threads=1).healthy


# ---------------------------------------------------------------------------------------------- the visit


def test_threads_change_nothing() -> None:
    network, data, recipe = FAULTS["dead_units"]()
    one, two = (sc.doctor(network, data, recipe, threads=threads).to_json() for threads in (1, 2))
    assert one["findings"] == two["findings"]


def test_without_proof_the_same_cause_takes_fewer_networks() -> None:
    network, data, recipe = FAULTS["vanishing_gradient"]()
    proved = sc.doctor(network, data, recipe, threads=1)
    named = sc.doctor(network, data, recipe, prove=False, threads=1)
    assert named.findings[0].cause == proved.findings[0].cause
    assert named.trained < proved.trained


def test_progress_counts_the_networks_of_the_whole_visit() -> None:
    told: list[sc.Progress] = []
    diagnosis = sc.doctor(*FAULTS["symmetric_weights"](), threads=1, progress=told.append)
    assert told[-1].networks == told[-1].total == diagnosis.trained
    assert [at.networks for at in told] == sorted(at.networks for at in told)


@pytest.mark.parametrize("networks", [0, 3, 9])
def test_an_interrupted_visit_tells_what_it_knows(networks: int) -> None:
    def interrupt(at: sc.Progress) -> None:
        if at.networks >= networks:
            raise KeyboardInterrupt

    with pytest.raises(sc.VisitInterrupted) as interrupted:
        sc.doctor(*FAULTS["learning_rate_too_low"](), threads=1, progress=interrupt)
    diagnosis = interrupted.value.diagnosis
    assert not diagnosis.healthy
    assert (diagnosis.before is None) == (networks < 4)
    assert "interrupted" in diagnosis.table()
    assert ("medians" in diagnosis.table()) == (diagnosis.before is not None)
    json.dumps(diagnosis.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"seed": -1}, "a seed is|a seed must be"),
        ({"network": "relu"}, "a network is an sc.Network"),
        ({"recipe": "adam"}, "a recipe is an sc.Recipe"),
        ({"data": "digitz"}, "unknown problem 'digitz'"),
        ({"threads": 0}, "threads must be"),
    ],
)
def test_bad_input(wrong: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"network": sc.mlp([4]), "data": "iris", "recipe": sc.Recipe(epochs=1)} | wrong
    with pytest.raises(InvalidInput, match=message):
        sc.doctor(**given)


def test_a_long_recipe_is_cut_to_the_budget() -> None:
    case = Case(sc.mlp([256] * 4), sc.Recipe(epochs=1000), sc.load("digits"))
    cut = within_budget(case)
    weights = sum(layer.n_parameters for layer in case.layers)
    assert 5 <= cut.recipe.epochs < 1000
    assert 6 * weights * len(cut.data.train) * cut.recipe.epochs <= WORK
    wide = within_budget(Case(sc.mlp([2048] * 4), sc.Recipe(epochs=1000), sc.load("digits")))
    assert wide.recipe.epochs == 5
    assert len(wide.data.train) == 1000  # no fewer
    assert within_budget(Case(sc.mlp([8]), sc.Recipe(), sc.load("iris"))).recipe == sc.Recipe()


# ---------------------------------------------------------------------------------------------- what is compared with


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber(delta=0.5)"])
def test_the_best_constant_for_numbers(loss: str) -> None:
    """No constant on a fine grid is better, and the found loss is that of one of them."""
    data, chosen = sc.load("diabetes"), sc.losses.find_loss(loss)
    y = data.train.y.astype(float)
    grid = [chosen(np.full_like(y, c), y) for c in np.linspace(-2, 2, 4001)]
    found, _ = constant_losses(Case(sc.mlp(), sc.Recipe(loss=loss), data))
    assert found <= min(grid) + 1e-12
    assert found == pytest.approx(min(grid), abs=1e-5)


def test_the_best_constant_for_classes_is_the_entropy() -> None:
    for name in ("iris", "breast_cancer"):
        data = sc.load(name)
        shares = np.bincount(data.train.y) / len(data.train)
        train, valid = constant_losses(Case(sc.mlp(), sc.Recipe(), data))
        assert train == pytest.approx(-np.sum(shares * np.log(shares)))
        assert valid == pytest.approx(-np.mean(np.log(shares)[data.valid.y]))


@pytest.mark.parametrize("loss", ["softmax_cross_entropy(smoothing=0.2)", "binary_cross_entropy(smoothing=0.2)"])
def test_the_best_constant_knows_weights_and_smoothing(loss: str) -> None:
    """Rows by their weights are rows that are there as often; no constant nearby is better."""
    times = np.random.default_rng(0).integers(0, 4, 569)
    data, chosen = sc.load("breast_cancer", weights=times), sc.losses.find_loss(loss)
    train = data.train
    assert train.weights is not None
    copies = np.repeat(train.y, np.rint(train.weights / train.weights[train.weights > 0].min()).astype(int))
    found, _ = constant_losses(Case(sc.mlp(), sc.Recipe(loss=chosen), data))
    rows = np.zeros((len(copies), 1))
    one_logit = loss.startswith("binary")
    grid = [
        chosen(rows + c, copies[:, None]) if one_logit else chosen(np.hstack([rows, rows + c]), copies)
        for c in np.linspace(-2, 2, 2001)
    ]
    assert found == pytest.approx(min(grid), abs=1e-6)


def test_only_what_is_not_shuffled_can_be_learned() -> None:
    assert best_agreement(sc.load("wine")) > 5
    assert best_agreement(sc.load("circles")) > 5  # which no linear model sees
    assert best_agreement(sc.load("diabetes")) > 5
    assert best_agreement(shuffled("wine")) < 5
    assert best_agreement(shuffled("diabetes")) < 5


# ---------------------------------------------------------------------------------------------- cures


def test_standardized_data_is_what_its_encoding_makes_of_raw_rows() -> None:
    problem = built_in("wine")
    data = standardize_inputs(sc.load((problem.inputs, problem.target), standardize=False))
    np.testing.assert_allclose(data.train.X.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.X.std(axis=0), 1, atol=1e-5)
    everything = np.concatenate([data.train.X, data.valid.X, data.test.X])
    again = data.encoding.transform(problem.inputs)
    np.testing.assert_allclose(np.sort(again, axis=0), np.sort(everything, axis=0), atol=1e-4)


def test_standardized_data_is_never_split_back_to_its_old_scale() -> None:
    data = standardize_inputs(sc.load("wine", standardize=False))
    assert data.resplit(5).fingerprint == data.fingerprint
    target = standardize_target(scaled("diabetes", target=50))
    assert target.resplit(5).fingerprint == target.fingerprint


def test_categories_and_constant_columns_stay_as_they_are() -> None:
    city = ["Oslo", "Rome"] * 50
    raw = sc.load({"city": city, "age": np.arange(100) * 10.0, "one": [1.0] * 100, "y": city}, "y", standardize=False)
    data = standardize_inputs(raw)
    np.testing.assert_array_equal(data.train.X[:, :2], raw.train.X[:, :2])
    assert data.train.X[:, 2].std() == pytest.approx(1, abs=1e-5)
    assert np.all(data.train.X[:, 3] == 0)


def test_a_standardized_target_keeps_its_unit() -> None:
    raw = scaled("diabetes", target=50, offset=300)
    data = standardize_target(raw)
    np.testing.assert_allclose(data.encoding.decode(data.valid.y), raw.encoding.decode(raw.valid.y), rtol=1e-5)
    assert data.train.y.std() == pytest.approx(1, abs=1e-5)


def test_cures_reach_into_blocks_and_leave_what_is_linear() -> None:
    network = sc.Network(
        sc.Dense(8, "sigmoid", "glorot_normal"),
        sc.Residual(sc.Dense(8, "identity", "normal", "constant"), sc.LayerNorm("tanh"), sc.Dropout(0.1)),
    )
    case = Case(network, sc.Recipe(), sc.load("iris"))
    assert cures.RELU.apply(case).network == sc.Network(
        sc.Dense(8, "relu"),
        sc.Residual(sc.Dense(8, "identity", bias="constant"), sc.LayerNorm("relu"), sc.Dropout(0.1)),
    )
    assert cures.INIT_AUTO.apply(case).network == sc.Network(
        sc.Dense(8, "sigmoid"), sc.Residual(sc.Dense(8, "identity"), sc.LayerNorm("tanh"), sc.Dropout(0.1))
    )


def test_rates_are_those_that_are_usual_for_the_optimizer() -> None:
    def tried(optimizer: str, find: Callable[[Case], list[cures.Cure]]) -> list[float]:
        case = Case(sc.mlp(), sc.Recipe(optimizer), sc.load("iris"))
        return [cure.apply(case).recipe.optimizer.lr for cure in find(case)]

    assert tried("sgd(lr=50)", cures.lower_rates) == [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    assert tried("sgd(lr=0.0001)", cures.higher_rates) == [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]
    assert tried("adam(lr=0.00001)", cures.lower_rates) == pytest.approx([1e-5 / 3, 1e-6])
    assert tried("sgd(lr=1)", cures.higher_rates) == []


# ---------------------------------------------------------------------------------------------- the script


def run_script(text: str, folder: Path) -> list[str]:
    file = folder / "fixed.py"
    file.write_text(text)
    ended = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_the_script_makes_the_proof_again(tmp_path: Path) -> None:
    diagnosis = sc.doctor(*FAULTS["symmetric_weights"](), threads=1)
    before, after = run_script(diagnosis.script(), tmp_path)
    cure = diagnosis.findings[0].cure
    assert cure is not None
    for line, case in ((before, diagnosis.case), (after, cure.apply(diagnosis.case))):
        run = sc.fit(case.network, case.data, case.recipe)
        assert f"train loss {run.outcome.losses[0]:.4g}, validation score {run.outcome.scores[1]:.3f}" in line


def test_the_script_holds_what_users_define(tmp_path: Path) -> None:
    @sc.activation
    def mine(z: Any, *, k: float = 1.7) -> Any:
        return z * sc.sigmoid(k * z)

    @sc.optimizer(search=(1e-4, 1e-1))
    def signed(w: Any, g: Any, m: Any, *, lr: float = 0.001, beta: float = 0.9) -> Any:
        m = beta * m + (1 - beta) * g
        return w - lr * sign(m), m

    @sc.loss
    def quartic(prediction: Any, target: Any) -> Any:
        return (prediction - target) ** 4

    @sc.schedule
    def falling(progress: Any, *, low: float = 0.5) -> Any:
        return 1 - low * progress

    recipe = sc.Recipe(
        signed(lr=0.002), loss=quartic, schedule=falling(low=0.3, warmup=0.1), patience=4, clip_norm=2, epochs=3
    )
    network = sc.Network(
        sc.Dense(8, mine(k=1.5)), sc.Residual(sc.Dense(8), sc.RMSNorm("gelu"), sc.Dropout(0.1)),
        *[sc.Dense(4, "f = z * tanh(z)", "normal(std=0.2)")] * 3, output="sigmoid", output_init="lecun",
    )  # fmt: skip
    case = Case(network, recipe, sc.load("wine", standardize=False))
    for cure in (cures.tailored(case)[0], cures.STANDARD_INPUTS):
        text = as_script(case, cure, seed=5, load='sc.load("wine", standardize=False)')
        cured = cure.apply(case)
        expected = [sc.fit(each.network, each.data, recipe, seed=5) for each in (case, cured)]
        for line, run in zip(run_script(text, tmp_path), expected, strict=True):
            assert f"train loss {run.outcome.losses[0]:.4g}, validation score {run.outcome.scores[1]:.3f}" in line


def test_a_script_that_cannot_be_written_says_why() -> None:
    healthy = sc.doctor(sc.mlp([16] * 2), "iris", sc.Recipe("adam(lr=0.01)"), threads=1)
    with pytest.raises(InvalidInput, match="nothing is wrong"):
        healthy.script()

    @sc.initializer
    def own(random: Any, shape: Any, reads: Any) -> Any:
        return np.zeros(shape)

    case = Case(stack(init=own), sc.Recipe(), sc.load("iris"))
    with pytest.raises(InvalidInput, match="the initializer own was defined outside"):
        as_script(case, cures.INIT_AUTO, 0)
    unnamed = case._replace(data=few_and_wrong())
    with pytest.raises(InvalidInput, match="say how the data is loaded"):
        as_script(unnamed, cures.INIT_AUTO, 0)
    other_split = case._replace(network=stack(), data=sc.load("iris", seed=1))
    with pytest.raises(InvalidInput, match="say how the data is loaded"):
        as_script(other_split, cures.INIT_AUTO, 0)
