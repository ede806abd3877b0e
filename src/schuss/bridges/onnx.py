"""A fitted ensemble as an ONNX model, preprocessing included."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.bridges.extras import required
from schuss.bridges.forward import recorded_prediction
from schuss.ensembles.columns import Columns, Table
from schuss.ensembles.ensemble import Ensemble

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 19  # the first in which Equal compares text

_NODES = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "erf": "Erf", "sin": "Sin", "cos": "Cos", "add": "Add", "sub": "Sub",
    "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min", "matmul": "MatMul",
}  # fmt: skip


NUMBERS = (
    "Columns of numbers, in the order of the metadata: NaN where missing, 0 and 1 for booleans, days since 1970 for "
    "those that the metadata names as dates."
)
CATEGORIES = (
    "Columns of categories, in the order of the metadata, as text without blanks at its ends, whole numbers without a "
    "point, booleans as true and false. Missing is the empty text; what training did not meet is taken as missing."
)
LABEL = "The most probable class: a whole number, 0 and 1 for booleans, a float64, or text, as the classes are."


def onnx_model(ensemble: Ensemble, classes: NDArray[Any] | None) -> ModelProto:
    """The ensemble as an ONNX model.

    Inputs, each only where there are such columns; `onnx_inputs` makes them:

    - `numbers`, float64 [n, p]: NaN where missing, 0 and 1 for booleans, days since 1970 for dates;
    - `categories`, text [n, q], without blanks at its ends; "" where missing.

    Outputs: `probabilities` float64 [n, classes] and `label` [n], or `prediction` float64 [n, k]. A label is int64,
    also for booleans, float64 or text, as the classes are.

    The model's metadata names the columns of `numbers` and of `categories`, in their order, those of them that are
    `dates`, and the `classes` or `targets`: each a list in JSON.
    """
    onnx = required("onnx", "to_onnx")
    helper, types = onnx.helper, onnx.TensorProto
    ops = _OnnxOperations(onnx)
    result = recorded_prediction(ensemble, ops, "numbers")
    target, columns = ensemble.runs[0].encoding.target, ensemble.columns
    name = "prediction" if classes is None else "probabilities"
    ops.node("Identity", [result], name)
    outputs = [helper.make_tensor_value_info(name, types.DOUBLE, ["rows", len(target.classes or target.names)])]
    meant = {"targets": list(target.names)}
    if classes is not None:
        labels = _labels(classes)
        meant = {"classes": labels.tolist()}
        place = ops.node("ArgMax", [name], axis=1, keepdims=0)
        ops.node("Gather", [ops.constant("classes", labels), place], "label", axis=0)
        kind = helper.np_dtype_to_tensor_dtype(labels.dtype)
        outputs.append(helper.make_tensor_value_info("label", kind, ["rows"], LABEL))
    places = {"numbers": columns.numeric, "categories": columns.categorical}
    names = {name: [columns.names[i] for i in found] for name, found in places.items() if found}
    meant |= {"dates": [columns.names[i] for i in columns.dates]} if columns.dates else {}
    kinds = {"numbers": (types.DOUBLE, NUMBERS), "categories": (types.STRING, CATEGORIES)}
    inputs = [helper.make_tensor_value_info(n, kinds[n][0], ["rows", len(c)], kinds[n][1]) for n, c in names.items()]
    graph = helper.make_graph(ops.nodes, "schuss", inputs, outputs, list(ops.constants.values()))
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="schuss")
    model.ir_version = min(model.ir_version, 10)  # what run times of the last years read
    helper.set_model_props(model, {key: json.dumps(value) for key, value in (names | meant).items()})
    model.doc_string = "\n".join(f"{n}: {kinds[n][1]} They are: {', '.join(c)}." for n, c in names.items())
    onnx.checker.check_model(model)
    return model


def onnx_inputs(columns: Columns, table: Table) -> dict[str, NDArray[Any]]:
    """Rows as what `onnx_model` takes: text that is no known category is empty."""
    inputs: dict[str, NDArray[Any]] = {"numbers": table.numbers} if columns.numeric else {}
    if columns.categorical:
        known = [np.array([*(columns.categories[i] or ()), ""], dtype=object) for i in columns.categorical]
        text = [names[codes] for names, codes in zip(known, table.codes.T, strict=True)]  # −1 is the last one
        inputs["categories"] = np.column_stack(text)
    return inputs


def _labels(classes: NDArray[Any]) -> NDArray[Any]:
    match classes.dtype.kind:
        case "b" | "i" | "u":
            return classes.astype(np.int64)
        case "f":
            return classes.astype(np.float64)
    return classes.astype(str).astype(object)


class _OnnxOperations:
    """Values are names; what is computed becomes nodes."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def node(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: ArrayLike) -> str:
        self.constants.setdefault(name, self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    weight = constant

    def compute(self, operation: str, *operands: str) -> str:  # noqa: PLR0911 (one return an operation)
        match operation:
            case "is_nan":
                return self.cast(self.node("IsNaN", list(operands)), np.float32)
            case "where":
                condition = self.node("Cast", [operands[0]], to=self.onnx.TensorProto.BOOL)
                return self.node("Where", [condition, *operands[1:]])
            case "less" | "less_equal":
                found = self.node("Less" if operation == "less" else "LessOrEqual", list(operands))
                return self.cast(found, np.float32)
            case "expm1":
                return self.compute("sub", self.compute("exp", *operands), self._number(1))
            case "log1p":
                return self.compute("log", self.compute("add", *operands, self._number(1)))
            case "sech2":
                tanh = self.node("Tanh", list(operands))
                return self.compute("sub", self._number(1), self.compute("mul", tanh, tanh))
            case "logistic_pdf":
                sigmoid = self.node("Sigmoid", list(operands))
                return self.compute("mul", sigmoid, self.compute("sub", self._number(1), sigmoid))
            case "normal_cdf":
                scaled = self.compute("mul", *operands, self._number(math.sqrt(0.5)))
                return self.compute(
                    "mul", self._number(0.5), self.compute("add", self._number(1), self.node("Erf", [scaled]))
                )
            case "normal_pdf":
                exponent = self.compute("mul", self._number(-0.5), self.compute("mul", *operands, *operands))
                density = self._number(1 / math.sqrt(2 * math.pi))
                return self.compute("mul", density, self.compute("exp", exponent))
            case "hypot":
                squares = (self.compute("mul", x, x) for x in operands)
                return self.compute("sqrt", self.compute("add", *squares))
        return self.node(_NODES[operation], list(operands))

    def _number(self, value: float) -> str:
        return self.constant(f"number_{float(value)}", np.float32(value))

    def cast(self, x: str, dtype: type[np.floating[Any]]) -> str:
        return self.node("Cast", [x], to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def columns(self, x: str, places: NDArray[np.int64]) -> str:
        return self.node("Gather", [x, self.constant(f"places_{len(self.nodes)}", places)], axis=1)

    def concatenate(self, parts: list[str]) -> str:
        return self.node("Concat", parts, axis=1)

    def mean(self, x: str) -> str:
        return self.node("ReduceMean", [x, self.constant("last_axis", np.array([1]))], keepdims=1)

    def softmax(self, x: str) -> str:
        return self.node("Softmax", [x], axis=1)

    def one_hot(self, column: int, categories: tuple[str, ...]) -> str:
        own = self.columns("categories", np.array([column]))
        known = self.constant(f"categories_{column}", np.array([categories], dtype=object))
        return self.cast(self.node("Equal", [own, known]), np.float32)
