"""The C++ engine: whole training runs, networks spread over threads, without Python in between.

This module only translates: definitions become programs, plans become dictionaries, results become outcomes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
from numpy.typing import DTypeLike, NDArray

from schuss import _native
from schuss.engines import EngineData, EnginePart, Outcome, Plan, State, Vector
from schuss.errors import InvalidInput, SchussError, positive_integer
from schuss.language.programs import OPERATIONS, Instruction, Program
from schuss.layers import Layer

if tuple(_native.operations()) != OPERATIONS:
    raise ImportError(
        "schuss._native was built for other operations than schuss.language.programs has; install schuss again."
    )

_POLL_SECONDS = 0.05  # how often Python looks up while networks train: for progress and for Ctrl-C
MOST_THREADS = 1024  # the limit of the C++ engine, and more than any machine has cores
# Networks are handed over ahead, so many at a time that tiny ones of one kind find each other among different ones, and
# no more than are made in so many seconds. But only as many large ones as fit, with their states, into so many numbers
# (and two a thread), and only as many data sets as fit into so many (and one a thread).
_AT_ONCE, _AT_ONCE_SECONDS = 64, 0.01
_AHEAD, _AHEAD_NUMBERS, _AHEAD_PER_THREAD = 1024, 2**22, 2


def instruction_set() -> str:
    """The best instruction set of this processor, which the engine uses unless told otherwise."""
    return _native.instruction_sets()[0]


class NativeEngine:
    """Networks spread over `threads` (all cores if None); results do not depend on how many.

    `instruction_set` forces one of those that the processor has: avx512, avx2 or baseline. Each gives its own bits,
    which differ from another's by rounding.
    """

    def __init__(self, threads: int | None = None, instruction_set: str | None = None) -> None:
        self.threads = positive_integer(
            "threads", min(os.cpu_count() or 1, MOST_THREADS) if threads is None else threads, at_most=MOST_THREADS
        )
        known = _native.instruction_sets()
        self.instruction_set = known[0] if instruction_set is None else instruction_set
        if self.instruction_set not in known:
            raise InvalidInput(f"this processor does not have '{instruction_set}'; it has {', '.join(known)}.")
        self._steps_done = 0
        self._trainers: list[_native.Trainer] = []

    def train(self, plans: Iterable[Plan], tick: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Outcome]]:
        """Train every plan; yield (number of the plan, outcome) as they finish.

        SchussError if the engine failed on a network, for want of memory.
        """
        waiting = _Waiting(plans, self.threads)
        networks, others_follow = waiting.following()
        if not networks:  # no threads for no networks
            return
        trainer = _native.Trainer(self.threads, self.instruction_set)
        self._trainers.append(trainer)
        try:
            while True:
                trainer.submit(networks)
                if trainer.pending() == 0:
                    return
                for number, result in trainer.poll(0 if others_follow else _POLL_SECONDS):
                    waiting.returned(number)
                    yield number, _outcome(result)
                tick()
                networks, others_follow = waiting.following()
        finally:  # also when the iterator is closed, or Ctrl-C is pressed
            trainer.cancel()
            self._trainers.remove(trainer)
            self._steps_done += trainer.steps()

    def predict(self, layers: Sequence[Layer], parameters: Vector, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs of the last layer, [rows, n_out]."""
        return _native.predict(
            _array(X, np.float32), _encoded_layers(layers), _array(parameters, np.float32), self.instruction_set
        )

    def steps(self) -> int:
        """How many updates have been made so far, over all networks."""
        return self._steps_done + sum(trainer.steps() for trainer in self._trainers)


def evaluate(
    program: Program,
    inputs: Sequence[NDArray[np.float32]],
    scalars: Sequence[float] = (),
    instruction_set: str = "",
    *,
    fused: bool = True,
) -> list[NDArray[np.float32]]:
    """Run a program over one-dimensional arrays of one length, as the engine does.

    `fused=False` keeps a built-in definition from its kernel: the elementwise machine gives the same results.

    >>> from schuss.activations import relu
    >>> value, slope = evaluate(relu.program, [np.array([-1, 2], np.float32)])
    >>> value.tolist(), slope.tolist()
    ([0.0, 2.0], [0.0, 1.0])
    """
    chosen = instruction_set or _native.instruction_sets()[0]
    return _native.evaluate(_encoded(program, fused), chosen, [_array(x, np.float32) for x in inputs], list(scalars))


# ---------------------------------------------------------------------------------------------- to C++ and back


_NONE = np.zeros(0, np.float32)
_KINDS = ("dense", "batch_norm", "layer_norm", "rms_norm")  # a kind's place is its number in C++


def _array(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype)


@lru_cache(maxsize=1024)
def _encoded(program: Program, fused: bool = True) -> _native.Program:
    """The program as the engine reads it. Layers with equal programs share one, and its constants in the cache."""
    return _native.Program(
        code=_instructions(program.code),
        scalar_code=_instructions(program.scalar_code),
        constants=np.array(program.constants, dtype=np.float64),
        broadcast=np.array(program.broadcast, dtype=np.int32),
        n_inputs=len(program.inputs),
        n_outputs=program.n_outputs,
        n_temporaries=program.n_temporaries,
        n_scalar_inputs=len(program.scalar_inputs),
        fused=fused,
    )


def _instructions(code: Sequence[Instruction]) -> NDArray[np.int32]:
    rows = [(OPERATIONS.index(i.operation), i.destination, i.a, i.b, i.c) for i in code]
    return np.array(rows, dtype=np.int32).reshape(-1, 5)


@dataclass(frozen=True, eq=False)
class _Data:
    """A data set as the engine has it, and how many numbers it takes."""

    encoded: _native.Data
    size: int


@dataclass(frozen=True, eq=False)
class _Shared:
    """All of a plan but its data, seed and start, as the engine has it.

    Its parts stay alive with it, so that nothing else gets their ids.
    """

    parts: tuple[object, ...]
    encoded: _native.Plan


_Network: TypeAlias = tuple[int, _native.Plan, _native.Data, dict[str, Any]]


class _Waiting:
    """Plans on their way to the engine: what a population shares is encoded once, and few are encoded ahead.

    The engine's copy of a data set lives as long as the data set itself, or as a network that is trained on it.
    """

    def __init__(self, plans: Iterable[Plan], threads: int) -> None:
        self._plans = enumerate(plans)
        self._threads = threads
        # Those not back yet: how many numbers each takes, its data, and what it shares with others.
        self._networks: dict[int, tuple[int, _Data, _Shared]] = {}
        self._size = 0
        self._users: dict[_Data, int] = {}  # of each data set the networks that are not back yet
        self._data_size = 0
        self._shared: WeakValueDictionary[Hashable, _Shared] = WeakValueDictionary()
        self._data: WeakKeyDictionary[EngineData, _Data] = WeakKeyDictionary()

    def following(self) -> tuple[list[_Network], bool]:
        """The next networks to hand over, and whether others may follow at once.

        Where plans take long to make, they are handed over every 10 ms, so that no thread waits for 64.
        """
        networks: list[_Network] = []
        end = time.perf_counter() + _AT_ONCE_SECONDS
        while self._has_room():
            number, plan = next(self._plans, (0, None))
            if plan is None:
                break
            networks.append(self._begun(number, plan))
            if len(networks) == _AT_ONCE or time.perf_counter() > end:
                return networks, True
        return networks, False

    def _has_room(self) -> bool:
        networks, sets = len(self._networks), len(self._users)
        return (
            networks < _AHEAD_PER_THREAD * self._threads or (networks < _AHEAD and self._size < _AHEAD_NUMBERS)
        ) and (sets < self._threads or self._data_size < _AHEAD_NUMBERS)

    def _begun(self, number: int, plan: Plan) -> _Network:
        data, shared = self._data_of(plan), self._shared_of(plan)
        size = plan.start.parameters.size + plan.start.moments.size
        self._networks[number] = size, data, shared
        self._size += size
        if data not in self._users:
            self._users[data] = 0
            self._data_size += data.size
        self._users[data] += 1
        return number, shared.encoded, data.encoded, {"seed": plan.seed, **_encoded_state(plan.start)}

    def returned(self, number: int) -> None:
        size, data, _ = self._networks.pop(number)
        self._size -= size
        self._users[data] -= 1
        if not self._users[data]:
            del self._users[data]
            self._data_size -= data.size

    def _shared_of(self, plan: Plan) -> _Shared:
        """By identity: to compare takes longer than all the rest."""
        parts = plan.layers, plan.loss, plan.optimizer, plan.learning_rates, plan.watch
        key = (*map(id, parts), plan.batch_size, plan.epochs, plan.patience, plan.clip_norm)
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = _Shared(parts, _encoded_plan(plan))
        return found

    def _data_of(self, plan: Plan) -> _Data:
        found = self._data.get(plan.data)
        if found is None:
            found = _Data(_encoded_data(plan.data), sum(part.X.size + part.Y.size for part in plan.data))
            self._data[plan.data] = found
        return found


def _encoded_data(data: EngineData) -> _native.Data:
    """The parts as arrays of the engine's types; where only some have weights, the rows of the others weigh 1."""
    has_weights = any(len(part.weights) for part in data)
    return _native.Data([_encoded_part(part, has_weights) for part in data])


def _encoded_part(part: EnginePart, has_weights: bool) -> _native.Part:
    X, Y, labels, weights = part
    if has_weights and not len(weights):
        weights = np.ones(len(X), np.float32)
    return _array(X, np.float32), _array(Y, np.float32), _array(labels, np.int32), _array(weights, np.float32)


def _encoded_layers(layers: Sequence[Layer]) -> dict[str, Any]:
    return {
        "kinds": [_KINDS.index(layer.kind) for layer in layers],
        "sizes": [layers[0].n_in, *(layer.n_out for layer in layers)],
        "activations": [_encoded(layer.activation.program) for layer in layers],
        "slopes": [layer.activation.usual_slope for layer in layers],
        "dropouts": [layer.dropout for layer in layers],
        "adds": [-1 if layer.adds is None else layer.adds for layer in layers],
    }


def _encoded_plan(plan: Plan) -> _native.Plan:
    names = [name for name, _ in plan.optimizer.settings]
    return _native.Plan(
        {
            **_encoded_layers(plan.layers),
            "loss": None if plan.loss.program is None else _encoded(plan.loss.program),
            "threshold": plan.loss.threshold,
            "smoothing": plan.loss.smoothing,
            "optimizer": _encoded(plan.optimizer.program),
            "hyperparameters": [value for _, value in plan.optimizer.settings],
            "lr_index": names.index("lr"),
            "uses_t": "t" in plan.optimizer.program.scalar_inputs,
            "learning_rates": _array(plan.learning_rates, np.float64),
            "batch_size": plan.batch_size,
            "epochs": plan.epochs,
            "patience": -1 if plan.patience is None else plan.patience,
            "clip_norm": plan.clip_norm or 0.0,
            "watch": list(plan.watch),
        }
    )


def _encoded_state(state: State) -> dict[str, Any]:
    return {
        "parameters": _array(state.parameters, np.float32),
        "moments": _array(state.moments, np.float32),
        "step": state.step,
        "epoch": state.epoch,
        "best": _NONE if state.best is None else _array(state.best, np.float32),
        "best_loss": state.best_loss,
        "best_epoch": state.best_epoch,
    }


def _outcome(result: dict[str, Any]) -> Outcome:
    if result["status"] == "failed":
        raise SchussError(f"the engine could not train a network ({result['message']}); train fewer or smaller ones.")
    diverged = result["status"] == "diverged"
    return Outcome(
        status=result["status"],
        state=State(
            parameters=result["parameters"],
            moments=result["moments"],
            step=result["step"],
            epoch=result["epoch"],
            best=result["best"],
            best_loss=result["best_loss"],
            best_epoch=result["best_epoch"],
        ),
        history=result["history"],
        flow=result["flow"],
        watched=result["watched"],
        losses=result["losses"],
        scores=result["scores"],
        seconds=result["seconds"],
        diverged_step=result["diverged_step"] if diverged else None,
        diverged_layer=result["diverged_layer"] if diverged else None,
    )
