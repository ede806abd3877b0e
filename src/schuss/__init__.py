"""schuss: find out what makes a deep network learn.

>>> import schuss as sc
>>> run = sc.fit(sc.mlp(hidden=[32, 32], activation="relu"), sc.load("iris"), sc.Recipe("adam", epochs=5))
>>> run.status
'finished'

Activations and optimizers are here by name (`sc.relu`, `sc.adam`), losses, schedules and initializers in their modules
(`sc.losses.huber`); everywhere a name in quotes does as well.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from schuss import activations, initializers, losses, optimizers, schedules
from schuss.activations import (
    Activation,
    activation,
    celu,
    elu,
    gelu,
    gelu_tanh,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    squared_relu,
    squareplus,
    tailor,
    tanh,
    tanh_shrink,
)
from schuss.comparison.protocol import Interrupted, compare
from schuss.comparison.session import Standing
from schuss.comparison.study.study import Study, open_study
from schuss.data import Dataset, Encoding, Part, load
from schuss.diagnosis import Diagnosis, Finding, VisitInterrupted, doctor
from schuss.errors import SchussError
from schuss.gradient.flow import FlowHistory, GradientFlow, flow
from schuss.gradient.preactivations import preactivations
from schuss.initializers import Initializer, initializer
from schuss.language import expressions
from schuss.layers import BatchNorm, Dense, Dropout, LayerNorm, Residual, RMSNorm
from schuss.losses import Loss, loss
from schuss.network import Network, mlp
from schuss.optimizers import Optimizer, adagrad, adam, adamw, gd, momentum, nesterov, optimizer, rmsprop, sgd
from schuss.recipe import Recipe
from schuss.schedules import Schedule, schedule
from schuss.training.fit import fit, fit_groups, fit_many
from schuss.training.jobs import Job, Progress
from schuss.training.run import Run, load_run

if TYPE_CHECKING:
    from schuss.estimators.classifier import SchussClassifier
    from schuss.estimators.regressor import SchussRegressor
    from schuss.estimators.search import SchussSearchCV
    from schuss.estimators.tablefit import TableFit, fit_table

__version__ = _version("schuss")

__all__ = [
    "Activation", "BatchNorm", "Dataset", "Dense", "Diagnosis", "Dropout", "Encoding", "Finding", "FlowHistory",
    "GradientFlow", "Initializer", "Interrupted", "Job", "LayerNorm", "Loss", "Network", "Optimizer", "Part",
    "Progress", "RMSNorm", "Recipe", "Residual", "Run", "Schedule", "SchussClassifier", "SchussError",
    "SchussRegressor", "SchussSearchCV", "Standing", "Study", "TableFit", "VisitInterrupted", "activation",
    "activations", "adagrad", "adam", "adamw", "celu", "compare", "doctor", "elu", "expressions", "fit",
    "fit_groups", "fit_many", "fit_table", "flow", "gd", "gelu", "gelu_tanh", "hard_sigmoid", "hard_silu",
    "hard_tanh", "identity", "initializer", "initializers", "leaky_relu", "load", "load_run", "log_sigmoid", "loss",
    "losses", "mish", "mlp", "momentum", "nesterov", "open_study", "optimizer", "optimizers", "preactivations",
    "relu", "relu6", "rmsprop", "schedule", "schedules", "selu", "sgd", "sigmoid", "silu", "softplus", "softsign",
    "squared_relu", "squareplus", "tailor", "tanh", "tanh_shrink",
]  # fmt: skip


_ESTIMATORS = {
    "SchussClassifier": "classifier",
    "SchussRegressor": "regressor",
    "SchussSearchCV": "search",
    "TableFit": "tablefit",
    "fit_table": "tablefit",
}


def __getattr__(name: str) -> object:
    """The estimators are imported when they are asked for: scikit-learn takes longer to import than all the rest."""
    if name in _ESTIMATORS:
        return getattr(_import_module(f"schuss.estimators.{_ESTIMATORS[name]}"), name)
    raise AttributeError(f"module 'schuss' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names alone: a tab after `sc.` does not list the modules that the package is made of."""
    return [*__all__, "__version__"]
