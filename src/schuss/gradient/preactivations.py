"""Where on the curve of its activation a layer lives: the values of z that it is given.

>>> from schuss.network import mlp
>>> found = preactivations(mlp(hidden=[64] * 4, activation="sigmoid"), "digits")
>>> len(found.z), found.z[0].shape
(4, (128, 64))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schuss.activations import identity
from schuss.data import load
from schuss.engines import SAMPLE_ROWS, Vector
from schuss.engines.stack import forward
from schuss.engines.targets import default_loss, n_outputs
from schuss.layers import Layer
from schuss.network import Network, check_network
from schuss.show import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Preactivations:
    """z [rows, units] of every hidden layer that bends it, on the first rows of a sample.

    A layer with the identity has no curve to live on and is left out, unless all are such.
    """

    layers: tuple[Layer, ...]
    z: tuple[Vector, ...]
    when: str

    def figure(self) -> Figure:
        """φ and φ′ above, below the density of z in each layer, dark where φ is steep and the gradient passes."""
        activations = [layer.activation for layer in self.layers]
        title = f"Where on φ each layer lives {self.when}; dark: steep, so that the gradient passes"
        return charts.layers_figure(activations, self.z, title)


def preactivations(network: Network, data: object, *, seed: int = 0) -> Preactivations:
    """z of every hidden layer at initialization, on the training part of a Dataset or anything `load` takes."""
    check_network(network)
    dataset = load(data)
    layers = network.layers(dataset.n_inputs, n_outputs(dataset, default_loss(dataset)))
    parameters = network.initial(layers[0].n_in, layers[-1].n_out, seed)
    return given(layers, parameters, dataset.train.X, "at initialization", batch_statistics=True)


def given(
    layers: Sequence[Layer], parameters: Vector, X: NDArray[np.float32], when: str, *, batch_statistics: bool = False
) -> Preactivations:
    """z of every hidden layer of a network with these parameters, on encoded rows X [rows, n_inputs].

    Before training a batch norm has no running statistics worth the name: `batch_statistics` takes those of the rows.
    """
    rows = X[:SAMPLE_ROWS].astype(np.float64)
    z = forward(layers, parameters.astype(np.float64), rows, batch_statistics=batch_statistics).z
    hidden = list(zip(layers, z, strict=True))[: max(len(layers) - 1, 1)]
    bent = [(layer, values) for layer, values in hidden if layer.activation != identity] or hidden
    return Preactivations(tuple(layer for layer, _ in bent), tuple(values for _, values in bent), when)
