"""The estimators with scikit-learn's manners: its common tests, data frames, weights, files, the pieces together."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import schuss as sc
from schuss.errors import RunFileError

Rows: TypeAlias = NDArray[np.float64]
QUICK: dict[str, Any] = {"hidden": (16, 16), "ensemble": 4, "epochs": 8, "random_state": 0}


def classifier(**settings: Any) -> sc.SchussClassifier:
    return sc.SchussClassifier(**{**QUICK, **settings})


def regressor(**settings: Any) -> sc.SchussRegressor:
    return sc.SchussRegressor(**{**QUICK, **settings})


@pytest.fixture(scope="module")
def flowers() -> tuple[Rows, NDArray[np.int64]]:
    return load_iris(return_X_y=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def patients() -> tuple[Rows, Rows]:
    return load_diabetes(return_X_y=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def mixed() -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """300 rows whose class depends on a category, a number with gaps, and whether there is a gap."""
    generator = np.random.default_rng(0)
    city = generator.choice(["Oslo", "Rome", "Lima"], 300)
    size = generator.normal(size=300)
    y = ((size > 0) ^ (city == "Rome")).astype(np.int64)
    size[generator.random(300) < 0.1] = np.nan
    return pd.DataFrame({"city": city, "size": size, "noise": generator.normal(size=300)}), y


# ---------------------------------------------------------------------------------------------- the common tests


@parametrize_with_checks([sc.SchussClassifier(), sc.SchussRegressor()])
def test_scikit_learns_common_tests(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_the_default_learns_better_than_a_guess(patients: tuple[Rows, Rows]) -> None:
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    model = sc.SchussClassifier(random_state=0).fit(X_train, y_train)
    assert len(model.runs_) == 20
    assert log_loss(y_test, model.predict_proba(X_test)) < 0.1
    X_train, X_test, y_train, y_test = train_test_split(*patients, random_state=0)
    assert sc.SchussRegressor(ensemble="light", random_state=0).fit(X_train, y_train).score(X_test, y_test) > 0.25


# ---------------------------------------------------------------------------------------------- what comes in


def in_polars(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({name: [None if pd.isna(x) else x for x in frame[name]] for name in frame})


def in_arrow(frame: pd.DataFrame) -> Any:
    pytest.importorskip("pyarrow")
    return in_polars(frame).to_arrow()


@pytest.mark.parametrize("made", [lambda f: f, in_polars, in_arrow])
def test_frames_of_any_library_with_text_and_gaps(
    mixed: tuple[pd.DataFrame, NDArray[np.int64]], made: Callable[[pd.DataFrame], Any]
) -> None:
    frame, y = mixed
    model = classifier(epochs=40).fit(made(frame), y)
    assert model.score(made(frame), y) > 0.85  # a tenth of the sizes is missing
    assert model.feature_names_in_.tolist() == ["city", "size", "noise"]
    np.testing.assert_array_equal(
        model.predict_proba(made(frame)), classifier(epochs=40).fit(frame, y).predict_proba(frame)
    )


def test_the_progress_of_a_fit_can_be_seen(
    flowers: tuple[Rows, NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("schuss.show.progress.SECONDS_BETWEEN_LINES", 0.0)
    classifier(verbose=1).fit(*flowers)
    assert "4 of 4 networks" in capsys.readouterr().err


def test_unknown_categories_and_gaps_everywhere_are_predicted(
    mixed: tuple[pd.DataFrame, NDArray[np.int64]],
) -> None:
    frame, y = mixed
    model = classifier().fit(frame, y)
    strange = pd.DataFrame({"city": ["Atlantis", None], "size": [np.nan, np.nan], "noise": [1.0, np.nan]})
    p = model.predict_proba(strange)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(p[0], model.predict_proba(strange.assign(city=["Nowhere", None]))[0])


def test_tables_of_few_different_rows_are_learned() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 2, (2, 400))
    bits = pd.DataFrame({"a": a, "b": b.astype(str)})
    assert sc.SchussClassifier(random_state=0).fit(bits, a ^ b).score(bits, a ^ b) == 1.0
    dose = generator.integers(0, 5, 400)
    effect = np.array([0.0, 5.0, 1.0, 3.0, -2.0])[dose]
    assert sc.SchussRegressor(random_state=0).fit(dose[:, None], effect).score(dose[:, None], effect) > 0.99


def test_labels_of_any_kind_come_back(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    for labels in (np.array(["a", "b", "c"]), np.array(["a", "b", "c"], dtype=object), np.array([-1, 7, 9])):
        model = classifier().fit(X, labels[y])
        assert model.classes_.tolist() == labels.tolist()
        assert set(model.predict(X)) <= set(labels)
    binary = classifier().fit(X, y > 0)
    assert binary.predict(X).dtype == bool
    assert binary.predict_proba(X).shape == (150, 2)


def test_several_numbers_are_predicted_at_once(patients: tuple[Rows, Rows]) -> None:
    X, y = patients
    both = np.column_stack([y, 1000 * X[:, 2] + 5000])  # the second is one of the inputs
    model = regressor(epochs=60).fit(X, both)
    assert model.predict(X).shape == (len(X), 2)
    assert r2_score(both, model.predict(X), multioutput="raw_values")[1] > 0.9
    assert model.score(X, both) > 0.7
    assert regressor().fit(X, y).predict(X).shape == (len(X),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ensemble": 0}, "ensemble must be a whole number"),
        ({"activation": "rleu"}, "did you mean relu"),
        ({"epochs": -1}, "epochs must be"),
        ({"learning_rate": 0}, "learning_rate must be greater than 0"),
        ({"dropout": 1.0}, "dropout"),
        ({"hidden": 64}, "hidden"),
        ({"hidden": np.array(8)}, "hidden must list"),
        ({"dropout": -0.5}, "dropout"),
        ({"activation": ""}, "unknown activation"),
        ({"activation": None}, "activation"),
        ({"early_stopping": "no"}, "must be True or False"),
        ({"ensemble": "lihgt"}, "did you mean light"),
        ({"n_jobs": 0}, "n_jobs must be a number of threads"),
        ({"n_jobs": 1.5}, "n_jobs must be a number of threads"),
        ({"random_state": 2**63}, "a seed must be"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(
    flowers: tuple[Rows, NDArray[np.int64]], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**change).fit(*flowers)


def test_conventional_errors(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    model = classifier().fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(pd.DataFrame(X, columns=list("abce")))
    with pytest.raises(ValueError, match="infinity"):
        classifier().fit(np.where(X.max() == X, np.inf, X), y)
    with pytest.raises(ValueError, match="one class only"):
        classifier().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="the class 2 in y"):
        classifier().fit(X[y < 2], y[y < 2], eval_set=(X, y))


@pytest.mark.parametrize("eval_set", [3, [(1, 2)], (1,), (1, 2, 3)])
def test_an_eval_set_is_a_pair(flowers: tuple[Rows, NDArray[np.int64]], eval_set: Any) -> None:
    with pytest.raises(ValueError, match=r"one tuple \(X, y\)"):
        classifier().fit(*flowers, eval_set=eval_set)


def test_the_number_of_targets_stays(patients: tuple[Rows, Rows]) -> None:
    X, y = patients
    both = np.column_stack([y, y])
    with pytest.raises(ValueError, match="2 columns as before, but has 1"):
        regressor().partial_fit(X, both).partial_fit(X, y)
    with pytest.raises(ValueError, match="1 columns as before, but has 2"):
        regressor().fit(X, y, eval_set=(X, both))


@pytest.mark.parametrize(
    "frame",
    [pl.DataFrame({"a": [[1], [2]]}), pl.DataFrame({"a": [b"1", b"2"]}), pl.DataFrame({"a": [{"x": 1}, {"x": 2}]})],
)
def test_cells_that_are_no_values_are_refused(frame: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="column 'a' must hold numbers, text or dates"):
        classifier().fit(frame, [0, 1])
    with pytest.raises(ValueError, match="0 feature"):
        classifier().fit(pd.DataFrame(index=range(2)), [0, 1])


# ---------------------------------------------------------------------------------------------- what goes on


def test_neither_threads_nor_the_order_of_the_rows_change_a_bit(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    order = np.random.default_rng(0).permutation(len(X))
    expected = classifier(n_jobs=1).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier(n_jobs=2).fit(X[order], y[order]).predict_proba(X), expected)
    assert not np.array_equal(classifier(random_state=1).fit(X, y).predict_proba(X), expected)


def test_class_weights_move_the_decision(mixed: tuple[pd.DataFrame, NDArray[np.int64]]) -> None:
    frame, y = mixed
    noise = frame[["noise"]]
    plain = classifier().fit(noise, y).predict_proba(noise)[:, 1].mean()
    heavy = classifier(class_weight={0: 1.0, 1: 9.0}).fit(noise, y).predict_proba(noise)[:, 1].mean()
    assert heavy > plain + 0.2


def test_every_network_is_judged_on_the_eval_set(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    X_train, X_valid, y_train, y_valid = train_test_split(X, y, random_state=0, stratify=y)
    model = classifier(ensemble=1).fit(X_train, y_train, eval_set=(X_valid, y_valid))
    (run,) = model.runs_
    assert run.outcome.losses[1] == pytest.approx(log_loss(y_valid, model.predict_proba(X_valid)), rel=1e-4)
    assert run.outcome.losses[1] == pytest.approx(model.history_["valid_loss"].min())


def test_without_early_stopping_every_network_trains_on_all_rows_to_the_end(
    flowers: tuple[Rows, NDArray[np.int64]],
) -> None:
    model = classifier(early_stopping=False).fit(*flowers)
    assert all(run.outcome.state.best is None for run in model.runs_)
    assert model.history_["step"][0, -1] == 8 * -(-len(flowers[0]) // 32)
    np.testing.assert_allclose(model.ensemble_.weights, 0.25)


def test_a_network_on_its_own_is_held_back_more(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    def recipe(**settings: Any) -> sc.Recipe:
        model = classifier(**settings)
        return model._plan(model._prepare(*flowers)).jobs[0].recipe

    alone, one_of_two = recipe(ensemble=1), recipe(ensemble=2)
    assert (dict(alone.optimizer.settings)["weight_decay"], alone.patience) == (0.3, 6)
    assert (dict(one_of_two.optimizer.settings)["weight_decay"], one_of_two.patience) == (0.01, 8)
    assert dict(recipe(ensemble=1, weight_decay=0.02).optimizer.settings)["weight_decay"] == 0.02


def test_partial_fit_is_an_epoch_of_a_plain_training(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    settings = {"ensemble": 1, "hidden": (8,), "optimizer": "sgd", "learning_rate": 0.05, "batch_size": 150}
    parts = classifier(**settings)
    for _ in range(3):
        parts.partial_fit(X, y)
    whole = classifier(**settings, early_stopping=False, epochs=3)
    training = whole._plan(whole._prepare(X, y))
    (run,) = sc.fit_many(
        [sc.Job(training.jobs[0].network, sc.Recipe("sgd(lr=0.05)", batch_size=150, epochs=3), training.jobs[0].seed)],
        next(training.groups())[1],
    )
    np.testing.assert_array_equal(parts.runs_[0].parameters, run.parameters)
    np.testing.assert_array_equal(parts.history_["epoch"], [[1, 2, 3]])


def test_partial_fit_takes_what_comes(mixed: tuple[pd.DataFrame, NDArray[np.int64]]) -> None:
    frame, y = mixed
    model = classifier(ensemble="auto", learning_rate=1e-2)
    model.partial_fit(frame[:40], np.zeros(40), classes=[0, 1], sample_weight=np.full(40, 1e-3))
    assert len(model.runs_) == 4
    for start in [*range(40, 300, 52)] * 8:
        model.partial_fit(frame[start : start + 52], y[start : start + 52])
    assert model.score(frame, y) > 0.8
    with pytest.raises(ValueError, match="the class 2 in y"):
        model.partial_fit(frame, y + 1)


def test_a_warm_start_begins_where_the_last_fit_ended(patients: tuple[Rows, Rows]) -> None:
    model = regressor(warm_start=True, epochs=10).fit(*patients)
    before = [run.outcome.losses[1] for run in model.runs_]
    model.set_params(learning_rate=1e-7).fit(*patients)
    np.testing.assert_allclose([run.history["valid_loss"][0] for run in model.runs_], before, rtol=1e-3)
    with pytest.raises(ValueError, match="now others are given"):
        model.set_params(hidden=(4,)).fit(*patients)


def test_smooth_labels_make_modest_probabilities(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    sharp, smooth = (classifier(epochs=60, label_smoothing=s).fit(X, y).predict_proba(X).max() for s in (0.0, 0.3))
    assert smooth < 0.9 < sharp


def test_another_loss_sees_outliers_otherwise() -> None:
    X = np.random.default_rng(0).normal(size=(300, 1))
    y = np.where(np.arange(300) % 10 == 0, 1000.0, 0.0)
    models = [regressor(epochs=60, loss=loss).fit(X, y) for loss in ("squared_error", "absolute_error")]
    mean, median = (model.predict(X).mean() for model in models)
    assert abs(mean - 100) < 30
    assert abs(median) < 30


def test_a_table_of_constant_columns_gives_the_shares_of_the_classes() -> None:
    for early_stopping in (True, False):
        model = classifier(early_stopping=early_stopping, learning_rate=0.01, epochs=600)
        p = model.fit(np.ones((40, 2)), np.arange(40) % 4 == 0).predict_proba([[1, 1]])
        np.testing.assert_allclose(p, [[0.75, 0.25]], atol=0.03)


def test_a_network_that_diverges_does_not_count(patients: tuple[Rows, Rows]) -> None:
    with pytest.warns(ConvergenceWarning, match="of 20 networks diverged and do not count"):
        model = regressor(ensemble=20, epochs=20, optimizer="sgd", learning_rate=0.2).fit(*patients)
    diverged = np.array([run.status == "diverged" for run in model.runs_])
    assert 0 < diverged.sum() < 20
    assert not model.ensemble_.weights[diverged].any()
    assert model.score(*patients) > 0
    with pytest.raises(ValueError, match="all networks diverged"):
        regressor(optimizer="sgd", learning_rate=1e6).fit(*patients)


def test_what_is_known_after_fitting(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    model = classifier().fit(*flowers)
    assert model.history_["valid_loss"].shape == (4, 8)
    assert model.n_features_in_ == 4
    assert len(model.flow_.measurements[0].layers) >= 2
    np.testing.assert_allclose(model.predict_log_proba(flowers[0]), np.log(model.predict_proba(flowers[0])))


def test_a_history_ends_where_its_network_does(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    model = classifier(learning_rate=0.1, epochs=40).fit(*flowers)
    lengths = [len(run.history["epoch"]) for run in model.runs_]
    assert len(set(lengths)) > 1
    known = ~np.isnan(model.history_["valid_loss"])
    assert known.sum(axis=1).tolist() == lengths
    assert known.shape == (4, max(lengths))


def interrupted(*args: Any, **kwargs: Any) -> Any:
    raise KeyboardInterrupt


def test_a_fit_that_fails_or_is_interrupted_changes_nothing(
    flowers: tuple[Rows, NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = flowers
    fresh = classifier(epochs=-1)
    with pytest.raises(ValueError, match="epochs"):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    model = classifier().fit(X, y)
    expected = model.predict(X)
    monkeypatch.setattr("schuss.ensembles.population.train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(pd.DataFrame(X[:, :2], columns=["a", "b"]), np.array(["up", "down", "down"])[y])
    np.testing.assert_array_equal(model.predict(X), expected)


def test_no_network_is_judged_on_a_row_that_it_was_trained_on(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X = flowers[0]
    noise = np.random.default_rng(0).integers(0, 2, len(X))
    plain = classifier(epochs=40).fit(X, noise)
    for weights in (np.full(len(X), 5.0), np.full(len(X), 2.5)):  # as much for all: as if there were none
        heavy = classifier(epochs=40).fit(X, noise, sample_weight=weights)
        np.testing.assert_array_equal(heavy.predict_proba(X), plain.predict_proba(X))
    more = classifier(epochs=40).fit(X, noise, sample_weight=np.where(noise, 9.0, 1.0))
    assert np.nanmin(more.history_["valid_loss"]) > 0.15  # 0.33 by the shares, near 0 by heart


def test_balanced_classes_and_row_weights_together(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    w = np.random.default_rng(0).choice([1, 3], len(X))
    weighed = classifier(class_weight="balanced").fit(X, y, sample_weight=w)
    repeated = classifier(class_weight="balanced").fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_array_equal(weighed.predict_proba(X), repeated.predict_proba(X))
    for weights in ({0: 0, 1: 0, 2: 0}, {0: -1, 1: 1, 2: 1}):
        with pytest.raises(ValueError, match="class_weight must hold"):
            classifier(class_weight=weights).fit(X, y)


def test_the_optimizers_own_weight_decay_counts_unless_another_is_given(
    flowers: tuple[Rows, NDArray[np.int64]],
) -> None:
    for settings, decay in (({}, 0.01), ({"optimizer": "adamw(weight_decay=0.3)"}, 0.3), ({"weight_decay": 0}, 0.0)):
        rule = classifier(**settings).fit(*flowers).runs_[0].recipe.optimizer
        assert dict(rule.settings)["weight_decay"] == decay
    for settings in ({"optimizer": "adam", "weight_decay": 0.1}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match="weight_decay"):
            classifier(**settings).fit(*flowers)


def test_a_warm_start_keeps_folds_and_the_scale_of_the_target(patients: tuple[Rows, Rows]) -> None:
    X, y = patients
    model = regressor(warm_start=True, random_state=None).fit(X, y)
    before, seeds = model.predict(X), [run.seed for run in model.runs_]
    model.set_params(learning_rate=1e-9).fit(X, y + 1000)
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-4)
    assert [run.seed for run in model.runs_] == seeds


def test_partial_fit_counts_batches_of_all_rows_and_refuses_what_it_cannot_do(
    flowers: tuple[Rows, NDArray[np.int64]], patients: tuple[Rows, Rows]
) -> None:
    model = classifier(optimizer="gd", ensemble=1)
    for _ in range(3):
        model.partial_fit(*flowers)
    assert model.history_["step"].tolist() == [[1, 2, 3]]
    with pytest.raises(ValueError, match="those of the first call"):
        model.partial_fit(*flowers, classes=[0, 1])
    with pytest.raises(ValueError, match="needs all rows at once"):
        classifier(class_weight="balanced").partial_fit(*flowers)
    with pytest.raises(ValueError, match="all networks diverged"):
        regressor(optimizer="sgd", learning_rate=1e8).partial_fit(*patients)


def test_numbers_beyond_32_bits_are_refused(patients: tuple[Rows, Rows]) -> None:
    X, y = patients
    for rows, target in ((X, y * 1e40), (X * 1e200, y), (pd.DataFrame(X * 1e200), y)):
        with pytest.raises(ValueError, match="beyond 32-bit numbers"):
            regressor().fit(rows, target)


def test_the_doctor_finds_what_is_wrong_with_a_setting(patients: tuple[Rows, Rows]) -> None:
    model = regressor(ensemble=1, hidden=(16, 16), learning_rate=1e-7).fit(*patients)
    visit = model.doctor(*patients, prove=False)
    assert [finding.cause for finding in visit.findings] == ["learning_rate_too_low"]
    (run,) = model.runs_
    assert (visit.case.network, visit.case.recipe, visit.seeds[0]) == (run.network, run.recipe, run.seed)


def test_a_search_takes_no_estimator_with_a_fit_of_its_own(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    class Logged(sc.SchussClassifier):
        def fit(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
            return super().fit(np.log(X), y, *args, **kwargs)

    with pytest.raises(ValueError, match="a fit of its own"):
        sc.SchussSearchCV(Logged(), {"ensemble": [1]}).fit(*flowers)


def test_pipelines_searches_and_scores(flowers: tuple[Rows, NDArray[np.int64]]) -> None:
    X, y = flowers
    pipeline = make_pipeline(StandardScaler(), classifier(ensemble=1))
    assert cross_val_score(pipeline, X, y, cv=3).shape == (3,)
    search = GridSearchCV(pipeline, {"schussclassifier__learning_rate": [1e-6, 1e-2]}, cv=2).fit(X, y)
    assert search.best_params_ == {"schussclassifier__learning_rate": 1e-2}
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(classifier(ensemble=1).set_fit_request(sample_weight=True))
        routed.fit(X, y, sample_weight=(y > 0).astype(float))
    assert set(routed.predict(X)) <= {1, 2}  # a class of no weight is none
    assert clone(classifier()).get_params() == classifier().get_params()


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("settings", [{}, {"activation": sc.tanh, "optimizer": sc.momentum(lr=0.01), "ensemble": 1}])
def test_a_loaded_and_an_unpickled_estimator_predict_the_same_bits(
    mixed: tuple[pd.DataFrame, NDArray[np.int64]], tmp_path: Path, settings: dict[str, Any]
) -> None:
    frame, y = mixed
    model = classifier(class_weight={0: 1, 1: 2.5}, **settings).fit(frame, y)
    expected = model.predict_proba(frame)
    model.save(tmp_path / "model.schuss")
    loaded = sc.SchussClassifier.load(tmp_path / "model.schuss")
    np.testing.assert_array_equal(loaded.predict_proba(frame), expected)
    assert loaded.get_params() == model.get_params()
    assert loaded.predict(frame).dtype == model.predict(frame).dtype
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(frame), expected)
    np.testing.assert_array_equal(loaded.history_["valid_loss"], model.history_["valid_loss"])
    weights = sum(run.parameters.nbytes for run in model.runs_)
    assert (tmp_path / "model.schuss").stat().st_size < 1.5 * weights + 100_000  # nothing but the weights
    for each in (model, loaded):
        each.partial_fit(frame, y)
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))


def test_inputs_of_one_name_are_told_apart_in_a_file(
    mixed: tuple[pd.DataFrame, NDArray[np.int64]], tmp_path: Path
) -> None:
    frame, y = mixed
    named = frame.rename(columns={"noise": "size is missing"})
    model = classifier().fit(named, y)
    model.save(tmp_path / "model.schuss")
    loaded = sc.SchussClassifier.load(tmp_path / "model.schuss")
    np.testing.assert_array_equal(loaded.predict_proba(named), model.predict_proba(named))


def test_classes_that_no_file_can_hold_are_a_sentence(flowers: tuple[Rows, NDArray[np.int64]], tmp_path: Path) -> None:
    days = np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[D]")
    model = classifier().fit(flowers[0], days[flowers[1]])
    assert set(model.predict(flowers[0])) <= set(days)
    with pytest.raises(ValueError, match="a class is .* cannot be saved"):
        model.save(tmp_path / "model.schuss")
    assert not list(tmp_path.iterdir())


def test_a_loaded_regressor_has_the_shape_of_its_target(patients: tuple[Rows, Rows], tmp_path: Path) -> None:
    X, y = patients
    model = regressor().fit(X, np.column_stack([y, y]))
    model.save(tmp_path / "model.schuss")
    np.testing.assert_array_equal(sc.SchussRegressor.load(tmp_path / "model.schuss").predict(X), model.predict(X))


def test_a_file_of_something_else_is_refused(flowers: tuple[Rows, NDArray[np.int64]], tmp_path: Path) -> None:
    path = tmp_path / "model.schuss"
    with pytest.raises(NotFittedError):
        classifier().save(path)
    classifier().fit(*flowers).save(path)
    with pytest.raises(RunFileError, match="holds a SchussClassifier, not a SchussRegressor"):
        sc.SchussRegressor.load(path)
    with pytest.raises(ValueError, match="cannot be saved"):
        classifier(verbose=object()).fit(*flowers).save(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunFileError):
        sc.SchussClassifier.load(path)
