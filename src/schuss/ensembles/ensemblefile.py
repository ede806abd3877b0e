"""An ensemble as plain values and arrays, for files without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schuss import descriptions
from schuss.ensembles.columns import Columns
from schuss.ensembles.ensemble import Ensemble
from schuss.ensembles.kinds import KINDS, Coder, Encoder, Kind, Periodic, Piecewise, Standard
from schuss.ensembles.members import STYLES
from schuss.training import runfile
from schuss.training.run import Run

Arrays = dict[str, NDArray[Any]]


def pack(ensemble: Ensemble) -> tuple[dict[str, Any], Arrays]:
    """Plain values and arrays, from which `unpack` restores the ensemble; it predicts the same bits.

    Of a network that keeps its best weights the last ones and the optimizer's moments are left out: three quarters of
    it, which nothing goes on with.
    """
    arrays: Arrays = {"weights": ensemble.weights}
    for kind, encoder in ensemble.encoders.items():
        arrays |= _array_fields(f"{kind}/", encoder) | _array_fields(f"{kind}/coder/", encoder.coder)
        if isinstance(encoder.coder, Periodic):
            arrays |= _array_fields(f"{kind}/coder/standard/", encoder.coder.standard)
    encodings, runs = {}, []
    for number, (style, run) in enumerate(zip(ensemble.styles, ensemble.runs, strict=True)):
        described, own = runfile.pack(run.content())
        encodings[STYLES[style].inputs] = described.pop("encoding")  # the same for all networks of a kind
        runs.append(described)
        left_out = ("parameters", "moments") if "best" in own else ()
        arrays |= {f"run {number}/{name}": array for name, array in own.items() if name not in left_out}
    columns = asdict(ensemble.columns)
    return {"columns": columns, "styles": ensemble.styles, "encodings": encodings, "runs": runs}, arrays


def unpack(d: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Ensemble:
    """The ensemble that `pack` described."""
    categories = tuple(None if known is None else tuple(map(str, known)) for known in d["columns"]["categories"])
    encoders = {kind: _encoder(kind, arrays) for kind in KINDS if f"{kind}/fill" in arrays}
    styles = tuple(map(str, d["styles"]))
    runs = []
    for number, (style, described) in enumerate(zip(styles, d["runs"], strict=True)):
        prefix = f"run {number}/"
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        if "best" in own:
            states = descriptions.optimizer_from_json(described["recipe"]["optimizer"]).state
            own |= {"parameters": own["best"], "moments": np.zeros((len(states), own["best"].size), np.float32)}
        encoding = d["encodings"][STYLES[style].inputs]
        runs.append(Run(*runfile.unpack({**described, "encoding": encoding}, own)))
    columns = Columns(tuple(map(str, d["columns"]["names"])), categories, tuple(map(int, d["columns"]["dates"])))
    return Ensemble(columns, encoders, styles, tuple(runs), np.asarray(arrays["weights"]))


def _array_fields(prefix: str, owner: object) -> Arrays:
    named = {field.name: getattr(owner, field.name) for field in fields(owner)}  # type: ignore[arg-type]
    return {prefix + name: value for name, value in named.items() if isinstance(value, np.ndarray)}


def _encoder(kind: Kind, arrays: Mapping[str, NDArray[Any]]) -> Encoder:
    def below(prefix: str) -> Arrays:
        found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        return {name: array for name, array in found.items() if "/" not in name}

    parts: dict[str, Any] = dict(below(f"{kind}/coder/"))
    coder: Coder
    if "edges" in parts:
        coder = Piecewise(**parts)
    elif "frequency" in parts:
        coder = Periodic(Standard(**below(f"{kind}/coder/standard/")), **parts)
    else:
        coder = Standard(**parts)
    return Encoder(coder, **below(f"{kind}/"))
