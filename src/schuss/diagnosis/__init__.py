"""Why a network does not learn: the cause, its evidence, the cure, and the proof."""

from schuss.diagnosis.causes import CAUSES
from schuss.diagnosis.findings import Diagnosis, Finding, Proof, Result, Trial
from schuss.diagnosis.scaling import standardize_inputs, standardize_target
from schuss.diagnosis.visit import VisitInterrupted, doctor

__all__ = [
    "CAUSES", "Diagnosis", "Finding", "Proof", "Result", "Trial", "VisitInterrupted", "doctor", "standardize_inputs",
    "standardize_target",
]  # fmt: skip
