"""A diagnosis as a Python script that runs: the case as it was and cured, one beside the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from schuss.activations import Activation, find_activation, identity
from schuss.data import Dataset
from schuss.data import load as load_data
from schuss.data.problems import PROBLEMS
from schuss.definitions import Definition
from schuss.diagnosis.cases import Case
from schuss.diagnosis.cures import Cure
from schuss.errors import InvalidInput
from schuss.initializers import INITIALIZERS, auto, zeros
from schuss.language import formulas
from schuss.language.expressions import FUNCTIONS
from schuss.layers import Dense, Description, Dropout, Norm, Residual
from schuss.losses import Loss, find_loss
from schuss.network import Network
from schuss.optimizers import Optimizer, find_optimizer
from schuss.recipe import Recipe
from schuss.schedules import Schedule, constant, find_schedule
from schuss.show.formatting import counted

_RUN = """

def show(name, network, recipe, data):
    run = sc.fit(network, data, recipe, seed={seed})
    if run.status == "diverged":
        print(f"{{name}}: diverged at step {{run.outcome.diverged_step}}")
    else:
        print(f"{{name}}: train loss {{run.outcome.losses[0]:.4g}}, validation score {{run.outcome.scores[1]:.3f}}")


show("before", before, recipe_before, data)
show("after", after, recipe_after, {data_after})
"""


def as_script(case: Case, cure: Cure, seed: int, load: str | None = None) -> str:
    """A Python script that trains the case as it is and cured, and prints both.

    `load` is the Python expression that gives the data; a built-in problem needs none. InvalidInput for an initializer
    that is not built in: its code is not known.
    """
    if load is None and not _is_built_in(case.data):
        raise InvalidInput("say how the data is loaded, by a Python expression such as \"sc.load('churn.csv')\".")
    writer, after = _Writer(), cure.apply(case)
    body = [
        f"data = {load or f'sc.load({_quoted(case.data.name)})'}",
        f"before = {writer.network(case.network)}",
        f"after = {writer.network(after.network)}",
        f"recipe_before = {writer.recipe(case.recipe)}",
        f"recipe_after = {writer.recipe(after.recipe)}",
    ]
    head = [f'"""Written by schuss doctor. The cure: {cure.change}."""', "", "import schuss as sc"]
    if used := sorted(writer.functions):
        head.append(f"from schuss.language.expressions import {', '.join(used)}")
    if cure.on_data:
        head.append(f"from schuss.diagnosis import {cure.on_data}")
    data_after = f"{cure.on_data}(data)" if cure.on_data else "data"
    written = [
        *head,
        *writer.definitions.values(),
        *([""] * (2 if writer.definitions else 1)),
        *body,
        _RUN.format(seed=seed, data_after=data_after),
    ]
    return "\n".join(written)


def _is_built_in(data: Dataset) -> bool:
    """Whether `sc.load` of its name gives this data: a file may be called iris, too, or be split from another seed."""
    return data.name in PROBLEMS and load_data(data.name).fingerprint == data.fingerprint


def _quoted(text: str) -> str:
    """The text as Python with double quotes, where it has none itself."""
    return repr(text) if '"' in text or "\\" in text else f'"{text}"'


class _Writer:
    """Descriptions as Python; what is not built in is defined in front, from its formula."""

    def __init__(self) -> None:
        self.definitions: dict[str, str] = {}
        self.functions: set[str] = set()

    def network(self, network: Network) -> str:
        parts = [*counted([*map(self.layer, network.hidden)], lambda n, texts: f"*[{', '.join(texts)}] * {n}")]
        if network.output != identity:
            parts.append(f"output={self.activation(network.output)}")
        if network.output_init != auto:
            parts.append(f"output_init={self.initializer(network.output_init)}")
        return f"sc.Network({', '.join(parts)})"

    def layer(self, layer: Description) -> str:
        match layer:
            case Dense():
                init = "" if layer.init == auto else f", init={self.initializer(layer.init)}"
                bias = "" if layer.bias == zeros else f", bias={self.initializer(layer.bias)}"
                return f"sc.Dense({layer.units}, {self.activation(layer.activation)}{init}{bias})"
            case Norm():
                return f"sc.{type(layer).__name__}({self.activation(layer.activation)})"
            case Dropout():
                return f"sc.Dropout({layer.rate})"
            case Residual():
                return f"sc.Residual({', '.join(map(self.layer, layer.layers))})"

    def recipe(self, recipe: Recipe) -> str:
        batch = "" if recipe.optimizer.full_batch else f", batch_size={recipe.batch_size}"
        parts = [f"{self.optimizer(recipe.optimizer)}{batch}, epochs={recipe.epochs}"]
        if recipe.loss is not None:
            parts.append(f"loss={self.loss(recipe.loss)}")
        if recipe.schedule != constant:
            parts.append(f"schedule={self.schedule(recipe.schedule)}")
        kept = {"horizon": recipe.horizon, "patience": recipe.patience, "clip_norm": recipe.clip_norm}
        parts += [f"{name}={value}" for name, value in kept.items() if value is not None]
        return f"sc.Recipe({', '.join(parts)})"

    def activation(self, each: Activation) -> str:
        return self._named(each, find_activation, "@sc.activation", ["z"], [formulas.text(each.formula)])

    def loss(self, each: Loss) -> str:
        returned = [] if each.formula is None else [formulas.text(each.formula)]
        decorator = f"@sc.loss(threshold={each.threshold})"
        return self._named(each, find_loss, decorator, ["prediction", "target"], returned)

    def schedule(self, each: Schedule) -> str:
        return self._named(each, find_schedule, "@sc.schedule", ["progress"], [formulas.text(each.formula)])

    def optimizer(self, each: Optimizer) -> str:
        decorator = f"@sc.optimizer(search={each.search}, full_batch={each.full_batch})"
        arguments = ["w", "g", *each.state, "t"]
        return self._named(each, find_optimizer, decorator, arguments, [*map(formulas.text, each.updates)])

    def initializer(self, each: Definition) -> str:
        if each.name in INITIALIZERS:
            return _quoted(str(each))
        raise InvalidInput(
            f"the initializer {each.name} was defined outside schuss, so its code cannot be written; name a "
            "built-in one."
        )

    def _named(
        self, each: Definition, find: Callable[[str], Any], decorator: str, arguments: Sequence[str],
        returned: Sequence[str],
    ) -> str:  # fmt: skip
        """What is known by its text as that text; else the name of a function that is put in front."""
        if _is_known(each, find):
            return _quoted(str(each))
        name = re.sub(r"\W+", "_", each.name).strip("_")
        used = re.findall(r"\b[a-z]\w*\b", " ".join(returned))
        settings = [f"{key}={value!r}" for key, value in each.defaults if key in used or key == "lr"]
        signature = ", ".join([*arguments, *(["*", *settings] if settings else [])])
        self.functions |= set(FUNCTIONS) & set(used)
        self.definitions[name] = f"\n\n{decorator}\ndef {name}({signature}):\n    return {', '.join(returned)}"
        changed = [
            f"{key}={value!r}" for (key, value), (_, usual) in zip(each.settings, each.defaults, strict=True)
            if value != usual
        ]  # fmt: skip
        return f"{name}({', '.join(changed)})" if changed else name


def _is_known(each: Definition, find: Callable[[str], Any]) -> bool:
    try:
        return bool(find(str(each)) == each)
    except InvalidInput:
        return False
