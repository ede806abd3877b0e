"""The search gives scikit-learn's results, however its networks are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, RandomizedSearchCV

import schuss as sc

SPACE = {"learning_rate": loguniform(1e-4, 1e-1), "activation": ["relu", "tanh"], "ensemble": [1, 3]}
SETTINGS: dict[str, Any] = {"hidden": (8, 8), "epochs": 4, "random_state": 0}


def assert_same_results(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    assert ours["params"] == theirs["params"]
    for name, values in theirs.items():
        if name.startswith("param_"):
            assert values.data.tolist() == ours[name].data.tolist()
        elif "time" not in name and name != "params":
            np.testing.assert_array_equal(ours[name], values, err_msg=name)


@pytest.mark.parametrize(
    "settings",
    [
        {"cv": 3},
        {"cv": 2, "scoring": "neg_log_loss", "return_train_score": True},
        {"cv": 2, "scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"},
        {"cv": 2, "scoring": ["accuracy", "neg_log_loss"], "refit": False},
    ],
)
def test_the_results_are_those_of_randomized_search(settings: dict[str, Any]) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    searches = [
        kind(sc.SchussClassifier(**SETTINGS), SPACE, n_iter=4, random_state=1, **settings).fit(X, y)
        for kind in (sc.SchussSearchCV, RandomizedSearchCV)
    ]
    assert_same_results(searches[0].cv_results_, searches[1].cv_results_)
    found = [name for name in ("best_index_", "best_score_", "best_params_", "n_splits_") if hasattr(searches[1], name)]
    for name in found:
        assert getattr(searches[0], name) == getattr(searches[1], name)
    if settings.get("refit", True):
        np.testing.assert_array_equal(searches[0].predict_proba(X), searches[1].predict_proba(X))
        assert searches[0].score(X, y) == searches[1].score(X, y)


def test_regressions_groups_and_threads() -> None:
    X, y = load_diabetes(return_X_y=True)
    groups = np.arange(len(X)) % 7
    model = sc.SchussRegressor(**SETTINGS)
    searches = [
        kind(model, SPACE, n_iter=3, cv=GroupKFold(3), random_state=0, n_jobs=n_jobs).fit(X, y, groups=groups)
        for kind, n_jobs in ((sc.SchussSearchCV, 1), (sc.SchussSearchCV, 2), (RandomizedSearchCV, None))
    ]
    assert_same_results(searches[0].cv_results_, searches[2].cv_results_)
    assert_same_results(searches[1].cv_results_, searches[2].cv_results_)


def test_a_candidate_that_cannot_be_used_gets_the_error_score() -> None:
    X, y = load_iris(return_X_y=True)
    search = sc.SchussSearchCV(sc.SchussClassifier(**SETTINGS), {"epochs": [2, -1]}, n_iter=2, cv=2, error_score=-1.0)
    with pytest.warns(FitFailedWarning, match="epochs must be"):
        search.fit(X, y)
    scores = dict(
        zip((p["epochs"] for p in search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True)
    )
    assert scores[-1] == -1.0
    assert search.best_params_ == {"epochs": 2}
    with pytest.raises(ValueError, match="epochs must be"):
        search.set_params(error_score="raise").fit(X, y)


def test_only_schuss_estimators_are_searched() -> None:
    with pytest.raises(ValueError, match="RandomizedSearchCV"):
        sc.SchussSearchCV(LogisticRegression(), {"C": [1.0]}, n_iter=1).fit(*load_iris(return_X_y=True))


def test_weights_are_divided_with_the_rows() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    w = pd.Series(np.where(y == 0, 0.0, 1.0))
    search = sc.SchussSearchCV(sc.SchussClassifier(**SETTINGS), SPACE, n_iter=1, cv=2, random_state=0)
    search.fit(X, y, sample_weight=w)
    assert set(search.predict(X)) <= {1, 2}
