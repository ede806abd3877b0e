"""The study file: nothing lost, whatever ends the process, and a clear word where the file cannot be used."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from studies import row, same, study, trial

import schuss as sc
from schuss.comparison.session import Standing
from schuss.comparison.study import storage
from schuss.comparison.study.keys import network_key
from schuss.comparison.study.locking import Lock
from schuss.comparison.study.records import POINTS, Record, curves, record
from schuss.comparison.study.storage import StudyFile
from schuss.engines import HISTORY
from schuss.engines.native import NativeEngine
from schuss.errors import InvalidInput, StudyFileError

SMALL: dict[str, Any] = {"depth": 1, "width": 8, "budget": 3, "trials": 4, "seeds": 3, "optimizers": ["sgd", "adam"]}


def compare(path: Path | None, **how: Any) -> sc.Study:
    return sc.compare("iris", study=path, **{**SMALL, "activations": ["relu", "tanh"], **how})


def stop_after(networks: int) -> Callable[[Standing], None]:
    def interrupt(at: Standing) -> None:
        if at.networks >= networks:
            raise KeyboardInterrupt

    return interrupt


@pytest.fixture(scope="module")
def whole() -> sc.Study:
    return compare(None)


# ---------------------------------------------------------------------------------------------- kept and opened


def test_what_is_kept_is_what_was_found(tmp_path: Path, whole: sc.Study) -> None:
    made = compare(tmp_path / "a.study")
    opened = sc.open_study(tmp_path / "a.study")
    assert same(made, whole)
    assert made.rows == opened.rows
    assert made.to_json() == opened.to_json()
    assert made.path == opened.path == tmp_path / "a.study"
    for one, other in zip(made.curves, opened.curves, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.study"]  # no log and no lock are left beside it


def test_the_frame_is_tidy(tmp_path: Path, whole: sc.Study) -> None:
    frame = whole.frame()
    assert len(frame) == len(whole.rows)
    assert frame.columns[:4] == ["data", "stage", "activation", "optimizer"]
    assert {"depth", "norm", "learning_rate", "seed", "status", "test_score", "seconds"} <= set(frame.columns)
    assert frame["test_score"].to_list() == [r.test_score for r in whole.rows]
    whole.to_csv(tmp_path / "a.csv")
    whole.to_parquet(tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(frame)
    assert pl.read_csv(tmp_path / "a.csv")["test_score"].to_list() == frame["test_score"].to_list()


def test_a_frame_keeps_its_types_whatever_it_holds() -> None:
    empty, lost = study([]).frame(), study([trial(status="diverged"), row(batch_size=None)]).frame()
    assert empty.schema == lost.schema
    assert lost["diverged_step"].to_list() == [7, None]


def test_the_file_is_small(tmp_path: Path) -> None:
    """10,000 networks of the usual size must fit into 60 MB; what depends on the epochs is bounded."""
    sc.compare("iris", activations=["relu"], optimizers=["sgd"], trials=20, seeds=20, study=tmp_path / "a.study")
    assert (tmp_path / "a.study").stat().st_size / 40 < 4000
    assert POINTS * 5 * 4 < 6000


# ---------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("stop", [0, 1, 7, 16, 18, 23])
def test_after_an_interrupt_the_same_call_goes_on(tmp_path: Path, whole: sc.Study, stop: int) -> None:
    path = tmp_path / "a.study"
    with pytest.raises(sc.Interrupted) as interrupted:
        compare(path, progress=stop_after(stop), engine="native", threads=1)
    before = interrupted.value.study
    assert stop <= len(before.rows) < len(whole.rows)
    assert len(sc.open_study(path).rows) == len(before.rows)
    after = compare(path)
    assert same(after, whole)
    assert after.trained == len(whole.rows)
    assert sc.open_study(path).trained == len(whole.rows)


def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    compare(path, activations=["relu"])
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")  # as while a comparison goes on
    reader = StudyFile(path, write=False)
    comparison = reader.comparison()
    n = len(reader.rows(comparison.id))
    with writer:
        writer.execute("DELETE FROM entries WHERE place > 0")
    writer.close()
    assert len(reader.arrays(comparison.id)) == n > 1
    reader.close()
    later = StudyFile(path, write=False)
    assert len(later.arrays(comparison.id)) == 1
    later.close()


def test_what_is_there_is_not_trained_again(tmp_path: Path, whole: sc.Study) -> None:
    class Idle(NativeEngine):
        def train(self, plans: Any, *_: Any, **__: Any) -> Any:
            assert next(iter(plans), None) is None, "nothing is left to train"
            return iter(())

    compare(tmp_path / "a.study")
    assert same(compare(tmp_path / "a.study", engine=Idle()), whole)


def test_a_new_competitor_and_more_seeds_take_what_is_there(tmp_path: Path, whole: sc.Study) -> None:
    path = tmp_path / "a.study"
    assert compare(path, optimizers=["sgd"]).trained < len(whole.rows)
    extended = compare(path)
    assert same(extended, whole)
    assert extended.trained == sum(r.optimizer == "adam" for r in whole.rows)
    more = compare(path, seeds=5)
    assert more.trained == 2 * 4  # two more seeds, four competitors
    assert [r for r in more.rows if r.stage == "trial" or r.seed <= 3] == list(extended.rows)
    assert same(compare(path), whole)  # the smaller one is there as well
    assert same(sc.open_study(path), whole)


def test_more_trials_take_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    compare(path, activations=["relu"], optimizers=["sgd"], trials=8)
    more = compare(path, activations=["relu"], optimizers=["sgd"], trials=16)
    first = {r.learning_rate for r in more.rows if r.stage == "trial" and r.trial < 8}
    assert len(first) == 8
    assert more.trained <= len(more.rows) - 8


def test_another_initializer_of_the_same_name_is_another_comparison(tmp_path: Path) -> None:
    def of(scale: float) -> sc.Initializer:
        @sc.initializer
        def mine(random: np.random.Generator, shape: tuple[int, int], reads: sc.Activation) -> Any:
            """Mine."""
            return scale * random.standard_normal(shape)

        return mine

    path = tmp_path / "a.study"
    compare(path, init=of(0.1))
    with pytest.raises(sc.Interrupted) as interrupted:  # in the middle of the trials
        compare(path, init=of(0.2), progress=stop_after(3), threads=1)
    assert {r.stage for r in interrupted.value.study.rows} == {"trial"}
    assert same(compare(path, init=of(0.2)), compare(None, init=of(0.2)))


def test_no_more_networks_are_there_than_are_expected(tmp_path: Path, whole: sc.Study) -> None:
    path = tmp_path / "a.study"
    compare(path, seeds=2)
    with pytest.raises(sc.Interrupted):  # in the last seed, when all has been widened
        compare(path, progress=stop_after(len(whole.rows) - 2), threads=1)
    with pytest.raises(sc.Interrupted) as interrupted:
        compare(path, progress=stop_after(0), threads=1)
    assert interrupted.value.study.expected == whole.expected == len(whole.rows) > 4 * (4 + 3)


def test_a_network_that_diverges_at_once_can_have_a_budget_in_seconds() -> None:
    study = compare(None, activations=["hopeless = log(z - 1e9)"], init="glorot_normal", budget="0.01s")
    assert {row.status for row in study.rows} == {"diverged"}


def test_a_measured_budget_is_kept_with_the_study(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    with pytest.raises(sc.Interrupted):
        compare(path, budget="0.01s", progress=stop_after(5))
    begun = {(r.activation, r.optimizer): r.epochs for r in sc.open_study(path).rows if r.status == "finished"}
    after = compare(path, budget="0.01s")
    assert begun
    for r in after.rows:
        assert r.status == "diverged" or r.epochs == begun.get((r.activation, r.optimizer), r.epochs)


def test_in_a_folder_a_study_is_named_after_data_and_time_and_gone_on_with(tmp_path: Path, whole: sc.Study) -> None:
    with pytest.raises(sc.Interrupted) as stopped:
        compare(tmp_path, progress=stop_after(5))
    (path,) = tmp_path.iterdir()
    assert stopped.value.study.path == path
    assert path.name.startswith("iris-20")
    assert path.suffix == ".study"
    other = compare(tmp_path, seeds=2)
    assert other.path != path
    after = compare(tmp_path)
    assert (after.path, same(after, whole)) == (path, True)
    assert compare(tmp_path).path not in (path, other.path)  # what is complete is not what is asked for once more
    assert len(list(tmp_path.iterdir())) == 3


COMMAND = [sys.executable, "-c", "from schuss.cli.main import main; main()"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A comparison as a process of its own."""
    field = ["--activations", "relu,tanh", "--optimizers", "sgd,adam", "--width", "32"]
    usual = ["compare", "digits", "--study", "a.study", "--quiet", *field, "--trials", "6", "--seeds", "3"]
    with (folder / "err.txt").open("wb") as err:
        return subprocess.Popen([*COMMAND, *usual, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=err)


def networks(path: Path) -> int:
    try:
        return len(sc.open_study(path).rows)
    except StudyFileError:
        return 0


def test_kill_9_at_five_moments_and_the_table_is_the_same(tmp_path: Path) -> None:
    path, dice = tmp_path / "a.study", random.Random(5)
    goals = sorted(dice.sample(range(1, 34), 5))
    for goal in goals:
        running = start(tmp_path, "--threads", "1")
        deadline = time.monotonic() + 60
        while networks(path) < goal and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        running.kill()
        running.wait()
        assert networks(path) >= goal
    assert start(tmp_path).wait(timeout=120) == 0
    how: dict[str, Any] = {"activations": ["relu", "tanh"], "optimizers": ["sgd", "adam"]}
    undisturbed = sc.compare("digits", **how, trials=6, seeds=3, width=32)
    assert same(sc.open_study(path), undisturbed)
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "err.txt"]


# ---------------------------------------------------------------------------------------------- keys


def key(network: sc.Network | None = None, recipe: sc.Recipe | None = None, seed: int = 0, **where: str) -> bytes:
    job = sc.Job(network or sc.mlp([4]), recipe or sc.Recipe(), seed)
    return network_key(where.get("engine", "native"), where.get("data", "d"), job)


def test_a_key_depends_on_all_that_decides_the_bits() -> None:
    @sc.initializer
    def small(random: np.random.Generator, shape: tuple[int, int], reads: sc.Activation) -> Any:
        """Mine."""
        return 0.01 * random.standard_normal(shape)

    first = small

    @sc.initializer
    def small(random: np.random.Generator, shape: tuple[int, int], reads: sc.Activation) -> Any:
        """Mine, too, and by the same name."""
        return 0.02 * random.standard_normal(shape)

    @sc.optimizer
    def odd(w: Any, g: Any, *, lr: float = 0.1, search: float = 1.0, defaults: float = 1.0) -> Any:
        """Its hyper-parameters have names that mean something else in a description."""
        return w - lr * search * defaults * g

    keys = [
        key(), key(seed=1), key(data="e"), key(engine="reference"), key(sc.mlp([5])), key(sc.mlp([4], "tanh")),
        key(sc.mlp([4, 4])), key(sc.mlp([4], init="he_normal")), key(sc.mlp([4], norm="batch")),
        key(sc.mlp([4], init=first)), key(sc.mlp([4], init=small)), key(sc.mlp([4], dropout=0.1)),
        key(sc.mlp([4], "leaky_relu")), key(sc.mlp([4], "leaky_relu(slope=0.2)")),
        key(recipe=sc.Recipe("sgd")), key(recipe=sc.Recipe("adam(lr=0.01)")), key(recipe=sc.Recipe("adam(beta1=0.8)")),
        key(recipe=sc.Recipe(batch_size=16)), key(recipe=sc.Recipe(epochs=3)), key(recipe=sc.Recipe(patience=3)),
        key(recipe=sc.Recipe(clip_norm=1.0)), key(recipe=sc.Recipe(schedule="cosine")),
        key(recipe=sc.Recipe(schedule="cosine(warmup=0.1)")),
        key(recipe=sc.Recipe(odd)), key(recipe=sc.Recipe(odd(search=2.0))), key(recipe=sc.Recipe(odd(defaults=2.0))),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_a_key_depends_on_nothing_else() -> None:
    assert key() == key()
    assert key(recipe=sc.Recipe(sc.adam)) == key(recipe=sc.Recipe("adam(lr=0.001)"))
    code = "from test_study import key; print(key().hex())"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert shown.stdout.strip() == key().hex()


# ---------------------------------------------------------------------------------------------- unusable files


def test_a_missing_study_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"there is no study file .*a.study; `schuss compare … --study"):
        sc.open_study(tmp_path / "a.study")


@pytest.mark.parametrize("content", [b"a,b\n1,2\n" * 200, b"\x00" * 3000])
def test_another_file_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    for use in (sc.open_study, compare):
        with pytest.raises(StudyFileError, match="is no study file"):
            use(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    before = path.read_bytes()
    for use in (sc.open_study, compare):
        with pytest.raises(StudyFileError, match="but a database of another program"):
            use(path)
    assert path.read_bytes() == before


def test_a_study_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.study"
    compare(path, activations=["relu"], optimizers=["sgd"])
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    for use in (sc.open_study, compare):
        with pytest.raises(StudyFileError, match="of format 99, but this version of schuss has format 1"):
            use(path)


@pytest.mark.parametrize("damage", ["cut", "scribble", "head"])
def test_a_damaged_study_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.study"
    compare(path)
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        raw = raw[: len(raw) // 2]
    elif damage == "scribble":
        raw[4096 : len(raw) - 4096] = os.urandom(len(raw) - 8192)
    else:
        raw[:16] = b"not a database.."
    path.write_bytes(raw)
    for use in (sc.open_study, compare):
        with pytest.raises(StudyFileError, match="is damaged|no study file|may be damaged"):
            use(path)


def test_a_second_process_is_told_that_the_study_is_in_use(tmp_path: Path, whole: sc.Study) -> None:
    path = tmp_path / "a.study"
    seen: list[str] = []

    def second(at: Standing) -> None:
        if not seen and at.networks:
            code = f"import schuss as sc; sc.compare('iris', study={str(path)!r})"
            command = [sys.executable, "-c", code]
            ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            seen.append(ended.stderr.strip().splitlines()[-1])
            assert len(sc.open_study(path).rows) <= at.networks  # to read it is allowed

    found = compare(path, progress=second)
    assert "is in use by another process; wait until it is done, or name another file" in seen[0]
    assert same(found, whole)


def test_a_lock_is_given_back_and_its_file_removed(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "a.study")
    with pytest.raises(StudyFileError, match="in use"):
        Lock(tmp_path / "a.study")
    lock.release()
    Lock(tmp_path / "a.study").release()
    assert list(tmp_path.iterdir()) == []


def test_data_of_any_name_has_a_file_in_a_folder(tmp_path: Path) -> None:
    data = sc.load("iris", name="a/b: c")
    sc.compare(data, study=tmp_path, **{**SMALL, "seeds": 1, "trials": 1}, activations=["relu"])
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("a-b-c-")


@pytest.mark.skipif(os.name != "posix", reason="needs fcntl")
def test_a_drive_without_locks_is_refused_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StudyFileError, match=r"cannot lock .*a\.study: No locks available\. Choose a folder"):
        compare(tmp_path / "a.study")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        compare(tmp_path / "nowhere" / "a.study")


def test_a_full_disk_stops_with_a_word_and_leaves_the_file_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "a.study", compare(None, budget=60)
    prepare = StudyFile._prepare

    def small(self: StudyFile, *, write: bool) -> None:
        prepare(self, write=write)
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        self._db.execute(f"PRAGMA max_page_count = {pages + 4}")  # SQLite then says what it says of a full disk

    monkeypatch.setattr(StudyFile, "_prepare", small)
    monkeypatch.setattr(storage, "SECONDS_BETWEEN_COMMITS", 0.0)
    with pytest.raises(StudyFileError, match=r"no space is left for .*a.study; what was finished before is in it"):
        compare(path, budget=60)
    monkeypatch.undo()
    kept = sc.open_study(path).rows
    assert 0 < len(kept) < len(whole.rows)
    assert same(compare(path, budget=60), whole)


# ---------------------------------------------------------------------------------------------- within a second


def test_a_finished_network_is_in_the_file_within_a_second(tmp_path: Path) -> None:
    """Also while nothing else finishes: the calls that come while others train commit it."""
    path = tmp_path / "a.study"
    file = StudyFile(path, write=True)
    none = Record("finished", *(0.5,) * 6, 1, 1, 0.1, None, None, b"", None, "")
    file.keep(b"first", none)

    def count() -> int:
        db = sqlite3.connect(path)
        try:
            return int(db.execute("SELECT count(*) FROM networks").fetchone()[0])
        finally:
            db.close()

    assert count() == 0
    began = time.monotonic()
    while count() == 0 and time.monotonic() < began + 5:
        time.sleep(0.05)
        file.tick()
    assert count() == 1
    assert storage.SECONDS_BETWEEN_COMMITS < 1
    file.close()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_keeps_the_study_and_prints_what_is_finished(tmp_path: Path) -> None:
    running = start(tmp_path, "--budget", "2000epochs")
    path = tmp_path / "a.study"
    deadline = time.monotonic() + 60
    while networks(path) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == 130
    assert "what is finished follows" in (tmp_path / "err.txt").read_text()
    assert networks(path) >= 2


def test_losses_beyond_single_precision_are_kept_as_infinite() -> None:
    run = sc.fit(sc.mlp([4]), "iris", sc.Recipe("adam", epochs=2))
    history = run.outcome.history.copy()
    history[1, HISTORY.index("train_loss")] = 1e300
    kept = record(replace(run, outcome=replace(run.outcome, history=history)), with_flow=False)
    assert curves(kept.curves)["train_loss"][1] == np.inf
