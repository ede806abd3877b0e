"""The gradient seen layer by layer: where it vanishes, explodes, or meets dead units.

Shown is what does not depend on the loss's scale: δ of each layer relative to the last hidden layer, and how many
powers of ten it loses a layer on its way back.

>>> from schuss.data import load
>>> from schuss.network import mlp
>>> deep = flow(mlp(hidden=[64] * 10, activation="sigmoid", init="glorot_normal"), load("digits"))
>>> bool(deep.relative[0] < 1e-4), round(deep.decades_per_layer, 1)
(True, 0.6)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.data import load
from schuss.engines import QUANTITIES
from schuss.engines.reference import measure
from schuss.engines.targets import default_loss, engine_data, n_outputs
from schuss.errors import NoTheory, unknown_name
from schuss.gradient.mean_field import MeanField, predict
from schuss.layers import Layer, stages
from schuss.losses import Loss, find_loss
from schuss.network import Network, check_network
from schuss.show import charts, tables
from schuss.show.formatting import for_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _known(quantity: str) -> str:
    if quantity not in (*QUANTITIES, "relative"):
        raise unknown_name("quantity of a gradient flow", quantity, (*QUANTITIES, "relative"))
    return quantity


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """One measurement of the hidden layers, from the input on: an array with one number a layer for each quantity.

    A row is a Dense with the norms that follow it: z is that of the Dense; where norms follow, φ and what is said of it
    belong to the last of them, also in `layers`. `theory` is the mean-field prediction beside the measurement, for an
    untrained network where there is one; `no_theory` says why there is none.
    """

    layers: tuple[Layer, ...]
    values: NDArray[np.float64]  # [layer, quantity]
    epoch: int = 0
    theory: MeanField | None = None
    no_theory: str = ""

    def __getitem__(self, quantity: str) -> NDArray[np.float64]:
        """One quantity by its name, an array with one number a layer, as in a FlowHistory."""
        if _known(quantity) == "relative":
            return self.relative
        column: NDArray[np.float64] = self.values[:, QUANTITIES.index(quantity)]
        return column

    @property
    def delta(self) -> NDArray[np.float64]:
        """Root mean square of ∂loss/∂z over rows and units, for the loss of one row."""
        return self["delta"]

    @property
    def weight_gradient(self) -> NDArray[np.float64]:
        """Root mean square of ∂loss/∂W."""
        return self["weight_gradient"]

    @property
    def z_mean(self) -> NDArray[np.float64]:
        """Mean of the pre-activations z."""
        return self["z_mean"]

    @property
    def z_rms(self) -> NDArray[np.float64]:
        """Root mean square of z."""
        return self["z_rms"]

    @property
    def activation_mean(self) -> NDArray[np.float64]:
        """Mean of the activations φ(z)."""
        return self["activation_mean"]

    @property
    def activation_rms(self) -> NDArray[np.float64]:
        """Root mean square of φ(z)."""
        return self["activation_rms"]

    @property
    def saturated(self) -> NDArray[np.float64]:
        """Share of rows × units whose |φ′(z)| is below 1 % of φ's usual slope."""
        return self["saturated"]

    @property
    def dead(self) -> NDArray[np.float64]:
        """Share of units whose φ′ is 0 on every row."""
        return self["dead"]

    @property
    def update_ratio(self) -> NDArray[np.float64]:
        """Root mean square of the last update of W over that of W; NaN before training."""
        return self["update_ratio"]

    @property
    def relative(self) -> NDArray[np.float64]:
        """δ of each layer over δ of the last hidden layer."""
        with np.errstate(all="ignore"):
            return np.asarray(self.delta / self.delta[-1])

    @property
    def decades_per_layer(self) -> float:
        """How many powers of ten δ loses a layer on its way back: a least-squares slope; negative where it grows.

        NaN with fewer than two layers that a gradient reaches.
        """
        number = np.arange(1, len(self.layers) + 1)
        reached = (self.delta > 0) & np.isfinite(self.delta)
        if np.count_nonzero(reached) < 2:
            return math.nan
        return float(np.polyfit(number[reached], np.log10(self.delta[reached]), 1)[0])

    def to_json(self) -> dict[str, Any]:
        """The measurement as plain numbers; what is not a finite number is None."""
        rows = []
        for number, layer in enumerate(self.layers):
            row: dict[str, Any] = {"layer": number + 1, "units": layer.n_out, "activation": str(layer.activation)}
            row |= {name: for_json(self.values[number, q]) for q, name in enumerate(QUANTITIES)}
            rows.append(row | {"relative": for_json(self.relative[number])})
        return {
            "epoch": self.epoch,
            "layers": rows,
            "decades_per_layer": for_json(self.decades_per_layer),
            "theory": None if self.theory is None else self.theory.to_json(),
        }

    def table(self) -> str:
        """The measurement as a text table, one line a layer."""
        return tables.as_text(tables.flow_table(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """δ relative to the last hidden layer against the layer, with the theory where there is one."""
        return charts.flow_profile(self, ax)

    def figure(self) -> Figure:
        """δ, weight gradient, signal and shares of saturated and dead units against the layer."""
        return charts.flow_figure(self)

    def __repr__(self) -> str:
        n, lost = len(self.layers), self.decades_per_layer
        loses = f", {lost:.2f} decades a layer" if np.isfinite(lost) else ""
        return f"GradientFlow({n} layer{'s' * (n != 1)}, epoch {self.epoch}{loses})"


@dataclass(frozen=True, eq=False)
class FlowHistory:
    """The measurements of one training, in order; `history["delta"]` is an array [measurement, layer].

    The native engine trains in single precision and adds up squares in double: a δ of 1e-30 is a number, but one below
    1e-36 is 0, as it is for the weights that it should move.
    """

    measurements: tuple[GradientFlow, ...]

    @property
    def epochs(self) -> NDArray[np.int64]:
        """After which epochs the flow was measured; 0 is before training."""
        return np.array([flow.epoch for flow in self.measurements], dtype=np.int64)

    def __getitem__(self, quantity: str) -> NDArray[np.float64]:
        _known(quantity)  # also where nothing was measured
        return np.array([flow[quantity] for flow in self.measurements])

    def __len__(self) -> int:
        return len(self.measurements)

    def __iter__(self) -> Iterator[GradientFlow]:
        return iter(self.measurements)

    @property
    def first(self) -> GradientFlow:
        """The first measurement: before training, unless the training went on from an earlier one."""
        return self.measurements[0]

    @property
    def last(self) -> GradientFlow:
        """The last measurement."""
        return self.measurements[-1]

    def to_json(self) -> list[dict[str, Any]]:
        """Every measurement as plain numbers."""
        return [flow.to_json() for flow in self.measurements]

    def table(self) -> str:
        """How δ, the update ratios and the shares of saturated and dead units change through training."""
        return tables.as_text(tables.flow_history_table(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """δ relative to the last hidden layer as a map of layers × measurements."""
        return charts.flow_map(self, ax)

    def figure(self) -> Figure:
        """Relative δ, update ratio and share of saturated units as maps of layers × measurements."""
        return charts.flow_history_figure(self)


def flow(network: Network, data: object, *, seed: int = 0, loss: str | Loss | None = None) -> GradientFlow:
    """The gradient flow at initialization, without training, in double precision, with what theory predicts for it.

    Parameters
    ----------
    data : a Dataset, or anything `load` takes.
    seed : of the initial weights.
    loss : by default the one that training would use.
    """
    check_network(network)
    dataset = load(data)
    chosen = default_loss(dataset) if loss is None else find_loss(loss)
    layers = network.layers(dataset.n_inputs, n_outputs(dataset, chosen))
    parameters = network.initial(layers[0].n_in, layers[-1].n_out, seed)
    train = engine_data(dataset, chosen).train
    measured = hidden_flow(layers, measure(layers, chosen, parameters, train))
    try:
        return replace(measured, theory=predict(layers, chosen, parameters, train))
    except NoTheory as reason:
        return replace(measured, no_theory=str(reason))


_OF_STAGE = [QUANTITIES.index(name) for name in ("activation_mean", "activation_rms", "saturated", "dead")]


def hidden_flow(layers: tuple[Layer, ...], values: NDArray[np.float64], epoch: int = 0) -> GradientFlow:
    """The measurement of the hidden layers out of that of all layers; without hidden layers, of the output layer.

    A row is a dense layer; what is said of φ comes from the last layer of its stage, the norms that follow it.
    """
    found = stages(layers)
    first, last = np.array(found[:-1] or found).T
    shown = values[first]
    shown[:, _OF_STAGE] = values[last][:, _OF_STAGE]
    described = (layers[a]._replace(activation=layers[b].activation) for a, b in zip(first, last, strict=True))
    return GradientFlow(tuple(described), shown, epoch)
