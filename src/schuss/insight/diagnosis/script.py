"""A diagnosis as a Python script that runs: the case as it was and cured, one beside the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from schuss import formulas
from schuss.activations import ACTIVATIONS, Activation
from schuss.data.problems import PROBLEMS
from schuss.definitions import Definition
from schuss.errors import InvalidInput
from schuss.expressions import FUNCTIONS
from schuss.initializers import INITIALIZERS, auto, zeros
from schuss.insight.diagnosis.cases import Case
from schuss.insight.diagnosis.cures import Cure
from schuss.layers import Dense
from schuss.losses import LOSSES, Loss
from schuss.network import Network
from schuss.optimizers import OPTIMIZERS, Optimizer
from schuss.recipe import Recipe
from schuss.schedules import SCHEDULES, Schedule, constant

_RUN = """
for name, network, recipe, rows in (("before", before, recipe_before, data), ("after", after, recipe_after, cured_data)):
    run = sc.fit(network, rows, recipe, seed={seed})
    if run.status == "diverged":
        print(f"{{name}}: diverged at step {{run.outcome.diverged_step}}")
    else:
        print(f"{{name}}: train loss {{run.outcome.losses[0]:.4g}}, validation score {{run.outcome.scores[1]:.3f}}")
"""


def as_script(case: Case, cure: Cure, seed: int, load: str | None = None) -> str:
    """A Python script that trains the case as it is and cured, and prints both.

    InvalidInput for an initializer that is not built in: its code is not known.
    """
    if load is None and case.data.name not in PROBLEMS:
        raise InvalidInput("say how the data is loaded: a Python expression such as \"sc.load('churn.csv')\".")
    writer, after = _Writer(), cure.apply(case)
    body = [
        f"data = {load or f'sc.load({case.data.name!r})'}",
        f"cured_data = {cure.on_data}(data)" if cure.on_data else "cured_data = data",
        "",
        f"before = {writer.network(case.network)}",
        f"after = {writer.network(after.network)}",
        f"recipe_before = {writer.recipe(case.recipe)}",
        f"recipe_after = {writer.recipe(after.recipe)}",
    ]
    head = [f'"""Written by schuss doctor. The cure: {cure.change}."""', "", "import schuss as sc"]
    if cure.on_data:
        head.append(f"from schuss.insight.diagnosis import {cure.on_data}")
    if used := sorted(writer.functions):
        head.append(f"from schuss.expressions import {', '.join(used)}")
    return "\n".join([*head, *writer.definitions.values(), "", *body]) + "\n" + _RUN.format(seed=seed)


class _Writer:
    """Descriptions as Python; what is not built in is defined in front, from its formula."""

    def __init__(self) -> None:
        self.definitions: dict[str, str] = {}
        self.functions: set[str] = set()

    def network(self, network: Network) -> str:
        parts = []
        for text, equal in groupby(map(self.dense, network.hidden)):
            n = len(list(equal))
            parts.append(text if n == 1 else f"*[{text}] * {n}")
        if str(network.output) != "identity":
            parts.append(f"output={self.activation(network.output)}")
        if network.output_init != auto:
            parts.append(f"output_init={self.initializer(network.output_init)}")
        return f"sc.Network({', '.join(parts)})"

    def dense(self, layer: Dense) -> str:
        parts = [str(layer.units), self.activation(layer.activation)]
        if layer.init != auto:
            parts.append(f"init={self.initializer(layer.init)}")
        if layer.bias != zeros:
            parts.append(f"bias={self.initializer(layer.bias)}")
        return f"sc.Dense({', '.join(parts)})"

    def recipe(self, recipe: Recipe) -> str:
        batch = "" if recipe.optimizer.full_batch else f", batch_size={recipe.batch_size}"
        parts = [f"{self.optimizer(recipe.optimizer)}{batch}, epochs={recipe.epochs}"]
        if recipe.loss is not None:
            parts.append(f"loss={self.loss(recipe.loss)}")
        if recipe.schedule != constant:
            parts.append(f"schedule={self.schedule(recipe.schedule)}")
        parts += [
            f"{name}={value}" for name in ("patience", "clip_norm") if (value := getattr(recipe, name)) is not None
        ]
        return f"sc.Recipe({', '.join(parts)})"

    def activation(self, each: Activation) -> str:
        return self._named(each, ACTIVATIONS, "@sc.activation", ["z"], [formulas.text(each.formula)])

    def loss(self, each: Loss) -> str:
        returned = [] if each.formula is None else [formulas.text(each.formula)]
        decorator = f"@sc.loss(threshold={each.threshold})"
        return self._named(each, LOSSES, decorator, ["prediction", "target"], returned)

    def schedule(self, each: Schedule) -> str:
        return self._named(
            each, SCHEDULES, "@sc.schedule", ["progress"], [formulas.text(each.formula)], hidden="warmup"
        )

    def optimizer(self, each: Optimizer) -> str:
        decorator = f"@sc.optimizer(search={each.search}, full_batch={each.full_batch})"
        arguments = ["w", "g", *each.state, "t"]
        return self._named(each, OPTIMIZERS, decorator, arguments, list(map(formulas.text, each.updates)))

    def initializer(self, each: Definition) -> str:
        if each.name in INITIALIZERS:
            return repr(str(each))
        raise InvalidInput(
            f"the initializer {each.name} was defined outside schuss, so its code cannot be written; use a built-in one."
        )

    def _named(
        self, each: Definition, known: Mapping[str, Any], decorator: str, arguments: Sequence[str],
        returned: Sequence[str], *, hidden: str = "",
    ) -> str:  # fmt: skip
        """A built-in definition by its name; another one by the name of the function that is put in front."""
        if each.name in known and known[each.name](**dict(each.settings)) == each:
            return repr(str(each))
        settings = [(key, value) for key, value in each.defaults if key != hidden]
        signature = ", ".join(
            [*arguments, *(["*"] if settings else []), *(f"{key}={value!r}" for key, value in settings)]
        )
        self.functions |= {
            name for line in returned for name in re.findall(r"\b[a-z]\w*(?=\()", line) if name in FUNCTIONS
        }
        self.definitions[each.name] = (
            f"\n\n{decorator}\ndef {each.name}({signature}):\n    return {', '.join(returned)}\n"
        )
        return _configured(each)


def _configured(each: Definition) -> str:
    """The name with the settings that differ from the defaults, as Python."""
    changed = [f"{k}={v!r}" for (k, v), (_, default) in zip(each.settings, each.defaults, strict=True) if v != default]
    return f"{each.name}({', '.join(changed)})" if changed else each.name


def described(network: Network) -> str:
    """A network in one line, equal layers counted.

    >>> described(Network(*[Dense(64, "relu")] * 20, Dense(8, "tanh")))
    '20 × Dense(64, relu), Dense(8, tanh)'
    """

    def counted(layers: Iterable[str]) -> Iterable[str]:
        for text, equal in groupby(layers):
            n = len(list(equal))
            yield text if n == 1 else f"{n} × {text}"

    parts = [*counted(map(repr, network.hidden))]
    return ", ".join(parts) or "no hidden layers"
