"""What an ensemble for tables is made of: columns, rows, kinds of inputs, selection, members."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schuss.ensembles.columns import MOST_CATEGORIES, Table, learn_columns, notes_on
from schuss.ensembles.kinds import Encoder, Kind, Periodic, Piecewise, Standard, learn_encoders, medians
from schuss.ensembles.members import STYLES, chosen_members, plain, residual, usual_batch
from schuss.ensembles.sample_rows import HEAVIEST, canonical, folds
from schuss.ensembles.selection import greedy_weights
from schuss.errors import DataError

Numbers: TypeAlias = NDArray[np.float64]
Case: TypeAlias = tuple[Numbers, Numbers, NDArray[np.int64]]

KINDS: tuple[Kind, ...] = ("standard", "piecewise", "periodic")


def table_of(numbers: object) -> Table:
    numbers = np.asarray(numbers, dtype=np.float64)
    return Table(numbers, np.zeros((len(numbers), 0), np.int64))


# ---------------------------------------------------------------------------------------------- columns

MIXED = {"age": [31.0, None, 40.0], "city": ["Rome", "Oslo", None], "old": [True, False, True]}


def in_arrow(columns: dict[str, Any]) -> Any:
    pytest.importorskip("pyarrow")
    return pl.DataFrame(columns).to_arrow()


@pytest.mark.parametrize("made", [pd.DataFrame, pl.DataFrame, in_arrow])
def test_data_frames_of_any_library_are_read_alike(made: Callable[[Any], Any]) -> None:
    frame = made(MIXED)
    columns = learn_columns(frame)
    assert columns.names == ("age", "city", "old")
    assert columns.categories == (None, ("Oslo", "Rome"), None)
    table = columns.read(frame)
    np.testing.assert_array_equal(table.numbers, [[31, 1], [np.nan, 0], [40, 1]])
    np.testing.assert_array_equal(table.codes, [[1], [0], [-1]])


def test_an_array_of_objects_has_columns_of_numbers_and_of_text() -> None:
    X = np.array([[1, "a", "2.5"], [2, "b", "3"], [None, "a", "4"]], dtype=object)
    columns = learn_columns(X)
    assert columns.categories == (None, ("a", "b"), None)
    np.testing.assert_array_equal(columns.read(X).numbers, [[1, 2.5], [2, 3], [np.nan, 4]])


def test_pandas_categories_of_numbers_are_categories() -> None:
    columns = learn_columns(pd.DataFrame({"code": pd.Categorical([3, 1, 3])}))
    assert columns.categories == (("1", "3"),)


def test_a_category_is_known_by_one_text_alone_or_among_others() -> None:
    codes_of_text = learn_columns(np.array([["007"], ["abc"], ["true"]]))
    assert codes_of_text.read(np.array([["007"]])).codes.tolist() == [[0]]
    truths = learn_columns(pd.DataFrame({"x": pd.Categorical([True, False])}))
    for same in ([True, False], ["True", "False"], ["true", "FALSE"]):
        assert truths.read(pd.DataFrame({"x": same})).codes.tolist() == [[1], [0]]
    numbers = learn_columns(pd.DataFrame({"x": pd.Categorical([1.0, 2.5])}))
    for alike in ([1.0, 2.5], ["1.0", "2.5"], ["1", "2.5"], pd.Categorical([1.0, 2.5])):
        assert numbers.read(pd.DataFrame({"x": alike})).codes.tolist() == [[0], [1]]
    assert numbers.read(pd.DataFrame({"x": [1]})).codes.tolist() == [[0]]


def test_dates_are_days_since_1970() -> None:
    texts = ["1970-01-02", "2000-03-01", None]
    times = ["1970-01-02 06:00:00", "2000-03-01 12:00:00", None]
    frame = pd.DataFrame({"day": texts, "time": pd.to_datetime(times), "stamp": ["1970-01-02T06:00", "2000-03-01", ""]})
    columns = learn_columns(frame)
    assert columns.dates == (0, 1, 2)
    expected = [[1, 1.25, 1.25], [11_017, 11_017.5, 11_017], [np.nan] * 3]  # 30 years with 7 leap days, and 60 days
    np.testing.assert_array_equal(columns.read(frame).numbers, expected)
    later = {"day": [None, "1970-01-11"], "time": [None, "1970-01-11"], "stamp": ["1970-01-11 23:59:60", "?"]}
    assert columns.read(later).numbers[:, :2].tolist()[1] == [10, 10]
    for strange in ("15.01.2024", "soon", "2024-01-15-B17", 20240115):
        with pytest.raises(DataError, match="column 'day' holds dates .* in row 1 it holds"):
            columns.read({**later, "day": [strange, None]})


def test_dates_with_times_and_zones_are_moments() -> None:
    texts = ["2024-01-01", "2024-01-01T08:30Z", "2024-01-01 12:30+02:00", "2024-01-01T12:30:30.5-0130"]
    columns = learn_columns({"x": texts})
    hours = 24 * (columns.read({"x": texts}).numbers[:, 0] - 19_723)
    np.testing.assert_allclose(hours, [0, 8.5, 10.5, 14 + 30.5 / 3600], atol=1e-6)
    noon = pd.to_datetime(["2024-06-01 12:00"]).tz_localize("UTC")
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        frame = pd.DataFrame({"x": noon.tz_convert(zone)})
        assert columns.read(frame).numbers.tolist() == [[19_875.5]]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_durations_are_days_in_any_unit(unit: Any) -> None:
    frame = pl.DataFrame({"x": pl.Series([36], dtype=pl.Int64).cast(pl.Duration("ms")) * 3_600_000})
    np.testing.assert_allclose(learn_columns(frame).read(frame.cast(pl.Duration(unit))).numbers, [[1.5]])


def test_a_few_values_that_keep_a_column_from_being_numbers_are_pointed_out() -> None:
    assert notes_on(pl.DataFrame({"a": ["1", "2.5", "3", "4", "-"]})) == [
        "column 'a' is read as text: 4 of 5 values are numbers, but '-' is not"
    ]
    assert notes_on(pl.DataFrame({"a": ["1", "-", "-", "x"]})) == []


@pytest.mark.parametrize("end", ["/0001", "-B17", " lot A", "T"])
def test_texts_that_begin_like_dates_are_categories(end: str) -> None:
    columns = learn_columns({"x": [f"2024-01-15{end}", f"2024-01-16{end}"]})
    assert columns.dates == ()
    assert columns.categories[0] is not None


def test_a_column_without_any_value_takes_whatever_comes() -> None:
    columns = learn_columns({"x": [None, None], "y": [1.0, 2.0]})
    for later in (["text", None], [1.5, 2.5], ["2024-01-15", None]):
        np.testing.assert_array_equal(columns.read({"x": later, "y": [3.0, 4.0]}).codes, [[-1], [-1]])


def test_only_the_most_frequent_categories_get_an_input() -> None:
    texts = [f"rare {i:03}" for i in range(MOST_CATEGORIES + 20)] + ["often"] * 2
    (known,) = learn_columns({"text": texts}).categories
    assert len(known) == MOST_CATEGORIES
    assert "often" in known


# ---------------------------------------------------------------------------------------------- rows


@st.composite
def weighted_tables(draw: st.DrawFn) -> Case:
    n = draw(st.integers(2, 12))
    values = draw(st.lists(st.sampled_from([0.0, -0.0, 1.5, np.nan]), min_size=n, max_size=n))
    y = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any))
    return np.array(values)[:, None], np.array(y)[:, None], np.array(weights)


@settings(max_examples=50, deadline=None)
@given(weighted_tables(), st.randoms(use_true_random=False))
def test_a_weight_is_a_number_of_rows_and_their_order_is_nothing(case: Case, random: random.Random) -> None:
    X, y, w = case
    order = list(range(len(X)))
    random.shuffle(order)
    repeated = np.repeat(np.arange(len(X)), w)
    one = canonical(table_of(X[order]), y[order], w[order].astype(np.float64))
    other = canonical(table_of(X[repeated]), y[repeated], None)
    np.testing.assert_array_equal(X[order][one.places] + 0.0, X[repeated][other.places] + 0.0)
    np.testing.assert_array_equal(y[order][one.places], y[repeated][other.places])
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.groups, other.groups)


def test_fractions_of_equal_rows_add_up_to_the_same_bits_in_any_order() -> None:
    X, y, w = np.zeros((3, 1)), np.zeros((3, 1)), np.array([0.1, 0.2, 0.3])  # (0.1 + 0.2) + 0.3 > 0.1 + (0.2 + 0.3)
    others = np.array([[1.0], [2.0]])
    rows = [
        canonical(table_of(np.vstack([X, others])), np.vstack([y, others]), np.r_[w[order], 0.7, 1.1]).weights.tolist()
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0])
    ]
    assert rows[0] == rows[1] == rows[2]


def test_equal_rows_are_cases_only_where_a_network_must_see_every_cell() -> None:
    generator = np.random.default_rng(0)
    X, y, w = generator.normal(size=(60, 2)), generator.normal(size=(60, 1)), np.tile([1.0, 4.0, 9.0], 20)
    heavy = canonical(table_of(X), y, w)
    assert len(np.unique(heavy.groups)) == 60
    for place in range(60):
        assert len(np.unique(heavy.groups[heavy.places == place])) == 1
    once, fivefold = canonical(table_of(X), y, None), canonical(table_of(X), y, np.full(60, 5.0))
    np.testing.assert_array_equal(once.places, fivefold.places)
    cells = generator.integers(0, 5, (60, 2)).astype(float)  # 25 cells, each with many targets
    for inputs, target in ((cells, y), (cells[:, :1], cells[:, :1])):
        assert len(np.unique(canonical(table_of(inputs), target, None).groups)) == 60


def test_weights_of_classes_are_no_numbers_of_rows() -> None:
    X, y = np.arange(4.0)[:, None], np.array([[0.0], [0.0], [0.0], [1.0]])
    rows = canonical(table_of(X), y, np.array([1.0, 2.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 3.0]))
    counted = {place: rows.weights[rows.places == place].sum() / rows.weights.sum() for place in (0, 1, 3)}
    assert counted == pytest.approx({0: 1 / 6, 1: 2 / 6, 3: 3 / 6})
    assert len(np.unique(rows.groups[rows.places == 3])) == 1
    assert len(np.unique(rows.groups[rows.places == 1])) == 2


def test_weights_count_by_their_proportions() -> None:
    X, y = np.arange(20.0)[:, None], np.zeros((20, 1))
    w = np.random.default_rng(0).uniform(0.1, 3, 20)
    np.testing.assert_allclose(canonical(table_of(X), y, w).weights, canonical(table_of(X), y, 1000 * w).weights)


def test_a_heavy_row_becomes_copies_that_weigh_together_what_it_weighed() -> None:
    X, y = np.arange(100.0)[:, None], np.zeros((100, 1))
    w = np.where(np.arange(100) == 7, 1e6, 1.0)
    rows = canonical(table_of(X), y, w)
    assert len(rows.places) <= (1 + HEAVIEST) * 100
    np.testing.assert_allclose(rows.weights[rows.places == 7].sum() / rows.weights.sum(), 1e6 / (1e6 + 99))
    assert len(np.unique(rows.groups[rows.places == 7])) == 1


@given(st.integers(2, 60), st.integers(2, 5), st.integers(0, 99))
def test_folds_share_every_stratum_and_keep_groups_together(n_groups: int, n_folds: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    strata = np.repeat(generator.integers(3, size=n_groups), 2)
    groups = np.repeat(np.arange(n_groups), 2)
    found = folds(groups, strata, n_folds, generator)
    np.testing.assert_array_equal(found[::2], found[1::2])
    for stratum in range(3):
        counts = np.bincount(found[::2][strata[::2] == stratum], minlength=n_folds)
        assert counts.max() - counts.min() <= 1


# ---------------------------------------------------------------------------------------------- kinds of inputs


def test_standard_inputs_have_mean_0_and_deviation_1() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=(500, 3)) * 1e6 + 1e9
    z = Standard.learn(x, np.ones(500))(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-5)


def test_a_constant_column_is_0_whatever_comes_later() -> None:
    constant = Standard.learn(np.full((5, 1), 0.1), np.ones(5))
    np.testing.assert_array_equal(constant(np.array([[0.1], [7.0]])), 0)
    x = np.column_stack([np.full(5, 0.1), np.arange(5)])
    pieces = Piecewise.learn(x, np.ones(5))
    np.testing.assert_array_equal(pieces(np.array([[7.0, 2.0]])), pieces(np.array([[0.1, 2.0]])))


def test_piecewise_inputs_are_the_formula_of_their_edges() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2)) ** 3
    coder = Piecewise.learn(x, np.ones(300))
    expected = []
    for j in range(2):
        edges = coder.edges[coder.starts[j] : coder.starts[j + 1]]
        assert edges[0] == x[:, j].min()
        assert edges[-1] == x[:, j].max()
        for low, high in itertools.pairwise(edges):
            expected.append(2 * np.clip((x[:, j] - low) / (high - low), 0, 1) - 1)
    np.testing.assert_allclose(coder(x), np.array(expected).T, atol=1e-3)  # 32 bits of the reach


def test_piecewise_inputs_of_large_numbers_keep_their_differences() -> None:
    seconds = 1.7e9 + np.arange(1000.0)[:, None]  # 32 bits alone tell 128 s apart
    X = Piecewise.learn(seconds, np.ones(1000))(seconds)
    assert len(np.unique(X, axis=0)) == 1000


def test_periodic_inputs_are_the_formula() -> None:
    x = np.random.default_rng(1).normal(size=(200, 2)) * [1, 100]
    coder = Periodic.learn(x, np.ones(200), np.random.default_rng(0))
    q1, median, q3 = np.quantile(x, [0.25, 0.5, 0.75], axis=0, method="hazen")
    s = (x - median) / (q3 - q1)
    r = s / np.sqrt(1 + (s / 3) ** 2)
    waves = np.cos(2 * np.pi * (r[:, :, None] * coder.frequency + coder.phase)).reshape(200, -1)
    np.testing.assert_allclose(coder(x)[:, 2:], waves, atol=1e-5)


def encoder_of(X: Any, kind: Kind) -> Encoder:
    columns = learn_columns(X)
    table, weights = columns.read(X), np.ones(len(X))
    return learn_encoders(table, medians(table, weights), columns, weights, {kind}, np.random.default_rng(0))[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_have_a_name_each_and_gaps_an_input_of_their_own(kind: Kind) -> None:
    frame = pd.DataFrame(MIXED)
    columns = learn_columns(frame)
    table = columns.read(frame)
    encoder = encoder_of(frame, kind)
    X, names = encoder(table), encoder.names(columns)
    assert X.dtype == np.float32
    assert X.shape == (3, len(names)) == (3, len(set(names)))
    assert names[-3:] == ["age is missing", "city=Oslo", "city=Rome"]
    np.testing.assert_array_equal(X[:, -3:], [[0, 0, 1], [1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_finite_for_rows_unlike_any_in_training(kind: Kind) -> None:
    table = table_of(np.random.default_rng(0).normal(size=(50, 2)))
    encoder = encoder_of(table.numbers, kind)
    strange = table_of([[1e300, -1e300], [np.nan, 0.0]])
    assert np.isfinite(encoder(strange)).all()


def test_a_weighted_row_counts_in_the_preprocessing_as_its_repeats() -> None:
    x, w = np.random.default_rng(0).normal(size=(30, 1)), np.arange(30) % 3 + 1.0
    once, repeated = Standard.learn(x, w), Standard.learn(np.repeat(x, w.astype(int), axis=0), np.ones(int(w.sum())))
    np.testing.assert_allclose(once.mean, repeated.mean)
    np.testing.assert_allclose(once.std, repeated.std)


# ---------------------------------------------------------------------------------------------- selection, members


def test_greedy_weights_leave_out_what_does_not_help_and_beat_the_plain_mean() -> None:
    generator = np.random.default_rng(0)
    y = generator.normal(size=400)
    good = [y + generator.normal(size=400) for _ in range(2)]
    bad = y + 10 * generator.normal(size=400)

    def price(p: Numbers) -> float:
        return float(np.mean((p - y) ** 2))

    weights = greedy_weights([*good, bad], price)
    assert weights.sum() == pytest.approx(1)
    assert weights[2] == 0
    mixed = weights @ np.array([*good, bad])
    assert price(mixed) < min(price(np.mean([*good, bad], axis=0)), price(good[0]), price(good[1]))


def test_greedy_weights_leave_out_what_was_taken_once() -> None:
    low, high = np.array([0.0]), np.array([1.0])
    assert greedy_weights([low, high], lambda p: abs(p[0] - 0.05), steps=20).tolist() == [1, 0]
    assert greedy_weights([low, high], lambda p: abs(p[0] - 0.1), steps=20).tolist() == [0.9, 0.1]
    assert greedy_weights([low, high], lambda p: abs(p[0] - 0.4), steps=1).tolist() == [1, 0]


def test_an_ensemble_of_twenty_has_every_style_on_every_fold() -> None:
    members = chosen_members(20, list(STYLES), 5)
    assert sorted((m.style, m.fold) for m in members) == sorted((style, f) for style in STYLES for f in range(5))
    assert chosen_members(24, list(STYLES), 5)[-1].division == 1


def test_the_networks_of_the_styles() -> None:
    assert repr(plain([8, 4], "relu", 0.5)) == (
        "Network(Dense(8, relu, init=he_normal), Dropout(0.5), Dense(4, relu, init=he_normal), Dropout(0.5))"
    )
    block = "Residual(LayerNorm(), Dense(8, relu, init=he_normal))"
    assert repr(residual([8, 8, 8], "relu", 0)) == f"Network(Dense(8, identity), {block}, {block}, LayerNorm(relu))"
    assert [layer.n_out for layer in residual([8, 4], "relu", 0).layers(3, 1)] == [8, 8, 4, 4, 1]


def test_batches_grow_with_the_table() -> None:
    assert [usual_batch(n) for n in (10, 499, 500, 10**6)] == [32, 32, 64, 64]
