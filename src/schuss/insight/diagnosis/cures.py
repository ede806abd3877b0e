"""Cures: pure functions of a case, each with a name and a sentence, from the smallest change to the largest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from schuss.activations import Activation, find_activation
from schuss.errors import InvalidInput
from schuss.initializers import auto, zeros
from schuss.insight.diagnosis.cases import Case
from schuss.insight.diagnosis.scaling import standardize_inputs, standardize_target
from schuss.layers import Dense
from schuss.network import Network
from schuss.optimizers import adam, adamw, sgd
from schuss.wording import rate


@dataclass(frozen=True)
class Cure:
    """A change of a case: its name, what it does, and the function that does it.

    `on_data` names the public function if it is the data that changes.
    """

    change: str
    detail: str
    apply: Callable[[Case], Case]
    on_data: str = ""


def applicable(cures: Iterable[Cure], case: Case) -> list[tuple[Cure, Case]]:
    """The cures that change this case, each with the changed case."""
    changed = []
    for cure in cures:
        try:
            after = cure.apply(case)
        except InvalidInput:  # such as auto for an activation that no scale fits
            continue
        if after != case:
            changed.append((cure, after))
    return changed


# ---------------------------------------------------------------------------------------------- the network


def _each_dense(change: Callable[[Dense], Dense], case: Case) -> Case:
    network = case.network
    hidden = [change(layer) for layer in network.hidden]
    after = Network(*hidden, output=network.output, output_init=auto)
    after.initial(case.data.n_inputs, case.layers[-1].n_out, 0)  # an error now if no scale fits the activation
    return case._replace(network=after)


INIT_AUTO = Cure(
    "init auto",
    "start from weights of the size that keeps the signal's variance at 1 through every layer, and from biases of 0",
    partial(_each_dense, lambda layer: Dense(layer.units, layer.activation, auto, zeros)),
)


def _with_activation(activation: Activation, layer: Dense) -> Dense:
    return Dense(layer.units, activation, auto, layer.bias)


def activation_cure(name: str, why: str) -> Cure:
    """Another activation, with the initial scale that belongs to it."""
    chosen = find_activation(name)
    return Cure(
        f"activation {name}",
        f"{why}, with its own initial weights",
        partial(_each_dense, partial(_with_activation, chosen)),
    )


TANH = activation_cure("tanh", "its slope at 0 is 1 and its outputs have mean 0")
RELU = activation_cure("relu", "its slope is 1 wherever a unit is active, at any depth")
LEAKY_RELU = activation_cure("leaky_relu(slope=0.1)", "it keeps a slope below zero, so that no unit dies")

FEWER_UNITS = Cure(
    "a quarter of the units",
    "a narrower network has less room to memorize",
    partial(_each_dense, lambda layer: Dense(max(layer.units // 4, 2), layer.activation, layer.init, layer.bias)),
)

# ---------------------------------------------------------------------------------------------- the recipe


def _with_rate(factor: float, case: Case) -> Case:
    rule = case.recipe.optimizer
    return case._replace(recipe=replace(case.recipe, optimizer=rule(lr=float(f"{rule.lr * factor:.3g}"))))


def rate_cure(factor: float) -> Cure:
    """The learning rate times a factor."""
    word = f"× {rate(factor)}" if factor > 1 else f"÷ {rate(1 / factor)}"
    return Cure(
        f"learning rate {word}", f"take {'longer' if factor > 1 else 'shorter'} steps", partial(_with_rate, factor)
    )


LOWER_RATES = tuple(rate_cure(1 / factor) for factor in (3, 10, 30, 100, 300, 1000))
HIGHER_RATES = tuple(rate_cure(factor) for factor in (3, 10, 30, 100, 300, 1000))


def _with_adam(case: Case) -> Case:
    return case._replace(recipe=replace(case.recipe, optimizer=adam))


ADAM = Cure("optimizer adam", "divide each step by the gradient's own size, which hides how small it is", _with_adam)


def _in_batches(case: Case) -> Case:
    rule = case.recipe.optimizer
    if rule.full_batch:
        rule = sgd(lr=rule.lr)
    return case._replace(recipe=replace(case.recipe, optimizer=rule, batch_size=32))


BATCHES = Cure("mini-batches of 32", "make an update after every 32 rows instead of one an epoch", _in_batches)
CLIPPED = Cure(
    "clip_norm 1",
    "cut a gradient that is longer than 1 down to it",
    lambda case: case._replace(recipe=replace(case.recipe, clip_norm=1.0)),
)
PATIENCE = Cure(
    "patience 5",
    "stop when the validation loss has not fallen for 5 epochs, and keep the best weights",
    lambda case: case._replace(recipe=replace(case.recipe, patience=5)),
)
DECAY = Cure(
    "optimizer adamw(weight_decay=0.1)",
    "let every step shrink the weights a little, so that they fit less of the noise",
    lambda case: case._replace(recipe=replace(case.recipe, optimizer=adamw(weight_decay=0.1))),
)

# ---------------------------------------------------------------------------------------------- the data

STANDARD_INPUTS = Cure(
    "standardize the inputs",
    "bring every input to mean 0 and standard deviation 1, the scale that initial weights are made for",
    lambda case: case._replace(data=standardize_inputs(case.data)),
    standardize_inputs.__name__,
)
STANDARD_TARGET = Cure(
    "standardize the target",
    "bring the numbers to predict to mean 0 and standard deviation 1; predictions keep their unit",
    lambda case: case._replace(data=standardize_target(case.data)),
    standardize_target.__name__,
)
