"""Out of one machine: chunks of work, and the same study whoever trains it, also when workers are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from studies import same

import schuss as sc
from schuss.cli.cluster import on_dask
from schuss.comparison import workers
from schuss.comparison.session import Standing
from schuss.comparison.workers import Group, Joblib, Threads, Wanted, cut, train_chunk
from schuss.engines.native import NativeEngine, instruction_set
from schuss.errors import SchussError

FIELD: dict[str, Any] = {"activations": ["relu", "tanh"], "optimizers": ["sgd", "adam"], "trials": 4, "seeds": 3}


def compare(**how: Any) -> sc.Study:
    return sc.compare("iris", **{**FIELD, "budget": 20, "width": 16, **how})


@pytest.fixture(scope="module")
def local() -> sc.Study:
    return compare()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CHUNK_SECONDS", 0.005)


def jobs(n: int) -> list[Wanted]:
    network = sc.mlp([4])
    return [Wanted(bytes([k]), sc.Job(network, sc.Recipe("sgd", epochs=2), k), with_flow=k == 0) for k in range(n)]


# ---------------------------------------------------------------------------------------------- chunks


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        ([[1.0] * 20], [5] * 4),
        ([[1.0] * 4], [4]),
        ([[6.0] * 3], [1] * 3),
        ([[2.0] * 7], [3, 3, 1]),
        ([[9, 1, 1], [1, 9, 4]], [1, 4, 1]),
        ([[1.0], [1.0], [1.0], [2.0], [1.0]], [4, 1]),
        ([[], [1.0], []], [1]),
        ([[]], []),
    ],
)
def test_chunks_are_of_five_seconds_or_more(seconds: list[list[float]], sizes: list[int]) -> None:
    data = [sc.load("iris", seed=k) for k in range(len(seconds))]
    cost = dict(enumerate(x for each in seconds for x in each))
    everything = jobs(len(cost))
    starts = np.cumsum([0, *map(len, seconds)])
    groups = [Group(d, everything[i : i + len(s)]) for d, i, s in zip(data, starts, seconds, strict=False)]
    chunks = list(cut(groups, lambda _, job: cost[job.seed]))
    assert [each for chunk in chunks for group in chunk for each in group.wanted] == everything
    work = [sum(cost[each.job.seed] for group in chunk for each in group.wanted) for chunk in chunks]
    assert all(each >= workers.CHUNK_SECONDS for each in work[:-1])
    assert [sum(len(group.wanted) for group in chunk) for chunk in chunks] == sizes
    fingerprints = {each.key: group.data.fingerprint for group in groups for each in group.wanted}
    for group in (group for chunk in chunks for group in chunk):
        assert {fingerprints[each.key] for each in group.wanted} == {group.data.fingerprint}


def test_a_chunk_gives_the_records_of_its_networks_in_their_order() -> None:
    chunk = [Group(sc.load("iris").without_table(), jobs(5)), Group(sc.load("wine").without_table(), jobs(9)[5:])]
    number, records = train_chunk(7, chunk, instruction_set(), threads=2)
    here = dict(Threads(NativeEngine(1)).train(chunk, lambda _: None))
    assert number == 7
    assert [each._replace(seconds=0, curves=b"") for each in records] == [
        here[bytes([k])]._replace(seconds=0, curves=b"") for k in range(9)
    ]
    assert [each.flow is not None for each in records] == [True] + [False] * 8


def test_an_epoch_takes_time() -> None:
    job = sc.Job(sc.mlp([64] * 4), sc.Recipe("gd"))
    long, short = (workers.seconds_per_epoch(sc.load(name), job, NativeEngine(1)) for name in ("digits", "iris"))
    assert long > short > 0


def test_data_travel_without_their_table() -> None:
    data = sc.load("iris").without_table()
    assert data.fingerprint == sc.load("iris").fingerprint
    assert data.resplit(3) is data


# ---------------------------------------------------------------------------------------------- joblib


def test_threads_are_taken_unless_somebody_chose_a_backend() -> None:
    assert isinstance(workers.workers(NativeEngine(), None), Threads)
    for backend in ("threading", "sequential"):
        with joblib.parallel_config(backend=backend):
            assert isinstance(workers.workers(NativeEngine(), None), Threads)
    with joblib.parallel_config(n_jobs=2):
        assert isinstance(workers.workers(NativeEngine(), None), Threads)
    with joblib.parallel_config(backend="loky"):
        chosen = workers.workers(NativeEngine(), 2)
        assert isinstance(chosen, Joblib)
        assert (chosen.threads, chosen.instruction_set) == (2, instruction_set())


@pytest.mark.usefixtures("small_chunks")
def test_processes_make_the_same_study(tmp_path: Path, local: sc.Study) -> None:
    with joblib.parallel_config(backend="loky", n_jobs=2):
        made = compare(study=tmp_path / "a.study")
    assert same(made, local)
    assert same(sc.open_study(tmp_path / "a.study"), local)
    assert {n: h.epochs.tolist() for n, h in made.measured.items()} == {
        n: h.epochs.tolist() for n, h in local.measured.items()
    }
    for one, other in zip(made.curves, local.curves, strict=True):
        np.testing.assert_array_equal(one["valid_loss"], other["valid_loss"])


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_is_in_the_file_as_soon_as_it_is_back(tmp_path: Path) -> None:
    """Nothing else is heard of the workers until their next chunk, which may be minutes later."""
    path, seen = tmp_path / "a.study", []

    def look(at: Standing) -> None:
        seen.append((at.networks, len(sc.open_study(path).rows)))

    with joblib.parallel_config(backend="loky", n_jobs=2):
        compare(study=path, seeds=2, progress=look)
    assert len(seen) > 1
    assert all(there == finished for finished, there in seen)


def dying(marker: str) -> Callable[..., Any]:
    """A chunk's work that the first time kills the worker that does it."""

    def work(number: int, *rest: Any) -> Any:
        if number == 1 and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return train_chunk(number, *rest)

    return work


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs")
def test_a_killed_process_costs_its_chunk_only(
    tmp_path: Path, local: sc.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "train_chunk", dying(str(tmp_path / "killed")))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        made = compare()
    assert (tmp_path / "killed").exists()
    assert same(made, local)


@pytest.mark.usefixtures("small_chunks")
def test_workers_that_die_again_and_again_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TerminatedWorkerError(Exception):
        pass

    def lost(*_: Any) -> Any:
        raise TerminatedWorkerError

    monkeypatch.setattr(workers, "train_chunk", lost)
    with (
        joblib.parallel_config(backend="loky", n_jobs=1),
        pytest.raises(SchussError, match="workers were lost 4 times"),
    ):
        compare(study=tmp_path / "a.study")
    assert sc.open_study(tmp_path / "a.study").rows == ()


# ---------------------------------------------------------------------------------------------- dask


def test_without_the_package_dask_is_a_helpful_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with (
        pytest.raises(SchussError, match=r"needs the package distributed.*pip install distributed"),
        on_dask("tcp://x:1"),
    ):
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A real cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as found:
        yield found


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_makes_the_same_study(tmp_path: Path, cluster: Any, local: sc.Study) -> None:
    with on_dask(cluster.scheduler_address):
        made = compare(study=tmp_path / "a.study")
    assert same(made, local)
    assert same(sc.open_study(tmp_path / "a.study"), local)


@pytest.mark.filterwarnings("ignore")
def test_a_killed_dask_worker_costs_its_chunk_only(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CHUNK_SECONDS", 0.05)
    how = {"budget": 400, "study": tmp_path / "a.study"}
    pids = [worker.pid for worker in cluster.workers.values()]
    killed: list[int] = []

    def kill(at: sc.Standing) -> None:
        if not killed and 2 <= at.networks < at.total - 4:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    with on_dask(cluster.scheduler_address):
        made = compare(progress=kill, **how)
    assert killed
    assert same(made, compare(budget=400))


@pytest.mark.filterwarnings("ignore")
def test_nobody_at_the_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: real(address, timeout=1))
    with (
        pytest.raises(SchussError, match="no Dask scheduler answers at tcp://127.0.0.1:9"),
        on_dask("tcp://127.0.0.1:9"),
    ):
        pass
