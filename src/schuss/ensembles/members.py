"""Which networks make an ensemble, and how each is trained.

The recipe was found in a study of seventeen tables: four styles of network, each trained on all folds but one and
judged on that. What mattered was to stop each network at its best epoch, to mix kinds of inputs, and to train on folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from schuss.activations import Activation
from schuss.ensembles.kinds import Kind
from schuss.layers import Dense, Description, Dropout, LayerNorm, Residual
from schuss.network import Network
from schuss.recipe import Recipe

FOLDS = 5
FEW = 500  # rows of a table, below which an update takes 32 of them instead of 64
EPOCHS = 30
UPDATES = 300, 50_000  # a small table is passed over more often until there are so many, a large one less often
MOST_EPOCHS, FEWEST_EPOCHS = 300, 20
WIDTHS = (128, 128, 128)
LEARNING_RATE = 3e-3
WARMUP = 0.05  # of the training, during which the learning rate rises


class Regularization(NamedTuple):
    """What keeps a network from overfitting.

    Attributes
    ----------
    weight_decay
        Of the optimizer.
    patience
        Epochs without a better one on the fold, after which the network ends.
    """

    weight_decay: float
    patience: int


def usual_regularization(size: int) -> Regularization:
    """Of each network of an ensemble: strong for a single network, as no others average out its overfitting.

    >>> usual_regularization(1), usual_regularization(20)
    (Regularization(weight_decay=0.3, patience=6), Regularization(weight_decay=0.01, patience=8))
    """
    return Regularization(0.3, 6) if size == 1 else Regularization(0.01, 8)


class Style(NamedTuple):
    """A style of network: what it is given, its usual activation, and how it is built from widths."""

    inputs: Kind
    activation: str
    build: Callable[[Sequence[int], str | Activation, float], Network]


def plain(widths: Sequence[int], activation: str | Activation, dropout: float) -> Network:
    """Dense layers one after the other."""
    return Network(*_dropped([Dense(units, activation, "he_normal") for units in widths], dropout))


def residual(widths: Sequence[int], activation: str | Activation, dropout: float) -> Network:
    """A linear layer, then blocks h + φ(W·LN(h) + b), at the end φ(LN(h)).

    A layer that changes the width is a plain one.
    """
    layers: list[Description] = [Dense(widths[0])]
    for before, units in pairwise(widths):
        block = _dropped([Dense(units, activation, "he_normal")], dropout)
        layers += [Residual(LayerNorm(), *block)] if units == before else [LayerNorm(), *block]
    return Network(*layers, LayerNorm(activation))


def _dropped(layers: Sequence[Description], rate: float) -> list[Description]:
    dropout = Dropout(rate)
    return [each for layer in layers for each in ((layer, dropout) if dropout.rate > 0 else (layer,))]


STYLES: dict[str, Style] = {
    "plain": Style("standard", "relu", plain),
    "piecewise": Style("piecewise", "relu", plain),
    "residual": Style("standard", "relu", residual),
    "periodic": Style("periodic", "silu", plain),
}
"""In the order in which a small ensemble takes them."""

LIGHT = ("plain", "piecewise")
"""Those of a light ensemble."""


class Member(NamedTuple):
    """One network of an ensemble: its style, the fold it is judged on, and in which division into folds."""

    style: str
    fold: int
    division: int


def chosen_members(size: int, styles: Sequence[str], n_folds: int) -> list[Member]:
    """The members of an ensemble of some size: style after style, then the next fold, then another division.

    >>> chosen_members(3, ["plain", "piecewise"], n_folds=5)
    [Member(style='plain', fold=0, division=0), Member(style='piecewise', fold=0, division=0),
     Member(style='plain', fold=1, division=0)]
    """
    rounds = (divmod(number, len(styles)) for number in range(size))
    return [Member(styles[style], turn % n_folds, turn // n_folds) for turn, style in rounds]


@dataclass(frozen=True)
class Training:
    """How the members are built and trained; an activation of None is the style's usual one."""

    widths: tuple[int, ...]
    activation: str | Activation | None
    dropout: float
    recipe: Recipe

    def network(self, style: str) -> Network:
        """The network of a style."""
        _, usual, build = STYLES[style]
        return build(self.widths, usual if self.activation is None else self.activation, self.dropout)


def usual_epochs(rows: int) -> int:
    """Passes over the training rows: more where one pass makes few updates, fewer where it makes many.

    >>> [usual_epochs(rows) for rows in (50, 300, 10_000, 100_000, 1_000_000)]
    [150, 37, 30, 30, 20]
    """
    updates = -(-rows * (FOLDS - 1) // (FOLDS * usual_batch(rows)))  # of one pass over all folds but one
    fewest, most = (total // updates for total in UPDATES)
    return max(min(max(EPOCHS, fewest), most, MOST_EPOCHS), FEWEST_EPOCHS)


def usual_batch(rows: int) -> int:
    """Rows of one update: few where there are few rows, so that there are enough updates.

    >>> [usual_batch(rows) for rows in (100, 1000)]
    [32, 64]
    """
    return 32 if rows < FEW else 64
