"""What a visit comes to: findings, each with its evidence, its cures and the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from schuss.diagnosis import thresholds
from schuss.diagnosis.cases import Case
from schuss.diagnosis.cures import Cure
from schuss.diagnosis.laboratory import Measured
from schuss.diagnosis.script import as_script
from schuss.errors import InvalidInput
from schuss.show import diagnosis as show
from schuss.show.formatting import for_json

if TYPE_CHECKING:
    from rich.table import Table


class Result(NamedTuple):
    """A case in numbers: medians over the seeds.

    learned : share of the constant predictor's loss on the training part that is gone: 1 is perfect, 0 is nothing.
    valid_learned, best_valid_learned : the same on the validation part, at the end and in the best epoch.
    first_layer : δ of layer 1 over that of the last hidden layer, before training.
    """

    train_loss: float
    valid_score: float
    learned: float
    valid_learned: float
    best_valid_learned: float
    first_layer: float

    @property
    def learns(self) -> bool:
        """Whether the training removed most of the constant predictor's loss."""
        return self.learned >= thresholds.LEARNS

    @classmethod
    def of(cls, measured: Measured) -> Result:
        """The numbers of a measured case."""
        return cls(*(getattr(measured, name) for name in cls._fields))

    def to_json(self) -> dict[str, float | None]:
        """The numbers by name; None for what is not a finite number."""
        return {name: for_json(value) for name, value in self._asdict().items()}


@dataclass(frozen=True)
class Trial:
    """A cure that was tried: what came of it, whether it undoes the cause itself, helps, and restores learning."""

    cure: Cure
    after: Result
    direct: bool
    helps: bool
    cured: bool

    def to_json(self) -> dict[str, Any]:
        """The trial as plain values."""
        return {
            "change": self.cure.change,
            "detail": self.cure.detail,
            "after": self.after.to_json(),
            "helps": self.helps,
            "cured": self.cured,
        }


class Proof(NamedTuple):
    """The same seeds and the same order of the data, before and after the cure alone."""

    before: Result
    after: Result
    cured: bool

    def to_json(self) -> dict[str, Any]:
        """The proof as plain values."""
        return {"before": self.before.to_json(), "after": self.after.to_json(), "cured": self.cured}


@dataclass(frozen=True)
class Finding:
    """A cause: where, how it shows, what it does, and its cure.

    Attributes
    ----------
    cause : one of CAUSES.
    layers : the layers that show it, from 1; none where it is not a matter of layers.
    evidence : the figures that show it.
    before : the case as it came.
    tried : every cure that was tried, the least change first.
    """

    cause: str
    layers: tuple[int, ...]
    evidence: Mapping[str, float]
    explanation: str
    before: Result
    tried: tuple[Trial, ...] = ()

    @property
    def chosen(self) -> Trial | None:
        """The least change that restores learning, else the one that helps most; None where nothing helps.

        One that lowers the validation score is chosen only where all that help do.
        """
        cured = [trial for trial in self.tried if trial.cured]
        helping = sorted((trial for trial in self.tried if trial.helps), key=lambda trial: -trial.after.learned)
        found = [*cured, *helping]
        harmless = [trial for trial in found if trial.after.valid_score >= self.before.valid_score]
        return next(iter([*harmless, *found]), None)

    @property
    def cure(self) -> Cure | None:
        """The cure that is recommended."""
        return None if self.chosen is None else self.chosen.cure

    @property
    def proof(self) -> Proof | None:
        """Before and after that cure."""
        return None if self.chosen is None else Proof(self.before, self.chosen.after, self.chosen.cured)

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values; what is not a finite number is None."""
        cure, proof = self.cure, self.proof
        return {
            "cause": self.cause,
            "layers": list(self.layers),
            "evidence": {name: for_json(value) for name, value in self.evidence.items()},
            "explanation": self.explanation,
            "cure": None if cure is None else {"change": cure.change, "detail": cure.detail},
            "proof": None if proof is None else proof.to_json(),
            "tried": [trial.to_json() for trial in self.tried],
        }


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a network, its recipe and its data; `healthy` is the absence of findings.

    Attributes
    ----------
    case, examined : network, recipe and data as they came, and cut to the visit's budget.
    findings : the root cause first.
    before : how the case itself trains; None in a visit that was interrupted before that was known.
    seeds : from which it was trained.
    trained : how many networks the visit took.
    complete : False if the visit was interrupted: then no finding means nothing.
    """

    case: Case
    examined: Case
    findings: tuple[Finding, ...]
    before: Result | None
    seeds: tuple[int, ...]
    trained: int
    seconds: float
    complete: bool = True

    @property
    def healthy(self) -> bool:
        """Whether nothing was found, by a visit that was not interrupted."""
        return self.complete and not self.findings

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as plain values."""
        return {
            "healthy": self.healthy,
            "complete": self.complete,
            "findings": [finding.to_json() for finding in self.findings],
            "seconds": self.seconds,
        }

    @property
    def score_name(self) -> str:
        """What the validation score is."""
        return "accuracy" if self.case.data.classes else "R²"

    def report(self) -> list[str | Table]:
        """The report as sentences and tables for a terminal."""
        return show.report(self)

    def table(self) -> str:
        """The report as text."""
        return show.as_text(self)

    def script(self, load: str | None = None) -> str:
        """A Python script that trains the network as it was and cured, and prints both.

        `load` is the Python expression that gives the data; by default that of a built-in problem. InvalidInput if
        there is no cure, or something that a script cannot hold.
        """
        cure = next((finding.cure for finding in self.findings if finding.cure is not None), None)
        if cure is None:
            raise InvalidInput(
                "there is no cure to write: " + ("nothing is wrong." if self.healthy else "none was found.")
            )
        return as_script(self.case, cure, self.seeds[0], load)

    def __repr__(self) -> str:
        nothing = "healthy" if self.healthy else "interrupted"
        causes = ", ".join(finding.cause for finding in self.findings) or nothing
        return f"Diagnosis({causes}; {self.trained} networks in {self.seconds:.1f} s; .table() tells)"
