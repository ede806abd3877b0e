"""`read_table`: text files exactly as they are, every other kind of table, and files that are no tables."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schuss.data import load, read_table
from schuss.errors import DataError


def read(tmp_path: Path, content: str | bytes, name: str = "a.csv", **options: Any) -> dict[str, list[Any]]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, **options).to_dict(as_series=False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
        ("a,b\r\n1,2\r\n3,4", {"a": [1, 3], "b": [2, 4]}),
        ("a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}),
        ("\n\na,b\n1,2\n\n3,4\n\n\n", {"a": [1, 3], "b": [2, 4]}),
        (b"\xef\xbb\xbfa,b\n1,2\n", {"a": [1], "b": [2]}),
        ("a;b\n1,5;2\n", {"a": ["1,5"], "b": [2]}),
        ("a|b\n1|2\n", {"a": [1], "b": [2]}),
        (" a , b\n 1 , x y \n", {"a": [1], "b": ["x y"]}),
        ("a,b\n1,\n2,?\n,NA\n", {"a": [1, 2, None], "b": [None, None, None]}),
        ("a,b\n1,nan\n2.5,1e3\nNULL,+3\n", {"a": [1.0, 2.5, None], "b": [None, 1000.0, 3.0]}),
        ("a,b\nTrue,x\nfalse,y\n,\n", {"a": [True, False, None], "b": ["x", "y", None]}),
        ("a,b\n1,2\nx,3\n", {"a": ["1", "x"], "b": [2, 3]}),
        ('a,b\n1,"x, y"\n2,"say ""hi""\nthere"\n', {"a": [1, 2], "b": ["x, y", 'say "hi"\nthere']}),
        ('a,b\n5" pipe,1\n6" pipe,2\n', {"a": ['5" pipe', '6" pipe'], "b": [1, 2]}),
        ('a,b\n"x,1",\n"y",2\n', {"a": ["x,1", "y"], "b": [None, 2]}),
        ("a,b\n99999999999999999999,2\n", {"a": [1e20], "b": [2]}),
        (",b\n1,2\n", {"column_1": [1], "b": [2]}),
        ("2019,2020\n1,2\n", {"2019": [1], "2020": [2]}),
        ("a,b\ninf,2\n", {"a": [float("inf")], "b": [2]}),
    ],
)
def test_text_files(tmp_path: Path, content: str | bytes, expected: dict[str, list[Any]]) -> None:
    found = read(tmp_path, content)
    assert found == expected
    assert [[type(v) for v in column] for column in found.values()] == [
        [type(v) for v in pl.Series(column, strict=False).to_list()] for column in expected.values()
    ]


def test_types_are_found_over_the_whole_file(tmp_path: Path) -> None:
    content = "a,b\n" + "1,2\n" * 5000 + "1.5,x\n"
    found = read(tmp_path, content)
    assert found["a"][-1] == 1.5
    assert found["b"][0] == "2"


def test_columns_can_be_kept_as_text(tmp_path: Path) -> None:
    assert read(tmp_path, "zip,b\n00123,1\n", text=["zip"]) == {"zip": ["00123"], "b": [1]}


def test_tabs(tmp_path: Path) -> None:
    assert read(tmp_path, "a\tb,c\n1\tx,y\n", "a.tsv") == {"a": [1], "b,c": ["x,y"]}


plain = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(plain, plain, plain), min_size=1, max_size=8))
def test_any_text_survives_a_csv_file(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    """What Python's csv module writes is read back, whatever is in the cells."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["a", "b", "c"])
    writer.writerows([("k" + a, "k" + b, "k" + c) for a, b, c in rows])
    found = read(tmp_path, buffer.getvalue())
    stripped = pl.Series([f"k{c}" for row in rows for c in row]).str.strip_chars().to_list()
    assert [value for row in zip(*found.values(), strict=True) for value in row] == stripped


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 3], [1, None, 3]),
        ([1.5, float("nan"), None], [1.5, None, None]),
        ([True, None], [True, None]),
        (["a", None, float("nan"), " b ", "?"], ["a", None, None, "b", None]),
        (["1", "2"], ["1", "2"]),
        ([1, "x", 2.5], ["1", "x", "2.5"]),
        ([Decimal("1.5"), None], [1.5, None]),
        (np.array([1, 2], dtype=np.float16), [1.0, 2.0]),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), ["2020-01-01 00:00:00.000000", None]),
        (np.array([12, 36], dtype="timedelta64[h]"), [0.5, 1.5]),
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series(["1.5"]).cast(pl.Decimal(5, 2)), [1.5]),
    ],
)
def test_columns_of_any_kind(values: Any, expected: list[Any]) -> None:
    found = read_table({"a": values})["a"].to_list()
    assert found == expected
    assert [type(v) for v in found] == [type(v) for v in expected]


def test_pandas_missing_values() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i": pandas.array([1, None], dtype="Int64"),
            "b": pandas.array([True, None], dtype="boolean"),
            "s": pandas.array(["x", None], dtype="string"),
            "c": pandas.Categorical([1, None]),
            "d": pandas.to_datetime(["2020-01-01", None]),
            7: [1, 2],
        }
    )
    found = read_table(frame).to_dict(as_series=False)
    assert found["i"] == [1, None]
    assert found["b"] == [True, None]
    assert found["s"] == ["x", None]
    assert found["c"][1] is None
    assert isinstance(found["c"][0], str)
    assert found["d"][1] is None
    assert found["7"] == [1, 2]


NOT_TABLES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("a.csv", b"", "is empty"),
    "only blank lines": ("a.csv", "\n \n\r\n", "is empty"),
    "only a mark of byte order": ("a.csv", b"\xef\xbb\xbf\n", "is empty"),
    "only names": ("a.csv", "a,y\n", "no rows"),
    "only names and blanks": ("a.csv", "a,y\n\n\n", "no rows"),
    "an image": ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a table.*binary"),
    "noise": ("a.csv", b"a,b\n1,\xff\xfe\xfd\n", "not a table of UTF-8.*line 2.*0xff"),
    "Latin-1": ("a.csv", "a,b\nx,y\ncaf\xe9,1\n".encode("latin-1"), "line 3.*0xe9.*UTF-8"),
    "UTF-16": ("a.csv", "a,b\n1,2\n".encode("utf-16"), "not a table"),
    "short line": ("a.csv", "a,b,y\n1,2,3\n4,5\n7,8,9\n", "line 3: expected 3 values.*found 2"),
    "short line, others end in missing": ("a.csv", "a,b,y\n1,2,\n4,5\n", "line 3: expected 3 values"),
    "long line": ("a.csv", "a,b,y\n1,2,3\n\n4,5,6,7\n", "line 4: expected 3 values.*found 4"),
    "short line after a quoted end of line": ("a.csv", 'a,y\n"1\n2",3\n4\n', "line 4: expected 2 values"),
    "open quote": ("a.csv", 'a,y\n1,2\n3,"x\n5,6\n', "line 3: .*quote"),
    "short line of tabs": ("a.tsv", "a\tb\n1\n", "line 2: expected 2"),
    "twice the same name": ("a.csv", "a,b, a\n1,2,3\n", "more than one column called 'a'"),
    "no names": ("a.csv", "5.1,3.5,setosa\n4.9,3.1,setosa\n", "must begin with a line of column names"),
    "no Parquet": ("a.parquet", b"PAR1 nonsense PAR1", "not a Parquet table"),
    "no NPZ": ("a.npz", b"PK nonsense", "not an .npz file"),
    "of another kind": ("a.xlsx", b"PK", "must end in .csv, .tsv, .parquet, .npz"),
    "without a kind": ("table", b"a,b\n1,2\n", "must end in .csv"),
}


@pytest.mark.parametrize("case", NOT_TABLES)
def test_files_that_are_not_tables(tmp_path: Path, case: str) -> None:
    name, content, message = NOT_TABLES[case]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    for use in (read_table, load):
        with pytest.raises(DataError, match=message) as caught:
            use(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "churn.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match=r"no file .*chrun\.csv; did you mean churn\.csv\?"):
        load(str(tmp_path / "chrun.csv"))
    with pytest.raises(DataError, match=r"no file .*check the path"):
        load(tmp_path / "nowhere" / "x.csv")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    for impossible in ("a\0b.csv", "x" * 5000 + ".csv", "~nobody-here/a.csv", ""):
        with pytest.raises(DataError):
            load(impossible)


def test_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, A=np.zeros(3))
    with pytest.raises(DataError, match="must hold the arrays X and y, but holds 'A'"):
        load(path)
    np.savez(path, X=np.zeros((3, 2)))
    assert read_table(path).shape == (3, 2)
    with pytest.raises(DataError, match="needs its target"):
        load(path)
    np.savez(path, X=np.array([[{}]], dtype=object))
    with pytest.raises(DataError, match="plain arrays"):
        read_table(path)
    np.savez(path, X=np.zeros((2, 2, 2)), y=np.zeros(2))
    with pytest.raises(DataError, match="2-D"):
        load(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"not an \.npz"):
        load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(content=st.one_of(st.binary(max_size=60), st.text(alphabet='ab,;"\n\t 1.', max_size=40).map(str.encode)))
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz"])
def test_any_bytes_are_a_table_or_an_error(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    try:
        frame = read_table(path)
    except DataError:
        return
    assert frame.height > 0


def test_truncated_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": range(1000), "b": ["x"] * 1000}).write_parquet(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_table(path)
