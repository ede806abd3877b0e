"""The search gives scikit-learn's results, however its networks are trained."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import loguniform
from sklearn import config_context
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GroupKFold, RandomizedSearchCV, ShuffleSplit

import schuss as sc
from schuss.ensembles.ensemble import EnsemblePlan
from schuss.estimators import search as module

SPACE = {"learning_rate": loguniform(1e-4, 1e-1), "activation": ["relu", "tanh"], "ensemble": [1, 3]}
SETTINGS: dict[str, Any] = {"hidden": (8, 8), "epochs": 4, "random_state": 0}


Search: TypeAlias = RandomizedSearchCV
KINDS: tuple[type[Search], type[Search]] = (sc.SchussSearchCV, RandomizedSearchCV)
IRIS: tuple[NDArray[np.float64], NDArray[np.int64]] = load_iris(return_X_y=True)


def assert_same_results(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    assert ours["params"] == theirs["params"]
    for name, values in theirs.items():
        if name.startswith("param_"):
            assert values.data.tolist() == ours[name].data.tolist()
        elif "time" not in name and name != "params":
            np.testing.assert_array_equal(ours[name], values, err_msg=name)


def assert_same(model: Any, space: dict[str, list[Any]], params: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Both searches have the same results and warnings of the same kinds; ours comes back."""
    searches, kinds = [], []
    for kind in KINDS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search = kind(model, space, **{"n_iter": 2, "cv": 2, "random_state": 0, **settings})
            searches.append(search.fit(*IRIS, **params or {}))
        kinds.append({warning.category for warning in caught})
    ours, theirs = searches
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert kinds[0] == kinds[1]
    assert set(vars(ours)) | {"_checked_cv_orig"} == set(vars(theirs)) | {"_checked_cv_orig"}
    for name in ("best_index_", "best_score_", "best_params_", "n_splits_", "multimetric_"):
        if hasattr(theirs, name):
            np.testing.assert_equal(getattr(ours, name), getattr(theirs, name))
    if hasattr(theirs, "best_estimator_"):
        np.testing.assert_array_equal(ours.predict_proba(IRIS[0]), theirs.predict_proba(IRIS[0]))
        assert ours.score(*IRIS) == theirs.score(*IRIS)
    return ours


def least_deviation(results: dict[str, Any]) -> int:
    return int(np.argmin(results["std_test_score"]))


@pytest.mark.parametrize(
    "settings",
    [
        {"cv": 3},
        {"n_iter": 4, "scoring": "neg_log_loss", "return_train_score": True},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"},
        {"scoring": ["accuracy", "neg_log_loss"], "refit": False},
        {"refit": False},
        {"refit": least_deviation},
        {
            "cv": ShuffleSplit(2, random_state=0),
            "scoring": lambda m, X, y: {"a": m.score(X, y), "n": len(X)},
            "refit": "a",
        },
    ],
)
def test_the_results_are_those_of_randomized_search(settings: dict[str, Any]) -> None:
    assert_same(sc.SchussClassifier(**SETTINGS), SPACE, **settings)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_regressions_and_groups(n_jobs: int) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    groups, model = np.arange(len(X)) % 7, sc.SchussRegressor(**SETTINGS)
    settings: dict[str, Any] = {"n_iter": 3, "cv": GroupKFold(3), "random_state": 0}
    ours = sc.SchussSearchCV(model, SPACE, n_jobs=n_jobs, **settings).fit(X, y, groups=groups)
    theirs = RandomizedSearchCV(model, SPACE, **settings).fit(X, y, groups=groups)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.feature_names_in_.tolist() == list(X.columns)


def test_a_random_state_gives_every_candidate_the_same_numbers() -> None:
    model = sc.SchussClassifier(**{**SETTINGS, "random_state": np.random.RandomState(3)})
    assert_same(model, {"learning_rate": [0.001, 0.01]}, cv=2)


def test_a_loss_that_does_not_fit_fails_alone() -> None:
    space, settings = {"loss": ["softmax_cross_entropy", "huber"]}, {"n_iter": 2, "cv": 2, "random_state": 0}
    for kind in KINDS:
        search = kind(sc.SchussRegressor(**SETTINGS), space, error_score=-9.0, **settings)
        with pytest.warns(FitFailedWarning, match="is for classes, but the target of the table is a number"):
            search.fit(*load_diabetes(return_X_y=True))
        assert search.best_params_ == {"loss": "huber"}


# ---------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("with_train", [True, False])
@pytest.mark.parametrize("scoring", [None, ["accuracy", "neg_log_loss"], lambda m, X, y: {"accuracy": m.score(X, y)}])
@pytest.mark.parametrize(
    ("name", "values"),
    [("epochs", [2, -1]), ("activation", ["relu", 7]), ("learning_rate", [1e-2, 1e30])],
    ids=["refused", "of a wrong type", "diverging"],
)
def test_a_candidate_that_fails_gets_the_error_score(
    name: str, values: list[Any], scoring: Any, with_train: bool, order: int
) -> None:
    model = sc.SchussClassifier(**SETTINGS, optimizer="sgd")
    settings = {"scoring": scoring, "return_train_score": with_train, "refit": "accuracy" if scoring else True}
    space = {name: values[::order]}
    for error_score in (np.nan, -1.0):
        found = assert_same(model, space, error_score=error_score, **settings)
        assert found.best_params_ == {name: values[0]}
        scores = found.cv_results_["mean_test_accuracy" if scoring else "mean_test_score"]
        assert np.isnan(scores).sum() + (scores == -1.0).sum() == 1


def test_a_failure_is_told_or_raised() -> None:
    space = {"epochs": [2, -1]}
    search = sc.SchussSearchCV(sc.SchussClassifier(**SETTINGS), space, n_iter=2, cv=2, random_state=0)
    with (
        pytest.warns(FitFailedWarning, match=r"2 fits failed out of a total of 4(.|\n)*epochs must be"),
        pytest.warns(UserWarning, match="test scores are non-finite"),
    ):
        search.fit(*IRIS)
    with pytest.raises(sc.errors.InvalidInput, match="epochs must be"):
        search.set_params(error_score="raise").fit(*IRIS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("space", "params", "match"),
    [
        ({"epochs": [-1, -2]}, {}, r"All the 4 fits failed(.|\n)*epochs must be"),
        ({"epochs": [1, 2]}, {"unknown": 3}, r"All the 4 fits failed(.|\n)*unexpected keyword argument 'unknown'"),
        ({"epochs": [1, 2]}, {"sample_weight": np.full(150, -1.0)}, r"All the 4 fits failed(.|\n)*Negative"),
        ({"epoch": [1, 2]}, {}, "Invalid parameter 'epoch'"),
    ],
)
def test_when_all_fail_it_is_an_error(kind: type[Search], space: Any, params: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        kind(sc.SchussClassifier(**SETTINGS), space, n_iter=2, cv=2).fit(*IRIS, **params)


def test_how_far_the_search_is_can_be_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("schuss.show.progress.SECONDS_BETWEEN_LINES", 0.0)
    sc.SchussSearchCV(sc.SchussClassifier(**SETTINGS), SPACE, n_iter=2, cv=2, verbose=1, random_state=0).fit(*IRIS)
    assert "4 of 4 fits" in capsys.readouterr().err


def test_no_folds_or_folds_that_do_not_match_are_errors() -> None:
    class Wrong(ShuffleSplit):  # type: ignore[misc]
        def get_n_splits(self, *_: Any, **__: Any) -> int:
            return 5

    for kind in KINDS:
        with pytest.raises(ValueError, match="Expected 5 splits, got 2"):
            kind(sc.SchussClassifier(**SETTINGS), SPACE, n_iter=1, cv=Wrong(2)).fit(*IRIS)
        with pytest.raises(ValueError, match="No fits were performed"):
            kind(sc.SchussClassifier(**SETTINGS), SPACE, n_iter=1, cv=[]).fit(*IRIS)


def failing_on(threshold: int) -> Callable[..., float]:
    """A scorer that fails for models of more epochs."""

    def score(model: Any, X: Any, y: Any) -> float:
        if model.epochs > threshold:
            raise TypeError("cannot score this")
        return float(accuracy_score(y, model.predict(X)))

    return score


@pytest.mark.parametrize("scoring", [failing_on(2), {"a": failing_on(2), "b": "accuracy"}])
def test_a_scorer_that_fails_gives_the_error_score(scoring: Any) -> None:
    model, space = sc.SchussClassifier(**SETTINGS), {"epochs": [2, 3]}
    refit = "b" if isinstance(scoring, dict) else False
    assert_same(model, space, scoring=scoring, refit=refit, return_train_score=True)
    for kind in KINDS:
        with pytest.raises(TypeError, match="cannot score this"):
            kind(model, space, n_iter=2, cv=2, scoring=scoring, refit=refit, error_score="raise").fit(*IRIS)


def test_only_schuss_estimators_are_searched() -> None:
    with pytest.raises(ValueError, match="RandomizedSearchCV"):
        sc.SchussSearchCV(LogisticRegression(), {"C": [1.0]}, n_iter=1).fit(*IRIS)


# ---------------------------------------------------------------------------------------------- weights, routing

WEIGHTS = np.random.default_rng(0).uniform(0.1, 3, 150)


def test_weights_are_divided_with_the_rows_and_count_in_scores() -> None:
    model = sc.SchussClassifier(**SETTINGS)
    assert_same(model, SPACE, {"sample_weight": WEIGHTS}, return_train_score=True)
    assert_same(model, SPACE, {"sample_weight": pd.Series(WEIGHTS)}, scoring="neg_log_loss")
    assert_same(model, SPACE, {"sample_weight": np.where(IRIS[1] == 0, 0.0, 1.0)})


def test_a_class_weight_is_learned_with_the_rows() -> None:
    heavy = {0: 1.0, 1: 5.0, 2: 1.0}
    space = {"class_weight": [None, heavy, "balanced"], "learning_rate": [0.003, 0.01]}
    assert_same(sc.SchussClassifier(**SETTINGS), space, {"sample_weight": WEIGHTS}, n_iter=6)


def test_rows_to_judge_on_go_to_every_fit() -> None:
    found = assert_same(sc.SchussClassifier(**SETTINGS), SPACE, {"eval_set": (IRIS[0][::3], IRIS[1][::3])})
    assert found.best_score_ > 0


@pytest.mark.parametrize("to_fit", [True, False])
@pytest.mark.parametrize("to_score", [True, False])
def test_metadata_are_routed_as_asked(to_fit: bool, to_score: bool) -> None:
    with config_context(enable_metadata_routing=True):
        model = sc.SchussClassifier(**SETTINGS).set_fit_request(sample_weight=to_fit)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=to_score)
        params = {"sample_weight": WEIGHTS, "groups": np.arange(150) % 6}
        cv = GroupKFold(2)
        if not (to_fit or to_score):
            for kind in KINDS:
                with pytest.raises(TypeError, match="unexpected argument"):
                    kind(model, SPACE, n_iter=1, cv=cv, scoring=scorer).fit(*IRIS, **params)
            return
        assert_same(model, SPACE, params, cv=cv, scoring=scorer, return_train_score=True)
        assert_same(model.set_score_request(sample_weight=to_score), SPACE, params, cv=cv)


# ---------------------------------------------------------------------------------------------- how it goes


def test_trials_are_given_up_as_they_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[EnsemblePlan]] = []
    most = 0
    plans = module._Trials.plans

    def watched(trials: module._Trials) -> Iterator[EnsemblePlan]:
        nonlocal most
        for plan in plans(trials):
            seen.append(weakref.ref(plan))
            most = max(most, sum(plan() is not None for plan in seen))
            yield plan
            del plan

    monkeypatch.setattr(module._Trials, "plans", watched)
    monkeypatch.setattr("schuss.engines.native._AHEAD_NUMBERS", 100)  # as if the table were large
    model = sc.SchussClassifier(**{**SETTINGS, "ensemble": 1})
    sc.SchussSearchCV(model, {"epochs": list(range(1, 21))}, n_iter=20, cv=2, n_jobs=1, random_state=0).fit(*IRIS)
    assert len(seen) == 40
    assert most <= 5
    gc.collect()
    assert [plan() for plan in seen] == [None] * 40


def test_the_estimator_stays_as_it_was_and_the_best_one_is_its_own() -> None:
    model = sc.SchussClassifier(**SETTINGS)
    search = sc.SchussSearchCV(model, SPACE, n_iter=2, cv=2, n_jobs=1, random_state=0).fit(*IRIS)
    assert not hasattr(model, "classes_")
    assert model.n_jobs is None
    assert search.best_estimator_.n_jobs is None
    assert (search.cv_results_["mean_fit_time"] > 0).all()
