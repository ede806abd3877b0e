"""The doctor's visit: look, suspect, try, name."""

from __future__ import annotations

import time
from collections.abc import Sequence

from schuss.data import load
from schuss.diagnosis import thresholds
from schuss.diagnosis.cases import Case, within_budget
from schuss.diagnosis.causes import OVERFITTING, SUSPECTS, Suspect
from schuss.diagnosis.cures import applicable
from schuss.diagnosis.evidence import Evidence
from schuss.diagnosis.findings import Diagnosis, Finding, Result, Trial
from schuss.diagnosis.laboratory import Laboratory, Measured
from schuss.diagnosis.learnable import nothing_to_learn
from schuss.diagnosis.signs import Sign
from schuss.errors import positive_integer, seed_number
from schuss.network import Network, mlp
from schuss.recipe import Recipe
from schuss.training.jobs import Job, ProgressCallback


class VisitInterrupted(KeyboardInterrupt):
    """An interrupt during a visit; `diagnosis` holds what is known so far."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(f"interrupted after {diagnosis.trained} networks")
        self.diagnosis = diagnosis


def doctor(
    network: Network | None,
    data: object,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    seeds: int = 3,
    prove: bool = True,
    threads: int | None = None,
    progress: ProgressCallback | None = None,
) -> Diagnosis:
    """Find out why a network does not learn, and prove the cure.

    The network is trained, within a budget of operations that cuts long recipes to fewer epochs, and its gradient
    looked at. Whatever raises a suspicion is undone, one at a time, and trained again from the same seeds on the same
    data in the same order: a cause is named if undoing it, and nothing else, restores learning.

    Parameters
    ----------
    network : None is `mlp()`.
    data : a Dataset, or anything `load` takes.
    recipe : None is `Recipe()`.
    seed, seeds : the first seed, and how many; every figure is the median over them.
    prove : False names the cause without trying every cure for it.
    threads : None takes all cores; the result does not depend on it.

    Raises
    ------
    VisitInterrupted
        On Ctrl-C; its `diagnosis` holds what is known so far.

    >>> from schuss.network import mlp
    >>> visit = doctor(mlp([16] * 3, init="zeros"), "iris", Recipe("adam(lr=0.01)"))
    >>> [finding.cause for finding in visit.findings], visit.findings[0].cure.change
    (['symmetric_weights'], 'init auto')
    """
    job = Job(network or mlp(), recipe or Recipe(), seed_number(seed))
    case = Case(job.network, job.recipe, load(data))
    visit = _Visit(case, range(seed, seed + positive_integer("seeds", seeds)), prove, threads, progress)
    try:
        visit.examine()
    except KeyboardInterrupt:
        raise VisitInterrupted(visit.diagnosis(complete=False)) from None
    return visit.diagnosis()


class _Visit:
    """What is known so far, and how to learn more."""

    def __init__(
        self, case: Case, seeds: Sequence[int], prove: bool, threads: int | None, progress: ProgressCallback | None
    ) -> None:
        self.given, self.case, self.seeds, self.prove = case, within_budget(case), tuple(seeds), prove
        self.laboratory = Laboratory(seeds, threads, progress)
        self.began = time.perf_counter()
        self.own: Measured | None = None
        self.proved: list[tuple[Suspect, Sign, list[Trial]]] = []  # suspects of which a direct cure helps
        self.findings: list[Finding] = []

    def diagnosis(self, *, complete: bool = True) -> Diagnosis:
        """What is known so far."""
        self.conclude()
        return Diagnosis(
            case=self.given,
            examined=self.case,
            findings=tuple(self.findings),
            before=None if self.own is None else Result.of(self.own),
            seeds=self.seeds,
            trained=self.laboratory.trained,
            seconds=time.perf_counter() - self.began,
            complete=complete,
        )

    def examine(self) -> None:
        """Train the case; then try the suspects, root causes first, until one is proved."""
        (self.own,) = self.laboratory.measure([self.case])
        seen = Evidence(self.case, self.own, self.seeds[0])
        if (sign := nothing_to_learn(seen)) is not None and not self.others_learn():
            self.findings.append(Finding("nothing_to_learn", *sign, Result.of(self.own)))
        elif (sign := OVERFITTING.look(seen)) is not None:
            self.proved.append((OVERFITTING, sign, self.try_cures(OVERFITTING, self.own)))
        elif self.own.learned < thresholds.LEARNS:
            self.search(seen)

    def others_learn(self) -> bool:
        """Whether a small network that is known to learn learns from this data, on data too small for statistics."""
        data, at_least = self.case.data, 500
        recipe = Recipe("adam(lr=0.01)", epochs=max(20, 32 * at_least // len(data.train)))
        references = [Case(mlp([32, 32], name), recipe, data) for name in ("tanh", "relu")]
        return max(m.best_valid_learned for m in self.laboratory.measure(references)) >= thresholds.LEARNED_BY_OTHERS

    def search(self, seen: Evidence) -> None:
        """Try the suspects in order; one that restores learning fully ends the search."""
        for suspect in SUSPECTS:
            sign = suspect.look(seen)
            if sign is None:
                continue
            trials = self.try_cures(suspect, seen.trained)
            if any(trial.helps and trial.direct for trial in trials):
                self.proved.append((suspect, sign, trials))
                if max(trial.after.learned for trial in trials if trial.helps and trial.direct) >= thresholds.LEARNS:
                    break

    def conclude(self) -> None:
        """Name the first of the proved suspects whose cure comes close to the best."""
        if self.proved and self.own is not None:
            best = max(_best(trials) for _, _, trials in self.proved)
            suspect, sign, trials = next(p for p in self.proved if _best(p[2]) >= thresholds.ROOT * best)
            self.findings.append(Finding(suspect.cause, *sign, Result.of(self.own), tuple(trials)))
            self.proved.clear()

    def try_cures(self, suspect: Suspect, own: Measured) -> list[Trial]:
        """Every cure of a suspect, measured in one population, and whether it helps and restores."""
        direct = [*suspect.direct(self.case)]
        changed = applicable([*direct, *(suspect.relief if self.prove else ())], self.case)
        controls = {cure: cure.beside.apply(self.case) for cure, _ in changed if cure.beside is not None}
        measured = self.laboratory.measure([*(case for _, case in changed), *controls.values()])
        alone = dict(zip(controls, measured[len(changed) :], strict=True))
        helping = [
            after
            for (cure, _), after in zip(changed, measured, strict=False)
            if all(suspect.helps(before, after) for before in (own, *([alone[cure]] if cure in alone else [])))
        ]
        return [
            Trial(
                cure, Result.of(after), direct=cure in direct,
                helps=after in helping, cured=after in helping and suspect.restores(after, helping),
            )
            for (cure, _), after in zip(changed, measured, strict=False)
        ]  # fmt: skip


def _best(trials: Sequence[Trial]) -> float:
    """The most that a direct cure brings on new rows: on training rows, a longer step may gain more by overfitting."""
    return max((trial.after.best_valid_learned for trial in trials if trial.helps and trial.direct), default=0.0)
