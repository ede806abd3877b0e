"""Cures: pure functions of a case, each with a name and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from schuss.activations import Activation, find_activation, identity, tailor
from schuss.diagnosis.cases import Case
from schuss.diagnosis.scaling import standardize_inputs, standardize_target
from schuss.errors import InvalidInput
from schuss.initializers import Initializer, auto, zeros
from schuss.layers import Dense, Description, Dropout, LayerNorm, Norm, Residual
from schuss.network import Network
from schuss.optimizers import adam, adamw, momentum, sgd
from schuss.show.formatting import rate


@dataclass(frozen=True)
class Cure:
    """A change of a case: its name, what it does, and the function that does it.

    `on_data` names the public function if it is the data that changes. `beside` is the part of a change of two parts
    that is not the point: what that part brings alone does not speak for the other.
    """

    change: str
    detail: str
    apply: Callable[[Case], Case]
    on_data: str = ""
    beside: Cure | None = None


def applicable(cures: Iterable[Cure], case: Case) -> list[tuple[Cure, Case]]:
    """The cures that change this case, each with the changed case."""
    changed = []
    for cure in cures:
        try:
            after = cure.apply(case)
            after.network.initial(case.data.n_inputs, 1, 0)
        except InvalidInput:  # such as init auto where no scale fits the activation
            continue
        if after != case:
            changed.append((cure, after))
    return changed


# ---------------------------------------------------------------------------------------------- weights, activations


def _each_dense(change: Callable[[Dense], Dense], case: Case, output_init: Initializer | None = None) -> Case:
    def changed(layer: Description) -> Description:
        if isinstance(layer, Residual):
            return Residual(*map(changed, layer.layers))
        return change(layer) if isinstance(layer, Dense) else layer

    network = case.network
    return case._replace(
        network=_rebuilt(network, list(map(changed, network.hidden)), output_init or network.output_init)
    )


def _rebuilt(network: Network, hidden: Sequence[Description], output_init: Initializer) -> Network:
    return Network(*hidden, output=network.output, output_init=output_init)


def _with_init(layer: Dense) -> Dense:
    return Dense(layer.units, layer.activation, auto, zeros)


INIT_AUTO = Cure(
    "init auto",
    "start from weights of the size that keeps the signal's variance at 1 through every layer, and from biases of 0",
    lambda case: _each_dense(_with_init, case, auto),
)
BIAS_ZERO = Cure(
    "bias zeros",
    "start from biases of 0, where a unit is active on about half of the rows",
    partial(_each_dense, lambda layer: Dense(layer.units, layer.activation, layer.init, zeros)),
)


def _activated(layers: Sequence[Description], activation: Activation, linear_too: bool) -> list[Description]:
    """The layers with another activation, where they had one; the Dense before a norm stays linear."""
    changed: list[Description] = []
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, Residual):
            changed.append(Residual(*_activated(layer.layers, activation, linear_too)))
        elif isinstance(layer, Dense):
            bends = layer.activation != identity or (linear_too and not isinstance(following, Norm))
            changed.append(Dense(layer.units, activation if bends else layer.activation, auto, layer.bias))
        elif isinstance(layer, Norm):
            changed.append(type(layer)(activation) if layer.activation != identity or linear_too else layer)
        else:
            changed.append(layer)
    return changed


def _with_activation(activation: Activation, case: Case) -> Case:
    is_linear = all(layer.activation == identity for layer in case.layers[:-1])
    hidden = _activated(case.network.hidden, activation, is_linear)
    return case._replace(network=_rebuilt(case.network, hidden, auto))


def activation_cure(name: str, why: str) -> Cure:
    """Another activation, with the initial weights that belong to it."""
    chosen = find_activation(name)
    return Cure(f"activation {name}", f"{why}; with its own initial weights", partial(_with_activation, chosen))


TANH = activation_cure("tanh", "its slope is 1 in the middle, and its outputs have mean 0")
RELU = activation_cure("relu", "its slope is 1 wherever a unit is active, at any depth")
LEAKY_RELU = activation_cure("leaky_relu(slope=0.1)", "it keeps a slope below zero, so that no unit dies")


def tailored(case: Case) -> list[Cure]:
    """The network's own activation, tailored to its depth; none where that cannot be."""
    own = [layer.activation for layer in case.layers[:-1] if layer.activation != identity]
    try:
        chosen = tailor(own[0] if own else identity, depth=len(case.layers) - 1)
    except InvalidInput:  # a linear function, or one that looks the same at every scale
        return []
    why = "keep the activation, but shift and stretch it so that a layer passes on its signal and its gradient whole"
    return [Cure(f"activation {chosen}", why, partial(_with_activation, chosen))]


# ---------------------------------------------------------------------------------------------- more layers


def _blocks(network: Network, *, norm: bool, residual: bool) -> list[Description]:
    """A plain stack with a norm before each activation, or with each layer that keeps its width in a Residual."""
    built: list[Description] = []
    width = None
    for layer in network.hidden:
        if isinstance(layer, Dropout):
            built.append(layer)
            continue
        if not isinstance(layer, Dense):
            raise InvalidInput("this is for plain stacks of Dense layers.")
        block: list[Description] = (
            [Dense(layer.units, identity, layer.init, layer.bias), LayerNorm(layer.activation)] if norm else [layer]
        )
        built += [Residual(*block)] if residual and width == layer.units else block
        width = layer.units
    return built


def _with_blocks(case: Case, *, norm: bool = False, residual: bool = False) -> Case:
    hidden = _blocks(case.network, norm=norm, residual=residual)
    return case._replace(network=_rebuilt(case.network, hidden, case.network.output_init))


LAYER_NORM = Cure(
    "layer norm",
    "bring what reaches the activation to mean 0 and variance 1 in every layer, whatever the weights",
    partial(_with_blocks, norm=True),
)
RESIDUAL = Cure(
    "residual blocks",
    "add the input of each layer to its output, so that the gradient has a way back around it",
    partial(_with_blocks, residual=True),
)

# ---------------------------------------------------------------------------------------------- the recipe


def _with_rate(lr: float, case: Case) -> Case:
    return case._replace(recipe=replace(case.recipe, optimizer=case.recipe.optimizer(lr=lr)))


def _rate_cure(lr: float, now: float) -> Cure:
    factor = f"× {rate(lr / now)}" if lr > now else f"÷ {rate(now / lr)}"
    return Cure(
        f"lr {rate(lr)} ({factor})", f"take {'longer' if lr > now else 'shorter'} steps", partial(_with_rate, lr)
    )


def _usual_rates(case: Case) -> list[float]:
    """Half decades over the range in which the optimizer usually learns: 1, 3, 10, …"""
    low, high = np.log10(case.recipe.optimizer.search)
    powers = range(round(2 * low), round(2 * high) + 1)
    return [float(f"{10 ** (power / 2):.1g}") for power in powers]


def lower_rates(case: Case) -> list[Cure]:
    """Lower learning rates that are usual for the optimizer, the nearest first; below all of these, a tenth."""
    now = case.recipe.optimizer.lr
    lower = [lr for lr in reversed(_usual_rates(case)) if lr <= now / 2] or [now / 3, now / 10]
    return [_rate_cure(lr, now) for lr in lower]


def higher_rates(case: Case) -> list[Cure]:
    """Higher learning rates that are usual for the optimizer, the nearest first."""
    now = case.recipe.optimizer.lr
    return [_rate_cure(lr, now) for lr in _usual_rates(case) if lr >= 2 * now]


ADAM = Cure(
    "optimizer adam",
    "divide each step by the gradient's own size, which hides how small it is",
    lambda case: case._replace(recipe=replace(case.recipe, optimizer=adam)),
)


def with_adam(cure: Cure) -> Cure:
    """Two changes at once, where the learning rate was chosen for what is cured."""
    return Cure(
        f"{cure.change}, adam",
        f"{cure.detail}; and {ADAM.detail}",
        lambda case: ADAM.apply(cure.apply(case)),
        beside=ADAM,
    )


def _in_batches(case: Case) -> Case:
    rule = case.recipe.optimizer
    return case._replace(
        recipe=replace(case.recipe, optimizer=sgd(lr=rule.lr) if rule.full_batch else rule, batch_size=32)
    )


BATCHES = Cure("mini-batches of 32", "update after every 32 rows instead of once an epoch", _in_batches)
SGD = Cure(
    "sgd, mini-batches of 32",
    "update after every 32 rows instead of once an epoch, at sgd's usual rate",
    lambda case: case._replace(recipe=replace(case.recipe, optimizer=sgd(lr=0.1), batch_size=32)),
)
MOMENTUM = Cure(
    "momentum, mini-batches of 32",
    "update after every 32 rows, with the speed of the updates before",
    lambda case: case._replace(recipe=replace(case.recipe, optimizer=momentum, batch_size=32)),
)
CLIPPED = Cure(
    "clip_norm 1",
    "cut a gradient that is longer than 1 down to it",
    lambda case: case._replace(recipe=replace(case.recipe, clip_norm=1.0)),
)
LONGER = Cure(
    "epochs × 4",
    "keep the rate, and train four times as long",
    lambda case: case._replace(recipe=replace(case.recipe, epochs=4 * case.recipe.epochs, horizon=None)),
)
PATIENCE = Cure(
    "patience 5",
    "stop when the validation loss has not fallen for 5 epochs, and keep the best weights",
    lambda case: case._replace(recipe=replace(case.recipe, patience=5)),
)
DECAY = Cure(
    "adamw(weight_decay=1)",
    "let every step shrink the weights, so that they fit less of the noise",
    lambda case: case._replace(recipe=replace(case.recipe, optimizer=adamw(weight_decay=1.0))),
)


def _with_dropout(case: Case) -> Case:
    if any(isinstance(layer, Dropout | Residual) for layer in case.network.hidden):
        return case
    hidden = [each for layer in case.network.hidden for each in (layer, Dropout(0.3))]
    return case._replace(network=_rebuilt(case.network, hidden, case.network.output_init))


DROPOUT = Cure(
    "dropout 0.3", "leave out 3 of 10 units at random in every step, so that none relies on others", _with_dropout
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
