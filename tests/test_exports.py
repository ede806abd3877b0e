"""Exported estimators say the same as the estimator, by other engines: PyTorch and the ONNX run time."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import schuss as sc

SETTINGS: dict[str, Any] = {"hidden": (16, 16), "epochs": 3, "ensemble": 4, "random_state": 0}
SHARED = {
    1: "auto",
    2: "gelu",
    3: "leaky_relu(slope=0.3)",
    4: "mine = where(z > 1, log1p(z * z), expm1(minimum(z, 1)))",
}


def frame(n: int = 200) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    columns = {"size": 1e6 + generator.normal(size=n), "city": generator.choice(["Oslo", "Rome"], n)}
    columns |= {"gaps": np.where(generator.random(n) < 0.2, np.nan, generator.gamma(1.0, size=n)), "flat": np.ones(n)}
    return pd.DataFrame(columns)


def fitted(kind: str, activation: str, X: pd.DataFrame) -> Any:
    size = X["size"].to_numpy()
    classes = np.digitize(size, np.quantile(size, [1 / 3, 2 / 3]))
    match kind:
        case "regression":
            return sc.SchussRegressor(activation=activation, **SETTINGS).fit(X, np.column_stack([size, -size]))
        case "binary":
            return sc.SchussClassifier(activation=activation, **SETTINGS).fit(X, classes > 0)
        case "classes":
            return sc.SchussClassifier(activation=activation, **SETTINGS).fit(X, np.array(["a", "b", "c"])[classes])
    raise AssertionError(kind)


def expected(model: Any, X: pd.DataFrame) -> Any:
    return model.predict(X) if isinstance(model, sc.SchussRegressor) else model.predict_proba(X)


CASES = [("regression", SHARED[1]), ("binary", SHARED[2]), ("classes", SHARED[3]), ("classes", SHARED[4])]


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_torch_says_the_same(kind: str, activation: str) -> None:
    torch = pytest.importorskip("torch")
    X = frame()
    model = fitted(kind, activation, X)
    strange = X.assign(city="Atlantis", size=0.0)
    module = model.to_torch()
    for rows in (X, strange):
        with torch.no_grad():
            found = module(*model.torch_inputs(rows)).numpy()
        np.testing.assert_allclose(found, expected(model, rows), rtol=1e-5, atol=1e-5)
    assert any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_onnx_says_the_same(kind: str, activation: str) -> None:
    run_time = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    X = frame()
    model = fitted(kind, activation, X)
    session = run_time.InferenceSession(model.to_onnx().SerializeToString())
    for rows in (X, X.assign(city="Atlantis", size=0.0)):
        numbers = rows[["size", "gaps", "flat"]].to_numpy(np.float64)
        found = session.run(None, {"numbers": numbers, "categories": rows[["city"]].to_numpy(object)})
        np.testing.assert_allclose(found[0], expected(model, rows), rtol=1e-5, atol=1e-5)
        if kind == "classes":
            assert found[1].tolist() == model.predict(rows).tolist()
        if kind == "binary":
            assert found[1].tolist() == model.predict(rows).astype(int).tolist()


@pytest.mark.parametrize(("package", "method"), [("torch", "to_torch"), ("onnx", "to_onnx")])
def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch, package: str, method: str) -> None:
    model = fitted("binary", "relu", frame())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"{method} needs the package {package}, .* pip install {package}"):
        getattr(model, method)()
