"""Decides which settings may be shipped, from the outputs that a study stored; runs nothing.

```text
judge ─┬─ targets      the formats, runtimes and size that count
       ├─ outputs      what became constant or is not finite in any output of the model
       ├─ criteria     one function for each limit of a budget: measured, finite, not constant, loss, …, size
       └─ recommended  the smallest setting that fits in every runtime that counts; see `Verdict.recommended`
refuse_unjudgeable     the errors of `judge` that depend on no variant, before anything is converted
recommend              the same, with a reason for every other setting, and the Pareto front of size and loss
accepted_figures       figures that a later gate compares with
attestation_of         a verdict bound to the files of an artifact, to be signed, and checked where they are shipped
```
"""

from quantlab.gate.accepted import accepted_figures, changed_artifacts, compare_with_lock
from quantlab.gate.attestation import (
    Attestation,
    attestation_of,
    attested_variant,
    other_rules,
    refuse_other_files,
)
from quantlab.gate.before_trials import refuse_unjudgeable
from quantlab.gate.contradictions import told_by_figures
from quantlab.gate.figures import bound_of, decimals_of, near_one, outward, rounded_down, rounded_up, size
from quantlab.gate.judging import (
    Judged,
    JudgedReference,
    gather,
    gather_of,
    judge,
    name_of,
)
from quantlab.gate.kept_scores import (
    SCORES,
    RowScores,
    are_gone,
    kept_state,
    refuse_scores_only,
    row_folder,
    values_of_candidate,
    values_of_reference,
    write_row,
)
from quantlab.gate.left_out import JudgedSamples
from quantlab.gate.lock_file import parse_lock, read_lock, write_lock
from quantlab.gate.outputs import (
    constant_clauses,
    constant_notes,
    measured_shapes,
    non_finite_clauses,
    refuse_unknown_outputs,
    sum_output_file,
)
from quantlab.gate.recommendation import choose
from quantlab.gate.recommending import recommend, recommendation_of
from quantlab.gate.shipped import refuse_dropped_settings, refuse_files_not_served, settings_of_artifact, unmatched
from quantlab.gate.statement import budget_texts, read_attestation
from quantlab.gate.stored import candidate_samples, finite_rows, judged_metrics, reference_samples
from quantlab.gate.strictness import looser_limits
from quantlab.gate.targets import TARGETS, Target, target_named, target_of
from quantlab.gate.verdict import decide

__all__ = [
    "SCORES",
    "TARGETS",
    "Attestation",
    "Judged",
    "JudgedReference",
    "JudgedSamples",
    "RowScores",
    "Target",
    "accepted_figures",
    "are_gone",
    "attestation_of",
    "attested_variant",
    "bound_of",
    "budget_texts",
    "candidate_samples",
    "changed_artifacts",
    "choose",
    "compare_with_lock",
    "constant_clauses",
    "constant_notes",
    "decide",
    "decimals_of",
    "finite_rows",
    "gather",
    "gather_of",
    "judge",
    "judged_metrics",
    "kept_state",
    "looser_limits",
    "measured_shapes",
    "name_of",
    "near_one",
    "non_finite_clauses",
    "other_rules",
    "outward",
    "parse_lock",
    "read_attestation",
    "read_lock",
    "recommend",
    "recommendation_of",
    "reference_samples",
    "refuse_dropped_settings",
    "refuse_files_not_served",
    "refuse_other_files",
    "refuse_scores_only",
    "refuse_unjudgeable",
    "refuse_unknown_outputs",
    "rounded_down",
    "rounded_up",
    "row_folder",
    "settings_of_artifact",
    "size",
    "sum_output_file",
    "target_named",
    "target_of",
    "told_by_figures",
    "unmatched",
    "values_of_candidate",
    "values_of_reference",
    "write_lock",
    "write_row",
]
