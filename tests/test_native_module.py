"""The binding of the C++ engine: what it refuses, what operations compute on every instruction set, cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from schuss import _native
from schuss.language.programs import OPERATIONS

INSTRUCTION_SETS = _native.instruction_sets()
Code = Sequence[tuple[str | int, int, int, int, int]]


def program(
    code: Code,
    n_inputs: int = 1,
    n_outputs: int = 1,
    n_temporaries: int = 0,
    *,
    scalar_code: Code = (),
    constants: Sequence[float] = (),
    broadcast: Sequence[int] = (),
    n_scalar_inputs: int = 0,
) -> _native.Program:
    def rows(instructions: Code) -> NDArray[np.int32]:
        numbered = [(OPERATIONS.index(op) if isinstance(op, str) else op, *rest) for op, *rest in instructions]
        return np.array(numbered, np.int32).reshape(-1, 5)

    return _native.Program(
        code=rows(code),
        scalar_code=rows(scalar_code),
        constants=np.array(constants, np.float64),
        broadcast=np.array(broadcast, np.int32),
        n_inputs=n_inputs,
        n_outputs=n_outputs,
        n_temporaries=n_temporaries,
        n_scalar_inputs=n_scalar_inputs,
    )


def apply(operation: str, instruction_set: str, *operands: NDArray[np.float32]) -> NDArray[np.float32]:
    n = len(operands)
    registers = (*range(n), -1, -1)[:3]
    (result,) = _native.evaluate(program([(operation, n, *registers)], n_inputs=n), instruction_set, list(operands), [])
    return result


def ulps(got: NDArray[np.float32], exact: NDArray[np.float64]) -> float:
    """The largest error in units in the last place of float32; below the smallest normal number all is one."""
    spacing = np.spacing(np.maximum(np.abs(exact), np.finfo(np.float32).tiny).astype(np.float32)).astype(np.float64)
    return float(np.max(np.abs(got.astype(np.float64) - exact) / spacing))


def grid(*ranges: tuple[float, float]) -> NDArray[np.float32]:
    """Each range evenly, and both signs of magnitudes from 1e-30 on."""
    dense = np.concatenate([np.linspace(low, high, 20_011) for low, high in ranges])
    tiny = np.logspace(-30, 0, 1_001)
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    values = np.concatenate([dense, tiny[tiny <= high], -tiny[-tiny >= low]])
    return values.astype(np.float32)


Oracle = Callable[[NDArray[np.float64]], NDArray[np.float64]]
UNARY: dict[str, tuple[Oracle, NDArray[np.float32], float]] = {
    "move": (lambda x: x, grid((-1e4, 1e4)), 0),
    "neg": (lambda x: -x, grid((-1e4, 1e4)), 0),
    "abs": (np.abs, grid((-1e4, 1e4)), 0),
    "sign": (np.sign, grid((-1e4, 1e4)), 0),
    "floor": (np.floor, grid((-1e4, 1e4), (-1e9, 1e9), (-3, 3)), 0),
    "exp": (np.exp, grid((-87.3, 88.7), (-1, 1)), 3),
    "expm1": (np.expm1, grid((-100, 88.7), (-1, 1)), 4),
    "log": (np.log, grid((0, 1e4), (0.5, 2), (1e20, 3e38))[1:], 3),
    "log1p": (np.log1p, grid((-0.99999, 1e4), (-0.5, 1), (1e20, 3.4e38)), 4),
    "sqrt": (np.sqrt, grid((0, 1e4), (0, 3e38)), 1),
    "tanh": (np.tanh, grid((-1e4, 1e4), (-10, 10), (-1, 1)), 4),
    "sigmoid": (special.expit, grid((-87, 1e4), (-20, 20)), 4),
    "sech2": (lambda x: 4 * stats.logistic.pdf(2 * x), grid((-43, 43), (-10, 10), (-1, 1)), 5),
    "logistic_pdf": (stats.logistic.pdf, grid((-87, 87), (-20, 20), (-1, 1)), 5),
    "erf": (special.erf, grid((-1e4, 1e4), (-5, 5), (-1, 1)), 4),
    "normal_cdf": (stats.norm.cdf, grid((-12.8, 1e4), (-12.8, 5), (-1, 1)), 5),
    "normal_pdf": (stats.norm.pdf, grid((-13, 13), (-1, 1)), 5),
}
BINARY: dict[str, Callable[..., NDArray[np.float64]]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "hypot": np.hypot,
    "less": np.less,
    "less_equal": np.less_equal,
}
EDGES = np.array([-np.inf, -1e4, -1, -0.0, 0.0, 1, 1e4, np.inf, np.nan], np.float32)


def test_operations_are_those_of_the_compiler() -> None:
    assert tuple(_native.operations()) == OPERATIONS


def test_every_processor_runs_the_baseline() -> None:
    assert INSTRUCTION_SETS[-1] == "baseline"
    assert set(INSTRUCTION_SETS) <= {"avx512", "avx2", "baseline"}


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("operation", UNARY)
def test_a_function_is_accurate_over_its_range(operation: str, instruction_set: str) -> None:
    oracle, x, bound = UNARY[operation]
    exact = oracle(x.astype(np.float64))
    assert ulps(apply(operation, instruction_set, x), exact) <= max(bound, 0.5)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("operation", ["sin", "cos"])
def test_sine_and_cosine(operation: str, instruction_set: str) -> None:
    x = grid((-1e4, 1e4), (-10, 10))
    oracle = getattr(np, operation)
    assert np.max(np.abs(apply(operation, instruction_set, x) - oracle(x.astype(np.float64)))) <= 2e-7
    far = np.array([1e5, -3e7, 1e30, 0.5], np.float32)
    assert np.max(np.abs(apply(operation, instruction_set, far) - oracle(far.astype(np.float64)))) <= 2e-7


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("operation", BINARY)
def test_a_binary_operation_rounds_the_exact_result(operation: str, instruction_set: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 3, (2, 4_001)).astype(np.float32)
    y[:100] = x[:100]
    if operation == "pow":
        x = np.abs(x)
    exact = BINARY[operation](x.astype(np.float64), y.astype(np.float64)).astype(np.float64)
    assert ulps(apply(operation, instruction_set, x, y), exact) <= {"pow": 1.5, "hypot": 2}.get(operation, 0.5)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_a_hypotenuse_neither_overflows_nor_loses_its_special_values(instruction_set: str) -> None:
    x = np.array([0, -0.0, 3e38, 2e19, -1e-30, np.inf, np.nan, 5], np.float32)
    y = np.array([0, 0, 1e38, -2, 1e-30, 1, 1, -np.inf], np.float32)
    got = apply("hypot", instruction_set, x, y)
    np.testing.assert_allclose(got, np.hypot(x, y), rtol=3e-7)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_where_and_fma(instruction_set: str) -> None:
    rng = np.random.default_rng(2)
    x, y, z = rng.normal(size=(3, 1_003)).astype(np.float32)
    x[::3] = 0
    np.testing.assert_array_equal(apply("where", instruction_set, x, y, z), np.where(x != 0, y, z))
    np.testing.assert_allclose(apply("fma", instruction_set, x, y, z), x.astype(float) * y + z, rtol=0, atol=1e-6)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("operation", [*UNARY, "sin", "cos"])
def test_zero_infinity_and_nan_in_a_function(operation: str, instruction_set: str) -> None:
    oracle = UNARY[operation][0] if operation in UNARY else getattr(np, operation)
    with np.errstate(all="ignore"):
        exact = oracle(EDGES.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(apply(operation, instruction_set, EDGES), exact, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("operation", BINARY)
def test_zero_infinity_and_nan_in_a_binary_operation(operation: str, instruction_set: str) -> None:
    x, y = (v.ravel().copy() for v in np.meshgrid(EDGES, EDGES))
    with np.errstate(all="ignore"):
        exact = BINARY[operation](x, y).astype(np.float32)
    np.testing.assert_allclose(apply(operation, instruction_set, x, y), exact, rtol=1e-6)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_nan_is_a_true_condition(instruction_set: str) -> None:
    condition = np.array([np.nan, 0.0, -0.0, np.inf], np.float32)
    result = apply("where", instruction_set, condition, np.ones(4, np.float32), np.zeros(4, np.float32))
    np.testing.assert_array_equal(result, [1, 0, 0, 1])


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1_023, 1_024, 1_025, 5_000])
def test_any_length(n: int, instruction_set: str) -> None:
    x = np.arange(n, dtype=np.float32)
    np.testing.assert_array_equal(apply("neg", instruction_set, x), -x)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_scalars_are_computed_in_double(instruction_set: str) -> None:
    """x·(1 − b^t), which in float32 would be off by 1e-5 for b = 0.999 and t = 1."""
    p = program(
        [("mul", 1, 0, 2, -1)],
        scalar_code=[("pow", 3, 0, 1, -1), ("sub", 4, 2, 3, -1)],
        constants=[1.0],
        broadcast=[4],
        n_scalar_inputs=2,
    )
    (result,) = _native.evaluate(p, instruction_set, [np.ones(3, np.float32)], [0.999, 1.0])
    np.testing.assert_allclose(result, 1 - 0.999, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": [(99, 1, 0, -1, -1)]}, "no operation 99"),
        ({"code": [(-1, 1, 0, -1, -1)]}, "no operation -1"),
        ({"code": [("neg", 1, 7, -1, -1)]}, "no register 7"),
        ({"code": [("neg", 1, -1, -1, -1)]}, "no register -1"),
        ({"code": [("neg", 0, 0, -1, -1)]}, "destination"),
        ({"code": [("neg", 5, 0, -1, -1)]}, "destination"),
        ({"code": [("neg", 1, 0, 0, -1)]}, "unused operand"),
        ({"code": [("neg", 1, 2, -1, -1)], "n_temporaries": 1}, "before it is written"),
        ({"code": []}, "never written"),
        ({"code": [("move", 1, 2, -1, -1)], "broadcast": [0]}, "no scalar register 0"),
        ({"code": [("move", 1, 0, -1, -1)], "scalar_code": [("neg", 5, 0, -1, -1)], "constants": [1.0]}, "next free"),
        ({"code": [("move", 1, 0, -1, -1)], "scalar_code": [("neg", 0, 0, -1, -1)]}, "no register 0"),
        ({"code": [("move", 1, 0, -1, -1)], "n_temporaries": -1}, "negative"),
        ({"code": [("move", 1, 0, -1, -1)], "n_temporaries": 2**30}, "at most"),
        ({"code": [], "n_outputs": 0}, "at least one output"),
    ],
)
def test_a_malformed_program_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        program(**arguments)  # type: ignore[arg-type]


def test_evaluate_refuses_other_inputs() -> None:
    p, x = program([("neg", 1, 0, -1, -1)]), np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="expected 1 arrays"):
        _native.evaluate(p, "baseline", [x, x], [])
    with pytest.raises(ValueError, match="expected 0 numbers"):
        _native.evaluate(p, "baseline", [x], [1.0])
    with pytest.raises(ValueError, match="no instruction set 'mmx'"):
        _native.evaluate(p, "mmx", [x], [])
    with pytest.raises(ValueError, match="one length"):
        _native.evaluate(program([("add", 2, 0, 1, -1)], n_inputs=2), "baseline", [x, x[:2]], [])


# ---------------------------------------------------------------------------------------------- the trainer

IDENTITY = program([("move", 1, 0, -1, -1), ("move", 2, 3, -1, -1)], n_outputs=2, constants=[1.0], broadcast=[0])
SGD = program([("mul", 3, 1, 4, -1), ("sub", 2, 0, 3, -1)], 2, 1, 1, broadcast=[0], n_scalar_inputs=1)
ROWS = 20


NONE = np.zeros(0, np.float32)  # weights of rows that have none


def parts() -> list[_native.Part]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(ROWS, 3)).astype(np.float32)
    labels = (X[:, 0] > 0).astype(np.int32)
    return [(X, labels[:, None].astype(np.float32), labels, NONE)] * 3


def layers(sizes: Sequence[int] = (3, 2), **changes: object) -> dict[str, object]:
    """Plain dense layers without activations."""
    n = len(sizes) - 1
    return {
        "kinds": [0] * n, "sizes": list(sizes), "activations": [IDENTITY] * n, "slopes": [1.0] * n,
        "dropouts": [0.0] * n, "adds": [-1] * n,
    } | changes  # fmt: skip


def plan(**changes: object) -> dict[str, object]:
    """Softmax regression of three inputs on two classes, five epochs of four steps."""
    parameters = np.zeros(3 * 2 + 2, np.float32)
    return {
        **layers(),
        "loss": None,
        "optimizer": SGD,
        "hyperparameters": [0.1],
        "lr_index": 0,
        "uses_t": False,
        "learning_rates": np.full(20, 0.1),
        "batch_size": 5,
        "epochs": 5,
        "patience": -1,
        "clip_norm": 0.0,
        "smoothing": 0.0,
        "threshold": 0.5,
        "seed": 0,
        "watch": [0, 5],
        "parameters": parameters,
        "moments": np.zeros((0, len(parameters)), np.float32),
        "step": 0,
        "epoch": 0,
        "best": np.zeros(0, np.float32),
        "best_loss": float("inf"),
        "best_epoch": 0,
    } | changes


START = ("seed", "parameters", "moments", "step", "epoch", "best", "best_loss", "best_epoch")


@cache
def sound_data() -> _native.Data:
    """One for all: only networks on the same data are trained side by side."""
    return _native.Data(parts())


def submit(trainer: _native.Trainer, key: int, entries: dict[str, object], data: _native.Data | None = None) -> None:
    """Hand over one network."""
    start = {name: value for name, value in entries.items() if name in START}
    shared = {name: value for name, value in entries.items() if name not in START}
    trainer.submit([(key, _native.Plan(shared), data or sound_data(), start)])


def long_plan() -> dict[str, object]:
    return plan(epochs=10**9, lr_index=-1, watch=[])


def collect(trainer: _native.Trainer, seconds: float = 20) -> dict[int, dict[str, object]]:
    found: dict[int, dict[str, object]] = {}
    end = time.monotonic() + seconds
    while trainer.pending() and time.monotonic() < end:
        found |= dict(trainer.poll(0.05))
    return found


def test_a_network_is_trained() -> None:
    trainer = _native.Trainer(2, INSTRUCTION_SETS[0])
    for key in (7, 8):
        submit(trainer, key, plan())
    results = collect(trainer)
    assert sorted(results) == [7, 8]
    assert trainer.steps() == 40
    assert results[7]["status"] == "finished"
    assert results[7]["step"] == 20
    assert np.shape(results[7]["history"]) == (5, 6)
    assert np.shape(results[7]["flow"]) == (2, 1, 9)
    np.testing.assert_array_equal(results[7]["watched"], [0, 5])
    np.testing.assert_array_equal(results[7]["parameters"], results[8]["parameters"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [3]}, "sizes"),
        ({"sizes": [3, 0]}, "sizes"),
        ({"sizes": [4, 2], "parameters": np.zeros(10, np.float32)}, "columns of X"),
        ({"sizes": [3, 2, 2]}, "sizes"),
        ({"kinds": [], "sizes": [3], "activations": [], "slopes": [], "dropouts": [], "adds": []}, "sizes"),
        ({"activations": []}, "activations"),
        ({"kinds": [4]}, "kinds"),
        ({"kinds": [-1]}, "kinds"),
        ({"kinds": [2]}, "as many outputs as inputs"),
        ({"dropouts": [1.0]}, "dropouts"),
        ({"dropouts": [-0.1]}, "dropouts"),
        ({"dropouts": [float("nan")]}, "dropouts"),
        ({"dropouts": []}, "dropouts"),
        ({"adds": []}, "adds"),
        ({"adds": [-2]}, "adds"),
        ({"adds": [1]}, "adds: expected an earlier value"),
        ({"adds": [0]}, "adds: the value must be as wide"),
        ({"activations": [SGD]}, "activations: expected a program of 1 inputs"),
        ({"activations": ["relu"]}, "must hold Program objects"),
        ({"slopes": []}, "slopes"),
        ({"loss": IDENTITY}, "loss|Y"),
        ({"optimizer": IDENTITY}, "optimizer"),
        ({"optimizer": None}, "optimizer"),
        ({"hyperparameters": []}, "optimizer"),
        ({"uses_t": True}, "optimizer"),
        ({"lr_index": 1}, "lr_index"),
        ({"learning_rates": np.zeros(19)}, "learning_rates"),
        ({"learning_rates": "falling"}, "'learning_rates' has the wrong type"),
        ({"batch_size": 0}, "batch_size"),
        ({"step": -1}, "step"),
        ({"parameters": np.zeros(7, np.float32)}, "parameters"),
        ({"moments": np.zeros((1, 8), np.float32)}, "moments"),
        ({"best": np.zeros(1, np.float32)}, "best"),
        ({"seed": -1}, "'seed' has the wrong type"),
        ({"watch": "all"}, "'watch' has the wrong type"),
    ],
)
def test_a_malformed_plan_is_refused(changes: dict[str, object], message: str) -> None:
    trainer = _native.Trainer(1, "baseline")
    with pytest.raises(ValueError, match=message):
        submit(trainer, 0, plan(**changes))
    assert trainer.pending() == 0


def test_a_missing_entry_is_named() -> None:
    entries = plan()
    del entries["seed"]
    with pytest.raises(ValueError, match="'seed' is missing"):
        submit(_native.Trainer(1, "baseline"), 0, entries)


def test_malformed_parts_and_threads_are_refused() -> None:
    train, valid, test = parts()
    X, Y, labels, _ = train
    with pytest.raises(ValueError, match="train, valid and test"):
        _native.Data([train, valid])
    with pytest.raises(ValueError, match="same number of rows"):
        _native.Data([(X, Y[1:], labels, NONE), valid, test])
    with pytest.raises(ValueError, match="one a row"):
        _native.Data([(X, Y, labels[1:], NONE), valid, test])
    with pytest.raises(ValueError, match="from 0"):
        _native.Data([(X, Y, labels - 1, NONE), valid, test])
    with pytest.raises(ValueError, match="weights: expected one a row"):
        _native.Data([(X, Y, labels, Y[1:, 0]), valid, test])
    with pytest.raises(ValueError, match="weights: expected those of all parts, or none"):
        _native.Data([(X, Y, labels, Y[:, 0]), valid, test])
    with pytest.raises(ValueError, match="no rows"):
        _native.Data([(X[:0], Y[:0], labels[:0], NONE), valid, test])
    with pytest.raises(ValueError, match="threads"):
        _native.Trainer(0, "baseline")
    with pytest.raises(ValueError, match="number of outputs"):
        submit(_native.Trainer(1, "baseline"), 0, plan(), _native.Data([(X, Y, labels + 1, NONE), valid, test]))


def cancelled(entries: dict[str, object]) -> dict[int, dict[str, object]]:
    """What comes back of four endless networks on two threads that are cancelled as they run."""
    trainer = _native.Trainer(2, INSTRUCTION_SETS[0])
    for key in range(4):
        submit(trainer, key, entries)
    while trainer.steps() < 100_000:  # long enough for all to have joined
        time.sleep(0.001)
    began = time.monotonic()
    trainer.cancel()
    results = collect(trainer)
    assert time.monotonic() - began < 0.2
    assert {r["status"] for r in results.values()} == {"cancelled"}
    assert np.isfinite(results[0]["parameters"]).all()  # type: ignore[call-overload]
    submit(trainer, 9, plan())  # and it goes on
    assert collect(trainer)[9]["status"] == "finished"
    return results


def test_cancelling_returns_running_networks_and_drops_waiting_ones() -> None:
    wide = layers((3, 17, 2))
    n = 4 * 17 + 18 * 2
    start = {"parameters": np.zeros(n, np.float32), "moments": np.zeros((0, n), np.float32)}
    results = cancelled(long_plan() | wide | start)
    assert 0 in results
    assert set(results) <= {0, 1}


def test_cancelling_returns_tiny_networks_that_run_together() -> None:
    assert sorted(cancelled(long_plan())) == [0, 1, 2, 3]


def test_closing_a_busy_trainer_stops_it() -> None:
    trainer = _native.Trainer(1, "baseline")
    submit(trainer, 0, long_plan())
    began = time.monotonic()
    del trainer
    assert time.monotonic() - began < 0.5


def test_waiting_lets_other_threads_run() -> None:
    trainer = _native.Trainer(1, "baseline")
    submit(trainer, 0, long_plan())
    ticks: list[float] = []

    def tick() -> None:
        for _ in range(20):
            ticks.append(time.monotonic())
            time.sleep(0.001)

    other = threading.Thread(target=tick)
    other.start()
    began = time.monotonic()
    assert trainer.poll(0.3) == []
    waited = time.monotonic() - began
    other.join()
    assert waited >= 0.29
    assert ticks[-1] < began + 0.29


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
def test_predict(instruction_set: str) -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    W, b = rng.normal(size=(3, 70)), rng.normal(size=70)
    parameters = np.concatenate([W.ravel(), b]).astype(np.float32)
    got = _native.predict(X, layers((3, 70)), parameters, instruction_set)
    np.testing.assert_allclose(got, X @ W + b, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="expected 3 columns"):
        _native.predict(X[:, :2].copy(), layers((3, 70)), parameters, instruction_set)
    with pytest.raises(ValueError, match="parameters"):
        _native.predict(X, layers((3, 70)), parameters[1:], instruction_set)
