"""Why a network does not learn: the cause, its evidence, the cure, and the proof."""

from schuss.insight.diagnosis.causes import CAUSES
from schuss.insight.diagnosis.findings import Diagnosis, Finding, Proof, Result, Trial
from schuss.insight.diagnosis.scaling import standardize_inputs, standardize_target
from schuss.insight.diagnosis.visit import VisitInterrupted, doctor

__all__ = [
    "CAUSES", "Diagnosis", "Finding", "Proof", "Result", "Trial", "VisitInterrupted", "doctor", "standardize_inputs",
    "standardize_target",
]  # fmt: skip
