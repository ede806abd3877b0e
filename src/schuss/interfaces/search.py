"""`SchussSearchCV`: scikit-learn's randomized search, with all its networks trained as one population."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, check_cv
from sklearn.utils import _safe_indexing, indexable

from schuss.errors import InvalidInput
from schuss.interfaces.arguments import threads_of
from schuss.interfaces.estimators import SchussClassifier, SchussRegressor
from schuss.interfaces.progress import shown_progress
from schuss.tabular import population
from schuss.tabular.ensemble import EnsemblePlan

Rows = NDArray[np.int64]


class _Trial(NamedTuple):
    """One candidate on one fold; `plan` is None if its parameters cannot be used."""

    model: SchussClassifier | SchussRegressor
    plan: EnsemblePlan | None
    train: Rows
    test: Rows


class SchussSearchCV(RandomizedSearchCV):  # type: ignore[misc]  # scikit-learn ships no types
    """Randomized search over the parameters of a `SchussClassifier` or `SchussRegressor`.

    Parameters, attributes and results are those of `sklearn.model_selection.RandomizedSearchCV`, and so are the scores:
    over the same candidates and folds, with a `random_state` of the estimator, they are the same numbers. But all
    candidates × folds × networks are one population, which keeps all cores busy from the first to the last; `n_jobs`
    is the number of threads, all cores if None. `pre_dispatch` has no meaning here. `fit_time` is what the networks of
    a candidate took.

    Parameters
    ----------
    estimator
        A SchussClassifier or SchussRegressor. For a pipeline take RandomizedSearchCV itself.
    param_distributions
        Names of parameters → lists, or distributions with a method `rvs`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> model = SchussClassifier(ensemble=1, epochs=20, random_state=0)
    >>> rates = {"learning_rate": [1e-5, 1e-2]}
    >>> search = SchussSearchCV(model, rates, n_iter=2, cv=3, random_state=0).fit(*load_iris(return_X_y=True))
    >>> search.best_params_
    {'learning_rate': 0.01}
    """

    def fit(self, X: Any, y: Any, *, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train all candidates on all folds, and the best one on everything if `refit`.

        Parameters
        ----------
        X, y, sample_weight
            As for the estimator's `fit`.
        groups
            For the splitter `cv`.
        """
        if not isinstance(self.estimator, SchussClassifier | SchussRegressor):
            raise InvalidInput(
                f"SchussSearchCV searches for a SchussClassifier or SchussRegressor, but was given "
                f"{self.estimator!r:.60}; take scikit-learn's RandomizedSearchCV."
            )
        scorers, metric = self._get_scorers()
        X, y, groups = indexable(X, y, groups)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        splitter = check_cv(self.cv, y, classifier=isinstance(self.estimator, SchussClassifier))
        self.n_splits_ = splitter.get_n_splits(X, y, groups)
        candidates = list(ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state))
        folds = list(splitter.split(X, y, groups))
        trials = [self._trial(c, X, y, weights, *fold) for c in candidates for fold in folds]
        self._train(trials)
        outcomes = [self._outcome(trial, X, y, scorers) for trial in trials]
        self.cv_results_ = self._format_results(candidates, self.n_splits_, outcomes)
        self.multimetric_ = isinstance(outcomes[0]["test_scores"], dict)
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        if self.refit or not self.multimetric_:
            self._choose(metric)
        if self.refit:
            began = time.perf_counter()
            self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_).fit(X, y, sample_weight)
            self.refit_time_ = time.perf_counter() - began
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    def _trial(self, candidate: dict[str, Any], X: Any, y: Any, weights: Any, train: Rows, test: Rows) -> _Trial:
        model = clone(self.estimator).set_params(**clone(candidate, safe=False))
        own = None if weights is None else weights[train]
        try:
            plan = model.planned(model.learn(_safe_indexing(X, train), _safe_indexing(y, train), own))
        except ValueError as error:
            if self.error_score == "raise":
                raise
            warnings.warn(f"{candidate} cannot be trained: {error}", FitFailedWarning, stacklevel=3)
            plan = None
        return _Trial(model, plan, train, test)

    def _train(self, trials: Sequence[_Trial]) -> None:
        sound = [trial for trial in trials if trial.plan is not None]
        plans = [trial.plan for trial in trials if trial.plan is not None]
        threads = threads_of(self.n_jobs)
        with shown_progress() if self.verbose else nullcontext():
            for number, runs in population.train(plans, threads=threads):
                sound[number].model.ensemble_ = plans[number].finished(runs)

    def _outcome(self, trial: _Trial, X: Any, y: Any, scorers: Any) -> dict[str, Any]:
        """What scikit-learn notes of one candidate on one fold."""
        if trial.plan is None:
            names = getattr(scorers, "_scorers", None)
            nothing = self.error_score if names is None else dict.fromkeys(names, self.error_score)
            return {"fit_time": 0.0, "score_time": 0.0, "test_scores": nothing, "train_scores": nothing}
        began = time.perf_counter()
        outcome = {"test_scores": scorers(trial.model, _safe_indexing(X, trial.test), _safe_indexing(y, trial.test))}
        outcome["score_time"] = time.perf_counter() - began
        outcome["fit_time"] = sum(run.outcome.seconds for run in trial.model.runs_)
        if self.return_train_score:
            rows = trial.train
            outcome["train_scores"] = scorers(trial.model, _safe_indexing(X, rows), _safe_indexing(y, rows))
        return outcome

    def _choose(self, metric: str) -> None:
        self.best_index_ = self._select_best_index(self.refit, metric, self.cv_results_)
        if not callable(self.refit):
            self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = self.cv_results_["params"][self.best_index_]
