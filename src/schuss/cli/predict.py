"""`schuss predict`: the rows of a table, predicted with what `fit --save` kept."""

from __future__ import annotations

import sys
from typing import Any

import schuss as sc
from schuss.atomic import write_atomically
from schuss.cli.options import CsvFile, Json, RunArgument, TableArgument
from schuss.cli.output import STDOUT, Output, csv_text, predicted_columns
from schuss.estimators.saved import Model, load_saved, rows_for


def predict(run: RunArgument, table: TableArgument, *, out: CsvFile = STDOUT, json: Json = None) -> None:
    """Predict the rows of a table with what fit --save kept: an ensemble, or one network.

    $ schuss predict churn.schuss new.csv --out predictions.csv
    """
    output = Output(json, files=[out], read=[run, table])
    header, columns = _predictions(load_saved(run), table)
    output.write_json(lambda: dict(zip(header, columns, strict=True)))
    text = csv_text(header, zip(*columns, strict=True))
    if out != STDOUT:
        write_atomically(out, text.encode())
        output.show(f"predictions: {out}")
    elif json != STDOUT:
        sys.stdout.write(text)


def _predictions(kept: sc.Run | Model, table: str) -> tuple[list[str], list[list[Any]]]:
    """Names and columns: the prediction, and the probability of each class where the loss gives one."""
    if isinstance(kept, sc.Run):
        target, predicted = kept.encoding.target, kept.predict(table)
        p = kept.predict_proba(table) if kept.gives_probabilities else None
        return predicted_columns(target.names, predicted, target.classes, p)
    rows, names = rows_for(kept, table), kept.runs_[0].encoding.target.names
    if isinstance(kept, sc.SchussRegressor):
        return predicted_columns(names, kept.predict(rows))
    p = kept.predict_proba(rows)
    return predicted_columns(names, kept.classes_[p.argmax(axis=1)], kept.classes_.tolist(), p)
