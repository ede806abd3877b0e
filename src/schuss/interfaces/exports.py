"""A fitted estimator elsewhere: as a `torch.nn.Module`, and as an ONNX model. Preprocessing is part of both."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.errors import InvalidInput
from schuss.tabular.ensemble import Ensemble
from schuss.tabular.forward import predict

if TYPE_CHECKING:
    import onnx
    import torch

OPSET = 19  # the first in which Equal compares text


def required(package: str, purpose: str) -> Any:
    """Import an optional package; InvalidInput, with what to do, where it is not installed."""
    try:
        return import_module(package)
    except ImportError:
        raise InvalidInput(
            f"{purpose} needs the package {package}, which is not installed: pip install {package}."
        ) from None


# ---------------------------------------------------------------------------------------------- PyTorch


def torch_module(ensemble: Ensemble) -> torch.nn.Module:
    """The ensemble as a module: (numbers float64 [n, p], codes int64 [n, q]) → float64 [n, k].

    Weights, and what was learned for the preprocessing, are buffers and parameters of its state_dict.
    """
    library = required("torch", "to_torch")

    class Predictor(library.nn.Module):  # type: ignore[misc,name-defined]
        """Probabilities, or numbers in the target's unit."""

        def __init__(self) -> None:
            super().__init__()
            self.constants = library.nn.ParameterDict()

        def forward(self, numbers: Any, codes: Any = None) -> Any:
            """Columns of numbers, NaN where missing, and the codes of the categories, −1 where unknown."""
            return predict(ensemble, _TorchOperations(library, self.constants, codes), numbers.to(library.float64))

    module = Predictor()
    columns = ensemble.columns
    module(library.zeros(1, len(columns.numeric)), library.zeros(1, len(columns.categorical), dtype=library.int64))
    module.eval()
    return cast("torch.nn.Module", module)


class _TorchOperations:
    def __init__(self, torch: Any, constants: Any, codes: Any) -> None:
        self.torch, self.constants, self.codes = torch, constants, codes

    def constant(self, name: str, value: ArrayLike) -> Any:
        name = name.replace(".", "_")
        if name not in self.constants:
            tensor = self.torch.as_tensor(np.array(value))
            is_weight = "_layer_" in name
            self.constants[name] = self.torch.nn.Parameter(tensor, requires_grad=is_weight)
        return self.constants[name]

    def compute(self, operation: str, *operands: Any) -> Any:
        torch = self.torch
        match operation:
            case "is_nan":
                return torch.isnan(operands[0]).to(operands[0].dtype)
            case "where":
                return torch.where(operands[0] != 0, operands[1], operands[2])
            case "less" | "less_equal":
                compare = torch.lt if operation == "less" else torch.le
                return compare(*operands).to(torch.result_type(*operands))
        return getattr(torch, {"div": "true_divide"}.get(operation, operation))(*operands)

    def cast(self, x: Any, dtype: type[np.floating[Any]]) -> Any:
        return x.to(getattr(self.torch, dtype.__name__))

    def columns(self, x: Any, places: NDArray[np.int64]) -> Any:
        return x[:, self.torch.as_tensor(places)]

    def concatenate(self, parts: list[Any]) -> Any:
        return self.torch.cat(parts, dim=1)

    def mean(self, x: Any) -> Any:
        return x.mean(dim=1, keepdim=True)

    def softmax(self, x: Any) -> Any:
        return self.torch.softmax(x, dim=1)

    def one_hot(self, column: int, categories: tuple[str, ...]) -> Any:
        known = self.torch.arange(len(categories))
        return (self.codes[:, column : column + 1] == known).to(self.torch.float32)


# ---------------------------------------------------------------------------------------------- ONNX

_NODES = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "erf": "Erf", "sin": "Sin", "cos": "Cos", "add": "Add", "sub": "Sub",
    "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min", "matmul": "MatMul",
}  # fmt: skip


def onnx_model(ensemble: Ensemble, classes: NDArray[Any] | None) -> onnx.ModelProto:
    """The ensemble as an ONNX model.

    Inputs: `numbers` float64 [n, p] where there are columns of numbers, `categories` text [n, q] where there are
    columns of categories. Outputs: `probabilities` float64 [n, classes] and `label` [n], or `prediction` [n, k].
    """
    onnx = required("onnx", "to_onnx")
    helper, types = onnx.helper, onnx.TensorProto
    ops = _OnnxOperations(onnx)
    result = predict(ensemble, ops, "numbers")
    n_outputs = len(ensemble.runs[0].encoding.target.classes or ensemble.runs[0].encoding.target.names)
    name = "prediction" if classes is None else "probabilities"
    ops.node("Identity", [result], name)
    outputs = [helper.make_tensor_value_info(name, types.DOUBLE, ["rows", n_outputs])]
    if classes is not None:
        labels = classes.astype(np.int64) if classes.dtype.kind in "biu" else classes.astype(str).astype(object)
        place = ops.node("ArgMax", [name], axis=1, keepdims=0)
        ops.node("Gather", [ops.constant("classes", labels), place], "label", axis=0)
        kind = types.INT64 if classes.dtype.kind in "biu" else types.STRING
        outputs.append(helper.make_tensor_value_info("label", kind, ["rows"]))
    columns = ensemble.columns
    sizes = [("numbers", types.DOUBLE, columns.numeric), ("categories", types.STRING, columns.categorical)]
    inputs = [helper.make_tensor_value_info(n, kind, ["rows", len(c)]) for n, kind, c in sizes if c]
    graph = helper.make_graph(ops.nodes, "schuss", inputs, outputs, list(ops.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="schuss")
    model.ir_version = min(model.ir_version, 10)  # what run times of the last years read
    onnx.checker.check_model(model)
    return model


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

    def compute(self, operation: str, *operands: str) -> str:
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
                return self.compute("sub", self.compute("exp", *operands), self.constant("number_1.0", np.float32(1)))
            case "log1p":
                return self.compute("log", self.compute("add", *operands, self.constant("number_1.0", np.float32(1))))
        return self.node(_NODES[operation], list(operands))

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
