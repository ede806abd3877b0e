"""A fitted ensemble as a `torch.nn.Module`, preprocessing included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schuss.bridges.extras import required
from schuss.bridges.forward import recorded_prediction
from schuss.ensembles.ensemble import Ensemble

if TYPE_CHECKING:
    import torch


def torch_module(ensemble: Ensemble) -> torch.nn.Module:
    """The ensemble as a module: (numbers float64 [n, p], codes int64 [n, q]) → float64 [n, k].

    Weights of the networks are parameters, what was learned for the preprocessing is buffers.
    """
    library = required("torch", "to_torch")

    class Predictor(library.nn.Module):  # type: ignore[misc,name-defined]
        """Probabilities, or numbers in the target's unit."""

        def forward(self, numbers: Any, codes: Any = None) -> Any:
            """Columns of numbers, NaN where missing, and the codes of the categories, −1 where unknown."""
            operations = _TorchOperations(library, self, codes)
            return recorded_prediction(ensemble, operations, numbers.to(library.float64))

        def __reduce__(self) -> tuple[Any, ...]:  # a class in a function has no name by which files could find it
            return torch_module, (ensemble,), self.__dict__

    module = Predictor()
    columns = ensemble.columns
    module(library.zeros(1, len(columns.numeric)), library.zeros(1, len(columns.categorical), dtype=library.int64))
    module.eval()
    return cast("torch.nn.Module", module)


class _TorchOperations:
    """Constants are those of the module, which takes them up when they are first asked for."""

    def __init__(self, torch: Any, module: Any, codes: Any) -> None:
        self.torch, self.module, self.codes = torch, module, codes

    def constant(self, name: str, value: ArrayLike) -> Any:
        name = name.replace(".", "_")
        if not hasattr(self.module, name):
            self.module.register_buffer(name, self.torch.as_tensor(np.array(value)))
        return getattr(self.module, name)

    def weight(self, name: str, value: ArrayLike) -> Any:
        if not hasattr(self.module, name):
            self.module.register_parameter(name, self.torch.nn.Parameter(self.torch.as_tensor(np.array(value))))
        return getattr(self.module, name)

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
            case "sech2":
                return 1 / torch.cosh(*operands) ** 2
            case "logistic_pdf":
                return torch.sigmoid(*operands) * torch.sigmoid(-operands[0])
            case "normal_cdf":
                return torch.special.ndtr(*operands)
            case "normal_pdf":
                return torch.exp(-0.5 * operands[0] ** 2) / math.sqrt(2 * math.pi)
        return getattr(torch, {"div": "true_divide"}.get(operation, operation))(*operands)

    def cast(self, x: Any, dtype: type[np.floating[Any]]) -> Any:
        return x.to(getattr(self.torch, dtype.__name__))

    def columns(self, x: Any, places: NDArray[np.int64]) -> Any:
        return x[:, self.torch.as_tensor(places, device=x.device)]

    def concatenate(self, parts: list[Any]) -> Any:
        return self.torch.cat(parts, dim=1)

    def mean(self, x: Any) -> Any:
        return x.mean(dim=1, keepdim=True)

    def softmax(self, x: Any) -> Any:
        return self.torch.softmax(x, dim=1)

    def one_hot(self, column: int, categories: tuple[str, ...]) -> Any:
        known = self.torch.arange(len(categories), device=self.codes.device)
        return (self.codes[:, column : column + 1] == known).to(self.torch.float32)
