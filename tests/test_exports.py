"""Exported estimators say the same as the estimator, by other engines: PyTorch and the ONNX run time."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import schuss as sc
from schuss.bridges.extras import required
from schuss.errors import InvalidInput

SETTINGS: dict[str, Any] = {"hidden": (16, 16), "epochs": 3, "ensemble": 4, "random_state": 0}
RELATIVE = 1e-6  # of the numbers of a regression, which are about 10⁶ here
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


def said_by_torch(model: Any, X: pd.DataFrame) -> Any:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return model.to_torch()(*model.torch_inputs(X)).numpy()


def onnx_session(model: Any) -> Any:
    pytest.importorskip("onnx")
    return pytest.importorskip("onnxruntime").InferenceSession(model.to_onnx().SerializeToString())


def strange(X: pd.DataFrame) -> pd.DataFrame:
    return X.assign(city="Atlantis", size=0.0)


CASES = [("regression", SHARED[1]), ("binary", SHARED[2]), ("classes", SHARED[3]), ("classes", SHARED[4])]
CASES += [("classes", name) for name in sc.activations.ACTIVATIONS]


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_torch_says_the_same(kind: str, activation: str) -> None:
    X = frame()
    model = fitted(kind, activation, X)
    for rows in (X, strange(X)):
        np.testing.assert_allclose(said_by_torch(model, rows), expected(model, rows), rtol=RELATIVE, atol=1e-6)


@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_onnx_says_the_same(kind: str, activation: str) -> None:
    X = frame()
    model = fitted(kind, activation, X)
    session = onnx_session(model)
    for rows in (X, strange(X)):
        numbers = rows[["size", "gaps", "flat"]].to_numpy(np.float64)
        found = session.run(None, {"numbers": numbers, "categories": rows[["city"]].to_numpy(object)})
        np.testing.assert_allclose(found[0], expected(model, rows), rtol=RELATIVE, atol=1e-6)
        if kind == "classes":
            assert found[1].tolist() == model.predict(rows).tolist()
        if kind == "binary":
            assert found[1].tolist() == model.predict(rows).astype(int).tolist()


# ---------------------------------------------------------------------------------------------- PyTorch


def test_a_module_is_computed_where_its_inputs_are() -> None:
    torch = pytest.importorskip("torch")
    X = frame()
    model = fitted("classes", "relu", X)
    found = model.to_torch().to("meta")(*(each.to("meta") for each in model.torch_inputs(X)))  # no CPU tensor may join
    assert found.device.type == "meta"
    assert found.shape == (len(X), 3)
    assert found.dtype == torch.float64


def test_a_saved_module_keeps_what_it_was_trained_to(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    X = frame()
    model = fitted("classes", "relu", X)
    module, inputs = model.to_torch(), model.torch_inputs(X)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)
    torch.save(module, tmp_path / "module.pt")
    loaded = torch.load(tmp_path / "module.pt", weights_only=False)
    fresh = model.to_torch()
    fresh.load_state_dict(module.state_dict())
    for other in (loaded, fresh, copy.deepcopy(module)):
        assert torch.equal(other(*inputs), module(*inputs))
    assert not torch.allclose(model.to_torch()(*inputs), module(*inputs))


def test_weights_are_parameters_and_preprocessing_is_buffers() -> None:
    pytest.importorskip("torch")
    model = fitted("classes", "relu", frame())
    module = model.to_torch()
    counting = [run for run, weight in zip(model.runs_, model.ensemble_.weights, strict=True) if weight > 0]
    assert sum(p.numel() for p in module.parameters()) == sum(run.parameters.size for run in counting)
    assert "standard_standard_low" in dict(module.named_buffers())


# ---------------------------------------------------------------------------------------------- ONNX


def mixed() -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(0)
    city = generator.choice(["Oslo", " Rome ", "?", ""], 80)
    X = pd.DataFrame({"city": city, "x": generator.normal(size=80), "old": generator.random(80) < 0.5})
    X["rank"] = pd.Series(generator.choice([1, 2], 80)).astype(str).astype("category")
    return X, (X["x"] + X["old"] > 0.5).to_numpy()


def test_onnx_inputs_agree_with_the_estimator_whatever_the_text() -> None:
    X, y = mixed()
    model = sc.SchussClassifier(**SETTINGS).fit(X, y)
    session = onnx_session(model)
    rows = X.assign(city=[" Oslo", "Rome\t", None, "Atlantis"] * 20)
    inputs = model.onnx_inputs(rows)
    assert inputs["categories"][:4, 0].tolist() == ["Oslo", "Rome", "", ""]
    np.testing.assert_allclose(session.run(None, inputs)[0], model.predict_proba(rows), rtol=0, atol=1e-6)
    numbers = sc.SchussClassifier(**SETTINGS).fit(X[["x"]], y)
    assert list(numbers.onnx_inputs(X[["x"]])) == ["numbers"]
    assert [each.name for each in onnx_session(numbers).get_inputs()] == ["numbers"]


def test_an_onnx_model_says_what_its_inputs_are() -> None:
    X, y = mixed()
    model = sc.SchussClassifier(**SETTINGS).fit(X, np.where(y, "yes", "no"))
    about = onnx_session(model).get_modelmeta()
    metadata = {name: json.loads(text) for name, text in about.custom_metadata_map.items()}
    assert metadata == {"numbers": ["x", "old"], "categories": ["city", "rank"], "classes": ["no", "yes"]}
    for phrase in ("0 and 1 for booleans", "NaN where missing", "without blanks", "x, old", "city, rank"):
        assert phrase in about.description
    regressor = sc.SchussRegressor(**SETTINGS).fit(X, X["x"].rename("price"))
    assert json.loads(onnx_session(regressor).get_modelmeta().custom_metadata_map["targets"]) == ["price"]


@pytest.mark.parametrize("classes", [[0.0, 2.0], [3, 7], ["no", "yes"]])
def test_onnx_labels_are_of_the_kind_of_the_classes(classes: list[Any]) -> None:
    X, y = mixed()
    model = sc.SchussClassifier(**SETTINGS).fit(X, np.array(classes)[y.astype(int)])
    found = onnx_session(model).run(["label"], model.onnx_inputs(X))[0].tolist()
    assert found == model.predict(X).tolist()
    assert {type(label) for label in found} == {type(classes[1])}


# ---------------------------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize(("package", "method"), [("torch", "to_torch"), ("onnx", "to_onnx")])
def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch, package: str, method: str) -> None:
    model = fitted("binary", "relu", frame())
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"{method} needs the package {package}, .*: pip install {package}"):
        getattr(model, method)()


def test_a_missing_package_is_named_with_a_command_that_installs_it() -> None:
    with pytest.raises(InvalidInput, match=r"to_moon needs the package moonshot, .*: pip install moonshot\.$"):
        required("moonshot", "to_moon")
