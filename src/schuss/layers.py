"""What a stack is made of: descriptions of layers, frozen, with no arrays inside.

>>> Dense(64, "relu")
Dense(64, relu)
>>> Residual(Dense(64), LayerNorm("relu"), Dropout(0.1))
Residual(Dense(64, identity), LayerNorm(relu), Dropout(0.1))

Engines take the same stack as a plain list of `Layer`, without nesting: `lowered` folds a Dropout and the end of a
Residual into the layer they follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from schuss.activations import Activation, find_activation, identity
from schuss.errors import InvalidInput, finite_number, positive_integer
from schuss.initializers import Initializer, auto, find_initializer, zeros

Kind: TypeAlias = Literal["dense", "batch_norm", "layer_norm", "rms_norm"]

# What is checked before sizes are multiplied: the numbers of a wider layer, or of a larger network, fit no memory.
MOST_UNITS, MOST_LAYERS, MOST_PARAMETERS = 2**20, 10_000, 2**31


class Layer(NamedTuple):
    """A layer whose sizes are known, as engines take it.

    z = x·W + b (dense) or gain·x̂ + shift (the norms); a = φ(z); in training a ← a·mask / (1 − dropout);
    out = a + value[adds], where value 0 is the network's input and value i the output of layer i, counted from 1.
    """

    kind: Kind
    n_in: int
    n_out: int
    activation: Activation
    dropout: float = 0.0
    adds: int | None = None

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the layer's parameters, in their order in the parameter vector.

        dense: W, b; layer_norm: gain, shift; rms_norm: gain; batch_norm: gain, shift, running mean, running variance.
        """
        if self.kind == "dense":
            return (self.n_in, self.n_out), (self.n_out,)
        return ((self.n_out,),) * {"rms_norm": 1, "layer_norm": 2, "batch_norm": 4}[self.kind]

    @property
    def n_parameters(self) -> int:
        """How many numbers of the parameter vector are this layer's, running statistics included."""
        return (self.n_in + 1) * self.n_out if self.kind == "dense" else len(self.shapes) * self.n_out


# ---------------------------------------------------------------------------------------------- descriptions


@dataclass(frozen=True, init=False, repr=False)
class Dense:
    """A fully connected layer of `units` units: a = φ(x·W + b), x [rows, n_in] → a [rows, units].

    Parameters
    ----------
    units : how many outputs.
    activation : φ, by name, formula or itself.
    init, bias : the initializers of W and of b, by name or themselves.
    """

    units: int
    activation: Activation
    init: Initializer
    bias: Initializer

    def __init__(
        self,
        units: int,
        activation: str | Activation = identity,
        init: str | Initializer = auto,
        bias: str | Initializer = zeros,
    ) -> None:
        object.__setattr__(self, "units", positive_integer("the number of units", units, MOST_UNITS))
        object.__setattr__(self, "activation", find_activation(activation))
        object.__setattr__(self, "init", find_initializer(init))
        object.__setattr__(self, "bias", find_initializer(bias))

    def __repr__(self) -> str:
        extra = (f", init={self.init}" if self.init != auto else "") + (
            f", bias={self.bias}" if self.bias != zeros else ""
        )
        return f"Dense({self.units}, {self.activation}{extra})"


@dataclass(frozen=True, init=False, repr=False)
class Norm:
    """What the three normalizations share: a = φ(gain·x̂ + shift), x [rows, n] → a [rows, n]; gain 1, shift 0 at first.

    Parameters
    ----------
    activation : φ, by name, formula or itself.
    """

    kind: ClassVar[Kind]
    activation: Activation

    def __init__(self, activation: str | Activation = identity) -> None:
        object.__setattr__(self, "activation", find_activation(activation))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.activation if self.activation != identity else ''})"


@dataclass(frozen=True, init=False, repr=False)
class BatchNorm(Norm):
    """Every unit with mean 0 and variance 1 over the rows of the batch (Ioffe and Szegedy, 2015).

    x̂ = (x − mean) / √(var + 1e-5), mean and biased variance of each unit over the batch. Prediction takes running
    statistics instead: r ← 0.9·r + 0.1·s after every batch, s with the unbiased variance. As torch.nn.BatchNorm1d,
    except that a batch of one row is no error: its x̂ is 0.

    >>> BatchNorm("relu")
    BatchNorm(relu)
    """

    kind = "batch_norm"


@dataclass(frozen=True, init=False, repr=False)
class LayerNorm(Norm):
    """Every row with mean 0 and variance 1 over its units (Ba et al., 2016).

    x̂ = (x − mean) / √(var + 1e-5), mean and biased variance of each row, as torch.nn.LayerNorm. In training and
    prediction alike: a row does not depend on the others.

    >>> LayerNorm()
    LayerNorm()
    """

    kind = "layer_norm"


@dataclass(frozen=True, init=False, repr=False)
class RMSNorm(Norm):
    """Every row with root mean square 1 over its units (Zhang and Sennrich, 2019).

    x̂ = x / √(mean(x²) + 1e-5), and no shift: a = φ(gain·x̂), as torch.nn.RMSNorm(eps=1e-5). Cheaper than LayerNorm.

    >>> RMSNorm("silu")
    RMSNorm(silu)
    """

    kind = "rms_norm"


@dataclass(frozen=True, init=False, repr=False)
class Dropout:
    """In training a random share of the outputs of the layer before is 0 (Srivastava et al., 2014).

    The others are divided by 1 − rate, so that the expected sum stays, and prediction leaves everything as it is. Which
    outputs are 0 depends on (seed, step, layer, row, unit) alone.

    Parameters
    ----------
    rate : the share, from 0 up to, but not including, 1.

    >>> Dropout(0.1)
    Dropout(0.1)
    """

    rate: float

    def __init__(self, rate: float) -> None:
        share = finite_number("the rate of dropout", rate)
        if not 0 <= share < 1:
            raise InvalidInput(
                f"the rate of dropout is a share of the outputs, from 0 up to, but not including, 1; {rate!r} came."
            )
        object.__setattr__(self, "rate", share)

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"


@dataclass(frozen=True, init=False, repr=False)
class Residual:
    """A block of layers f whose input is added to its output: x + f(x) (He et al., 2016).

    The gradient has a way back around the block, on which it neither shrinks nor grows. The block must return as many
    numbers as it takes, and cannot end with another Residual: x + f(x) + … is a Residual after a Residual.

    >>> Residual(Dense(64, "relu"), Dense(64))
    Residual(Dense(64, relu), Dense(64, identity))
    """

    layers: tuple[Description, ...]

    def __init__(self, *layers: Description) -> None:
        check_order(layers, "a Residual")
        if not layers:
            raise InvalidInput("a Residual holds at least one Dense or norm layer, but is empty.")
        if isinstance(layers[-1], Residual):
            raise InvalidInput(
                f"a Residual cannot end with another one, as {layers[-1]!r:.60} is; put that one behind it."
            )
        object.__setattr__(self, "layers", layers)

    def __repr__(self) -> str:
        return f"Residual({', '.join(map(repr, self.layers))})"


Description: TypeAlias = Dense | Norm | Dropout | Residual

NORMS: dict[str, type[Norm]] = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm}


# ---------------------------------------------------------------------------------------------- order and lowering


def check_order(layers: Sequence[Description], where: str) -> None:
    """Refuse what is no layer, and a Dropout that follows neither a Dense nor a norm layer in the same list."""
    before: object = None
    for layer in layers:
        if not isinstance(layer, Description):
            raise InvalidInput(f"{where} is made of layers such as Dense(64, 'relu'), but {layer!r:.60} came.")
        if isinstance(layer, Dropout) and not isinstance(before, Dense | Norm):
            place = "comes first" if before is None else f"follows {before!r:.60}"
            raise InvalidInput(
                f"a Dropout sets outputs of the layer before it to zero, but {layer!r} {place} in {where}; "
                "put it behind a Dense or norm layer."
            )
        before = layer


def engine_layers(layers: Sequence[Description]) -> Iterator[Dense | Norm]:
    """The descriptions that become a layer of the engines, in order: all Dense and norm layers, also inside blocks."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from engine_layers(layer.layers)
        elif isinstance(layer, Dense | Norm):
            yield layer


def lowered(layers: Sequence[Description], n_inputs: int) -> tuple[Layer, ...]:
    """The stack as engines take it.

    InvalidInput if a Residual does not return as many numbers as it takes, or for more than 2^31 parameters.

    >>> [tuple(layer) for layer in lowered([Dense(4, "relu"), Residual(Dense(4), Dropout(0.5))], 7)]
    [('dense', 7, 4, relu, 0.0, None), ('dense', 4, 4, identity, 0.5, 1)]
    """
    found: list[Layer] = []
    _lower(layers, n_inputs, found)
    if (count := sum(layer.n_parameters for layer in found)) > MOST_PARAMETERS:
        raise InvalidInput(
            f"this network has {count:,} parameters, but there may be at most {MOST_PARAMETERS:,}; make it narrower or "
            "less deep."
        )
    return tuple(found)


def stages(layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """The place of every dense layer, and of the last layer of its stage: of the norms that follow it, if any.

    >>> stages(lowered([LayerNorm(), Dense(4), LayerNorm("relu"), Dense(2)], 7))
    [(1, 2), (3, 3)]
    """
    dense = [place for place, layer in enumerate(layers) if layer.kind == "dense"]
    return [(first, following - 1) for first, following in pairwise([*dense, len(layers)])]


def _lower(layers: Sequence[Description], width: int, found: list[Layer]) -> int:
    """Append the layers to those found so far; return how many numbers come out of the last one."""
    for layer in layers:
        match layer:
            case Dense():
                found.append(Layer("dense", width, layer.units, layer.activation))
                width = layer.units
            case Dropout():
                found[-1] = found[-1]._replace(dropout=layer.rate)
            case Residual():
                start = len(found)
                units = _lower(layer.layers, width, found)
                if units != width:
                    raise InvalidInput(
                        f"a Residual returns as many numbers as it takes, but {layer!r:.80} takes {width} and returns "
                        f"{units}; let its last Dense have {width} units, or put a Dense({units}) before it."
                    )
                found[-1] = found[-1]._replace(adds=start)
            case _:
                found.append(Layer(layer.kind, width, width, layer.activation))
    return width
