"""What every definition has in common: its signature, its settings, how it is found by name."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schuss.activations import ACTIVATIONS
from schuss.definitions import configured, label, lookup, names_of, recorded, signature
from schuss.errors import FormulaError, InvalidInput, UnknownName
from schuss.language.expressions import Expression, constant, symbol


def rule(w: Expression, g: Expression, *, lr: float = 0.1, beta: float = 2) -> Expression:
    """An example."""
    return w - lr * g * beta


def test_the_signature_gives_names_and_defaults_in_order() -> None:
    assert signature(rule) == (("w", "g"), (("lr", 0.1), ("beta", 2.0)))


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
    settings = (("lr", 0.1), ("beta", 2.0))
    assert configured("rule", settings, {"beta": 3}) == (("lr", 0.1), ("beta", 3.0))
    with pytest.raises(UnknownName, match="did you mean beta"):
        configured("rule", settings, {"betta": 3})
    with pytest.raises(InvalidInput, match="lr"):
        configured("rule", settings, {"lr": -1})


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


def test_a_table_is_by_name() -> None:
    some = list(ACTIVATIONS.values())[:3]
    assert list(names_of(some)) == [phi.name for phi in some]
