"""What every definition has in common: its signature, its settings, how it is found by name."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import schuss as sc
from schuss.activations import ACTIVATIONS, activation
from schuss.definitions import Definition, Range, label, lookup, names_of, recorded, signature
from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.initializers import INITIALIZERS, initializer
from schuss.language.expressions import Expression, constant, symbol
from schuss.losses import LOSSES, loss
from schuss.optimizers import OPTIMIZERS, optimizer
from schuss.schedules import SCHEDULES, schedule


def rule(w: Expression, g: Expression, *, lr: float = 0.1, beta: float = 2) -> Expression:
    """An example."""
    return w - lr * g * beta


def test_the_signature_gives_names_and_defaults_in_order() -> None:
    positional, settings, ranges = signature(rule, own=["lr"])
    assert (positional, settings) == (("w", "g"), (("lr", 0.1), ("beta", 2.0)))
    assert ranges == (Range(0, open_low=True), Range())


@pytest.mark.parametrize("name", ["t", "w", "g", "lr", "warmup"])
def test_reserved_names_are_refused(name: str) -> None:
    space: dict[str, Any] = {}
    for kind, arguments in (
        (activation, "z"),
        (loss, "prediction, target"),
        (schedule, "progress"),
        (initializer, "a, b, c"),
    ):
        exec(f"def mine({arguments}, *, {name}=0.5): return 1.0", space)  # noqa: S102
        with pytest.raises(FormulaError, match=f"mine: '{name}' is reserved"):
            kind(space["mine"])


@pytest.mark.parametrize("name", ["t", "warmup"])
def test_an_optimizer_has_a_learning_rate_and_no_other_reserved_name(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def mine(w, g, *, lr=0.1, {name}=0.5): return w - lr * g * {name}", space)  # noqa: S102
    with pytest.raises(FormulaError, match=f"mine: '{name}' is reserved"):
        optimizer(space["mine"])


OUT_OF_RANGE = [
    "adam(beta1=2)", "adam(beta1=1)", "adam(beta2=-0.1)", "adam(epsilon=-1)", "adamw(weight_decay=-1)", "sgd(lr=0)",
    "momentum(momentum=1)", "rmsprop(decay=1.5)", "huber(delta=-1)", "huber(delta=0)", "celu(alpha=0)", "elu(alpha=-1)",
    "squareplus(b=-4)", "squareplus(b=0)", "binary_cross_entropy(smoothing=1.1)", "softmax_cross_entropy(smoothing=-1)",
    "step(every=0)", "step(factor=-1)", "exponential(final=0)", "cosine(final=-1)", "cosine(warmup=1)",
    "normal(std=-1)",
    "uniform(limit=-0.1)", "he_normal(gain=-2)",
]  # fmt: skip


@pytest.mark.parametrize("wanted", OUT_OF_RANGE)
def test_a_hyper_parameter_outside_its_range_is_refused(wanted: str) -> None:
    name, _, rest = wanted.partition("(")
    key, _, value = rest.rstrip(")").partition("=")
    known = {**ACTIVATIONS, **OPTIMIZERS, **LOSSES, **SCHEDULES, **INITIALIZERS}
    with pytest.raises(InvalidInput, match=f"^{key} of {name} must be .*, but is {value}"):
        lookup("definition", wanted, known)
    with pytest.raises(InvalidInput, match=f"^{key} of {name} must be "):
        known[name](**{key: float(value)})


def test_a_users_annotation_states_the_range() -> None:
    @activation
    def steep(z: Expression, *, slope: Annotated[float, Range(1, 3)] = 2.0) -> Expression:
        return slope * z

    assert steep(slope=3.0).settings == (("slope", 3.0),)
    with pytest.raises(InvalidInput, match="slope of steep must be at least 1 and at most 3, but is 3.5"):
        steep(slope=3.5)

    def wrong(z: Expression, *, slope: Annotated[float, Range(1, 3)] = 0.5) -> Expression:
        return slope * z

    with pytest.raises(InvalidInput, match="slope of wrong must be at least 1 and at most 3, but is 0.5"):
        activation(wrong)


def test_an_annotation_that_cannot_be_read_is_an_error() -> None:
    def mine(z: Expression, *, slope: Steepness = 2.0) -> Expression:  # type: ignore[name-defined]  # noqa: F821
        return slope * z

    with pytest.raises(FormulaError, match="mine: cannot read the annotation of a hyper-parameter: name 'Steepness'"):
        activation(mine)


@pytest.mark.parametrize("definition", [*ACTIVATIONS.values(), *OPTIMIZERS.values(), *LOSSES.values()], ids=str)
def test_a_definition_is_equal_to_its_copies_only(definition: Definition) -> None:
    assert definition == pickle.loads(pickle.dumps(definition)) == copy.deepcopy(definition)
    assert hash(definition) == hash(pickle.loads(pickle.dumps(definition)))
    assert [other for other in ACTIVATIONS.values() if other == definition] in ([], [definition])


def test_parameters_without_a_role_are_named() -> None:
    def default(z: Expression, slope: float = 0.1) -> Expression:
        return slope * z

    def positional_only(z: Expression, /) -> Expression:
        return z

    def several(*z: Expression) -> Expression:
        return z[0]

    def any_keyword(z: Expression, **more: float) -> Expression:
        return z

    for function, name in ((default, "slope"), (positional_only, "z"), (several, "z"), (any_keyword, "more")):
        with pytest.raises(FormulaError, match=name):
            signature(function)


def test_a_hyper_parameter_is_a_finite_number() -> None:
    def no_default(z: Expression, *, slope: float) -> Expression:
        return slope * z

    def text(z: Expression, *, slope: str = "steep") -> Expression:
        return z

    for function in (no_default, text):
        with pytest.raises(InvalidInput, match="slope"):
            signature(function)


def test_a_definition_is_recorded_with_its_hyper_parameters_as_symbols() -> None:
    w, g, lr, beta = map(symbol, ("w", "g", "lr", "beta"))
    assert recorded(rule) == (w - lr * g * beta,)


def test_a_number_is_an_expression_too() -> None:
    def always(z: Expression) -> float:
        return 3.0

    assert recorded(always) == (constant(3),)


def test_errors_inside_a_definition_say_which() -> None:
    def broken(z: Expression) -> Expression:
        return len(z) * z  # type: ignore[arg-type]

    with pytest.raises(FormulaError, match="broken"):
        recorded(broken)


def test_settings_change_by_name_and_keep_their_order() -> None:
    own = optimizer(rule)
    assert own(beta=3).settings == (("lr", 0.1), ("beta", 3.0))
    with pytest.raises(UnknownName, match="did you mean beta"):
        own(betta=3)
    with pytest.raises(InvalidInput, match="lr of rule must be greater than 0, but is -1"):
        own(lr=-1)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.1234567890123)
@example(1e-300)
@example(-0.5)
def test_a_label_is_read_back_as_the_same_settings(slope: float) -> None:
    leaky = ACTIVATIONS["leaky_relu"](slope=slope)
    again = lookup("activation", str(leaky), ACTIVATIONS)
    assert again == leaky


def test_a_label_shows_what_differs_from_the_defaults() -> None:
    defaults = (("lr", 0.001), ("beta", 0.9))
    assert label("adam", defaults, defaults) == "adam"
    assert label("adam", (("lr", 0.01), ("beta", 0.9)), defaults) == "adam(lr=0.01)"
    assert label("adam", (("lr", 1.0), ("beta", 0.5)), defaults) == "adam(lr=1, beta=0.5)"


@given(st.text(max_size=40))
@example("leaky_relu(slope=" + "9" * 5000 + ")")
@example("leaky_relu(slope=0x" + "f" * 5000 + ")")
@example("leaky_relu(slope=2j)")
@example("leaky_relu(slope=1, slope=2)")
@example("leaky_relu(slope=True)")
@example("leaky_relu(**1)")
@example("(" * 20_000)
def test_any_text_finds_a_definition_or_gives_a_clear_error(text: str) -> None:
    try:
        found = lookup("activation", text, ACTIVATIONS)
    except InvalidInput:
        return
    assert found.name in text


def test_a_hyper_parameter_given_twice_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="cannot read the activation"):
        lookup("activation", "leaky_relu(slope=1, slope=2)", ACTIVATIONS)


def test_a_table_is_by_name() -> None:
    some = list(ACTIVATIONS.values())[:3]
    assert list(names_of(some)) == [phi.name for phi in some]


WRONG: dict[str, Callable[[], object]] = {
    "a network is an sc.Network": lambda: sc.flow(object(), "digits"),  # type: ignore[arg-type]
    "a network is": lambda: sc.preactivations(3, "digits"),  # type: ignore[arg-type]
    "a job is an sc.Job": lambda: sc.fit_many([3], "iris"),  # type: ignore[list-item]
    "jobs are a list": lambda: sc.fit_many(3, "iris"),  # type: ignore[arg-type]
    "a group is a data set and its jobs": lambda: sc.fit_groups([3]),  # type: ignore[list-item]
    "a path is a text": lambda: sc.load_run(3),  # type: ignore[arg-type]
    "a path is": lambda: sc.open_study(3),  # type: ignore[arg-type]
    "an engine is native, reference": lambda: sc.fit(None, "iris", engine=3),  # type: ignore[arg-type]
    "progress is a function": lambda: sc.fit(None, "iris", progress=3),  # type: ignore[arg-type]
    "a definition is a Python function, but is 3": lambda: sc.activation(3),  # type: ignore[arg-type]
    "a definition is a Python function": lambda: sc.initializer(3),  # type: ignore[arg-type]
    "search is the lowest and the highest": lambda: sc.optimizer(search=3)(lambda w, g, *, lr=0.1: w - lr * g),  # type: ignore[call-overload]
    "unknown landscape": lambda: sc.adam.plot(landscape=abs),  # type: ignore[arg-type]
    "z is an array of numbers": lambda: sc.relu("a"),
    "the activations to draw are a list": lambda: sc.activations.figure(3),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_of_the_wrong_type_is_said_in_a_sentence(said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{said}"):
        WRONG[said]()
