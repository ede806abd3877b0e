"""What tables and charts show: objects with a few properties.

Being protocols, they let tables and charts stand beneath all that produces results.
"""

# ruff: noqa: D102 (the members of a protocol are the facts that its own docstring speaks of)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class LayerShown(Protocol):
    """A layer: its units and the name of its activation."""

    @property
    def n_out(self) -> int: ...
    @property
    def activation(self) -> object: ...


class TheoryShown(Protocol):
    """What theory predicts for a measurement: δ of each layer over that of the last."""

    @property
    def relative(self) -> NDArray[np.float64]: ...


class PredictionShown(TheoryShown, Protocol):
    """A whole prediction: arrays with a number a layer, and what a stack without end would do."""

    @property
    def layers(self) -> Sequence[LayerShown]: ...
    @property
    def q(self) -> NDArray[np.float64]: ...
    @property
    def activation_mean(self) -> NDArray[np.float64]: ...
    @property
    def activation_rms(self) -> NDArray[np.float64]: ...
    @property
    def chi(self) -> NDArray[np.float64]: ...
    @property
    def fixed_point(self) -> float | None: ...
    @property
    def chi_star(self) -> float | None: ...
    @property
    def depth_scale(self) -> float | None: ...


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
    @property
    def theory(self) -> TheoryShown | None: ...
    def __getitem__(self, quantity: str) -> NDArray[np.float64]: ...


class HistoryShown(Protocol):
    """Measurements of the gradient flow through one training: `history["delta"]` is an array [measurement, layer]."""

    @property
    def measurements(self) -> Sequence[FlowShown]: ...
    @property
    def epochs(self) -> NDArray[np.int64]: ...
    def __getitem__(self, quantity: str) -> NDArray[np.float64]: ...


class RecipeShown(Protocol):
    """How a network was trained."""

    @property
    def optimizer(self) -> object: ...


class RunShown(Protocol):
    """A training: `history["train_loss"]` and its like are arrays with a number an epoch."""

    @property
    def recipe(self) -> RecipeShown: ...
    @property
    def status(self) -> str: ...
    @property
    def history(self) -> Mapping[str, NDArray[np.float64]]: ...
    @property
    def flow(self) -> HistoryShown: ...
    @property
    def score_name(self) -> str: ...


class CompetitorShown(Protocol):
    """An activation with an optimizer at a learning rate."""

    @property
    def activation(self) -> str: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def learning_rate(self) -> float: ...


class RowShown(CompetitorShown, Protocol):
    """One network of a comparison."""

    @property
    def status(self) -> str: ...
    @property
    def valid_score(self) -> float: ...


class RankedShown(CompetitorShown, Protocol):
    """A competitor of a comparison at its chosen learning rate."""

    # Any: the axes are what names it.
    @property
    def competitor(self) -> Any: ...
    @property
    def test_score(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def rank(self) -> float: ...
    @property
    def is_best(self) -> bool: ...
    @property
    def valid_score(self) -> float: ...
    @property
    def diverged(self) -> int: ...
    @property
    def networks(self) -> int: ...


class StudyShown(Protocol):
    """A comparison: a row for each network, and the ranking."""

    @property
    def rows(self) -> Sequence[RowShown]: ...
    @property
    def ranking(self) -> Sequence[RankedShown]: ...
    @property
    def axes(self) -> Sequence[str]: ...
    @property
    def score_name(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def tasks(self) -> Mapping[str, str]: ...
    # Any: a study takes its own kind of competitor only, not everything that can be shown as one.
    def curves_of(self, ranked: Any, quantity: str = ...) -> NDArray[np.float64]: ...


class DefinitionShown(Protocol):
    """A definition by its name and its docstring."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...


class ActivationShown(DefinitionShown, Protocol):
    """An activation with its facts."""

    @property
    def text(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def largest_slope(self) -> float: ...


class OptimizerShown(DefinitionShown, Protocol):
    """An optimizer with its facts."""

    @property
    def lr(self) -> float: ...
    @property
    def search(self) -> tuple[float, float]: ...
    @property
    def state(self) -> Sequence[str]: ...


class ActivationDrawn(Protocol):
    """An activation that can be evaluated on an array."""

    @property
    def largest_slope(self) -> float: ...
    @property
    def usual_slope(self) -> float: ...
    def __call__(self, z: Any, /) -> NDArray[Any]: ...
    def slope(self, z: Any) -> NDArray[Any]: ...


class LandscapeShown(Protocol):
    """A loss of two weights, with the part of it that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def start(self) -> tuple[float, float]: ...
    @property
    def view(self) -> tuple[float, float, float, float]: ...
    @property
    def minima(self) -> Sequence[tuple[float, float]]: ...
    def __call__(self, x: Any, y: Any) -> NDArray[np.float64]: ...


class DescentShown(Protocol):
    """The path [step, 2] of a rule on a landscape, with the loss at each point and where it ends."""

    @property
    def rule(self) -> object: ...
    @property
    def landscape(self) -> LandscapeShown: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def path(self) -> NDArray[np.float64]: ...
    @property
    def losses(self) -> NDArray[np.float64]: ...
    @property
    def end(self) -> float: ...
