"""Refuses what no verdict can be given about, as soon as the model's own outputs are known."""

from quantlab.gate.criteria import CRITERIA
from quantlab.gate.judging import JudgedReference
from quantlab.gate.outputs import refuse_unknown_outputs
from quantlab.gate.poor_reference import refuse_poor_reference
from quantlab.gate.targets import target_of
from quantlab.gate.verdict import refuse_too_little
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, Study, TrialEvidence

__all__ = ["refuse_unjudgeable"]


def refuse_unjudgeable(study: Study, budget: Budget, *, registries: Registries = REAL) -> None:
    """Check the samples, the reference and the limits, before anything is converted.

    The reference is judged by its own outputs, of which nothing changes. So every error that does not depend on a
    variant is found, with the message that `judge` gives after all variants were measured.

    Args:
        study: A study with the outputs of the reference; its trials are not looked at.
        budget: The limits.
        registries: All metrics and targets.

    Raises:
        UsageError: If a limit cannot be judged, for example a loss without labels, or names an unknown output.
        StudyError: If there are too few samples, or those of one class alone, or if the reference is not finite or not
            shown to be better than guessing.
    """
    refuse_unknown_outputs(budget, [study])
    compared = JudgedReference.of(study, budget, registries)
    evidence = compared.of_itself()
    refuse_too_little([evidence])
    row, target = TrialEvidence(study.reference, evidence), target_of(budget, registries)
    for criterion in CRITERIA:
        criterion(row, budget, target)
    refuse_poor_reference(study, compared.reference, budget, compared.metrics)
