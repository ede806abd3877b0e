"""What was saved, whichever it is: the run of one network, or an estimator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from schuss.data.encoding import check_present
from schuss.data.reading import read_table
from schuss.errors import RunFileError
from schuss.training import runfile
from schuss.training.run import Run

if TYPE_CHECKING:
    import polars as pl

    from schuss.estimators.classifier import SchussClassifier
    from schuss.estimators.regressor import SchussRegressor

Model: TypeAlias = "SchussClassifier | SchussRegressor"


def load_saved(path: Path) -> Run | Model:
    """The run or the estimator in a file, which is read once; RunFileError if it is truncated, edited or neither."""
    return runfile.read_file(path, _restored)


def _restored(d: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Run | Model:
    if "estimator" not in d:
        return Run(*runfile.unpack(d, arrays))
    from schuss.estimators.classifier import SchussClassifier
    from schuss.estimators.regressor import SchussRegressor

    known: dict[str, Any] = {kind.__name__: kind for kind in (SchussClassifier, SchussRegressor)}
    if d["estimator"] not in known:
        raise RunFileError(f"it holds a {d['estimator']:.40}, which is unknown.")
    model: Model = known[d["estimator"]]._from_file(d, arrays)
    return model


def rows_for(model: Model, table: str) -> pl.DataFrame:
    """The rows of a table file as the estimator takes them: its columns by name, those of text as they are written."""
    columns = model.ensemble_.columns
    text = [columns.names[i] for i in columns.categorical]
    frame = read_table(table, text=text, names=list(columns.names))
    check_present(columns.names, frame.columns)
    return frame.select(columns.names)
