"""`load`: problems, tables, tasks, splits; leakage; every kind of bad data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schuss.data import PROBLEMS, Dataset, load, split_rows
from schuss.errors import DataError, InvalidInput, SchussError, UnknownName

SHAPES = {  # rows, inputs, classes, as the descriptions say
    "xor": (4, 2, 2),
    "moons": (1000, 2, 2),
    "circles": (1000, 2, 2),
    "spirals": (1000, 2, 2),
    "blobs": (1000, 2, 4),
    "digits": (1797, 64, 10),
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "breast_cancer": (569, 30, 2),
    "diabetes": (442, 10, 0),
}


SPLIT = (0.16, 0.2, 0)  # the defaults of `load`


def table(n: int = 60, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "age": random.normal(40, 10, n),
        "city": random.choice(["Oslo", "Rome"], n).tolist(),
        "target": (np.arange(n) % 3).tolist(),
    }


def rows_of(data: Dataset) -> np.ndarray[Any, Any]:
    """All encoded rows, sorted, with their targets: the same whatever the split, if the encoding is."""
    parts = (data.train, data.valid, data.test)
    together = np.concatenate([np.column_stack([part.X, part.y]) for part in parts])
    return together[np.lexsort(together.T)]


# --- built-in problems ---------------------------------------------------------------------------------------------


def test_problems_are_all_listed() -> None:
    assert list(PROBLEMS) == list(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_problem_loads(name: str) -> None:
    data = load(name)
    rows, inputs, classes = SHAPES[name]
    assert data.name == name
    assert data.n_inputs == inputs
    assert len(data.classes) == classes
    assert data.n_targets == 1
    assert str(rows) in PROBLEMS[name]
    assert data.notes == () or name == "digits"  # digits has pixels that are never on
    if name != "xor":
        assert len(data.train) + len(data.valid) + len(data.test) == rows
    for part in (data.train, data.valid, data.test):
        assert part.X.dtype == np.float32
        assert part.X.flags.c_contiguous
        assert np.isfinite(part.X).all()
        assert len(part) == len(part.X) == len(part.y)
        if classes:
            assert part.y.dtype == np.int64
            assert set(part.y.tolist()) == set(range(classes))
        else:
            assert part.y.dtype == np.float32
            assert part.y.shape == (len(part), 1)


def test_xor_is_its_own_train_valid_and_test() -> None:
    data = load("xor", standardize=False)
    for part in (data.train, data.valid, data.test):
        assert part.X.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert part.y.tolist() == [0, 1, 1, 0]
    assert load("xor").train.X.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_digits_against_scikit_learn() -> None:
    from sklearn.datasets import load_digits
    from sklearn.preprocessing import StandardScaler

    raw, labels = load_digits(return_X_y=True)
    data = load("digits")
    encoded = data.encoding.transform(raw)
    train, _, test = split_rows(labels, 0.16, 0.2, 0)
    scaled = StandardScaler().fit(raw[train]).transform(raw)
    changing = raw[train].std(axis=0) > 0
    np.testing.assert_allclose(encoded[:, changing], scaled[:, changing], rtol=1e-5, atol=1e-6)
    assert not encoded[:, ~changing].any()
    np.testing.assert_array_equal(data.test.X, encoded[test])
    np.testing.assert_array_equal(data.test.y, labels[test])


def test_generated_problems_need_more_than_a_line() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    for name, line in (("moons", 0.92), ("circles", 0.65), ("spirals", 0.75)):
        data = load(name)
        assert LogisticRegression().fit(data.train.X, data.train.y).score(data.test.X, data.test.y) < line
        assert KNeighborsClassifier(5).fit(data.train.X, data.train.y).score(data.test.X, data.test.y) > 0.93


def test_names_of_classes_are_kept() -> None:
    data = load("iris")
    assert data.classes == ("setosa", "versicolor", "virginica")
    assert data.encoding.decode(np.array([2, 0])).tolist() == ["virginica", "setosa"]


# --- sources -------------------------------------------------------------------------------------------------------


def test_every_source_gives_the_same_data(tmp_path: Path) -> None:
    raw = table()
    frame = pl.DataFrame(raw)
    frame.write_csv(tmp_path / "a.csv")
    frame.write_csv(tmp_path / "a.tsv", separator="\t")
    frame.write_csv(tmp_path / "semicolons.csv", separator=";")
    frame.write_parquet(tmp_path / "a.parquet")
    expected = load(frame)
    sources = [raw, frame.lazy(), *(str(path) for path in sorted(tmp_path.iterdir())), tmp_path / "a.csv"]
    for source in sources:
        data = load(source)
        assert data.fingerprint == expected.fingerprint, source
    assert load(tmp_path / "a.csv").name == "a"
    assert load(tmp_path / "a.csv", name="b").name == "b"
    assert load(frame.drop("target"), raw["target"]).fingerprint == expected.fingerprint


def test_data_frames_of_other_libraries() -> None:
    pandas = pytest.importorskip("pandas")
    raw = table()
    frame = pandas.DataFrame(raw, index=np.arange(60) + 7)
    assert load(frame).fingerprint == load(raw).fingerprint
    assert load(frame.drop(columns="target"), frame["target"]).fingerprint == load(raw).fingerprint
    frame["city"] = frame["city"].astype("category")
    frame["age"] = frame["age"].astype("Float64")
    assert load(frame).fingerprint == load(raw).fingerprint


def test_pyarrow_tables() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert load(pyarrow.table(table())).fingerprint == load(table()).fingerprint


def test_unknown_frames_are_read_column_by_column() -> None:
    class Frame:
        columns = ("age", "city", "target")

        def __getitem__(self, name: str) -> Any:
            return table()[name]

    assert load(Frame()).fingerprint == load(table()).fingerprint


def test_arrays(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(50, 3)), np.arange(50) % 2
    expected = load(X, y)
    assert expected.encoding.features == ("x1", "x2", "x3")
    np.savez(tmp_path / "a.npz", X=X, y=y)
    for data in (load((X, y)), load(X.tolist(), y.tolist()), load(X, y[:, None]), load(tmp_path / "a.npz")):
        assert data.fingerprint == expected.fingerprint
    assert load(X.astype(">f8"), y.astype(">i4")).fingerprint == expected.fingerprint
    assert load(np.ma.masked_array(X, np.eye(50, 3, dtype=bool)), y).encoding.features[1] == "x1 is missing"


def test_a_dataset_is_returned_as_it_is() -> None:
    data = load("xor")
    assert load(data) is data


def test_targets_of_several_numbers() -> None:
    random = np.random.default_rng(0)
    X, y = random.normal(size=(50, 3)), random.normal(5, 3, size=(50, 2))
    data = load(X, y)
    assert (data.task, data.n_targets, data.classes) == ("regression", 2, ())
    back = np.concatenate([data.encoding.decode(part.y) for part in (data.train, data.valid, data.test)])
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(y, axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(data.train.y.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.y.std(axis=0), 1, rtol=1e-6)
    assert load(X, pl.DataFrame(y, schema=["a", "b"])).encoding.target.names == ("a", "b")


# --- target and task -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "chosen", "noted"),
    [
        (["Class", "b"], "Class", False),
        (["a", "b"], "b", True),
        (["y", "label", "c"], "c", True),
        (["LABEL", "b", "c"], "LABEL", False),
    ],
)
def test_default_target(names: list[str], chosen: str, noted: bool) -> None:
    data = load({name: [0, 1] * 20 for name in names})
    assert data.encoding.target.names == (chosen,)
    assert bool(data.notes) == noted


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a"] * 20, "classification", ("a", "b")),
        ([True, False] * 20, "classification", (False, True)),
        ([3, 1] * 20, "classification", (1, 3)),
        ([3.0, 1.0] * 20, "classification", (1, 3)),
        ([3.5, 1.0] * 20, "regression", ()),
        (list(range(20)) * 4, "classification", tuple(range(20))),
        (list(range(21)) * 4, "regression", ()),
        ([*range(12), 0, 1, 2], "regression", ()),
        ([1e300**0.1, -(2.0**60)] * 20, "classification", (-(2.0**60), 1e300**0.1)),
    ],
)
def test_task_is_inferred(values: list[Any], task: str, classes: tuple[Any, ...]) -> None:
    data = load(np.arange(len(values))[:, None], values)
    assert data.task == task
    assert data.classes == classes
    assert [type(label) for label in data.classes] == [type(label) for label in classes]


def test_task_can_be_said() -> None:
    X = np.arange(40)[:, None]
    assert load(X, [1, 2] * 20, task="regression").task == "regression"
    data = load(X, [0.5, 1.5] * 20, task="classification")
    assert data.classes == (0.5, 1.5)
    assert load("digits", task="regression").n_targets == 1


def test_labels_come_back() -> None:
    labels = np.array(["10", "9", "x"] * 20)
    data = load(np.arange(60)[:, None], labels)
    train, *_ = split_rows(np.unique(labels, return_inverse=True)[1], *SPLIT)
    np.testing.assert_array_equal(data.encoding.decode(data.train.y), labels[train])


def test_rows_without_a_target_are_left_out() -> None:
    data = load({"a": range(45), "y": [0, 1, None] * 15})
    assert len(data.train) + len(data.valid) + len(data.test) == 30
    assert data.classes == (0, 1)
    assert data.notes == ("15 of 45 rows have no value of the target and are not used",)


# --- split ---------------------------------------------------------------------------------------------------------


@given(
    y=hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 4)),
    valid=st.floats(0.01, 0.6),
    test=st.floats(0.01, 0.39),
    seed=st.integers(0, 2**40),
)
def test_split_divides_and_stratifies(y: np.ndarray[Any, Any], valid: float, test: float, seed: int) -> None:
    y = np.repeat(np.unique(y, return_inverse=True)[1], 3)  # every class has at least three rows
    train, choosing, judging = split_rows(y, valid, test, seed)
    assert sorted(np.concatenate([train, choosing, judging])) == list(range(len(y)))
    sizes = np.bincount(y)
    for rows, share in ((choosing, valid), (judging, test)):
        found = np.bincount(y[rows], minlength=len(sizes))
        assert (found >= 1).all()
        assert (np.abs(found - share * sizes) <= 1.5).all()
    assert (np.bincount(y[train], minlength=len(sizes)) >= 1).all()


def test_split_depends_on_the_seed_alone() -> None:
    first, again, other = load(table(), seed=1), load(table(), seed=1), load(table(), seed=2)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    np.testing.assert_array_equal(first.train.X, again.train.X)


def test_rows_of_a_part_are_in_random_order() -> None:
    data = load(np.arange(1000)[:, None], np.repeat([0, 1], 500))
    for part in (data.train, data.valid, data.test):
        assert 0.3 < part.y[: len(part) // 2].mean() < 0.7


def test_shares() -> None:
    data = load("blobs", valid=0.1, test=0.3)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [600, 100, 300]
    data = load("diabetes", valid=0.25, test=0.25)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [222, 110, 110]


def test_smallest_data() -> None:
    data = load(np.arange(6)[:, None], [0, 1] * 3)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [2, 2, 2]
    data = load(np.arange(10)[:, None], np.arange(10) * 1.5)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [6, 2, 2]


# --- leakage, notes, summary ---------------------------------------------------------------------------------------


def test_test_rows_never_change_the_encoding() -> None:
    raw = table()
    expected = load(raw).encoding
    train, valid, test = split_rows(np.array(raw["target"]), *SPLIT)
    for row in (*valid, *test):
        changed = {name: list(values) for name, values in raw.items()}
        changed["age"][row] = 1e30 if row % 2 else None
        changed["city"][row] = "Atlantis" if row % 2 else None
        assert load(changed).encoding == expected
    changed = {name: list(values) for name, values in raw.items()}
    changed["age"][train[0]] = 41.0
    assert load(changed).encoding != expected


def test_columns_that_bring_nothing_are_noted() -> None:
    n = 300
    raw = {
        "same": [7.25] * n,
        "id": [f"id-{i}" for i in range(n)],
        "word": ["a"] * n,
        "good": np.random.default_rng(0).normal(size=n),
        "y": [0, 1] * (n // 2),
    }
    data = load(raw)
    assert data.encoding.features == ("same", "word=a", "good")
    assert not data.test.X[:, 0].any()
    same, identity, word = data.notes
    assert same == "column 'same' has the same value in every row of the training part: its input is always 0"
    assert identity.startswith("column 'id' is not used: 192 different texts in 192 training rows (at most 96)")
    assert "'word'" in word


def test_a_note_about_many_columns_names_the_first_few() -> None:
    edges = {f"edge{i}": [0.0] * 30 for i in range(7)}
    note = load(edges | {"x": np.random.default_rng(0).normal(size=30), "y": [0, 1] * 15}).notes[0]
    assert note.startswith("each of the columns 'edge0', 'edge1', 'edge2', 'edge3', 'edge4' and 2 more has the same")


def test_column_that_is_empty_in_training_alone() -> None:
    raw = table()
    train, _, test = split_rows(np.array(raw["target"]), *SPLIT)
    rare, text = [None] * 60, [None] * 60
    rare[test[0]], text[test[0]] = 5.0, "a"
    data = load({"rare": rare, "text": text, **raw})
    assert data.encoding.features == ("rare", "age", "city=Oslo", "city=Rome")
    assert not data.test.X[:, 0].any()
    assert [note.split("'")[1] for note in data.notes] == ["rare", "text"]
    assert len(train) == len(data.train)


def test_row_numbers_that_pandas_wrote_are_not_inputs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",a,y\n" + "".join(f"{i},{i * 0.5},{i % 2}\n" for i in range(20)))
    data = load(tmp_path / "a.csv")
    assert data.encoding.features == ("a",)
    assert "counts the rows" in data.notes[0]


def test_summary() -> None:
    assert repr(load("xor")) == (
        "Dataset 'xor': classification of 2 classes, 2 inputs, rows 4 train + 4 valid + 4 test"
    )
    assert repr(load("diabetes")) == (
        "Dataset 'diabetes': regression of 1 number, 10 inputs, rows 283 train + 71 valid + 88 test"
    )


def test_fingerprint_sees_every_array_and_the_encoding() -> None:
    import dataclasses

    data = load(table())
    assert re.fullmatch("[0-9a-f]{64}", data.fingerprint)
    assert dataclasses.replace(data, name="other").fingerprint == data.fingerprint
    for name in ("train", "valid", "test"):
        part = getattr(data, name)
        X, y = part.X.copy(), part.y.copy()
        X[-1, -1] += 1
        y[0] += 1
        for changed in (dataclasses.replace(part, X=X), dataclasses.replace(part, y=y)):
            assert dataclasses.replace(data, **{name: changed}).fingerprint != data.fingerprint
    encoding = dataclasses.replace(data.encoding, standardize=False)
    assert dataclasses.replace(data, encoding=encoding).fingerprint != data.fingerprint


def test_extreme_numbers_stay_finite() -> None:
    random = np.random.default_rng(0)
    n = 200
    X = np.column_stack(
        [
            np.full(n, 0.1),
            1e9 + random.normal(size=n) * 1e-2,
            random.normal(size=n) * 1e37,
            random.normal(size=n) * 1e-30,
            np.where(np.arange(n) == 7, 3e38, 0.0),
            1.7e9 + random.integers(0, 60, n),
        ]
    )
    for seed in range(5):
        data = load(X, random.normal(size=n) * 1e37, seed=seed)
        for part in (data.train, data.valid, data.test):
            assert np.isfinite(part.X).all()
            assert np.isfinite(part.y).all()
            assert np.abs(part.X).max() <= 1e4
        np.testing.assert_allclose(data.train.X[:, 1:4].std(axis=0), 1, rtol=1e-4)
        np.testing.assert_allclose(data.train.X[:, 5].std(), 1, rtol=1e-4)
        assert not data.train.X[:, 0].any()


# --- bad input -----------------------------------------------------------------------------------------------------

GOOD = {"a": list(range(40)), "y": [0, 1] * 20}
NUMBERS = np.arange(80.0).reshape(40, 2)

BAD: dict[str, tuple[object, dict[str, Any], str]] = {
    "target not there": (GOOD | {"Exited": [0] * 40}, {"target": "exitd"}, "no column 'exitd'.*mean 'Exited'"),
    "target not there, nothing near": (GOOD, {"target": "quality"}, "no column 'quality'.*columns are 'a', 'y'"),
    "one class": (GOOD | {"y": ["n"] * 40}, {}, "'y' has one class only .'n'."),
    "few rows of a class": (GOOD | {"y": ["r"] * 2 + ["n"] * 38}, {}, "at least 3 rows.*'r' has 2"),
    "few rows of a number": (GOOD | {"y": [5, 5] + [6] * 38}, {}, "5 has 2.*task='regression'"),
    "few rows of a regression": ({"a": range(9), "y": np.arange(9) / 7}, {}, "at least 10 rows.*are 9"),
    "nothing to regress on": (GOOD | {"y": [1.5] * 40}, {}, "'y' is 1.5 in every row"),
    "all NaN": (GOOD | {"b": [np.nan] * 40}, {"target": "y"}, "column 'b' has no values"),
    "all missing text": (GOOD | {"b": ["?"] * 40}, {"target": "y"}, "column 'b' has no values"),
    "no target value": (GOOD | {"y": [None] * 40}, {}, "target 'y' has no values"),
    "infinity": (GOOD | {"b": [1.0, -np.inf] * 20}, {"target": "y"}, r"column 'b' holds -inf \(row 2\)"),
    "beyond float32": (GOOD | {"b": [1e39, 1.0] * 20}, {"target": "y"}, r"column 'b' holds 1e\+39 \(row 1\)"),
    "infinite target": (GOOD | {"y": [0.5] * 39 + [np.inf]}, {}, r"column 'y' holds inf \(row 40\)"),
    "infinite target, missing before": (GOOD | {"y": [None, 0.5] * 19 + [2, np.inf]}, {}, r"'y' holds inf \(row 40\)"),
    "text to regress on": (GOOD | {"y": ["lo", "hi"] * 20}, {"task": "regression"}, "must be numbers.*'lo'"),
    "only a target": ({"y": [0, 1] * 20}, {}, "no input columns"),
    "nothing": ({}, {}, "no columns"),
    "no rows": ({"a": [], "y": []}, {}, "no rows"),
    "only free text": ({"a": [f"t{i}" for i in range(40)], "y": [0, 1] * 20}, {}, "no input column is left: .*'a'"),
    "lists": (GOOD | {"b": [[1, 2]] * 40}, {"target": "y"}, "column 'b' must be one-dim"),
    "ragged lists": (GOOD | {"b": [[1], [1, 2]] * 20}, {"target": "y"}, "column 'b'"),
    "list column": (pl.DataFrame(GOOD | {"b": [[1, 2]] * 40}), {"target": "y"}, r"column 'b' .*List\(Int64\)"),
    "bytes": (GOOD | {"b": [b"a"] * 40}, {"target": "y"}, "column 'b'.*S1"),
    "complex": (GOOD | {"b": [1j] * 40}, {"target": "y"}, "column 'b'.*complex"),
    "columns of different lengths": (GOOD | {"b": [1]}, {}, "same number of rows.*'a' 40, 'y' 40, 'b' 1"),
    "different lengths": (NUMBERS, {"target": [0, 1]}, "same number of rows, but have 40 and 2"),
    "1-D": (NUMBERS[:, 0], {"target": GOOD["y"]}, r"2-D .*shape \[40\].*X.:, None."),
    "3-D": (NUMBERS[:, :, None], {"target": GOOD["y"]}, r"2-D .*shape \[40, 2, 1\].*reshape"),
    "0-D": (7, {"target": GOOD["y"]}, r"2-D .*shape \[\]"),
    "3-D target": (NUMBERS, {"target": np.zeros((40, 1, 1))}, r"shape \[40, 1, 1\]"),
    "objects": (np.array([["a", 1.0]] * 40, dtype=object), {"target": GOOD["y"]}, "must hold numbers.*data frame"),
    "text array": (np.array([["a", "b"]] * 40), {"target": GOOD["y"]}, "must hold numbers"),
    "ragged rows": ([[1.0], [1.0, 2.0]], {"target": GOOD["y"]}, "cannot be read as an array"),
    "no target": (NUMBERS, {}, "array X needs its target"),
    "no target for lists": (NUMBERS.tolist(), {}, "array X needs its target"),
    "a name for an array": (NUMBERS, {"target": "y"}, "array X needs its target"),
    "target twice": ((NUMBERS, GOOD["y"]), {"target": GOOD["y"]}, "target came twice"),
    "classes side by side": (NUMBERS, {"target": np.eye(40, 2), "task": "classification"}, "argmax"),
    "target of a problem": ("digits", {"target": "y"}, "'digits' brings its own target"),
    "no columns": (np.zeros((40, 0)), {"target": GOOD["y"]}, "no input columns"),
    "text to regress on, built in": ("iris", {"task": "regression"}, "must be numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data(case: str) -> None:
    source, options, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        load(source, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))


def test_duplicate_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[0, 1, 2]] * 10, columns=["a", "a", "y"])
    with pytest.raises(DataError, match="more than one column called 'a'"):
        load(frame)


def test_duplicate_columns_of_an_arrow_table() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="more than one column called 'a'"):
        load(pyarrow.table([[1], [1]], names=["a", "a"]))


def test_unknown_problem() -> None:
    with pytest.raises(UnknownName, match=r"unknown problem 'digit'; did you mean digits.*no file 'digit' either"):
        load("digit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classify"}, "unknown task 'classify'; did you mean classification"),
        ({"valid": 0}, "valid must be a share"),
        ({"test": float("nan")}, "test must be a finite"),
        ({"valid": 0.5, "test": 0.5}, "leave rows"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("xor", **options)


cells = st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=3), st.booleans())


@settings(deadline=None, max_examples=200)
@given(
    columns=st.dictionaries(st.text(max_size=3), st.lists(cells, min_size=12, max_size=12), max_size=4),
    target=st.sampled_from([["a", "b"] * 6, [0.5, 1.5, 2.5] * 4, [True, False, None] * 4]),
)
def test_any_table_is_encoded_or_refused(columns: dict[str, list[Any]], target: list[Any]) -> None:
    try:
        data = load(columns, target)
    except SchussError:
        return
    for part in (data.train, data.valid, data.test):
        assert np.isfinite(part.X).all()
        assert part.X.shape[1] == data.n_inputs == len(data.encoding.features)
    assert len(rows_of(data)) == len([value for value in target if value is not None])
