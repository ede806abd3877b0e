"""`Encoding`: raw rows to inputs against scikit-learn and pandas, back to labels, and through JSON."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schuss.data import load, split_rows
from schuss.data.encoding import Column, Encoding, Target, learn_encoding
from schuss.errors import DataError, RunFileError, SchussError

TARGET = Target(("y",), "regression", mean=(10.0,), std=(2.0,))

EXAMPLE = Encoding(
    (
        Column("age", "numeric", mean=40.0, std=10.0, fill=38.0, has_missing_flag=True),
        Column("city", "category", has_missing_flag=True, categories=("Oslo", "Rome")),
        Column("same", "numeric", mean=3.0, std=0.0, fill=3.0),
        Column("size", "numeric", mean=1.0, std=0.5),
    ),
    TARGET,
)


def mixed(n: int = 400, seed: int = 0) -> dict[str, Any]:
    """Numbers and text, each with and without missing values, and a target."""
    random = np.random.default_rng(seed)
    gaps = random.random((2, n)) < 0.2
    return {
        "full": random.normal(100, 15, n),
        "gaps": np.where(gaps[0], np.nan, random.exponential(3, n)),
        "count": random.integers(0, 9, n),
        "flag": random.random(n) < 0.3,
        "text": random.choice(["b", "a", "c"], n).tolist(),
        "holes": [None if gap else word for gap, word in zip(gaps[1], random.choice(["u", "v"], n), strict=True)],
        "y": np.arange(n) % 2,
    }


def test_by_hand() -> None:
    found = EXAMPLE.transform(
        {
            "size": [1, 2, 1],
            "age": [50, None, 38],
            "same": [3, 8, None],
            "more": ["is", "left", "out"],
            "city": ["Rome", "Paris", None],
        }
    )
    assert EXAMPLE.features == (
        *("age", "age is missing", "city=Oslo", "city=Rome", "city is missing", "same", "size"),
    )
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(
        found, [[1, 0, 0, 1, 0, 0, 0], [-0.2, 1, 0, 0, 0, 0, 2], [-0.2, 0, 0, 0, 1, 0, 0]], atol=1e-7
    )


def test_against_scikit_learn_and_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    raw = mixed()
    data = load(raw)
    train, _, test = split_rows(raw["y"], 0.16, 0.2, 0)
    numbers = np.column_stack([raw[name] for name in ("full", "gaps", "count", "flag")]).astype(float)
    imputer = SimpleImputer(strategy="median").fit(numbers[train])
    scaler = StandardScaler().fit(imputer.transform(numbers[train]))
    full, gaps, count, flag = scaler.transform(imputer.transform(numbers)).T
    text = pandas.get_dummies(pandas.Series(raw["text"])).to_numpy()
    holes = pandas.get_dummies(pandas.Series(raw["holes"]), dummy_na=True).to_numpy()
    expected = np.column_stack([full, gaps, np.isnan(raw["gaps"]), count, flag, text, holes])
    np.testing.assert_allclose(data.train.X, expected[train], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.test.X, expected[test], rtol=1e-5, atol=1e-6)
    assert data.encoding.features == (
        *("full", "gaps", "gaps is missing", "count", "flag"),
        *("text=a", "text=b", "text=c", "holes=u", "holes=v", "holes is missing"),
    )


def test_mean_0_and_standard_deviation_1_on_the_training_part() -> None:
    data = load("wine")
    np.testing.assert_allclose(data.train.X.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.train.X.std(axis=0), 1, rtol=1e-5)


def test_without_standardization() -> None:
    raw = {"a": [1e6, 2.5, None, 4.0] * 10, "b": ["u", "v"] * 20, "y": [0.5, 1.5, 2.5, 4.0] * 10}
    data = load(raw, standardize=False)
    a, missing, u, v = data.encoding.transform(raw).T
    assert a[:4].tolist() == [1e6, 2.5, data.encoding.columns[0].fill, 4]
    assert (missing[:4].tolist(), u[:2].tolist(), v[:2].tolist()) == ([0, 0, 1, 0], [1, 0], [0, 1])
    assert set(data.train.y[:, 0].tolist()) == {0.5, 1.5, 2.5, 4.0}
    assert data.encoding.decode([[1.5], [2.5]]).tolist() == [1.5, 2.5]


def test_raw_rows_of_every_kind_encode_alike(tmp_path: Path) -> None:
    raw = mixed()
    frame = pl.DataFrame(raw)
    encoding = load(raw).encoding
    expected = encoding.transform(raw)
    frame.fill_nan(None).drop("y").write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    for source in (frame, frame.lazy(), frame.select(reversed(frame.columns)), str(tmp_path / "a.csv")):
        np.testing.assert_allclose(encoding.transform(source), expected, atol=1e-6)
    np.testing.assert_array_equal(encoding.transform(tmp_path / "a.parquet"), expected)
    np.testing.assert_array_equal(encoding.transform(frame[:1]), expected[:1])
    assert encoding.transform(frame[:0]).shape == (0, len(encoding.features))


def test_raw_rows_in_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    encoding = load(mixed()).encoding
    np.testing.assert_array_equal(encoding.transform(pandas.DataFrame(mixed())), encoding.transform(mixed()))


def test_arrays_are_taken_by_position(tmp_path: Path) -> None:
    encoding = load("iris").encoding
    rows = np.array([[5.1, 3.5, 1.4, 0.2]])
    expected = encoding.transform(dict(zip((column.name for column in encoding.columns), rows.T, strict=True)))
    np.savez(tmp_path / "a.npz", X=rows)
    for source in (rows, rows.tolist(), rows.astype(object), tmp_path / "a.npz"):
        np.testing.assert_array_equal(encoding.transform(source), expected)


def test_categories_that_look_like_numbers(tmp_path: Path) -> None:
    """A file in which every category happens to be a number still means the categories of training."""
    raw = {"size": ["1", "2", "x"] * 20, "y": [0, 1] * 30}
    encoding = load(raw).encoding
    assert encoding.features == ("size=1", "size=2", "size=x")
    (tmp_path / "a.csv").write_text("size\n2\n1\n\n2\n")
    assert encoding.transform(tmp_path / "a.csv").argmax(axis=1)[[0, 1, 3]].tolist() == [1, 0, 1]
    for values in ([2, 1], [2.0, 1.0], np.array([2, 1], dtype=np.int8)):
        assert encoding.transform({"size": values}).argmax(axis=1).tolist() == [1, 0]


def test_numbers_that_came_as_text() -> None:
    found = EXAMPLE.transform({"age": ["50", " 38 "], "city": ["Rome"] * 2, "same": ["?"] * 2, "size": ["1e0", "NA"]})
    np.testing.assert_allclose(found[:, [0, 6]], [[1, 0], [-0.2, -2]], rtol=1e-6)


def test_rows_unlike_any_in_training_are_cut_off() -> None:
    found = EXAMPLE.transform({"age": [1e30, -1e30], "city": ["Rome"] * 2, "same": [1e30] * 2, "size": [1, 1]})
    assert found[:, 0].tolist() == [1e4, -1e4]
    assert found[:, 5].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": None}, "the columns of the training data, but 'age' is missing; its columns are 'city'"),
        ({"age": None, "Age": [1]}, "'age' is missing; did you mean 'Age'"),
        ({"age": None, "size": None}, "'age', 'size' are missing"),
        ({"age": ["old"]}, r"column 'age' must hold numbers, but holds 'old' \(row 1\)"),
        ({"age": [float("inf")]}, r"column 'age' holds inf \(row 1\)"),
        ({"size": ["1e999"]}, r"column 'size' holds inf \(row 1\)"),
    ],
)
def test_rows_that_cannot_be_encoded(change: dict[str, Any], message: str) -> None:
    raw = {"age": [1], "city": ["Rome"], "same": [3], "size": [1]} | change
    with pytest.raises(DataError, match=message):
        EXAMPLE.transform({name: values for name, values in raw.items() if values is not None})


def test_arrays_that_cannot_be_encoded() -> None:
    with pytest.raises(DataError, match=r"must be text; give a data frame"):
        EXAMPLE.transform(np.zeros((1, 4)))
    encoding = load("iris").encoding
    with pytest.raises(DataError, match="must have 4 columns, but has 3"):
        encoding.transform(np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"one row X\[None, :\]"):
        encoding.transform([5.1, 3.5, 1.4, 0.2])


@pytest.mark.parametrize("classes", [("a", "b", "c"), (3, 5, 7), (0.5, 1.5, 2.5), (False, True)])
def test_decoding_classes(classes: tuple[Any, ...]) -> None:
    encoding = Encoding(EXAMPLE.columns, Target(("y",), "classification", classes=classes))
    assert encoding.decode(np.array([1, 0, 1])).tolist() == [classes[1], classes[0], classes[1]]
    assert encoding.decode(np.zeros(0, dtype=np.int64)).tolist() == []
    for wrong in ([-1], [3], [0.5], ["a"]):
        with pytest.raises(DataError, match="class indices from 0 to"):
            encoding.decode(wrong)


def test_decoding_numbers() -> None:
    assert EXAMPLE.decode(np.array([0.0, 1.0])).tolist() == [10, 12]
    assert EXAMPLE.decode(np.array([[0.0], [1.0]], dtype=np.float32)).tolist() == [10, 12]
    two = Encoding(EXAMPLE.columns, Target(("y", "z"), "regression", mean=(10.0, 0.0), std=(2.0, 5.0)))
    assert two.decode([[1.0, 1.0]]).tolist() == [[12, 5]]
    for encoding, wrong in ((EXAMPLE, [[1.0, 2.0]]), (two, [1.0]), (two, np.zeros((1, 1, 2))), (EXAMPLE, ["a"])):
        with pytest.raises(DataError, match=r"shape \[n, "):
            encoding.decode(wrong)


@pytest.mark.parametrize("n", [20, 40, 60, 250, 400])
def test_texts_with_too_many_values_are_left_out(n: int) -> None:
    limit = {20: 10, 40: 20, 60: 30, 250: 100, 400: 100}[n]
    for distinct in (limit, limit + 1):
        texts = pl.Series("t", [f"{i % distinct:03}" for i in range(n)])
        encoding, notes = learn_encoding(pl.DataFrame([texts, pl.Series("x", range(n))]), TARGET, standardize=True)
        assert len(encoding.columns) == (2 if distinct <= limit else 1)
        assert len(notes) == (distinct > limit)


# --- JSON ----------------------------------------------------------------------------------------------------------


def test_through_json() -> None:
    for encoding in (EXAMPLE, load("digits").encoding, load("diabetes").encoding, load(mixed()).encoding):
        description = encoding.to_json()
        text = json.dumps(description)
        assert json.loads(text) == description
        assert Encoding.from_json(json.loads(text)) == encoding


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
columns = st.one_of(
    st.builds(Column, names, st.just("numeric"), finite, st.floats(0, 1e30), finite, st.booleans()),
    st.builds(
        lambda name, flag, categories: Column(name, "category", has_missing_flag=flag, categories=tuple(categories)),
        names,
        st.booleans(),
        st.lists(names, min_size=1, max_size=4, unique=True),
    ),
)
targets = st.one_of(
    st.builds(
        lambda mean, std: Target(("y",), "regression", mean=(mean,), std=(std,)),
        finite,
        st.floats(0, 1e30, exclude_min=True),
    ),
    st.lists(names, min_size=2, max_size=4, unique=True).map(
        lambda classes: Target(("y",), "classification", classes=tuple(classes))
    ),
    st.lists(st.integers(), min_size=2, max_size=4, unique=True).map(
        lambda classes: Target(("y",), "classification", classes=tuple(classes))
    ),
)
encodings = st.builds(
    Encoding, st.lists(columns, min_size=1, max_size=4, unique_by=lambda c: c.name).map(tuple), targets, st.booleans()
)


@given(encoding=encodings)
def test_json_loses_nothing(encoding: Encoding) -> None:
    assert Encoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


DAMAGE: list[tuple[list[Any], Any]] = [
    ([], None),
    ([], []),
    (["more"], 1),
    (["columns"], {}),
    (["columns"], []),
    (["columns", 0], "age"),
    (["columns", 0, "more"], 1),
    (["columns", 0, "name"], 7),
    (["columns", 0, "name"], "\ud800"),
    (["columns", 0, "name"], "city"),
    (["columns", 0, "kind"], "number"),
    (["columns", 0, "kind"], ["numeric"]),
    (["columns", 0, "mean"], "40"),
    (["columns", 0, "mean"], True),
    (["columns", 0, "mean"], float("nan")),
    (["columns", 0, "mean"], 10**400),
    (["columns", 0, "std"], -1.0),
    (["columns", 0, "fill"], float("inf")),
    (["columns", 0, "has_missing_flag"], 1),
    (["columns", 0, "categories"], ["a"]),
    (["columns", 1, "categories"], ["a", "a"]),
    (["columns", 1, "categories"], ["a", 1]),
    (["columns", 1, "categories"], "ab"),
    (["columns", 1, "mean"], 1.0),
    (["standardize"], 1),
    (["target"], None),
    (["target", "task"], "clustering"),
    (["target", "task"], {}),
    (["target", "names"], []),
    (["target", "mean"], []),
    (["target", "std"], [0.0]),
    (["target", "classes"], ["a", "b"]),
]

CLASS_DAMAGE: list[Any] = [
    [],
    ["a"],
    ["a", "a"],
    ["a", 1],
    [1, True],
    [None, "a"],
    [[1], [2]],
    [0.5, float("nan")],
    "ab",
]


def damaged(description: Any, place: list[Any], value: Any) -> Any:
    if not place:
        return value
    description = copy.deepcopy(description)
    inner = description
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return description


@pytest.mark.parametrize(("place", "value"), DAMAGE)
def test_damaged_descriptions_are_refused(place: list[Any], value: Any) -> None:
    with pytest.raises(RunFileError, match="damaged"):
        Encoding.from_json(damaged(EXAMPLE.to_json(), place, value))


@pytest.mark.parametrize("classes", CLASS_DAMAGE)
def test_damaged_classes_are_refused(classes: Any) -> None:
    good = Encoding(EXAMPLE.columns, Target(("y",), "classification", classes=("a", "b"))).to_json()
    with pytest.raises(RunFileError, match="damaged"):
        Encoding.from_json(damaged(good, ["target", "classes"], classes))
    with pytest.raises(RunFileError, match="damaged"):
        Encoding.from_json(damaged(good, ["target", "mean"], [1.0]))


def test_missing_entries_are_refused() -> None:
    for place in (["columns"], ["columns", 0, "std"], ["target", "classes"]):
        description = EXAMPLE.to_json()
        inner: Any = description
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        with pytest.raises(RunFileError, match="damaged"):
            Encoding.from_json(description)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data(), value=json_values)
def test_any_edit_is_refused_or_still_encodes(data: st.DataObject, value: Any) -> None:
    place, inner = [], EXAMPLE.to_json()
    while isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(list(inner) if isinstance(inner, dict) else list(range(len(inner)))))
        place.append(key)
        inner = inner[key]
    try:
        encoding = Encoding.from_json(damaged(EXAMPLE.to_json(), place, value))
        X = encoding.transform({"age": [1e30, None], "city": ["Rome", None], "same": [1, 2], "size": [0, 3e38]})
    except SchussError:
        return
    assert np.isfinite(X).all()
