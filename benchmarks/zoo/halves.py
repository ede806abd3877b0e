"""The two halves of the zoo. They share no table and no activation: what is tuned on one is judged on the other."""

from __future__ import annotations

from typing import NamedTuple


class Half(NamedTuple):
    """What its networks are made of. `smooth` activations carry a gradient through any usual depth; the others not."""

    name: str
    seed: int
    problems: tuple[str, ...]
    nonlinear: tuple[str, ...]  # tables that a linear model cannot learn
    regressions: tuple[str, ...]
    activations: tuple[str, ...]  # of healthy networks
    shrinking: tuple[str, ...]  # their slope loses the gradient in a deep stack, whatever the weights
    growing: tuple[str, ...]  # without an upper limit, so that large weights blow them up
    bounded: tuple[str, ...]
    rectifiers: tuple[str, ...]  # with slope 0 on one side


FIRST = Half(
    name="first",
    seed=1,
    problems=("digits", "moons", "iris", "breast_cancer", "checkers", "friedman1", "diabetes", "waves"),
    nonlinear=("moons", "checkers", "friedman1", "waves"),
    regressions=("friedman1", "diabetes", "waves"),
    activations=("sigmoid", "softsign", "hard_tanh", "relu6", "leaky_relu", "elu", "gelu", "softplus"),
    shrinking=("sigmoid", "softplus"),
    growing=("leaky_relu", "elu", "gelu"),
    bounded=("sigmoid", "softsign", "hard_tanh"),
    rectifiers=("relu6", "hard_silu"),
)

SECOND = Half(
    name="second",
    seed=2,
    problems=("wine", "spirals", "circles", "blobs", "rings", "friedman2", "friedman3", "hills"),
    nonlinear=("spirals", "circles", "rings", "hills", "friedman3"),
    regressions=("friedman2", "friedman3", "hills"),
    activations=("tanh", "relu", "selu", "silu", "mish", "hard_sigmoid", "squareplus", "isru = z / sqrt(1 + z * z)"),
    shrinking=("hard_sigmoid", "squareplus", "log_sigmoid"),
    growing=("relu", "selu", "silu", "mish"),
    bounded=("tanh", "hard_sigmoid", "isru = z / sqrt(1 + z * z)"),
    rectifiers=("relu", "squared_relu"),
)

HALVES = {half.name: half for half in (FIRST, SECOND)}
