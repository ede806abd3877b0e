"""A trained network with everything that made it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schuss.atomic import path_of
from schuss.data import Encoding, Part
from schuss.engines import HISTORY, NO_WEIGHTS, EnginePart, Outcome, Status
from schuss.engines.native import NativeEngine
from schuss.engines.reference import score
from schuss.engines.stack import weights
from schuss.errors import DataError, InvalidInput, checked
from schuss.gradient.flow import FlowHistory, hidden_flow
from schuss.gradient.preactivations import Preactivations, given
from schuss.layers import Layer
from schuss.losses import Loss, binary_cross_entropy, softmax_cross_entropy
from schuss.network import Network
from schuss.recipe import Recipe
from schuss.show import charts
from schuss.training import runfile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with everything that made it: predict, score, look at its gradient, save, train on."""

    network: Network
    recipe: Recipe
    seed: int
    loss: Loss
    layers: tuple[Layer, ...]
    encoding: Encoding
    fingerprint: str  # of the data, so that training goes on with the same
    outcome: Outcome

    @property
    def status(self) -> Status:
        """finished, stopped (by patience), diverged or cancelled."""
        return self.outcome.status

    @property
    def history(self) -> dict[str, NDArray[np.float64]]:
        """One array an epoch for each of step, epoch, seconds, train_loss, valid_loss and score (on valid)."""
        return {name: self.outcome.history[:, i] for i, name in enumerate(HISTORY)}

    @property
    def flow(self) -> FlowHistory:
        """The gradient flow before training and after epochs 1, 2, 4, … and the last."""
        measured = zip(self.outcome.watched.tolist(), self.outcome.flow, strict=True)
        return FlowHistory(tuple(hidden_flow(self.layers, values, epoch) for epoch, values in measured))

    @property
    def diverged_layer(self) -> int | None:
        """The layer, counted as in `flow`, where the first number that is not finite appeared; None if none did."""
        found = self.outcome.diverged_layer
        return None if found is None else max(sum(layer.kind == "dense" for layer in self.layers[:found]), 1)

    @property
    def parameters(self) -> NDArray[np.float32]:
        """The weights in one vector: the best ones if the recipe has patience, else the last ones."""
        state = self.outcome.state
        return np.asarray(state.parameters if state.best is None else state.best, dtype=np.float32)

    def weights(self) -> list[tuple[NDArray[np.float32], ...]]:
        """The parameters of every layer of `layers`, the arrays of its `shapes`: (W [n_in, n_out], b) of a dense one.

        A layer_norm has (gain, shift), an rms_norm (gain,), a batch_norm (gain, shift, running mean, running variance).
        """
        return weights(self.layers, self.parameters)

    def outputs(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the last layer says about encoded rows X [rows, n_inputs]: logits or numbers, [rows, n_out]."""
        return NativeEngine(threads=1).predict(self.layers, self.parameters, X)

    def predict(self, rows: Any) -> NDArray[Any]:
        """Labels, or numbers in the target's unit, for raw rows: a data frame, an array, a path to a table."""
        return self.encoding.decode(self._decided(self.outputs(self.encoding.transform(rows))))

    @property
    def gives_probabilities(self) -> bool:
        """Whether the loss was a cross-entropy, whose outputs are logits of probabilities."""
        return self.loss.name in (binary_cross_entropy.name, softmax_cross_entropy.name)

    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """The probability of every class for raw rows, [rows, classes]; InvalidInput unless `gives_probabilities`."""
        if not self.gives_probabilities:
            raise InvalidInput(
                f"probabilities come from a cross-entropy loss, but this run was trained with {self.loss}."
            )
        z = self.outputs(self.encoding.transform(rows)).astype(np.float64)
        z = z if z.shape[1] > 1 else np.hstack([np.zeros_like(z), z])  # σ(z) is the softmax of (0, z)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    def score(self, part: Part) -> float:
        """Accuracy, or R², on a part of a data set encoded like this run's: `run.score(data.test)`."""
        self._check_width(part)
        labels = part.y.astype(np.int32) if self.encoding.target.classes else np.zeros(0, np.int32)
        counts = NO_WEIGHTS if part.weights is None else part.weights
        rows = EnginePart(part.X, part.y.astype(np.float32), labels, counts)
        return score(self.loss, self.outputs(part.X).astype(np.float64), rows)

    @property
    def score_name(self) -> str:
        """What a score is: accuracy for classes, R² for numbers."""
        return "accuracy" if self.encoding.target.classes else "R²"

    def preactivations(self, part: Part) -> Preactivations:
        """z of every hidden layer on a part of a data set encoded like this run's: `run.preactivations(data.train)`."""
        self._check_width(part)
        return given(self.layers, self.parameters, part.X, f"after epoch {self.outcome.state.epoch}")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Training and validation loss against the epoch."""
        return charts.loss_curves(self, ax)

    def figure(self) -> Figure:
        """Losses, score and gradient flow of the training on one page."""
        return charts.training_figure(self)

    def _check_width(self, part: Part) -> None:
        checked(part, Part, "a part", "one of a data set, such as data.test")
        if part.X.shape[1] != self.layers[0].n_in:
            raise DataError(f"this run takes {self.layers[0].n_in} inputs, but the part has {part.X.shape[1]}.")

    def _decided(self, outputs: NDArray[np.float32]) -> NDArray[Any]:
        """Class numbers, or the numbers themselves, from the outputs."""
        if not self.encoding.target.classes:
            return outputs
        return (
            outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > self.loss.threshold).astype(np.int64)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to a file; an existing one is replaced only when the new one is complete."""
        runfile.write(path_of(path), self.content())

    def content(self) -> runfile.Content:
        """What a run file holds."""
        return runfile.Content(
            self.network, self.recipe, self.seed, self.loss, self.layers, self.encoding, self.fingerprint, self.outcome
        )

    def __repr__(self) -> str:
        score = self.outcome.scores[2]
        return f"Run({self.network}, {self.recipe}, seed={self.seed}: {self.status}, test score {score:.4f})"


def load_run(path: str | os.PathLike[str]) -> Run:
    """Read a run back; everything in the file is checked and nothing in it is executed.

    RunFileError if the file is truncated, edited or not a run.
    """
    return Run(*runfile.read(path_of(path)))
