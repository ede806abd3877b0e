"""The command line as people meet it: what it prints and writes, and how it says that an input cannot be used."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
import safetensors.numpy

import schuss as sc
from schuss.cli import doctor, main
from schuss.cli.options import listed
from schuss.estimators.saved import load_saved
from schuss.show import progress
from schuss.training import runfile
from schuss.training.jobs import Progress

SMALL = ["--trials", "3", "--seeds", "2", "--budget", "2epochs", "--depth", "2", "--width", "8"]
HISTORY = ["step", "epoch", "seconds", "train_loss", "valid_loss", "score"]


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Schuss = Callable[..., Ended]


@pytest.fixture
def schuss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Schuss:
    """The command line, run in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["schuss", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ended(int(ended.value.code or 0), out, err)

    return run


def process(*arguments: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own."""
    command = [sys.executable, "-c", "from schuss.cli.main import main; main()", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def table(path: Path, header: str, rows: list[tuple[Any, ...]]) -> str:
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return str(path)


def rows(n: int = 60) -> list[tuple[float, float, int]]:
    dice = random.Random(0)
    return [(round(dice.random(), 3), round(dice.random(), 3), i % 2) for i in range(n)]


def without(*names: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError(f"{names} must not be reached")

    return refuse


# ---------------------------------------------------------------------------------------------- compare


def test_compare_prints_and_writes_everything(schuss: Schuss) -> None:
    ended = schuss(
        "compare", "iris", *SMALL, "--activations", "tanh,relu", "--optimizers", "gd,sgd", "--json", "r.json", "--plot"
    )
    assert ended.code == 0
    result = json.loads(Path("r.json").read_text())
    n = result["networks"]
    assert n == len(result["rows"]) == result["expected"] >= 20
    for expected in (
        "Dataset 'iris': classification of 3 classes", "Ranking on iris", "Gradient flow at initialization",
        "Best on iris: ", "After the same number of passes over the data, gd reaches", f"of {n} networks diverged",
        f"Networks: {n}; {n} trained in ", "networks/s", "result: r.json", "study: schuss-out/iris-20",
    ):  # fmt: skip
        assert expected in ended.out
    pictures = [f"schuss-out/compare-iris-{what}.png" for what in ("scores", "loss", "learning-rates", "flow")]
    for picture in pictures:
        assert f"picture: {picture}" in ended.out
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    (study,) = Path("schuss-out").glob("*.study")
    assert sc.open_study(study).to_json() == result
    first = result["rows"][0]
    assert (first["stage"], first["depth"], first["width"], first["epochs"]) == ("trial", 2, 8, 2)


def test_compare_without_a_plot_draws_nothing_and_without_a_study_keeps_nothing(schuss: Schuss) -> None:
    assert schuss("compare", "iris", *SMALL, "--optimizers", "sgd", "--study", "-").code == 0
    assert list(Path().iterdir()) == []


def test_compare_goes_on_with_the_study_that_is_named(schuss: Schuss) -> None:
    command = ["compare", "iris", *SMALL, "--study", "a.study", "--activations", "relu"]
    assert schuss(*command, "--optimizers", "sgd").code == 0
    ended = schuss(*command, "--optimizers", "sgd,adam")
    assert "taken from the study" in ended.out
    assert "study: a.study" in ended.out
    assert {row.optimizer for row in sc.open_study("a.study").rows} == {"sgd", "adam"}


def test_compare_on_several_data_sets_and_axes(schuss: Schuss) -> None:
    lists = ["--depth", "1,2", "--norm", "none,layer", "--batch-size", "16,all", "--schedule", "constant,cosine"]
    table(Path("mine.csv"), "height,weight,label", rows())
    field = ["--activations", "relu", "--optimizers", "sgd", "--trials", "2", "--seeds", "1", "--budget", "1"]
    ended = schuss(
        "compare", "iris", "mine.csv", *field, "--width", "4", *lists, "--json", "r.json", "--target", "label"
    )
    assert ended.code == 0
    for title in (
        "Ranking on iris\n",
        "Ranking on mine\n",
        "Ranking on iris, mine\n",
        "Best on average over 2 data sets: relu",
    ):
        assert title in ended.out.replace(" \n", "\n").replace("  ", "")
    found = json.loads(Path("r.json").read_text())["rows"]
    kinds = {(r["data"], r["depth"], r["norm"], r["batch_size"], r["schedule"]) for r in found}
    assert len(kinds) == 2**5
    assert max(map(len, ended.out.splitlines())) < 400


def test_compare_takes_formulas_and_settings_in_lists(schuss: Schuss) -> None:
    activations = "relu, leaky_relu(slope=0.1), mine = maximum(z, 0.1 * z) * sigmoid(1.702*z)"
    ended = schuss("compare", "iris", *SMALL, "--activations", activations, "--optimizers", "sgd", "--json", "r.json")
    assert ended.code == 0
    found = {row["activation"] for row in json.loads(Path("r.json").read_text())["rows"]}
    assert found == {"relu", "leaky_relu(slope=0.1)", "mine"}


OWN = """
import schuss as sc
from schuss.language.expressions import sign

@sc.optimizer(search=(1e-4, 1e-1))
def heavy_ball(w, g, v, *, lr=0.01, momentum=0.9):
    v = momentum * v - lr * g
    return w + v, v

def plain(w, g, *, lr=0.01):
    return w - lr * sign(g)

def bump(z):
    return z * sc.sigmoid(z)

def broken(w, g, *, lr=0.01):
    return w - lr * gradient

def forgetful(w, g, v, *, lr=0.01):
    return w - lr * g
"""


def test_compare_takes_definitions_from_a_users_file(schuss: Schuss) -> None:
    Path("mine.py").write_text(OWN)
    ended = schuss(
        "compare", "iris", *SMALL, "--activations", "relu,mine.py:bump", "--json", "r.json",
        "--optimizers", "sgd,mine.py:heavy_ball,mine.py:heavy_ball(momentum=0.5),mine.py:plain",
    )  # fmt: skip
    assert ended.code == 0
    found = json.loads(Path("r.json").read_text())["rows"]
    assert {row["activation"] for row in found} == {"relu", "bump"}
    assert {row["optimizer"] for row in found} == {"sgd", "heavy_ball", "heavy_ball(momentum=0.5)", "plain"}
    assert (
        schuss("fit", "iris", "--optimizer", "mine.py:plain", "--activation", "mine.py:bump", "--epochs", 1).code == 0
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.py:rule", "", "there is no file none.py, which should define the optimizer rule"),
        ("mine.py:broken", OWN, "mine.py, line 17: NameError: name 'gradient' is not defined"),
        ("mine.py:forgetful", OWN, "mine.py, line 19: forgetful keeps 1 state arrays"),
        ("mine.py:heavy_bal", OWN, "unknown optimizer of mine.py 'heavy_bal'; did you mean heavy_ball?"),
        ("mine.py:bump", OWN, "mine.py, line 13: an optimizer's first arguments are w and g"),
        ("mine.py:f", "x = 1\ny = x / 0\n", "mine.py, line 2: ZeroDivisionError: division by zero"),
        ("mine.py:f", "def f(w, g:\n", "mine.py, line 1: SyntaxError"),
        ("mine.py:f", "x = 1\nexit(3)\n", "mine.py, line 2: SystemExit: 3."),
        ("mine.py", OWN, "which optimizer of mine.py is meant? Write mine.py:NAME."),
        ("mine.py:f", "import not_there\n", "mine.py, line 1: ModuleNotFoundError: No module named 'not_there'"),
        ("mine.py:f", "f = 3\n", "unknown optimizer of mine.py 'f'"),
    ],
)
def test_a_users_file_that_is_missing_or_raises_is_named_with_its_line(
    schuss: Schuss, name: str, content: str, message: str
) -> None:
    if content:
        Path("mine.py").write_text(content)
    refused(schuss, ["compare", "iris", "--optimizers", f"sgd,{name}"], message)


@pytest.mark.parametrize(
    "command",
    ["doctor mine.csv --fix mine.csv", "compare mine.csv --json ./mine.csv", "fit mine.csv --save mine.csv",
     "predict mine.schuss mine.csv --out mine.csv", "flow mine.csv --json mine.csv"],
)  # fmt: skip
def test_no_command_writes_over_the_data_it_reads(schuss: Schuss, command: str) -> None:
    Path("mine.csv").write_text("x,y\n1,2\n")
    refused(schuss, command.split(), "mine.csv is what this command reads; it was not touched.")
    assert Path("mine.csv").read_text() == "x,y\n1,2\n"


def test_equal_networks_are_trained_once_and_called_so(schuss: Schuss) -> None:
    """A single hidden layer has no block to wrap: with and without --residual it is the same network."""
    axes = ["--depth", 1, "--residual", "no,yes", "--activations", "relu", "--optimizers", "sgd"]
    small = ["--width", 4, "--trials", 2, "--seeds", 2, "--budget", 1]
    ended = schuss("compare", "iris", *axes, *small, "--study", "-", "--quiet")
    assert "the same as others" in ended.out
    assert "taken from the study" not in ended.out


def test_fit_counts_the_layers_that_repeat(schuss: Schuss) -> None:
    ended = schuss("fit", "iris", "--depth", 50, "--width", 4, "--norm", "layer", "--epochs", 1)
    assert "Network(50 × (Dense(4, identity), LayerNorm(relu)))\n" in ended.out


def test_json_on_standard_output_stands_there_alone(schuss: Schuss) -> None:
    ended = schuss("compare", "iris", *SMALL, "--activations", "relu", "--optimizers", "adam", "--json", "-")
    assert json.loads(ended.out)["networks"] >= 5
    assert "Ranking on iris" in ended.err


def test_the_same_seed_gives_the_same_result_with_any_number_of_threads(schuss: Schuss) -> None:
    grid = [*SMALL, "--activations", "relu", "--optimizers", "adam", "--json", "-", "--seed", "7"]
    results = [json.loads(schuss("compare", "iris", *grid, "--threads", n).out)["rows"] for n in (1, 3)]
    for row in (*results[0], *results[1]):
        row.pop("seconds")
    assert results[0] == results[1]
    assert results[0][0]["seed"] == 7


def test_interrupted_compare_keeps_what_is_finished(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sc.compare("iris", activations=["relu"], optimizers=["adam"], trials=2, seeds=1, budget=2)
    part = replace(whole, rows=whole.rows[:1], curves=whole.curves[:1], measured={0: whole.measured[0]}, trained=1)

    def interrupted(*_: Any, **__: Any) -> sc.Study:
        raise sc.Interrupted(part)

    monkeypatch.setattr(sc, "compare", interrupted)
    ended = schuss("compare", "iris", "--json", "r.json", "--plot")
    assert ended.code == 130
    assert f"interrupted after 1 of {whole.expected} networks" in ended.err
    assert "Ranking on iris" in ended.out
    assert f"Networks: 1 of {whole.expected}; 1 trained in" in ended.out
    assert json.loads(Path("r.json").read_text())["networks"] == 1
    assert Path("schuss-out/compare-iris-loss.png").exists()


def test_ctrl_c_in_a_real_compare(tmp_path: Path) -> None:
    running = process("compare", "iris", "--budget", "30000epochs", "--json", "r.json", folder=tmp_path)
    assert running.stdout is not None
    assert "Dataset 'iris'" in running.stdout.readline()  # from here on it trains
    time.sleep(1.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in out + err
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["networks"] == len(result["rows"]) < result["expected"]
    (study,) = (tmp_path / "schuss-out").glob("*.study")
    assert len(sc.open_study(study).rows) == result["networks"]


# ---------------------------------------------------------------------------------------------- fit and predict


def test_fit_prints_and_writes_everything(schuss: Schuss) -> None:
    ended = schuss("fit", "iris", "--depth", 3, "--width", 16, "--epochs", 8, "--json", "r.json", "--save", "r.schuss")
    assert ended.code == 0
    for expected in ("Network(3 × Dense(16, relu))", "Recipe(adam, ", "Training", "Gradient flow through training",
                     "Result", "finished after 8 epochs, 24 updates", "run: r.schuss"):  # fmt: skip
        assert expected in ended.out
    result = json.loads(Path("r.json").read_text())
    assert {"status", "epochs", "seconds", "train_loss", "valid_loss", "test_score", "history"} <= set(result)
    assert list(result["history"]) == HISTORY
    assert all(len(values) == 8 for values in result["history"].values())
    run = sc.load_run("r.schuss")
    assert result["test_score"] == run.outcome.scores[2]


def test_fit_options_reach_the_recipe(schuss: Schuss) -> None:
    ended = schuss(
        "fit", "wine", "--activation", "mine = z * sigmoid(1.7 * z)", "--init", "glorot_normal",
        "--optimizer", "momentum", "--lr", "3e-3", "--batch-size", 16, "--epochs", 5, "--loss", "squared_error",
        "--schedule", "cosine(warmup=0.1)", "--patience", 3, "--clip-norm", 1, "--seed", 5, "--save", "r.schuss",
        "--out", "pictures",
    )  # fmt: skip
    assert ended.code == 0
    run = sc.load_run("r.schuss")
    assert str(run.network.hidden[0].activation) == "mine"
    assert str(run.network.hidden[0].init) == "glorot_normal"
    assert str(run.recipe.optimizer) == "momentum(lr=0.003)"
    assert (run.recipe.batch_size, run.recipe.epochs, run.recipe.patience, run.recipe.clip_norm) == (16, 5, 3, 1.0)
    assert (str(run.loss), str(run.recipe.schedule), run.seed) == ("squared_error", "cosine(warmup=0.1)", 5)
    assert {path.name for path in Path("pictures").iterdir()} == {
        "fit-wine.png", "fit-wine-flow.png", "fit-wine-layers.png"
    }  # fmt: skip


def test_norm_residual_and_dropout_reach_the_network(schuss: Schuss) -> None:
    options = ["--depth", 3, "--width", 6, "--norm", "batch", "--residual", "--dropout", 0.25]
    ended = schuss("fit", "iris", *options, "--epochs", 2, "--save", "r.schuss")
    assert ended.code == 0
    assert "Residual(Dense(6, identity), BatchNorm(relu), Dropout(0.25))" in ended.out
    run = sc.load_run("r.schuss")
    assert run.network == sc.mlp([6] * 3, norm="batch", residual=True, dropout=0.25)
    assert schuss("fit", "iris", "--resume", "r.schuss", "--epochs", 3, "--save", "r.schuss").code == 0
    assert sc.load_run("r.schuss").network == run.network
    assert "its network is" in schuss("fit", "iris", "--resume", "r.schuss", "--epochs", 4, "--residual").err
    options[options.index("--residual") :] = ["--residual", "yes", "--dropout", 0.25]
    ended = schuss("compare", "iris", *options, "--activations", "relu", "--optimizers", "sgd,adam", "--seeds", 1,
                   "--trials", 2, "--budget", 2, "--json", "c.json")  # fmt: skip
    assert ended.code == 0
    rows = json.loads(Path("c.json").read_text())["rows"]
    assert {(row["depth"], row["width"]) for row in rows} == {(3, 6)}


def test_fit_xor_prints_the_truth_table(schuss: Schuss) -> None:
    ended = schuss("fit", "xor", "--activation", "tanh", "--depth", 1, "--width", 8, "--lr", 0.05, "--epochs", 300)
    at = ended.out.index("Truth table")
    table_lines = [line.split() for line in ended.out[at:].splitlines()[3:7]]
    assert table_lines == [["0", "0", "0", "0"], ["0", "1", "1", "1"], ["1", "0", "1", "1"], ["1", "1", "0", "0"]]


def test_a_table_named_like_a_problem_has_no_truth_table(schuss: Schuss) -> None:
    table(Path("xor.csv"), "a,b,label", rows())
    ended = schuss("fit", "xor.csv", "--epochs", 1)
    assert ended.code == 0
    assert "Truth table" not in ended.out


def test_fit_goes_on_from_a_saved_run(schuss: Schuss) -> None:
    whole = ["fit", "iris", "--depth", 2, "--width", 8, "--seed", 3, "--optimizer", "momentum"]
    assert schuss(*whole, "--epochs", 6, "--save", "whole.schuss").code == 0
    assert schuss(*whole, "--epochs", 3, "--save", "half.schuss").code == 0
    ended = schuss("fit", "iris", "--resume", "half.schuss", "--epochs", 6, "--save", "half.schuss")
    assert ended.code == 0
    resumed, uninterrupted = sc.load_run("half.schuss"), sc.load_run("whole.schuss")
    np.testing.assert_array_equal(resumed.parameters, uninterrupted.parameters)
    assert len(resumed.history["epoch"]) == 6
    assert "ask for more epochs" in schuss("fit", "iris", "--resume", "half.schuss").err
    assert "network" in schuss("fit", "iris", "--resume", "half.schuss", "--epochs", 9, "--width", 9).err


def test_a_diverged_fit_says_where_and_what_to_do(schuss: Schuss) -> None:
    ended = schuss("fit", "iris", "--optimizer", "sgd", "--lr", "1e9", "--json", "r.json")
    assert ended.code == 1
    assert "error: the network diverged at step" in ended.err
    assert "Lower the learning rate (--lr), or clip the gradient" in ended.err
    result = json.loads(Path("r.json").read_text())
    assert result["status"] == "diverged"
    assert result["test_score"] is None
    assert result["diverged_step"] >= 1


def test_interrupted_fit_says_so(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> sc.Run:
        raise KeyboardInterrupt

    monkeypatch.setattr(sc, "fit", interrupted)
    ended = schuss("fit", "iris", "--save", "r.schuss")
    assert ended.code == 130
    assert "nothing was written" in ended.err
    assert not Path("r.schuss").exists()


def test_predict_writes_csv(schuss: Schuss) -> None:
    data = table(Path("data.csv"), "height,weight,kind", [(a, b, "cat" if c else "dog") for a, b, c in rows()])
    new = table(Path("new.csv"), "weight,height", [(b, a) for a, b, _ in rows(5)])
    schuss("fit", data, "--epochs", 2, "--save", "r.schuss")
    ended = schuss("predict", "r.schuss", new)
    lines = list(csv.DictReader(ended.out.splitlines()))
    assert list(lines[0]) == ["prediction", "p(cat)", "p(dog)"]
    assert len(lines) == 5
    for line in lines:
        assert float(line["p(cat)"]) + float(line["p(dog)"]) == pytest.approx(1, abs=2e-6)
        assert line["prediction"] == ("cat" if float(line["p(cat)"]) > 0.5 else "dog")
    assert schuss("predict", "r.schuss", new, "--out", "p.csv").out == "predictions: p.csv\n"
    assert Path("p.csv").read_text() == ended.out
    assert json.loads(schuss("predict", "r.schuss", new, "--json", "-").out)["prediction"] == [
        x["prediction"] for x in lines
    ]


def test_predict_numbers_in_their_own_unit(schuss: Schuss) -> None:
    data = table(Path("data.csv"), "a,b,price", [(a, b, 1000 + 100 * a) for a, b, _ in rows()])
    schuss("fit", data, "--target", "price", "--epochs", 20, "--lr", 0.01, "--save", "r.schuss")
    lines = list(csv.DictReader(schuss("predict", "r.schuss", data).out.splitlines()))
    assert list(lines[0]) == ["price"]
    assert all(900 < float(line["price"]) < 1200 for line in lines)


# ---------------------------------------------------------------------------------------------- flow and listings


def test_flow_shows_what_norms_and_residual_blocks_do(schuss: Schuss) -> None:
    deep = ["flow", "iris", "--depth", 20, "--activation", "sigmoid", "--init", "glorot_normal", "--norm", "layer"]
    assert "The gradient vanishes" in schuss(*deep).out
    ended = schuss(*deep, "--residual", "--json", "f.json")
    assert ended.code == 0
    assert "The gradient vanishes" not in ended.out
    layers = json.loads(Path("f.json").read_text())["layers"]
    assert [layer["activation"] for layer in layers] == ["sigmoid"] * 20
    assert 0.1 < layers[0]["relative"] < 1000


def test_flow_prints_and_writes_everything(schuss: Schuss) -> None:
    ended = schuss(
        "flow",
        "iris",
        "--depth",
        20,
        "--activation",
        "sigmoid",
        "--init",
        "glorot_normal",
        "--json",
        "f.json",
        "--plot",
    )
    assert ended.code == 0
    assert "The gradient vanishes, losing 0.6" in ended.out
    assert Path("schuss-out/flow-iris-sigmoid.png").exists()
    assert Path("schuss-out/flow-iris-sigmoid-layers.png").exists()
    result = json.loads(Path("f.json").read_text())
    assert {"layers", "decades_per_layer"} <= set(result)
    keys = {
        "layer",
        "units",
        "activation",
        "delta",
        "relative",
        "weight_gradient",
        "activation_rms",
        "saturated",
        "dead",
    }
    assert all(keys <= set(layer) for layer in result["layers"])
    assert [layer["layer"] for layer in result["layers"]] == list(range(1, 21))
    assert result["layers"][-1]["relative"] == 1
    assert result["layers"][0]["relative"] < 1e-9
    assert 0.5 < result["decades_per_layer"] < 0.75


def test_flow_stands_beside_theory(schuss: Schuss) -> None:
    ended = schuss("flow", "digits", "--depth", 8, "--activation", "sigmoid", "--json", "f.json", "--threads", 1)
    assert ended.code == 0
    result = json.loads(Path("f.json").read_text())
    theory = result["theory"]
    assert len(theory["relative"]) == len(theory["chi"]) == 8
    assert theory["depth_scale"] == pytest.approx(0.53, abs=0.05)
    assert result["through_training"] == []
    for layer, relative in zip(result["layers"], theory["relative"], strict=True):
        assert abs(math.log10(layer["relative"] / relative)) < 0.3
    assert "theory: the same from φ and Var(W) alone" in ended.out
    without = schuss("flow", "iris", "--init", "zeros")
    assert "no prediction: the weights of layer 1 are all 0" in without.out
    assert "theory:" not in without.out


def test_flow_through_training(schuss: Schuss) -> None:
    ended = schuss(
        "flow", "iris", "--depth", 3, "--width", 8, "--activation", "tanh",
        "--epochs", 5, "--optimizer", "sgd", "--lr", 0.1, "--batch-size", 16, "--json", "f.json", "--plot",
    )  # fmt: skip
    assert ended.code == 0
    assert "Gradient flow at initialization" in ended.out
    assert "Gradient flow through training" in ended.out
    assert Path("schuss-out/flow-iris-tanh.png").exists()
    assert Path("schuss-out/flow-iris-training.png").exists()
    measured = json.loads(Path("f.json").read_text())["through_training"]
    assert [each["epoch"] for each in measured] == [0, 1, 2, 4, 5]
    run = sc.fit(sc.mlp([8] * 3, "tanh"), "iris", sc.Recipe("sgd(lr=0.1)", batch_size=16, epochs=5))
    assert [each["layers"][0]["delta"] for each in measured] == run.flow["delta"][:, 0].tolist()


def test_flow_says_which_options_need_a_training(schuss: Schuss) -> None:
    for option, value in (("--optimizer", "sgd"), ("--lr", "0.1"), ("--batch-size", "8")):
        ended = schuss("flow", "iris", option, value)
        assert (ended.code, ended.out) == (2, "")
        assert "without --epochs nothing is trained" in ended.err


def test_flow_of_a_diverging_training_says_so_after_all_that_is_known(schuss: Schuss) -> None:
    ended = schuss("flow", "diabetes", "--epochs", 2, "--optimizer", "sgd", "--lr", 1e6, "--json", "f.json")
    assert ended.code == 1
    assert "error: the network diverged at step" in ended.err
    assert len(json.loads(Path("f.json").read_text())["through_training"]) >= 1


def test_interrupted_flow_shows_the_untrained_network(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> sc.Run:
        raise KeyboardInterrupt

    monkeypatch.setattr(sc, "fit", interrupted)
    ended = schuss("flow", "iris", "--epochs", 3, "--json", "f.json")
    assert ended.code == 130
    assert "only the untrained network is shown" in ended.err
    assert "Gradient flow at initialization" in ended.out
    assert json.loads(Path("f.json").read_text())["through_training"] == []


def test_tailored_activations_by_name(schuss: Schuss) -> None:
    wanted = "tailor(sigmoid, depth=50)"
    assert schuss("fit", "iris", "--activation", wanted, "--epochs", 1).code == 0
    shown = schuss("activations", wanted, "--out", ".").out
    assert "alpha=0.835" in shown
    assert r"\gamma \, \left(" in shown
    assert Path("activation-tailor-sigmoid-depth-50.png").exists()
    ended = schuss("compare", "iris", "--activations", f"{wanted}, tanh", "--optimizers", "adam", *SMALL)
    assert wanted in ended.out
    assert "cannot be tailored" in schuss("flow", "iris", "--activation", "tailor(identity, depth=9)").err


def test_activations_lists_all_and_shows_one(schuss: Schuss) -> None:
    ended = schuss("activations", "--json", "a.json")
    assert all(name in ended.out for name in sc.activations.ACTIVATIONS)
    facts = {each["name"]: each for each in json.loads(Path("a.json").read_text())}
    assert facts["sigmoid"]["largest_slope"] == 0.25
    assert facts["relu"]["range"] == [0, None]
    shown = schuss("activations", "mine = z * sigmoid(1.7 * z)", "--out", ".").out
    assert "z * sigmoid(1.7 * z)" in shown
    assert r"z \, \sigma\left(1.7 \, z\right)" in shown
    assert Path("activation-mine.png").exists()


def test_listings_draw_what_they_list(schuss: Schuss) -> None:
    assert "picture: schuss-out/activations.png" in schuss("activations", "--plot").out
    assert "picture: there/optimizer-adam.png" in schuss("optimizers", "adam(lr=0.1)", "--out", "there").out
    ended = schuss("optimizers", "--plot", "--out", "there")
    assert all(f"picture: there/optimizers-{land}.png" in ended.out for land in ("valley", "rosenbrock", "saddle"))


def test_nothing_is_drawn_unless_asked_for(schuss: Schuss) -> None:
    grid = ["--activations", "relu", "--optimizers", "adam"]
    for command in (["compare", "iris", *SMALL, *grid], ["flow", "xor"], ["fit", "xor"], ["activations"]):
        assert "picture" not in schuss(*command).out
    assert [path.suffix for path in Path().rglob("*") if path.is_file()] == [".study"]


def test_optimizers_lists_all_and_shows_one(schuss: Schuss) -> None:
    ended = schuss("optimizers")
    assert all(name in ended.out for name in sc.optimizers.OPTIMIZERS)
    shown = schuss("optimizers", "momentum(lr=0.1)", "--json", "o.json").out
    assert "v = momentum * v + g" in shown
    assert r"v \leftarrow \mu \, v + g" in shown
    assert json.loads(Path("o.json").read_text())[0]["settings"] == {"lr": 0.1, "momentum": 0.9}


def test_version_and_help(schuss: Schuss) -> None:
    assert schuss("--version").out == f"schuss {sc.__version__}\n"
    shown = schuss("--help").out
    assert all(name in shown for name in ("compare", "fit", "predict", "flow", "activations", "optimizers"))
    assert "--install-completion" in shown
    assert "--trials" in schuss("compare", "-h").out


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schuss", "--version"]
    assert subprocess.check_output(command, cwd=tmp_path, text=True) == f"schuss {sc.__version__}\n"


def test_a_shell_completes_commands_and_options(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SCHUSS_COMPLETE", "source_bash")
    assert "complete -o default -F _schuss_completion schuss" in schuss().out
    monkeypatch.setenv("_SCHUSS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setenv("COMP_WORDS", "schuss comp")
    assert schuss().out == "compare\n"
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("COMP_WORDS", "schuss fit --clip")
    assert schuss().out == "--clip-norm\n"


# ---------------------------------------------------------------------------------------------- doctor

ILL = ["iris", "--depth", "3", "--width", "16", "--init", "zeros", "--epochs", "60", "--lr", "0.01"]


def test_doctor_names_cures_and_proves(schuss: Schuss) -> None:
    ended = schuss("doctor", *ILL, "--json", "found.json", "--fix", "fixed.py")
    assert ended.code == 0
    assert "All units of a layer are the same (symmetric_weights, layers 1 to 3)" in ended.out
    assert "The cure: init auto" in ended.out
    assert "the cure" in ended.out
    assert max(map(len, ended.out.splitlines()[1:])) <= 80
    (finding,) = json.loads(Path("found.json").read_text())["findings"]
    assert finding["cause"] == "symmetric_weights"
    assert finding["proof"]["cured"] is True
    assert finding["proof"]["before"]["valid_score"] < 0.5
    assert finding["proof"]["after"]["valid_score"] > 0.8
    script = subprocess.run([sys.executable, "fixed.py"], capture_output=True, text=True, check=True)
    assert script.stdout.startswith("before: train loss")
    assert "sc.load('iris')" in Path("fixed.py").read_text()


def test_doctor_finds_nothing_wrong_with_a_healthy_network(schuss: Schuss) -> None:
    ended = schuss("doctor", "iris", "--depth", "2", "--lr", "0.01", "--json", "-", "--fix", "fixed.py")
    assert json.loads(ended.out)["healthy"] is True
    assert "Healthy: nothing keeps this network from learning." in ended.err
    assert "fixed.py was not written" in ended.err
    assert not Path("fixed.py").exists()


def test_doctor_takes_the_options_of_fit(schuss: Schuss) -> None:
    options = "--activation tanh --norm layer --residual --dropout 0.1 --optimizer momentum --batch-size 16 --epochs 3"
    more = "--loss squared_error --schedule cosine --patience 2 --clip-norm 1 --seed 4 --seeds 1 --threads 1"
    ended = schuss("doctor", "iris", "--depth", "2", "--width", "8", *options.split(), *more.split())
    assert ended.code == 0
    shown = " ".join(ended.out.split())
    assert "Residual(Dense(8, identity), LayerNorm(tanh), Dropout(0.1)); Recipe(momentum, batch_size=16" in shown
    assert "loss=squared_error, patience=2, clip_norm=1.0, schedule=cosine)" in shown


def test_a_doctors_script_on_standard_output_loads_the_table(schuss: Schuss, tmp_path: Path) -> None:
    rows = [(i / 10, i % 7, "yes" if (i * 37) % 100 > 50 else "no") for i in range(100)]
    name = table(tmp_path / "some.csv", "a,b,c", rows)
    ended = schuss("doctor", name, "--target", "c", "--depth", "2", "--init", "zeros", "--seeds", "1", "--fix", "-")
    assert ended.code == 0
    assert f"sc.load({name!r}, 'c')" in ended.out or "no better than a constant" in " ".join(ended.out.split())


def test_interrupted_doctor_tells_what_it_knows(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(at: Progress) -> None:
        if at.networks > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "shown_progress", lambda *_: contextlib.nullcontext(interrupt))
    ended = schuss("doctor", *ILL, "--json", "found.json")
    assert ended.code == 130
    assert "interrupted after 3 networks; what is known so far follows." in ended.err
    assert "The visit was interrupted. Training removed" in " ".join(ended.out.split())
    assert json.loads(Path("found.json").read_text())["healthy"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("doctor digitz", "unknown problem 'digitz'"),
        ("doctor iris --seeds 0", "seeds must be a whole number of at least 1"),
        ("doctor iris --activation rellu", "unknown activation 'rellu'; did you mean relu"),
        ("doctor iris --fix nowhere/fixed.py", "there is no folder nowhere"),
        ("doctor diabetes --loss softmax_cross_entropy", "is for classes"),
    ],
)
def test_bad_arguments_of_doctor(schuss: Schuss, arguments: str, message: str) -> None:
    ended = schuss(*arguments.split())
    assert ended.code == 2
    assert message in ended.err


# ---------------------------------------------------------------------------------------------- bad input

GOOD, HEADER = rows(), "height,weight,label"
BAD_TABLES: dict[str, tuple[bytes | list[tuple[Any, ...]], str]] = {
    "empty": (b"", "is empty"),
    "binary": (b"a,b\n\x00\x01\xff", "binary data"),
    "ragged": (b"a,b,label\n1,2,0\n3,4\n", "line 3: expected 3 values"),
    "one_class": ([(a, b, 1) for a, b, _ in GOOD], "one class only"),
    "few_rows": ([(a, b, int(i == 0)) for i, (a, b, _) in enumerate(GOOD)], "at least 3 rows"),
    "all_nan": ([(a, "nan", c) for a, _, c in GOOD], "no values at all"),
    "infinite": ([(a, "inf" if i == 3 else b, c) for i, (a, b, c) in enumerate(GOOD)], "inf"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables(schuss: Schuss, name: str) -> None:
    content, message = BAD_TABLES[name]
    path = Path(f"{name}.csv")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        table(path, HEADER, content)
    refused(schuss, ["compare", path], message)
    assert sorted(Path().iterdir()) == [path]


def refused(schuss: Schuss, arguments: list[Any], message: str) -> None:
    ended = schuss(*arguments)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare missing.csv", "there is no file missing.csv"),
        ("compare digitz", "did you mean digits?"),
        ("compare iris --activations relu,gelo", "did you mean gelu"),
        ("compare iris --activations ,", "at least one activation"),
        ("compare iris --activations relu,relu", "given twice"),
        ("compare iris --optimizers adm", "did you mean adam"),
        ("compare iris --depth 0", "depth must be a whole number of at least 1, but is 0"),
        ("compare iris --width -3", "width must be"),
        ("compare iris --seeds 0", "seeds must be"),
        ("compare iris --trials 0", "trials must be"),
        ("compare iris --tune beta9", "no optimizer here has a hyper-parameter 'beta9'"),
        ("compare iris --budget 0epochs", "a budget is a number of epochs or of seconds"),
        ("compare iris --depth two", "depth must be a whole number of at least 1, but is 'two'"),
        ("compare iris --residual perhaps", "residual is True or False (yes or no), but is 'perhaps'"),
        ("compare iris --study missing/a.study", "cannot write missing/a.study: No such file"),
        ("compare iris iris", "two data sets are called 'iris'"),
        ("compare iris --batch-size 0", "batch_size must be"),
        ("compare iris --threads 0", "threads must be"),
        ("compare iris --seed -1", "seed must be"),
        ("fit table.csv --threads 0", "threads must be a whole number of at least 1, but is 0"),
        ("fit table.csv --threads -1", "threads must be"),
        ("fit table.csv --seed -1", "a seed must be a whole number from 0 to 2^63 − 1"),
        ("fit table.csv --seed 9223372036854775808", "a seed must be"),
        ("compare iris --target species", "brings its own target"),
        ("compare iris --task ranking", "unknown task"),
        ("fit iris --activation nope", "unknown activation 'nope'"),
        ("fit iris --lr 0", "lr of adam must be greater than 0"),
        ("fit iris --lr -0.1", "lr of adam must be greater than 0"),
        ("fit iris --lr nan", "lr of adam must be a finite number"),
        ("fit iris --lr inf", "lr of adam must be a finite number"),
        ("fit iris --depth 0", "depth must be"),
        ("fit iris --width 0", "width must be"),
        ("fit iris --seed 99999999999999999999", "seed must be"),
        ("fit iris --patience 0", "patience must be"),
        ("fit iris --clip-norm 0", "clip_norm must be"),
        ("fit iris --init xaver", "unknown initializer"),
        ("fit iris --norm bacth", "unknown norm 'bacth'; did you mean batch?"),
        ("flow iris --norm group", "unknown norm 'group'"),
        ("compare iris --norm group", "unknown norm 'group'"),
        ("fit iris --dropout 1", "the rate of dropout is a share"),
        ("flow iris --dropout -0.1", "the rate of dropout is a share"),
        ("compare iris --dropout nan", "the rate of dropout must be a finite number"),
        ("fit iris --loss hubr", "did you mean huber"),
        ("fit iris --schedule cosin", "did you mean cosine"),
        ("fit diabetes --loss softmax_cross_entropy", "is for classes"),
        ("fit iris --activation m=zz+1", "unknown name 'zz'"),
        ("fit iris --activation m=z.real", "attribute is not allowed"),
        ("fit iris --activation m=open(z)", "unknown function 'open'"),
        ("fit iris --activation m=z**99999", "an exponent must lie within"),
        (f"fit iris --activation m={'(' * 10_000}z{')' * 10_000}", "at most 10,000 characters"),
        (f"fit iris --activation m={'(' * 400}z{')' * 400}", "formula"),
        ("fit iris --resume nothing.schuss", "there is no run file nothing.schuss"),
        ("predict nothing.schuss new.csv", "there is no run file nothing.schuss"),
        ("flow iris --depth 0", "depth must be"),
        ("flow iris --threads 0", "threads must be"),
        ("activations sigmiod", "did you mean sigmoid"),
        ("optimizers sdg", "did you mean"),
    ],
)
def test_bad_arguments(schuss: Schuss, arguments: str, message: str) -> None:
    refused(schuss, arguments.split(" "), message)
    assert not list(Path().iterdir())


def test_bad_targets(schuss: Schuss) -> None:
    good = table(Path("good.csv"), HEADER, GOOD)
    text = table(Path("text.csv"), HEADER, [(a, b, "cat" if c else "dog") for a, b, c in GOOD])
    refused(schuss, ["fit", good, "--target", "lable"], "did you mean 'label'?")
    refused(schuss, ["fit", text, "--task", "regression"], "must be numbers, but holds text such as")
    refused(schuss, ["fit", table(Path("notes.txt"), HEADER, GOOD)], "must end in .csv")


def test_bad_run_files(schuss: Schuss) -> None:
    schuss("fit", "iris", "--epochs", 1, "--save", "r.schuss")
    raw = bytearray(Path("r.schuss").read_bytes())
    new = table(Path("new.csv"), "a,b", [(1, 2)])
    refused(schuss, ["predict", "r.schuss", new], "are missing")
    refused(schuss, ["fit", "wine", "--resume", "r.schuss", "--epochs", 3], "its data is")
    Path("short.schuss").write_bytes(raw[: len(raw) // 2])
    refused(schuss, ["predict", "short.schuss", new], "truncated")
    raw[-40] ^= 1
    Path("edited.schuss").write_bytes(raw)
    refused(schuss, ["predict", "edited.schuss", new], "was changed")


@pytest.mark.parametrize("option", ["--out", "--json", "--save"])
def test_unwritable_places_are_refused_before_the_training(
    schuss: Schuss, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(sc, "fit", without("fit"))
    Path("taken").write_text("a file is no folder")
    refused(schuss, ["fit", "iris", option, "taken/below"], "cannot write")
    if Path("/proc/self").exists():  # there nobody can write, not even root
        refused(schuss, ["fit", "iris", option, "/proc/schuss"], "cannot write")
    if option != "--out":
        refused(schuss, ["fit", "iris", option, "."], "it is a folder")
        refused(schuss, ["fit", "iris", option, "nowhere/r"], "there is no folder nowhere")


def test_a_wrong_option_is_typers_own_error(schuss: Schuss) -> None:
    for arguments in (["fit", "iris", "--depth", "deep"], ["fit", "iris", "--color", "red"], ["fit"], ["fly"]):
        assert schuss(*arguments).code == 2


def test_too_little_memory_is_said_in_a_sentence(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> sc.Run:
        raise MemoryError

    monkeypatch.setattr(sc, "fit", exhausted)
    refused(schuss, ["fit", "iris"], "not enough memory")


# ---------------------------------------------------------------------------------------------- as a process


def test_a_reader_that_goes_away_causes_no_traceback(tmp_path: Path) -> None:
    running = process("activations", folder=tmp_path)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == ""
    running.wait(timeout=60)
    running.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_behind_standard_output_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from schuss.cli.main import main; main()", "optimizers"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    running = process("flow", "xor", "--out", "p", folder=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "Gradient flow at initialization" in out


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_cause_no_traceback(tmp_path: Path, closed: str) -> None:
    command = f"'{sys.executable}' -m schuss.cli.main fit iris --epochs 1 --json r.json {closed}"
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((tmp_path / "r.json").read_text())["epochs"] == 1


def test_an_endless_slope_is_shown_as_in_the_table(schuss: Schuss) -> None:
    assert "largest slope  ∞" in schuss("activations", "squared_relu").out


def test_a_narrow_terminal_does_not_squeeze_the_names_out_of_a_table(
    schuss: Schuss, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["compare", "iris", *SMALL, "--activations", "relu,softplus", "--optimizers", "sgd,momentum"]
    wide = schuss(*arguments).out.splitlines()
    monkeypatch.setenv("COLUMNS", "30")
    narrow = schuss(*arguments).out.splitlines()
    ranked = [line for line in narrow if "momentum" in line and "softplus" in line]
    assert ranked
    assert set(ranked) <= set(wide)


def test_starting_imports_nothing_heavy() -> None:
    heavy = ["polars", "sklearn", "matplotlib", "scipy", "safetensors", "pandas", "rich"]
    code = f"import sys, schuss.cli.main; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "[]\n"


# ---------------------------------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("relu", ["relu"]), ("relu,tanh", ["relu", "tanh"]), (" relu , ,tanh,", ["relu", "tanh"]), ("", []),
        ("a = maximum(z, min(z, 1)),b", ["a = maximum(z, min(z, 1))", "b"]), ("f(1,2", ["f(1,2"]),
        ("x),y", ["x)", "y"]),
    ],
)  # fmt: skip
def test_listed(text: str, parts: list[str]) -> None:
    assert listed(text) == parts


def standing(networks: int, total: int, share: float, reused: int = 0) -> sc.Standing:
    return sc.Standing(networks, reused, total, share, lambda: sc.compare("iris", **TINY))


TINY: dict[str, Any] = {"activations": ["relu"], "optimizers": ["sgd"], "trials": 2, "seeds": 1, "budget": 1}


@pytest.mark.parametrize(
    ("at", "seconds", "words"),
    [
        (standing(0, 672, 0.0), 0.0, "0 of 672 networks"),
        (standing(336, 672, 0.5), 10.0, "336 of 672 networks, 33.6 networks/s, 10 s left"),
        (standing(436, 672, 0.75, reused=336), 10.0, "436 of 672 networks, 10 networks/s, 10 s left"),
        (standing(1, 672, 0.01), 10.0, "1 of 672 networks, 0.1 networks/s, 16:30 min left"),
        (standing(1, 10**6, 0.01), 1000.0, "1 of 1000000 networks, 0.001 networks/s, 27:30 h left"),
        (standing(672, 672, 1.0, reused=672), 0.1, "672 of 672 networks"),
    ],
)
def test_progress_of_a_comparison_in_words(at: sc.Standing, seconds: float, words: str) -> None:
    assert progress.standing_in_words(at, seconds) == words


@pytest.mark.parametrize(
    ("at", "epochs", "words"),
    [
        (Progress(0, 672, 0.0), None, "0 of 672 networks"),
        (Progress(336, 672, 0.5), None, "336 of 672 networks, 84 networks/s, 4 s left"),
        (Progress(0, 1, 0.5), 20, "epoch 10 of 20, 4 s left"),
        (Progress(1, 1, 1.0), 20, "epoch 20 of 20, 0 s left"),
    ],
)
def test_progress_in_words(at: Progress, epochs: int | None, words: str) -> None:
    assert progress.describe(at, 4.0, epochs) == words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_terminal_is_a_live_view_with_leaders(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LEADERS", 0.0)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    with progress.shown_standing() as show:
        assert show is not None
        show(standing(1, 2, 0.5))
    shown = terminal.getvalue()
    assert "1 of 2 networks" in shown
    assert "Leaders so far" in shown
    with progress.shown_progress(20) as epoch:
        epoch(Progress(0, 1, 0.5))
    assert "epoch 10 of 20" in terminal.getvalue()


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.shown_standing(quiet=True) as show:
        assert show is None
    assert terminal.getvalue() == ""


def test_progress_outside_of_a_terminal_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seconds, expected in ((math.inf, ""), (0.0, "1 of 2 networks")):
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", seconds)
        with progress.shown_standing() as show:
            assert show is not None
            show(standing(1, 2, 0.5))
        err = capsys.readouterr().err
        assert err.startswith(expected)
        assert bool(err) == bool(expected)
        assert "\x1b" not in err


# ---------------------------------------------------------------------------------------------- predicting tables


def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("FEWEST_EPOCHS", "MOST_EPOCHS"):
        monkeypatch.setattr(f"schuss.ensembles.members.{limit}", 3)


def kept_ensemble(schuss: Schuss) -> str:
    """A file that holds an ensemble; the name of its table."""
    data = table(Path("data.csv"), "a,b,kind", [(a, b, "cat" if c else "dog") for a, b, c in rows()])
    frame = pl.read_csv(data)
    sc.SchussClassifier(ensemble=1, epochs=2).fit(frame.select("a", "b"), frame["kind"]).save("e.schuss")
    return data


def test_a_file_without_a_network_gets_an_ensemble(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch)
    data = table(Path("data.csv"), "height,weight,kind", [(a, b, "cat" if c else "dog") for a, b, c in rows()])
    ended = schuss("fit", data, "--save", "e.schuss", "--json", "r.json", "--plot")
    assert ended.code == 0
    assert {run.outcome.state.epoch for run in sc.SchussClassifier.load("e.schuss").runs_} == {3}
    assert "12 held-out rows" in ended.out
    assert "20 networks count by style: plain" in ended.out
    assert {"fit-data.png", "fit-data-flow.png"} == {path.name for path in Path("schuss-out").iterdir()}
    result = json.loads(Path("r.json").read_text())
    assert set(result["scores"]) == {"accuracy", "log-loss"}
    shares = np.array([sum(c for _, _, c in rows()), sum(not c for _, _, c in rows())]) / len(rows())
    blind = result["scores_without_inputs"]
    assert blind["accuracy"] == pytest.approx(shares.max(), abs=0.06)
    assert blind["log-loss"] == pytest.approx(-shares @ np.log(shares), abs=0.06)
    assert "(baseline " in ended.out
    assert sum(result["shares"].values()) == pytest.approx(1)
    new = table(Path("new.csv"), "weight,height", [(b, a) for a, b, _ in rows(5)])
    lines = list(csv.DictReader(schuss("predict", "e.schuss", new).out.splitlines()))
    assert list(lines[0]) == ["prediction", "p(cat)", "p(dog)"]
    for line in lines:
        assert line["prediction"] == ("cat" if float(line["p(cat)"]) > 0.5 else "dog")
    assert "'height' is missing" in schuss("predict", "e.schuss", table(Path("less.csv"), "weight", [(1,)])).err


def test_the_same_ensemble_comes_from_python(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch)
    data = table(Path("data.csv"), "height,weight,kind", [(a, b, "cat" if c else "dog") for a, b, c in rows()])
    ended = schuss("fit", data, "--target", "kind", "--seed", 3, "--json", "r.json", "--save", "e.schuss")
    fit = sc.fit_table(data, "kind", seed=3)
    told, found = json.loads(Path("r.json").read_text()), fit.to_json()
    assert told.pop("thread_seconds") > 0 < found.pop("thread_seconds")
    assert told == found
    assert fit.table() in "\n".join(map(str.rstrip, ended.out.splitlines()))
    assert (
        repr(fit)
        == f"TableFit(data: accuracy {fit.scores['accuracy']:.4g}, log-loss {fit.scores['log-loss']:.4g} on 12 rows)"
    )
    saved = load_saved(Path("e.schuss"))
    assert isinstance(saved, sc.SchussClassifier)
    np.testing.assert_array_equal(
        saved.predict_proba(fit.problem.test[0]), fit.model.predict_proba(fit.problem.test[0])
    )


def test_an_ensemble_predicts_numbers_under_the_targets_name(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch)
    data = table(Path("data.csv"), "a,b,price", [(a, b, 1000 + 100 * a) for a, b, _ in rows()])
    ended = schuss("fit", data, "--target", "price", "--task", "regression", "--save", "e.schuss", "--seed", 4)
    assert "root mean squared error" in ended.out
    lines = list(csv.DictReader(schuss("predict", "e.schuss", data).out.splitlines()))
    assert list(lines[0]) == ["price"]
    assert all(800 < float(line["price"]) < 1300 for line in lines)


def test_an_ensemble_says_how_it_takes_the_columns(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch)
    days = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 21)]
    lines = [(day, f'"{i},5"', f"id {i}", i % 2) for i, day in enumerate(days)] * 2
    data = table(Path("data.csv"), "day,price,id,y", [*lines, *((d, p, f"{t}b", y) for d, p, t, y in lines)])
    said = schuss("fit", data).out
    assert "column 'day' holds dates, read as days since 1970" in said
    assert "column 'price' looks like numbers with commas, but is read as text" in said
    assert "column 'id' has 120 different texts, of which the 100 most frequent are distinguished" in said


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([f'"{i},5"' for i in range(60)], [], "looks like numbers with commas"),
        ([f"id {i}" for i in range(60)], [], "60 different values in 60 rows, too many to be classes"),
        ([i / 7 for i in range(60)], ["--task", "classification"], "too many to be classes"),
        (["same"] * 60, [], "one class only"),
    ],
)
def test_targets_that_an_ensemble_cannot_predict(
    schuss: Schuss, values: list[Any], options: list[str], message: str
) -> None:
    data = table(Path("data.csv"), "a,y", list(enumerate(values)))
    refused(schuss, ["fit", data, "--save", "e.schuss", *options], message)
    assert not Path("e.schuss").exists()


def test_the_log_loss_says_which_rows_it_is_of(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch)
    data = table(Path("data.csv"), "a,y", [(i, "often" if i < 40 else f"once {i}") for i in range(60)])
    ended = schuss("fit", data, "--json", "r.json")
    result = json.loads(Path("r.json").read_text())
    assert (result["rows"], result["rows_of_known_classes"]) == (12, 8)
    assert "8 rows, whose class was trained on" in ended.out


def test_an_interrupted_ensemble_says_so(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sc.SchussClassifier, "fit", interrupted)
    data = table(Path("data.csv"), HEADER, [(a, b, "cat" if c else "dog") for a, b, c in rows()])
    ended = schuss("fit", data, "--save", "e.schuss")
    assert ended.code == 130
    assert "nothing was written" in ended.err
    assert not Path("e.schuss").exists()


def test_a_kept_ensemble_is_no_run_to_go_on_with(schuss: Schuss) -> None:
    data = kept_ensemble(schuss)
    said = "e.schuss holds a SchussClassifier, not the run of one network: schuss.SchussClassifier.load reads it"
    refused(schuss, ["fit", data, "--resume", "e.schuss", "--epochs", 3], said)


def test_a_file_is_read_once_to_predict(schuss: Schuss, monkeypatch: pytest.MonkeyPatch) -> None:
    data = kept_ensemble(schuss)
    read: list[Path] = []
    whole = runfile._raw
    monkeypatch.setattr(runfile, "_raw", lambda path: read.append(path) or whole(path))
    assert schuss("predict", "e.schuss", data).code == 0
    assert read == [Path("e.schuss")]


@pytest.mark.parametrize("described", ["", "no JSON", "[]", "7", '{"estimator": "Forest"}', '{"estimator": []}'])
def test_a_crafted_file_is_refused_in_a_sentence(schuss: Schuss, described: str) -> None:
    metadata = {"schuss": described, "digest": runfile._digest(described, {})}
    Path("crafted.schuss").write_bytes(safetensors.numpy.save({}, metadata=metadata))
    new = table(Path("new.csv"), "a,b", [(1, 2)])
    refused(schuss, ["predict", "crafted.schuss", new], "crafted.schuss is not a run file that this version can read")


def test_the_help_says_what_is_kept(schuss: Schuss) -> None:
    def words(command: str) -> str:
        return " ".join(schuss(command, "--help").out.replace("│", " ").split())

    assert "a single network also for --resume" in words("fit")
    assert "what fit --save kept: an ensemble, or one network" in words("predict")


# ---------------------------------------------------------------------------------------------- names and arguments

MINE = """
import numpy as np

def wavelet(z, *, width=1.0):
    "A bump."
    return (1 - (z / width) ** 2) * np.exp(-(z / width) ** 2)

def heavy_ball(w, g, v, *, lr=0.01, momentum=0.9):
    v = momentum * v + g
    return w - lr * v, v

def quartic(p, y):
    return (p - y) ** 4

def ramp(progress):
    return 1 - progress

def tiny(random, shape, reads, *, std=0.01):
    return std * random.standard_normal(shape)
"""


def test_definitions_of_a_users_file_are_taken_wherever_a_name_is(schuss: Schuss) -> None:
    Path("mine.py").write_text(MINE)
    shown = schuss("activations", "mine.py:wavelet(width=2)")
    assert shown.code == 0
    assert "wavelet(width=2)" in shown.out
    assert "momentum * v + g" in schuss("optimizers", "mine.py:heavy_ball").out
    trained = schuss(
        "fit", "diabetes", "--activation", "mine.py:wavelet", "--optimizer", "mine.py:heavy_ball", "--loss",
        "mine.py:quartic", "--schedule", "mine.py:ramp", "--init", "mine.py:tiny(std=0.1)", "--epochs", "1",
    )  # fmt: skip
    assert trained.code in (0, 1)
    for written in ("wavelet", "init=tiny(std=0.1)", "heavy_ball", "loss=quartic", "schedule=ramp"):
        assert written in trained.out
    for command in ("fit", "compare", "activations", "optimizers"):
        assert "FILE.py:NAME" in schuss(command, "-h").out


@pytest.mark.filterwarnings("always::schuss.errors.SchussWarning")
@pytest.mark.parametrize(
    ("option", "name", "own"),
    [
        ("--activation", "swish", "silu"), ("--activation", "logistic", "sigmoid"), ("--loss", "mse", "squared_error"),
        ("--init", "xavier_uniform", "glorot_uniform"), ("--init", "kaiming_normal", "he_normal"),
        ("--schedule", "cosine_annealing", "cosine"),
    ],
)  # fmt: skip
def test_names_of_other_libraries_are_read_and_said(schuss: Schuss, option: str, name: str, own: str) -> None:
    ended = schuss("fit", "diabetes", option, name, "--epochs", "1")
    assert ended.code == 0
    assert f"'{name}' is '{own}' in schuss." in ended.err
    assert own in ended.out


@pytest.mark.parametrize("name", ["ReLU", "SiLU", "LeakyReLU", "leaky-relu", "GELU"])
def test_spelling_needs_no_note(schuss: Schuss, name: str) -> None:
    ended = schuss("fit", "iris", "--activation", name, "--optimizer", "SGD", "--epochs", "1")
    assert ended.code == 0
    assert "note" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("fit digits --lr abc", "error: --lr takes a number, but is 'abc'."),
        ("fit digits --lr=abc", "error: --lr takes a number, but is 'abc'."),
        ("fit digits --epochs 1.5", "error: --epochs takes a whole number, but is '1.5'."),
        ("fit digits --optimzer sgd", "error: schuss fit has no option --optimzer; did you mean --optimizer"),
        ("fit digits --lr", "error: Option '--lr' requires an argument; schuss"),
        ("fit", "error: schuss fit needs DATA; schuss fit -h shows how it is used."),
        ("foo", "error: No such command 'foo'"),
        ("fit digits --batch-size 1024 --epochs 4611686018427387904 --threads 1",
         "error: epochs must be a whole number of at most 2,147,483,647, but is 4611686018427387904."),
        ("fit digits --depth 1000000000", "error: depth must be a whole number of at most 10,000"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_read_end_in_a_sentence(schuss: Schuss, arguments: str, said: str) -> None:
    ended = schuss(*arguments.split())
    assert ended.code == 2
    assert ended.err.strip().split("\n")[-1].startswith(said)
    assert "Traceback" not in ended.err
