"""`SchussSearchCV`: scikit-learn's randomized search, with all its networks trained as one population."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from itertools import count
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context, clone
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, check_cv
from sklearn.model_selection._validation import (
    _fit_and_score,
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from schuss.ensembles import population
from schuss.ensembles.ensemble import EnsemblePlan
from schuss.errors import InvalidInput
from schuss.estimators.arguments import threads_of
from schuss.estimators.base import Prepared
from schuss.estimators.classifier import SchussClassifier
from schuss.estimators.regressor import SchussRegressor
from schuss.show.progress import shown_progress
from schuss.training.jobs import Progress
from schuss.training.run import Run

Model: TypeAlias = SchussClassifier | SchussRegressor
Candidate: TypeAlias = dict[str, Any]
Fold: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]  # the rows to train on and to score
Outcome: TypeAlias = dict[str, Any]  # what scikit-learn notes of one candidate on one fold


class SchussSearchCV(RandomizedSearchCV):  # type: ignore[misc]  # scikit-learn ships no types
    """Randomized search over the parameters of a `SchussClassifier` or `SchussRegressor`.

    Parameters, attributes and results are those of `sklearn.model_selection.RandomizedSearchCV`, and so are the scores:
    over the same candidates and folds, with a `random_state` of the estimator, they are the same numbers. But all
    candidates × folds × networks are one population, which keeps all cores busy from the first to the last; `n_jobs` is
    the number of its threads, all cores if None. The refit takes the estimator's own `n_jobs`; `pre_dispatch` and
    callbacks have no meaning here. `fit_time` is what the networks of a candidate took, and `verbose` shows how far the
    whole search is.

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

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train all candidates on all folds, and the best one on everything if `refit`.

        Parameters
        ----------
        X, y
            As for the estimator's `fit`.
        **params
            For the estimator's `fit` (sample_weight, eval_set), the scorer and the splitter (groups), as
            RandomizedSearchCV divides them, by metadata routing if that is enabled.
        """
        if not isinstance(self.estimator, Model):
            raise InvalidInput(
                f"SchussSearchCV searches for a SchussClassifier or SchussRegressor, but was given "
                f"{self.estimator!r:.60}; take scikit-learn's RandomizedSearchCV."
            )
        own = next(kind for kind in (SchussClassifier, SchussRegressor) if isinstance(self.estimator, kind))
        if type(self.estimator).fit is not own.fit:
            raise InvalidInput(
                f"{type(self.estimator).__name__} has a fit of its own, which this search would pass over; "
                "take scikit-learn's RandomizedSearchCV."
            )
        scorers, metric = self._get_scorers()
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(_check_method_params(X, params=params))
        folds = self._folds(X, y, routed.splitter.split)
        candidates = list(ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state))
        trials = _Trials(
            self.estimator, candidates, folds, X=X, y=y, scorer=scorers, fit_params=routed.estimator.fit,
            score_params=routed.scorer.score, return_train_score=self.return_train_score, error_score=self.error_score,
        )  # fmt: skip
        outcomes = self._evaluated(trials)
        results = self._results(candidates, outcomes)
        self._choose(results, outcomes[0]["test_scores"], metric)
        if self.refit:
            self._fit_best(X, y, routed.estimator.fit)
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        self.cv_results_ = results
        return self

    def _folds(self, X: Any, y: Any, split_params: dict[str, Any]) -> list[Fold]:
        splitter = check_cv(self.cv, y, classifier=isinstance(self.estimator, SchussClassifier))
        self.n_splits_ = splitter.get_n_splits(X, y, **split_params)
        folds = list(splitter.split(X, y, **split_params))
        if len(folds) != self.n_splits_:
            raise ValueError(
                f"cv.split and cv.get_n_splits return inconsistent results. Expected {self.n_splits_} splits, "
                f"got {len(folds)}"
            )
        return folds

    def _evaluated(self, trials: _Trials) -> list[Outcome]:
        trained = population.train(trials.plans(), threads=threads_of(self.n_jobs))
        with shown_progress(what="fits") if self.verbose else nullcontext() as progress, closing(trained):
            for number, runs in trained:
                trials.returned(number, runs)
                if progress is not None:
                    progress(trials.progress())
        return trials.outcomes()

    def _results(self, candidates: Sequence[Candidate], outcomes: list[Outcome]) -> dict[str, Any]:
        if not outcomes:
            raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
        _warn_or_raise_about_fit_failures(outcomes, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(outcomes, self.error_score)
        results: dict[str, Any] = self._format_results(candidates, self.n_splits_, outcomes)
        return results

    def _choose(self, results: dict[str, Any], scores: Any, metric: str) -> None:
        self.multimetric_ = isinstance(scores, dict)
        if callable(self.scoring) and self.multimetric_:  # only now it is known what it returns
            self._check_refit_for_multimetric(scores)
            metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]

    def _fit_best(self, X: Any, y: Any, fit_params: dict[str, Any]) -> None:
        began = time.time()
        self.best_estimator_ = _model(self.estimator, self.best_params_).fit(X, y, **fit_params)
        self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


def _model(estimator: Model, candidate: Candidate) -> Model:
    """The estimator with the parameters of a candidate, which may be estimators themselves."""
    model: Model = clone(estimator).set_params(**clone(candidate, safe=False))
    return model


class _Shared(NamedTuple):
    """What the candidates of a class_weight share on a fold, and which attributes of a model say so."""

    class_weight: str
    prepared: Prepared
    attributes: dict[str, Any]


class _Trial(NamedTuple):
    """A candidate on a fold whose networks are being trained."""

    place: tuple[int, int]
    model: Model
    plan: EnsemblePlan


class _Trials:
    """Every candidate on every fold: planned when threads have room, scored when its networks are back, and dropped.

    Fold after fold, and in it candidates of one class_weight after another: these share what is learned of the rows.
    """

    def __init__(self, estimator: Model, candidates: Sequence[Candidate], folds: Sequence[Fold], **how: Any) -> None:
        self._models = partial(_model, estimator)
        self._candidates, self._folds, self._how = candidates, folds, how
        self._training: dict[int, _Trial] = {}
        self._outcomes: dict[tuple[int, int], Outcome] = {}

    def plans(self) -> Iterator[EnsemblePlan]:
        """Of all trials that can be trained; the others are failures at once."""
        numbers = count()
        weights = [repr(self._models(c).get_params().get("class_weight")) for c in self._candidates]
        for j in range(len(self._folds)):
            shared: _Shared | None = None
            for i in sorted(range(len(weights)), key=weights.__getitem__):
                model = self._models(self._candidates[i])
                try:
                    if shared is None or shared.class_weight != weights[i]:
                        shared = _Shared(weights[i], *self._prepared(model, j))
                    model.__dict__.update(shared.attributes)
                    plan = model._plan(shared.prepared)
                except Exception as error:  # noqa: BLE001  # any, as scikit-learn does, which is told of it
                    self._score((i, j), model, partial(_raised, error))
                else:
                    self._training[next(numbers)] = _Trial((i, j), model, plan)
                    yield plan

    def _prepared(self, model: Model, fold: int) -> tuple[Prepared, dict[str, Any]]:
        """What the rows of a fold say, and what attributes the model got by it."""
        X, y, rows = self._how["X"], self._how["y"], np.asarray(self._folds[fold][0])
        parameters = set(vars(model))
        prepared = model._prepare(
            *_safe_split(model, X, y, rows), **_check_method_params(X, self._how["fit_params"], rows)
        )
        return prepared, {name: value for name, value in vars(model).items() if name not in parameters}

    def returned(self, number: int, runs: Sequence[Run]) -> None:
        """Score a trial, and let go of it."""
        place, model, plan = self._training.pop(number)
        self._score(place, model, partial(model._assemble, plan, runs))
        self._outcomes[place]["fit_time"] = sum(run.outcome.seconds for run in runs)

    def _score(self, place: tuple[int, int], model: Model, fit: Callable[[], object]) -> None:
        """Let scikit-learn do it; instead of a fit it finds what came of the training."""
        train, test = self._folds[place[1]]
        model.__dict__["fit"] = partial(_fit, model, fit)
        self._outcomes[place] = _fit_and_score(
            model, train=train, test=test, parameters=None, verbose=0, return_times=True, return_n_test_samples=True,
            **self._how,
        )  # fmt: skip

    def progress(self) -> Progress:
        """How many are scored."""
        whole = len(self._candidates) * len(self._folds)
        return Progress(len(self._outcomes), whole, len(self._outcomes) / whole)

    def outcomes(self) -> list[Outcome]:
        """In scikit-learn's order."""
        return [self._outcomes[place] for place in sorted(self._outcomes)]


def _fit(model: Model, fit: Callable[[], object], *_: Any, **__: Any) -> None:
    del model.__dict__["fit"]
    fit()
    model._warn_of_divergence()


def _raised(error: Exception) -> None:
    raise error
