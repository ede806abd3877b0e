"""Run files: what is written comes back bit for bit, and nothing else is believed or executed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save, save_file
from trainings import assert_same_bits

from schuss.activations import Activation, activation
from schuss.data import Dataset, load
from schuss.errors import InvalidInput, RunFileError
from schuss.initializers import initializer
from schuss.language.expressions import Expression, exp, sign, sqrt
from schuss.layers import BatchNorm, Dense, Dropout, LayerNorm, Residual, RMSNorm
from schuss.losses import loss
from schuss.network import Network, mlp
from schuss.optimizers import Update, optimizer
from schuss.recipe import Recipe
from schuss.schedules import schedule
from schuss.training import runfile
from schuss.training.fit import fit
from schuss.training.run import Run, load_run

RAW_IRIS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [5.5, 2.4, 3.8, 1.1]])


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return load("iris")


@pytest.fixture(scope="module")
def run(iris: Dataset) -> Run:
    return fit(mlp([5, 4], "tanh"), iris, Recipe("adam(lr=0.01)", epochs=3), seed=7)


@pytest.fixture(scope="module")
def raw(run: Run, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a good run file."""
    path = tmp_path_factory.mktemp("good") / "run.schuss"
    run.save(path)
    return path.read_bytes()


def reloaded(run: Run, folder: Path) -> Run:
    run.save(folder / "run.schuss")
    return load_run(folder / "run.schuss")


def assert_same(run: Run, again: Run) -> None:
    """Equal in every field."""
    assert again.network == run.network
    assert again.recipe == run.recipe
    assert (again.seed, again.loss, again.layers) == (run.seed, run.loss, run.layers)
    assert (again.encoding, again.fingerprint) == (run.encoding, run.fingerprint)
    assert_same_bits(again.outcome, run.outcome)
    np.testing.assert_array_equal(again.history["seconds"], run.history["seconds"])
    assert again.outcome.seconds == run.outcome.seconds
    assert repr(again) == repr(run)


# ---------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize(
    ("problem", "network", "recipe"),
    [
        ("iris", mlp([5], "gelu"), Recipe("adam(lr=0.0123456789)", epochs=2, schedule="cosine(warmup=0.123456789)")),
        ("xor", mlp([3], "leaky_relu(slope=0.123456789)", output="sigmoid"), Recipe("gd", "squared_error", epochs=2)),
        ("diabetes", mlp([4], "mish", "normal(std=0.123456789)"), Recipe("nesterov", "huber(delta=0.3)", epochs=2)),
        ("breast_cancer", Network(), Recipe("rmsprop", epochs=3, patience=1, clip_norm=0.5, batch_size=50)),
        ("wine", Network(Dense(2, "elu", "zeros", "constant(value=1)"), output_init="lecun"), Recipe(epochs=1)),
    ],
)
def test_what_is_written_comes_back(problem: str, network: Network, recipe: Recipe, tmp_path: Path) -> None:
    run = fit(network, load(problem), recipe, seed=11)
    assert_same(run, reloaded(run, tmp_path))


def nested() -> Network:
    """A network with every kind of layer, two blocks deep."""
    inner = Residual(RMSNorm("gelu"), Dense(5, "tanh", "he_normal"))
    block = Residual(Dense(5), LayerNorm(wavelet(width=0.7)), Dropout(0.123456789), inner, Dense(6), Dropout(0.5))
    return Network(LayerNorm(), Dense(6, "leaky_relu(slope=0.1)"), BatchNorm("tanh"), Dropout(0.25), block)


def test_nested_layers_come_back(iris: Dataset, tmp_path: Path) -> None:
    run = fit(nested(), iris, Recipe("momentum", epochs=2, patience=2), engine="reference")
    again = reloaded(run, tmp_path)
    assert_same(run, again)
    assert [len(arrays) for arrays in again.weights()] == [2, 2, 4, 2, 2, 1, 2, 2, 2]
    *_, mean, variance = again.weights()[2]
    assert np.abs(mean).max() > 0
    assert np.all(variance != 1)  # the running statistics came along
    longer = Recipe("momentum", epochs=4, patience=2)
    resumed = [fit(None, iris, longer, resume=each, engine="reference") for each in (run, again)]
    assert_same_bits(resumed[0].outcome, resumed[1].outcome)


def test_a_reference_run_keeps_its_double_precision(iris: Dataset, tmp_path: Path) -> None:
    run = fit(mlp([5], "tanh"), iris, Recipe(epochs=1), engine="reference")
    assert run.outcome.state.parameters.dtype == np.float64
    assert_same(run, reloaded(run, tmp_path))


def test_a_diverged_run_keeps_its_step_and_layer(iris: Dataset, tmp_path: Path) -> None:
    run = fit(mlp([5, 5], "relu"), iris, Recipe("sgd(lr=1e30)", epochs=2))
    assert run.status == "diverged"
    again = reloaded(run, tmp_path)
    assert_same(run, again)
    assert again.outcome.diverged_step == run.outcome.diverged_step is not None


@activation
def wavelet(z: Expression, *, width: float = 1.25) -> Expression:
    """A bump."""
    return (1 - z * z) * exp(-z * z / width)


@optimizer(search=(1e-3, 1e-2))
def signed(
    w: Expression, g: Expression, m: Expression, t: Expression, *, lr: float = 0.01, beta: float = 0.9
) -> Update:
    """Steps of one size, smaller with time."""
    m = beta * m + (1 - beta) * g
    return w - lr / sqrt(t) * sign(m), m


@schedule
def square(progress: Expression, *, end: float = 0.25) -> Expression:
    """A parabola."""
    return 1 - (1 - end) * progress**2


@loss
def quartic(p: Expression, y: Expression, *, scale: float = 0.5) -> Expression:
    """The fourth power."""
    return scale * (p - y) ** 4


@initializer
def alternating(
    random: Generator, shape: tuple[int, int], reads: Activation, *, size: float = 0.1
) -> NDArray[np.floating]:
    """± size, like a chess board."""
    return size * np.where(np.add.outer(range(shape[0]), range(shape[1])) % 2, 1.0, -1.0)


def own() -> tuple[Network, Recipe]:
    """A training in which everything is a user's own."""
    network = Network(Dense(5, wavelet(width=0.7), alternating(size=0.37)), output=wavelet, output_init=alternating)
    return network, Recipe(signed(beta=0.87), quartic(scale=0.123456789), epochs=3, schedule=square(end=0.1))


def test_a_users_own_definitions_come_back_and_train_on(iris: Dataset, tmp_path: Path) -> None:
    network, recipe = own()
    recipe = replace(recipe, horizon=5)
    run = fit(network, iris, recipe)
    again = reloaded(run, tmp_path)
    assert_same(run, again)
    assert again.predict(RAW_IRIS).tolist() == run.predict(RAW_IRIS).tolist()
    longer = replace(recipe, epochs=5)
    assert_same_bits(fit(network, iris, longer, resume=again).outcome, fit(network, iris, longer, resume=run).outcome)


def test_a_users_own_initializer_comes_back_as_a_name_only(iris: Dataset, tmp_path: Path) -> None:
    network, recipe = own()
    again = reloaded(fit(network, iris, recipe), tmp_path)
    with pytest.raises(InvalidInput, match="alternating was defined outside schuss"):
        again.network.initial(4, 3, seed=0)


def test_labels_and_categories_come_back(tmp_path: Path) -> None:
    table = {"size": list(range(40)), "color": ["red", "blue", None, "grün"] * 10, "kind": ["a", "b"] * 20}
    run = fit(mlp([3]), load(table, "kind"), Recipe(epochs=1))
    again = reloaded(run, tmp_path)
    assert_same(run, again)
    assert set(again.predict({"size": [1, 2, 3], "color": ["red", "never met", None]})) <= {"a", "b"}


def test_training_goes_on_from_a_file_as_if_never_stopped(iris: Dataset, run: Run, tmp_path: Path) -> None:
    recipe = Recipe("adam(lr=0.01)", epochs=6)
    rest = fit(None, iris, recipe, resume=reloaded(run, tmp_path))
    whole = fit(run.network, iris, recipe, seed=7)
    np.testing.assert_array_equal(rest.parameters, whole.parameters)
    np.testing.assert_array_equal(rest.outcome.state.moments, whole.outcome.state.moments)


# ---------------------------------------------------------------------------------------------- damaged files


def check_refused(path: Path, content: bytes, match: str | None = None) -> None:
    path.write_bytes(content)
    with pytest.raises(RunFileError, match=match) as caught:
        load_run(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(raw: bytes, share: float, tmp_path: Path) -> None:
    check_refused(tmp_path / "cut.schuss", raw[: int(share * len(raw))])


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 1000])
def test_also_one_that_lacks_its_last_bytes(raw: bytes, cut: int, tmp_path: Path) -> None:
    check_refused(tmp_path / "cut.schuss", raw[:-cut])


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_is_found_wherever_it_is(raw: bytes, mask: int, tmp_path: Path) -> None:
    for position in range(0, len(raw), len(raw) // 150):
        damaged = bytearray(raw)
        damaged[position] ^= mask
        check_refused(tmp_path / "flipped.schuss", bytes(damaged))


def test_more_after_the_end_is_refused(raw: bytes, tmp_path: Path) -> None:
    check_refused(tmp_path / "longer.schuss", raw + b"\0")


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04", b"\0" * 100, b"\xff" * 100, b"a,b\n1,2\n"])
def test_what_is_no_run_file_is_refused(content: bytes, tmp_path: Path) -> None:
    check_refused(tmp_path / "other.schuss", content)


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"weights": np.zeros((3, 3), np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(RunFileError, match="no run file"):
        load_run(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "F4", "BOOL", "F999"])
def test_also_one_with_a_type_that_a_run_lacks(dtype: str, tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": dtype, "shape": [2], "data_offsets": [0, 4]}}).encode()
    check_refused(tmp_path / "half.safetensors", len(header).to_bytes(8, "little") + header + bytes(4))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"there is no run file .*none.schuss.*--save"):
        load_run(tmp_path / "none.schuss")
    with pytest.raises(RunFileError, match="no run file"):
        load_run(tmp_path)  # a folder


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    check_refused(tmp_path / "random.schuss", content)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_is_refused(raw: bytes, tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(raw) - 1))
    end = data.draw(st.integers(start, min(start + 40, len(raw))))
    put = data.draw(st.binary(max_size=40).filter(lambda new: new.strip() != raw[start:end].strip()))
    check_refused(tmp_path / "damaged.schuss", raw[:start] + put + raw[end:])


# ---------------------------------------------------------------------------------------------- edited files


def forged(raw: bytes, path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Path:
    """A file whose description and arrays were edited by someone who also knows how to make the digest."""
    path.write_bytes(raw)
    with safe_open(path, framework="numpy") as file:
        described = json.loads(file.metadata()["schuss"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    edit(described, arrays)
    text = json.dumps(described)
    path.write_bytes(save(arrays, metadata={"schuss": text, "digest": runfile._digest(text, arrays)}))
    return path


def test_the_forger_of_these_tests_is_good(raw: bytes, run: Run, tmp_path: Path) -> None:
    assert_same(run, load_run(forged(raw, tmp_path / "same.schuss", lambda d, arrays: None)))


def test_edited_metadata_are_found_by_their_digest(raw: bytes, tmp_path: Path) -> None:
    assert raw.count(b'seed\\": 7') == 1
    check_refused(tmp_path / "edited.schuss", raw.replace(b'seed\\": 7', b'seed\\": 8'), "changed after it was written")


def test_edited_weights_are_found_by_their_digest(raw: bytes, run: Run, tmp_path: Path) -> None:
    old = run.parameters.tobytes()
    assert raw.count(old) == 1
    new = (2 * run.parameters).tobytes()
    check_refused(tmp_path / "edited.schuss", raw.replace(old, new), "changed after it was written")


def test_another_format_is_named(raw: bytes, tmp_path: Path) -> None:
    path = forged(raw, tmp_path / "future.schuss", lambda d, arrays: d.update(format=99))
    with pytest.raises(RunFileError, match="format 3, but this file has format 99"):
        load_run(path)


def test_a_file_of_an_estimator_is_named(raw: bytes, tmp_path: Path) -> None:
    path = forged(raw, tmp_path / "other.schuss", lambda d, arrays: d.update(estimator="SchussRegressor"))
    with pytest.raises(RunFileError, match="other.schuss holds a SchussRegressor, not the run .*Regressor.load reads"):
        load_run(path)


def blocks(dense: dict[str, Any], depth: int) -> dict[str, Any]:
    """Blocks in blocks, each of which ends with a dense layer."""
    block = dense
    for _ in range(depth):
        block = {"kind": "residual", "layers": [block, dense]}
    return block


FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "no network": lambda d, arrays: d.pop("network"),
    "no optimizer": lambda d, arrays: d["recipe"].pop("optimizer"),
    "hidden is a number": lambda d, arrays: d["network"].update(hidden=3),
    "hidden is null": lambda d, arrays: d["network"].update(hidden=None),
    "a layer less": lambda d, arrays: d["network"]["hidden"].pop(),
    "no units": lambda d, arrays: d["network"]["hidden"][0].update(units=0),
    "many units": lambda d, arrays: d["network"]["hidden"][0].update(units=10**12),
    "other sizes": lambda d, arrays: d.update(sizes=[5, 3]),
    "no kind": lambda d, arrays: d["network"]["hidden"][0].pop("kind"),
    "an unknown kind": lambda d, arrays: d["network"]["hidden"][0].update(kind="group_norm"),
    "a kind that is a list": lambda d, arrays: d["network"]["hidden"][0].update(kind=["dense"]),
    "a norm instead of a dense layer": lambda d, arrays: d["network"]["hidden"][0].update(kind="layer_norm"),
    "dropout first": lambda d, arrays: d["network"]["hidden"].insert(0, {"kind": "dropout", "rate": 0.5}),
    "dropout of all": lambda d, arrays: d["network"]["hidden"].append({"kind": "dropout", "rate": 1.0}),
    "an empty block": lambda d, arrays: d["network"]["hidden"].append({"kind": "residual", "layers": []}),
    "a block that is a number": lambda d, arrays: d["network"]["hidden"].append({"kind": "residual", "layers": 3}),
    "a block of other width": lambda d, arrays: d["network"].update(
        hidden=[{"kind": "residual", "layers": d["network"]["hidden"][:1]}]
    ),
    "blocks without end": lambda d, arrays: d["network"].update(hidden=[blocks(d["network"]["hidden"][0], 300)]),
    "no sizes": lambda d, arrays: d.update(sizes=[]),
    "negative sizes": lambda d, arrays: d.update(sizes=[-4, 3]),
    "sizes that are text": lambda d, arrays: d.update(sizes="43"),
    "an endless seed": lambda d, arrays: d.update(seed=math.inf),
    "an endless step": lambda d, arrays: d["outcome"].update(step=math.inf),
    "a huge number": lambda d, arrays: d["outcome"].update(best_loss=10**400),
    "an unknown status": lambda d, arrays: d["outcome"].update(status="splendid"),
    "two losses": lambda d, arrays: d["outcome"].update(losses=[1.0, 2.0]),
    "no epochs": lambda d, arrays: d["recipe"].update(epochs=0),
    "a formula of something else": lambda d, arrays: d["network"]["output"].update(formula="q + 1"),
    "a formula with a call": lambda d, arrays: d["network"]["output"].update(formula="open(z)"),
    "a formula with an attribute": lambda d, arrays: d["network"]["output"].update(formula="z.__class__"),
    "a deep formula": lambda d, arrays: d["network"]["output"].update(formula="(" * 10_000 + "z" + ")" * 10_000),
    "a formula that is a list": lambda d, arrays: d["network"]["output"].update(formula=["z"]),
    "a setting that is text": lambda d, arrays: d["recipe"]["optimizer"]["settings"].update(lr="fast"),
    "no learning rate": lambda d, arrays: d["recipe"]["optimizer"]["settings"].pop("lr"),
    "an update too few": lambda d, arrays: d["recipe"]["optimizer"]["updates"].pop(),
    "a schedule out of place": lambda d, arrays: d["recipe"]["schedule"].update(formula="w"),
    "an encoding that is none": lambda d, arrays: d.update(encoding={"columns": "many"}),
    "parameters too few": lambda d, arrays: arrays.update(parameters=arrays["parameters"][1:]),
    "parameters of whole numbers": lambda d, arrays: arrays.update(parameters=arrays["parameters"].astype(np.int64)),
    "moments of another rule": lambda d, arrays: arrays.update(moments=arrays["moments"][:1]),
    "no history": lambda d, arrays: arrays.pop("history"),
    "a history with less columns": lambda d, arrays: arrays.update(history=arrays["history"][:, :3]),
    "a flow of other layers": lambda d, arrays: arrays.update(flow=arrays["flow"][:, :1]),
    "a watch without flow": lambda d, arrays: arrays.update(watched=arrays["watched"][:1]),
    "an array too many": lambda d, arrays: arrays.update(more=np.zeros(3)),
    "a history that is a number": lambda d, arrays: arrays.update(history=np.array(1.0)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_well_forged_file_is_refused(forgery: str, raw: bytes, tmp_path: Path) -> None:
    path = forged(raw, tmp_path / "forged.schuss", FORGERIES[forgery])
    with pytest.raises(RunFileError):
        load_run(path)


PLACES: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "activation": lambda d, code: d["network"]["hidden"][0]["activation"].update(formula=code),
    "output": lambda d, code: d["network"]["output"].update(formula=code),
    "initializer": lambda d, code: d["network"]["output_init"].update(name=code),
    "optimizer": lambda d, code: d["recipe"]["optimizer"].update(updates=[code, "m", "v"]),
    "schedule": lambda d, code: d["recipe"]["schedule"].update(formula=code),
    "loss": lambda d, code: d["loss"].update(formula=code),
    "name": lambda d, code: d["network"]["output"].update(name=code),
    "encoding": lambda d, code: d["encoding"]["columns"][0].update(name=code),
    "class": lambda d, code: d["encoding"]["target"].update(classes=[code, "b", "c"]),
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_in_a_file_is_executed(place: str, raw: bytes, tmp_path: Path) -> None:
    """Where text is only text, such as a name, it may stay; it is never run, nor when the run is used."""
    witness = tmp_path / "witness"
    code = f"__import__('os').system('touch {witness}')"
    path = forged(raw, tmp_path / "forged.schuss", lambda d, arrays: PLACES[place](d, code))
    try:
        loaded = load_run(path)
    except RunFileError:
        assert place not in ("name", "initializer", "class")
    else:
        assert place in ("name", "initializer", "class", "encoding")
        repr(loaded)
        loaded.outputs(np.zeros((1, 4), np.float32))
    assert not witness.exists()


# ---------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("path", ["no/such/folder/run.schuss", "file/run.schuss", "folder"])
def test_where_it_cannot_be_written_is_a_clear_error(run: Run, path: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match=r"cannot write .* Choose a folder"):
        run.save(tmp_path / path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_a_clear_error(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidInput, match="cannot write"):
        run.save(tmp_path / "run.schuss")


@pytest.mark.parametrize(
    ("failing", "error", "expected"),
    [
        ("fsync", OSError(28, "No space left on device"), InvalidInput),
        ("fsync", KeyboardInterrupt(), KeyboardInterrupt),
        ("chmod", OSError(5, "Input/output error"), InvalidInput),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    failing: str, error: BaseException, expected: type[BaseException], run: Run, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "run.schuss"
    path.write_bytes(b"the old file")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(expected):
        run.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == b"the old file"
    assert [p.name for p in tmp_path.iterdir()] == ["run.schuss"]


def test_an_existing_file_is_replaced_with_the_usual_permissions(run: Run, tmp_path: Path) -> None:
    path, usual = tmp_path / "run.schuss", tmp_path / "usual"
    usual.touch()
    path.write_bytes(b"the old file")
    run.save(str(path))  # text is a path, too
    assert_same(run, load_run(path))
    assert path.stat().st_mode == usual.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.schuss", "usual"]
