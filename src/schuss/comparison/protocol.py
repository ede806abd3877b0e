"""Which is better: a fair comparison of everything that takes part, on the user's own data.

All competitors train for the same budget. Each gets the same number of trials of its learning rate; the best one is
chosen on the validation part, and trained again on new seeds, each of which gives every competitor the same split of
the data, the same initial draws and the same order of the rows. What is reported is measured on the test part.
docs/protocol.md says why, and after whom.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from schuss.activations import Activation
from schuss.atomic import file_stem
from schuss.comparison.budget import find_budget
from schuss.comparison.competitors import Entrant, entrants
from schuss.comparison.session import Protocol, Session, StandingCallback
from schuss.comparison.study.provenance import provenance
from schuss.comparison.study.storage import StudyFile, place_in
from schuss.comparison.study.study import Study
from schuss.comparison.trials import tuned_names
from schuss.comparison.workers import workers
from schuss.data import Dataset, load
from schuss.engines import Engine
from schuss.errors import InvalidInput, positive_integer, seed_number
from schuss.initializers import Initializer, auto
from schuss.optimizers import Optimizer
from schuss.schedules import Schedule, constant
from schuss.training.population import EngineName, find_engine

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus")
OPTIMIZERS = ("gd", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


class Interrupted(KeyboardInterrupt):
    """An interrupt during a comparison; `study` holds what was finished."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"interrupted after {len(study.rows)} of {study.expected} networks")
        self.study = study


def compare(  # noqa: PLR0913 (the axes and the budget of a comparison)
    data: object,
    *,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    optimizers: Sequence[str | Optimizer] = OPTIMIZERS,
    init: str | Initializer | Sequence[str | Initializer] = auto,
    depth: int | Sequence[int] = 4,
    width: int | Sequence[int] = 64,
    norm: str | Sequence[str | None] | None = None,
    residual: bool | Sequence[bool | str] = False,
    dropout: float | Sequence[float] = 0.0,
    batch_size: int | Sequence[int | None] | None = 32,
    schedule: str | Schedule | Sequence[str | Schedule] = constant,
    budget: int | str = 20,
    trials: int = 12,
    tune: Sequence[str] = (),
    seeds: int = 10,
    seed: int = 0,
    study: str | os.PathLike[str] | None = None,
    engine: EngineName | Engine = "native",
    threads: int | None = None,
    progress: StandingCallback | None = None,
) -> Study:
    """Find out what learns best on the user's own data, and how sure that is.

    Parameters
    ----------
    data : a Dataset, or anything `load` takes; a list of them is compared on all.
    activations, optimizers : by name, formula or themselves.
    init, depth, width, norm, residual, dropout, batch_size, schedule : more axes, each a value or a list of values, as
        `mlp` and `Recipe` take them. Every combination takes part.
    budget : of each network: epochs (20 or "20epochs"), or seconds of one core ("30s"), which a short calibration turns
        into epochs.
    trials : settings of the learning rate that each competitor may try, over its optimizer's `search` range, which is
        widened (by a decade, at most twice) where the best trial is the lowest or the highest.
    tune : names of further hyper-parameters to vary in the trials, such as "momentum".
    seeds : new seeds on which the chosen trial is run: `seed` + 1, `seed` + 2, …; the trials have `seed` itself.
    study : a file in which every finished network is kept; with the same arguments it goes on where it stopped, with
        others it takes from it what it can. In a folder ("out/" is one) the file is named after data and time. None
        keeps nothing.
    progress : called a few times a second with a Standing.

    Raises
    ------
    Interrupted
        On Ctrl-C; its `study` holds everything that was finished.
    InvalidInput
        StudyFileError among others, for a study file that cannot be used.

    >>> found = compare("iris", activations=["relu"], optimizers=["sgd", "adam"], trials=4, seeds=2, budget=2)
    >>> found.expected == len(found.rows) >= 12, {row.status for row in found.rows}
    (True, {'finished'})
    """
    field = entrants(
        {
            "activation": _listed("activations", activations),
            "optimizer": _listed("optimizers", optimizers),
            "init": init,
            "depth": depth,
            "width": width,
            "norm": norm,
            "residual": residual,
            "dropout": dropout,
            "batch_size": batch_size,
            "schedule": schedule,
        }
    )
    _check_rates_are_free(field)
    plan = Protocol(
        data=_datasets(data),
        field=field,
        budget=find_budget(budget),
        trials=positive_integer("trials", trials),
        tuned=tuned_names(tune, [entrant.optimizer for entrant in field]),
        seeds=positive_integer("seeds", seeds),
        seed=seed_number(seed),
        engine=find_engine(engine, threads),
    )
    file = StudyFile(_place(study, plan), write=True)
    try:
        session = Session(plan, file, workers(plan.engine, threads), provenance(), progress)
        try:
            session.run()
        except KeyboardInterrupt:
            raise Interrupted(session.study()) from None
        return session.study()
    finally:
        file.close()


def _place(study: str | os.PathLike[str] | None, plan: Protocol) -> Path | None:
    """The study's file: the one that was named, or in a folder one that is named after data and time."""
    if study is None:
        return None
    path = Path(study)
    if not path.is_dir() and not os.fspath(study).endswith(("/", os.sep)):
        return path
    return place_in(path, "+".join(map(file_stem, plan.data)), plan.id)


def _listed(what: str, wanted: object) -> object:
    if isinstance(wanted, str) or not isinstance(wanted, Iterable):
        raise InvalidInput(f"the {what} to compare must be a list, but are {wanted!r:.60}.")
    return wanted


def _check_rates_are_free(field: Sequence[Entrant]) -> None:
    """Refuse an optimizer that comes with a learning rate of its own, which would be shown, but not used."""
    for rule in dict.fromkeys(entrant.optimizer for entrant in field):
        if rule.lr != dict(rule.defaults)["lr"]:
            raise InvalidInput(f"a comparison tries learning rates by itself, but {rule} sets one; leave out lr.")


def _datasets(data: object) -> dict[str, Dataset]:
    """The data sets by name; a list holds several."""
    found = [load(each) for each in (data if isinstance(data, list) else [data])]
    if not found:
        raise InvalidInput("give at least one data set to compare on.")
    names = [dataset.name for dataset in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"two data sets are called '{name}'; rename one's file, or load it with another name=.")
    return dict(zip(names, found, strict=True))
